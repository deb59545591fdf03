"""How good forecasts of times are, on customers acquired later than those fitted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.first_purchases import FirstPurchases
from bayes_mkt.customers.predict import check_times, mean_survival
from bayes_mkt.customers.scores import Curve, auc, brier, concordance, kaplan_meier
from bayes_mkt.customers.spells import Spells
from bayes_mkt.customers.survival import cumulative_incidence
from bayes_mkt.days import Bound
from bayes_mkt.dims import MARKET
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["forward_split", "survival_calibration", "survival_scores"]

Array = NDArray[Any]
TIME: Final = "time"
FORECAST: Final = "forecast"
TIMES: Final = (30.0, 60.0, 90.0)


def forward_split(
    transactions: object, *, at: Bound, **columns: Any
) -> tuple[FirstPurchases, FirstPurchases]:
    """Return the customers known at a date, as they were known then, and those acquired since.

    Parameters
    ----------
    transactions
        As in `FirstPurchases.from_transactions`.
    at
        The date of the split. Of customers acquired before it, nothing from that day on is used.
    **columns
        Further arguments of `FirstPurchases.from_transactions`, such as `end`.

    Returns
    -------
    train, test
        Covariates and intervals of `test` are made as those of `train`.
    """
    day = np.datetime64(at) if not isinstance(at, np.datetime64) else at
    before = day.astype("datetime64[D]") - np.timedelta64(1, "D")
    train = FirstPurchases.from_transactions(transactions, **{**columns, "end": before})
    later = {**columns, "acquired_from": day.astype("datetime64[D]"), "like": train}
    return train, FirstPurchases.from_transactions(transactions, **later)


def survival_calibration(
    fit: Fit, test: Spells, times: Any = TIMES, *, allow_unconverged: bool = False
) -> xr.Dataset:
    """Return forecast and observed probability of the event by some times, by market.

    Parameters
    ----------
    fit
        A fitted `SecondPurchase`, `Churn` or `ParametricSurvival`.
    test
        Customers that the fit hasn't seen.
    times
        Since the origin.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        `forecast` (chain, draw, market, time), the mean over the market's customers; `observed`
        and `observed_se` (market, time), 1 - Kaplan-Meier with Greenwood's standard error;
        `z` (market, time), (observed - forecast) by the root of both variances; `customers`
        (market).
    """
    expected = cumulative_incidence(fit, times, test, allow_unconverged=allow_unconverged)
    at = expected[TIME].to_numpy()
    rows = _rows(test)
    observed, error = np.full((2, len(test.markets), len(at)), np.nan)
    count = np.zeros(len(test.markets))
    for m in range(len(test.markets)):
        own = rows.market == m
        count[m] = rows.count[own].sum()
        if count[m]:
            curve = kaplan_meier(rows.duration[own], rows.event[own], rows.count[own])
            observed[m], error[m] = 1.0 - curve.at(at), curve.error(at)
            observed[m][at > rows.duration[own].max()] = np.nan  # nobody was followed so long
    spread = np.sqrt(error**2 + expected.var(("chain", "draw")).to_numpy())
    z = (observed - expected.mean(("chain", "draw")).to_numpy()) / np.where(spread > 0, spread, 1)
    out = xr.Dataset(
        {
            FORECAST: expected,
            "observed": ((MARKET, TIME), observed),
            "observed_se": ((MARKET, TIME), error),
            "z": ((MARKET, TIME), z),
            "customers": (MARKET, count),
        }
    )
    for name in out.data_vars:
        out[name].attrs["units"] = "customers" if name == "customers" else "1"
    return out


def survival_scores(
    fit: Fit, test: Spells, times: Any = TIMES, *, allow_unconverged: bool = False
) -> xr.Dataset:
    """Return Brier scores, concordance and AUC of the forecasts, beside Kaplan-Meier's by market.

    The forecast of a customer is the posterior mean of S(t); that of `"kaplan-meier"` the estimate
    of the customer's market in the fitted data (of all markets for one that isn't there). Weights
    for censoring come from the test data, all markets together.

    Parameters
    ----------
    fit, test, times, allow_unconverged
        As in `survival_calibration`; several times, for the integral.

    Returns
    -------
    Dataset
        `brier` (forecast, time) and `brier_by_market` (forecast, market, time), lower is better;
        `integrated_brier` (forecast), its mean over the span of the times (trapezoids); `auc`
        (forecast, time); `concordance` (forecast), Uno's C of the risk of an event by the last
        time, over events before it.

    Raises
    ------
    SpecError
        If the test data are truncated or have episodes: scores need whole spells.
    """
    marks = usable(fit, allow_unconverged)
    at = check_times(times, float(fit.data.cuts[-1]), fit.data.unit)
    rows = _rows(test)
    censored = kaplan_meier(rows.duration, rows.event, rows.count, censoring=True)
    if np.any(censored.at(at) <= 0):
        raise SpecError(
            f"times={times!r}: no customer of the test data is followed beyond "
            f"{rows.duration.max():g} {test.unit}. Score earlier times."
        )
    forecasts = {
        "model": mean_survival(fit, test, at)[rows.cell],
        "kaplan-meier": _reference(fit, test, rows, at),
    }
    scores: dict[str, list[Array]] = {"brier": [], "by_market": [], "auc": [], "c": []}
    for survival in forecasts.values():
        parts = (rows.duration, rows.event, rows.count)
        scores["brier"].append(brier(*parts, survival, at, censored))
        scores["by_market"].append(_by_market(rows, survival, at, censored, len(test.markets)))
        scores["auc"].append(auc(*parts, 1.0 - survival, at, censored))
        c = concordance(*parts, 1.0 - survival[:, -1], float(at[-1]), censored)
        scores["c"].append(np.asarray(c))
    brier_scores = np.stack(scores["brier"])
    span = at[-1] - at[0]
    integrated = np.trapezoid(brier_scores, at, axis=1) / span if span > 0 else brier_scores[:, 0]
    return xr.Dataset(
        {
            "brier": ((FORECAST, TIME), brier_scores),
            "brier_by_market": ((FORECAST, MARKET, TIME), np.stack(scores["by_market"])),
            "integrated_brier": (FORECAST, integrated),
            "auc": ((FORECAST, TIME), np.stack(scores["auc"])),
            "concordance": (FORECAST, np.stack(scores["c"])),
        },
        coords={FORECAST: list(forecasts), MARKET: list(test.markets), TIME: at},
        attrs={"units": "1", **marks},
    )


@dataclass(frozen=True)
class _Rows:
    """Rows of whole spells, each (row,)."""

    duration: Array
    event: Array
    count: Array
    cell: Array
    market: Array


def _rows(data: Spells) -> _Rows:
    """Return the rows of spells that are followed from their origin, with constant covariates."""
    rows = data.data
    if data.episodic or (rows["entry"].values > 0).any():
        raise SpecError(
            "Validation needs spells that are followed from their origin, with covariates that "
            "don't change. Read the test data without engagement= and observed_from=."
        )
    cell = rows["cell_of_row"].values
    return _Rows(
        duration=rows["duration"].values,
        event=rows["event"].values == 1,
        count=rows["count"].values,
        cell=cell,
        market=rows["market_of_cell"].values[cell],
    )


def _reference(fit: Fit, test: Spells, rows: _Rows, at: Array) -> Array:
    """Return survival by the fitted data's Kaplan-Meier of each row's market (row, time)."""
    own = fit.data.data
    market = own["market_of_cell"].values[own["cell_of_row"].values]
    parts = [own[name].values for name in ("duration", "event", "count", "entry")]

    def curve(chosen: Array) -> Curve:
        duration, event, count, entry = (values[chosen] for values in parts)
        return kaplan_meier(duration, event == 1, count, entry)

    known = {name: curve(market == m) for m, name in enumerate(fit.data.markets)}
    everyone = curve(np.ones(len(market), dtype=bool))
    table = np.stack([known.get(name, everyone).at(at) for name in test.markets])
    return np.asarray(table[rows.market])


def _by_market(rows: _Rows, survival: Array, at: Array, censored: Curve, markets: int) -> Array:
    """Return Brier scores (market, time), NaN where a market has nobody."""
    out = np.full((markets, len(at)), np.nan)
    for m in range(markets):
        own = rows.market == m
        if own.any():
            parts = (rows.duration[own], rows.event[own], rows.count[own])
            out[m] = brier(*parts, survival[own], at, censored)
    return out
