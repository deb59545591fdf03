"""Scores of every model on one source of data, by one function."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bayes_mkt as bm
from bayes_mkt.customers.predict import mean_survival
from bayes_mkt.customers.scores import brier, kaplan_meier
from benchmarks.other_libraries import run
from benchmarks.second_purchase.sources import Source
from benchmarks.survival_figures import Outcome, against, figures

Array = NDArray[Any]
SMALL = 30
WIDE = {  # markets differ as widely as one market alone may: priors of level and logit
    "market_sd": bm.Prior("TruncatedNormal", mu=2.0, sigma=0.01, lower=1.9, upper=2.1),
    "never_market_sd": bm.Prior("TruncatedNormal", mu=1.5, sigma=0.01, lower=1.4, upper=1.6),
}
MODELS = {
    "pooled": bm.SecondPurchase(effects="normal"),
    "unpooled": bm.SecondPurchase(effects="normal", markets="level", priors=WIDE),
}
PEERS = ("lifelines, Cox", "lifelines, Weibull")
KAPLAN_MEIER = "kaplan-meier"


def about(source: Source, seed: int) -> dict[str, Any]:
    """Return sizes and scores of one source of data."""
    customers = Customers.of(source)
    forecasts: dict[str, Array] = {}
    incidence: dict[str, Array] = {}
    facts: dict[str, dict[str, Any]] = {}
    for name, spec in MODELS.items():
        if name == "pooled" or len(source.train.markets) > 1:
            forecasts[name], incidence[name], facts[name] = ours(spec, source, customers, seed)
    forecasts[KAPLAN_MEIER], incidence[KAPLAN_MEIER] = by_market(source, customers)
    if source.train.features or len(source.train.markets) > 1:
        found = peers(source, customers)
        for name in PEERS:
            whole = found[f"all {name}"]
            forecasts[name] = whole[: len(customers.outcome.duration)]
            incidence[name] = 1.0 - whole[len(customers.outcome.duration) :]
            facts[name] = {"seconds": float(found[f"all {name} seconds"])}
    apart = against(customers.outcome, forecasts, "pooled", source.times, seed)
    rows = []
    for name, survival in forecasts.items():
        scores = figures(customers.outcome, survival, source.times, source.times[-1:])
        last = f"_{source.times[-1]:g}"
        row = {"model": name, **{key.removesuffix(last): value for key, value in scores.items()}}
        row.pop("integrated_brier_in_strata")
        if not source.train.features or name == KAPLAN_MEIER:
            row.pop("calibration_error")  # tenths of risk of a market's equal forecasts say nothing
        row["less_pooled"] = apart.get(name)
        row["small_markets"] = customers.in_small_markets(survival)
        if source.truth is not None:
            row["error_in_small_markets"] = error(source, incidence[name])
        rows.append({**row, **facts.get(name, {})})
    return {
        "source": source.name,
        "times": source.times.tolist(),
        "customers": {"fitted": source.train.spells, "scored": source.test.spells},
        "markets": {"fitted": len(source.train.markets), "scored": len(source.test.markets)},
        "small_markets": {
            "scored": int(customers.small.sum()),
            "customers": int(customers.small[customers.market].sum()),
        },
        "scores": rows,
    }


@dataclass(frozen=True)
class Customers:
    """Scored customers, one entry for each, whatever rows hold.

    Attributes
    ----------
    cell, market
        Of each customer, its position among cells and scored markets (customer,).
    outcome
        What became of them.
    small
        Which scored markets had fewer than 30 fitted customers (market,).
    times
        At which they are scored.
    """

    cell: Array
    market: Array
    outcome: Outcome
    small: Array
    times: Array

    @classmethod
    def of(cls, source: Source) -> Customers:
        """Return the scored customers of a source."""
        rows = source.test.data
        row = np.repeat(np.arange(rows.sizes["row"]), rows["count"].values.astype(int))
        cell = rows["cell_of_row"].values[row]
        outcome = Outcome(
            rows["duration"].values[row],
            rows["event"].values[row] == 1,
            np.zeros(len(row), dtype=int),
        )
        sizes = dict(zip(source.train.markets, fitted_customers(source.train), strict=True))
        small = np.array([sizes.get(m, 0) < SMALL for m in source.test.markets])
        return cls(cell, rows["market_of_cell"].values[cell], outcome, small, source.times)

    def in_small_markets(self, survival: Array) -> float | None:
        """Return the mean Brier score of customers of small markets."""
        own = self.small[self.market]
        if not own.any():
            return None
        duration, event = self.outcome.duration, self.outcome.event
        censored = kaplan_meier(duration, event, censoring=True)
        one = np.ones(int(own.sum()))
        rows = (duration[own], event[own], one)
        return float(brier(*rows, survival[own], self.times, censored).mean())


def fitted_customers(train: bm.FirstPurchases) -> Array:
    """Return the number of customers of each fitted market."""
    rows = train.data
    market = rows["market_of_cell"].values[rows["cell_of_row"].values]
    return np.bincount(market, rows["count"].values, minlength=len(train.markets))


def ours(
    spec: bm.SecondPurchase, source: Source, customers: Customers, seed: int
) -> tuple[Array, Array, dict[str, Any]]:
    """Return survival (customer, time), incidence by fitted market, and facts of the fit."""
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # the verdict is written down
        fit = bm.fit(spec, source.train, seed=seed, progress=False)
    survival = mean_survival(fit, source.test, source.times)[customers.cell]
    seconds = time.perf_counter() - begun
    incidence = bm.cumulative_incidence(fit, source.times, allow_unconverged=True)
    seen = bm.survival_calibration(fit, source.test, source.times, allow_unconverged=True)
    within = abs(seen["z"].values[~customers.small]) < 1.645
    facts = {
        "seconds": seconds,
        "converged": fit.diagnostics.ok,
        "verdict": fit.diagnostics.verdict.splitlines()[0],
        "calibrated_within_90": float(within.mean()),
    }
    return survival, incidence.mean(("chain", "draw")).values, facts


def by_market(source: Source, customers: Customers) -> tuple[Array, Array]:
    """Return survival by the market's Kaplan-Meier estimate, and incidence by fitted market.

    Customers of a market that wasn't fitted have the estimate of all.
    """
    rows = source.train.data
    market = rows["market_of_cell"].values[rows["cell_of_row"].values]
    parts = [rows[name].values for name in ("duration", "event", "count")]
    known = {
        name: kaplan_meier(*(part[market == m] for part in parts)).at(source.times)
        for m, name in enumerate(source.train.markets)
    }
    everyone = kaplan_meier(*parts).at(source.times)
    table = np.stack([known.get(name, everyone) for name in source.test.markets])
    return table[customers.market], 1.0 - np.stack(list(known.values()))


def peers(source: Source, customers: Customers) -> Mapping[str, Array]:
    """Return forecasts of other libraries: scored customers, then one of each fitted market.

    They are given the covariates, and an indicator for each market but the largest; all but 0 for
    the markets that weren't fitted.
    """
    train, test = source.train, source.test
    rows = train.data
    row = np.repeat(np.arange(rows.sizes["row"]), rows["count"].values.astype(int))
    row = row[rows["duration"].values[row] > 0]
    cell = rows["cell_of_row"].values[row]
    largest = int(np.argmax(fitted_customers(train)))
    names = [name for m, name in enumerate(train.markets) if m != largest]

    def indicators(markets: Array) -> Array:
        return (np.asarray(markets)[:, None] == np.array(names)[None, :]).astype(float)

    def of(data: bm.FirstPurchases, cells: Array) -> Array:
        market = np.array(data.markets)[data.data["market_of_cell"].values[cells]]
        return np.column_stack([data.data["features"].values[cells], indicators(market)])

    x = of(train, cell)
    each = np.column_stack(
        [np.zeros((len(train.markets), len(train.features))), indicators(np.array(train.markets))]
    )
    return run(
        "survival",
        {
            "all x train": x,
            "all time train": rows["duration"].values[row],
            "all event train": rows["event"].values[row] == 1,
            "all x test": np.concatenate([of(test, customers.cell), each]),
            "all times": source.times,
        },
        learners=PEERS,
    )


def error(source: Source, incidence: Array) -> float:
    """Return the root mean square error of incidence (market, time) in small markets."""
    assert source.truth is not None
    apart = incidence - source.truth.loc[list(source.train.markets)].to_numpy()
    few = fitted_customers(source.train) < SMALL
    return float(np.sqrt((apart[few] ** 2).mean()))
