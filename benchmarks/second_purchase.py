"""Forward in time on real customers: pooled hazards, unpooled ones, and Kaplan-Meier by market."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt.customers.scores import kaplan_meier
from benchmarks.environment import described, real_data, write

TIMES = [30, 60, 90]
BURN_IN = "2010-03-01"
SPLIT = "2011-06-01"
WIDE = {  # markets as good as independent of each other
    "market_sd": bm.Prior("TruncatedNormal", mu=5.0, sigma=0.01, lower=4.9, upper=5.1),
    "never_market_sd": bm.Prior("TruncatedNormal", mu=5.0, sigma=0.01, lower=4.9, upper=5.1),
}
MODELS = {
    "pooled": bm.SecondPurchase(effects="normal", never="market"),
    "unpooled": bm.SecondPurchase(effects="normal", never="market", markets="level", priors=WIDE),
}


def measure(*, data: Path | None = None, seed: int = 1, note: str = "") -> None:
    """Fit customers known at a date, and score those acquired since, market by market.

    Online Retail by country, and 40 simulated markets. In Online Retail first purchases in the
    log's first three months are left out, as many aren't the first. Brier scores at 30, 60 and 90
    days, weighted for censoring, for all and for markets with fewer than 30 fitted customers.

    Parameters
    ----------
    data
        Folder of the data sets; by default as `real_data` finds it.
    seed
        Of the fits.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    folder = real_data(data, "online_retail")
    sources = {
        "simulated": simulated(seed),
        "online retail": (*split(folder), None),
    }
    found = [about(name, *halves, seed) for name, halves in sources.items()]
    result = {
        **described(f"python -m benchmarks second_purchase --seed {seed}"),
        "note": note,
        "question": (
            f"Brier scores at {TIMES} days of customers acquired after a date, by models that saw "
            "only what was known then"
        ),
        "columns": {
            "integrated_brier": "mean over the times, of all scored customers; lower is better",
            "small_markets": "the same, of scored customers of markets with few fitted ones",
            "error_in_small_markets": (
                "root mean square error of P(T <= t) against the truth, over the times and the "
                "markets with fewer than 30 fitted customers; simulated markets only"
            ),
            "calibrated_within_90": "share of forecasts within 1.645 SD, other markets",
        },
        "sources": found,
    }
    print(write("second_purchase", result))


def about(
    source: str, train: Any, test: Any, truth: pd.DataFrame | None, seed: int
) -> dict[str, Any]:
    """Return sizes and scores of one source of data."""
    print(source, train, test, sep="\n")
    rows = [
        row for name, spec in MODELS.items() for row in score(name, spec, train, test, truth, seed)
    ]
    print(pd.DataFrame(rows).round(4).to_string(index=False))
    small = small_markets(train, test)
    count = np.bincount(
        test.data["market_of_cell"].values[test.data["cell_of_row"].values],
        test.data["count"].values,
        minlength=len(test.markets),
    )
    return {
        "source": source,
        "customers": {"fitted": train.spells, "scored": test.spells},
        "markets": {"fitted": len(train.markets), "scored": len(test.markets)},
        "small_markets": {"scored": int(small.sum()), "customers": int(count[small].sum())},
        "scores": rows,
    }


def small_markets(train: Any, test: Any) -> np.ndarray:
    """Return which scored markets had fewer than 30 fitted customers."""
    fitted = train.risk_table()["at_risk"].values[:, 0]
    sizes = dict(zip(train.markets, fitted, strict=True))
    return np.array([sizes.get(m, 0) < 30 for m in test.markets])


def simulated(seed: int) -> tuple[bm.FirstPurchases, bm.FirstPurchases, pd.DataFrame]:
    """Return fitted and scored customers of 40 markets, most of them small, and true incidence."""
    sim = bm.simulate.second_purchases(customers=6000, markets=40, size_spread=1.5, seed=seed)
    columns = {k: v for k, v in sim.columns.items() if k not in ("profile", "basket")}
    truth = sim.truth
    ends = np.concatenate([[0.0], truth["interval"].values])
    rows = {}
    for m, name in enumerate(truth["market"].values):
        linear = truth["linear"].values[truth["market_of_customer"].values == m]
        total = np.concatenate([[0.0], np.exp(truth["log_hazard"].values[m]).cumsum()])
        never = 1.0 / (1.0 + np.exp(-truth["never"].values[m]))
        alive = np.exp(-np.exp(linear)[:, None] * np.interp(TIMES, ends, total))
        if len(linear):
            rows[str(name)] = (1.0 - never) * (1.0 - alive.mean(axis=0))
    frame = pd.DataFrame(rows, index=TIMES).T
    return *bm.forward_split(sim.frame, at="2023-08-01", **columns), frame


