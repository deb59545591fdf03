"""Forward in time on real customers: pooled hazards, unpooled ones, and Kaplan-Meier by market."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from benchmarks.environment import described, write

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


def measure(*, data: str = "", seed: int = 1, note: str = "") -> None:
    """Fit customers known at a date, and score those acquired since, market by market.

    Online Retail by country, and 40 simulated markets. In Online Retail first purchases in the
    log's first three months are left out, as many aren't the first. Brier scores at 30, 60 and 90
    days, weighted for censoring, for all and for markets with fewer than 30 fitted customers.

    Parameters
    ----------
    data
        Folder that holds ``online_retail``; BAYES_MKT_DATA by default.
    seed
        Of the fits.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    folder = Path(data or os.environ.get("BAYES_MKT_DATA", ""))
    if not (folder / "online_retail").is_dir():
        raise SystemExit("second_purchase: give --data or set BAYES_MKT_DATA to the data's folder")
    sources = {"online retail": split(folder / "online_retail"), "simulated": simulated(seed)}
    found = [about(name, *halves, seed) for name, halves in sources.items()]
    result = {
        **described(f"python -m benchmarks second_purchase --seed {seed}"),
        "note": note,
        "question": (
            f"Brier scores at {TIMES} days of customers acquired after a date, by models that saw "
            "only what was known then"
        ),
        "sources": found,
    }
    print(write("second_purchase", result))


def about(source: str, train: Any, test: Any, seed: int) -> dict[str, Any]:
    """Return sizes and scores of one source of data."""
    print(source, train, test, sep="\n")
    rows = [row for name, spec in MODELS.items() for row in score(name, spec, train, test, seed)]
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


def simulated(seed: int) -> tuple[bm.FirstPurchases, bm.FirstPurchases]:
    """Return fitted and scored customers of 40 simulated markets, most of them small."""
    sim = bm.simulate.second_purchases(customers=6000, markets=40, size_spread=1.5, seed=seed)
    columns = {k: v for k, v in sim.columns.items() if k not in ("profile", "basket")}
    return bm.forward_split(sim.frame, at="2023-08-01", **columns)


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
    name: str, spec: bm.SecondPurchase, train: Any, test: Any, seed: int
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
            }
        )
    return rows
