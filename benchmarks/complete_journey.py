"""Who buys of a campaign's products? The last nine mailings of the Complete Journey."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt.targeting.asof import Lines, Standing
from benchmarks.environment import described, real_data, write
from benchmarks.other_libraries import run
from benchmarks.propensity_scores import figures

HORIZON, LOOKBACK, CAMPAIGNS = 14, 182, 9
BASE = {"horizon": HORIZON, "lookback": LOOKBACK, "dates": 2}
SPECS = {
    "model": bm.Propensity(**BASE, min_buyers=1000),
    "model, more slopes": bm.Propensity(
        **BASE, min_buyers=1000, attribute_slopes=True, spend_slopes=True
    ),
}
DAY = np.timedelta64(1, "D")


def measure(
    *, slopes: bool = True, seed: int = 1, data: Path | None = None, note: str = ""
) -> None:
    """Predict who buys of each campaign's products in the 14 days from its start.

    One model, fitted to the log before the first of the nine, on product categories; each
    campaign's set of products is new to it. Peers are fitted anew for each campaign, to its own set
    of products in the 14 days before.

    Parameters
    ----------
    slopes
        Whether the model with slopes by attribute and of amounts is fitted too.
    seed
        Of the fits.
    data
        Folder of the data sets; by default as `real_data` finds it.
    note
        A remark to keep with the result.
    """
    folder = real_data(data, "complete_journey")
    log = purchase_log(folder)
    campaigns = campaigns_of(folder, log)
    cases = {c["name"]: tables(log, c) for c in campaigns}
    found = run(
        "propensity",
        {f"{name} {part}": case[part] for name, case in cases.items()
         for part in ("x train", "y train", "x test")},
    )  # fmt: skip
    chances = {name: {**simple(case)} for name, case in cases.items()}
    for key, values in found.items():
        name, learner = key.split(" ", 1)
        chances[name][learner] = values
    fits: dict[str, Any] = {}
    for label, spec in SPECS.items():
        if slopes or label == "model":
            fits[label] = ours(label, spec, log, campaigns, cases, chances, seed)
    rows = [
        {"campaign": name, "learner": learner, **figures(chance, cases[name]["bought"])}
        for name, by in chances.items()
        for learner, chance in by.items()
    ]
    frame = pd.DataFrame(rows)
    table = frame.groupby("learner").mean(numeric_only=True).round(5)
    print(table.to_string())
    result = {
        **described(
            f"python -m benchmarks complete_journey {'' if slopes else '--no-slopes '}--seed {seed}"
        ),
        "note": note,
        "question": f"purchases of a campaign's products within {HORIZON} days of its start",
        "campaigns": [
            {"campaign": c["name"], "start": c["start"], "products": len(c["products"]),
             "buyers": float(cases[c["name"]]["bought"].mean())} for c in campaigns
        ],
        "fits": fits,
        "mean_over_campaigns": table.to_dict("index"),
        "rows": rows,
    }  # fmt: skip
    print(write("complete_journey", result))


def purchase_log(folder: Path) -> bm.PurchaseLog:
    columns = ["household_id", "product_id", "sales_value", "transaction_timestamp"]
    lines = pd.read_parquet(folder / "transactions.parquet", columns=columns)
    lines["date"] = pd.to_datetime(lines["transaction_timestamp"]).dt.tz_localize(None)
    products = pd.read_parquet(folder / "products.parquet")
    for name in ("department", "product_category", "brand"):
        products[name] = products[name].astype(object).fillna("unknown")
    known = lines["product_id"].astype(str).isin(set(products["product_id"].astype(str)))
    return bm.PurchaseLog.from_frame(
        lines[known & (lines["sales_value"] > 0)], customer="household_id", date="date",
        product="product_id", amount="sales_value", catalogue=products,
        levels=["department", "product_category"], attributes=["brand"], currency="USD",
    )  # fmt: skip


def campaigns_of(folder: Path, log: bm.PurchaseLog) -> list[dict[str, Any]]:
    """Return the last nine campaigns whose 14 days lie within the log, and their products."""
    about = pd.read_parquet(folder / "campaign_descriptions.parquet")
    coupons = pd.read_parquet(folder / "coupons.parquet")
    last = np.datetime64(log.end, "D") - HORIZON
    start = pd.to_datetime(about["start_date"]).to_numpy().astype("datetime64[D]")
    chosen = about[start - DAY <= last].sort_values("start_date").tail(CAMPAIGNS)
    products = set(log.products)
    found = []
    for row in chosen.itertuples():
        own = coupons.loc[coupons["campaign_id"] == row.campaign_id, "product_id"].astype(str)
        found.append(
            {
                "name": str(row.campaign_id),
                "start": str(pd.Timestamp(row.start_date).date()),
                "products": sorted(set(own) & products),
            }
        )
    return found


def tables(log: bm.PurchaseLog, campaign: dict[str, Any]) -> dict[str, Any]:
    """Return features and purchases as of the campaign's eve, and of 14 days before it."""
    lines = Lines.of(log, log.positions(campaign["products"]))
    everything, n = Lines.of(log), len(log.customers)
    eve = int((np.datetime64(campaign["start"], "D") - DAY).astype(int))
    found: dict[str, Any] = {"eve": eve}
    for part, day in (("train", eve - HORIZON), ("test", eve)):
        at = Standing.of(everything, n, day, LOOKBACK)
        columns = at.features(lines)
        found[f"x {part}"] = np.column_stack(list(columns.values()))
        found[f"y {part}"] = at.outcomes(lines, HORIZON)[0].astype(int)
        found[f"known {part}"] = log.customers[at.known]
    found["bought"] = found["y test"].astype(bool)
    return found