def error(truth: pd.DataFrame, forecast: np.ndarray, markets: Any, chosen: np.ndarray) -> float:
    """Return the root mean square error of incidence (market, time) in the chosen markets."""
    apart = forecast - truth.loc[list(markets)].to_numpy()
    return float(np.sqrt((apart[chosen] ** 2).mean()))


def kaplan_meier_by_market(train: Any) -> np.ndarray:
    """Return the estimated incidence of each fitted market (market, time)."""
    rows = train.data
    market = rows["market_of_cell"].values[rows["cell_of_row"].values]
    out = []
    for m in range(len(train.markets)):
        own = market == m
        parts = [rows[n].values[own] for n in ("duration", "event", "count")]
        out.append(1.0 - kaplan_meier(*parts).at(np.asarray(TIMES, dtype=float)))
    return np.stack(out)


def split(folder: Path) -> tuple[bm.FirstPurchases, bm.FirstPurchases]:
    """Return fitted and scored customers."""
    early = pd.read_parquet(folder / "online_retail_2009_2010.parquet")
    late = pd.read_parquet(folder / "online_retail.parquet")
    lines = pd.concat([early[early["InvoiceDate"] < late["InvoiceDate"].min()], late])
    bought = (lines["Quantity"] > 0) & (lines["UnitPrice"] > 0) & lines["CustomerID"].notna()
    lines = lines.loc[bought, ["CustomerID", "InvoiceDate", "Country"]]
    lines["CustomerID"] = lines["CustomerID"].astype("int64")
    # The burn-in: customers who were there before are no new ones.
    first = lines.groupby("CustomerID")["InvoiceDate"].transform("min")
    return bm.forward_split(
        lines[first >= BURN_IN],
        at=SPLIT,
        customer="CustomerID",
        date="InvoiceDate",
        market="Country",
        intervals=14,
        horizon=182,
    )


def score(
    name: str,
    spec: bm.SecondPurchase,
    train: Any,
    test: Any,
    truth: pd.DataFrame | None,
    seed: int,
) -> list[dict[str, Any]]:
    """Fit one model and return its scores beside Kaplan-Meier's."""
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)
        fit = bm.fit(spec, train, seed=seed, progress=False)
    seconds = time.perf_counter() - begun
    scores = bm.survival_scores(fit, test, TIMES, allow_unconverged=True)
    calibration = bm.survival_calibration(fit, test, TIMES, allow_unconverged=True)
    small = small_markets(train, test)
    count = calibration["customers"].values
    within = float((abs(calibration["z"].values[~small]) < 1.645).mean())
    few = train.risk_table()["at_risk"].values[:, 0] < 30
    incidence = {
        "model": bm.cumulative_incidence(fit, TIMES, allow_unconverged=True)
        .mean(("chain", "draw"))
        .values,
        "kaplan-meier": kaplan_meier_by_market(train),
    }
    rows = []
    for forecast in scores["forecast"].values:
        if forecast == "kaplan-meier" and name != "pooled":
            continue
        by_market = scores["brier_by_market"].sel(forecast=forecast).values
        own = forecast == "model"
        rows.append(
            {
                "model": name if own else forecast,
                "converged": fit.diagnostics.ok if own else None,
                "seconds": round(seconds, 1) if own else None,
                "integrated_brier": float(scores["integrated_brier"].sel(forecast=forecast)),
                "small_markets": float(
                    np.average(by_market[small].mean(axis=1), weights=count[small])
                ),
                "concordance": float(scores["concordance"].sel(forecast=forecast)),
                "calibrated_within_90": within if own else None,
                "error_in_small_markets": None
                if truth is None
                else error(truth, incidence[str(forecast)], train.markets, few),
            }
        )
    return rows