def simple(case: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return shares of buyers by cell of 14 days before, shrunk to the mean by two customers."""
    mean = case["y train"].mean()

    def table(columns: list[int]) -> np.ndarray:
        cuts = [np.nanquantile(case["x train"][:, c], [0.2, 0.4, 0.6, 0.8]) for c in columns]
        keys = []
        for part in ("train", "test"):
            x = case[f"x {part}"]
            code = np.zeros(len(x), dtype=int)
            for c, cut in zip(columns, cuts, strict=True):
                column = x[:, c]
                own = np.where(np.isnan(column), 5, np.digitize(column, np.unique(cut)))
                code = code * 6 + own
            keys.append(code)
        size = 6 ** len(columns)
        n = np.bincount(keys[0], minlength=size)
        k = np.bincount(keys[0], case["y train"], minlength=size)
        return ((k + 2 * mean) / (n + 2))[keys[1]]

    return {"recency-frequency rule": table([3, 4]), "segments": table([0, 1, 2])}


def ours(
    label: str,
    spec: bm.Propensity,
    log: bm.PurchaseLog,
    campaigns: list[dict[str, Any]],
    cases: dict[str, Any],
    chances: dict[str, dict[str, np.ndarray]],
    seed: int,
) -> dict[str, Any]:
    """Fit to the log before the first campaign, and add the probabilities of each."""
    begun = time.perf_counter()
    past = log.until(np.datetime64(campaigns[0]["start"], "D") - DAY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # the verdict is kept
        fit = bm.fit(spec, past, seed=seed, progress=False)
    fitted = time.perf_counter() - begun
    seconds = []
    for campaign in campaigns:
        begun = time.perf_counter()
        case = cases[campaign["name"]]
        chance = bm.propensity(
            fit, campaign["products"], log=log.until(np.datetime64(case["eve"], "D")),
            max_draws=100, allow_unconverged=True,
        )  # fmt: skip
        seconds.append(time.perf_counter() - begun)
        mean = chance.mean(("chain", "draw")).sel(customer=case["known test"])
        chances[campaign["name"]][label] = mean.to_numpy()
    about = {
        "sets": fit.posterior.sizes["set"],
        "verdict": fit.diagnostics.verdict.splitlines()[0],
        "minutes_to_fit": fitted / 60,
        "minutes_per_new_campaign": float(np.mean(seconds)) / 60,
    }
    print(label, about, flush=True)
    return about
