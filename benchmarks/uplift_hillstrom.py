"""Does the uplift model find whom an e-mail moves? Held-out halves of Hillstrom's experiment."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write

FEATURES = ["recency", "history", "mens", "womens", "zip_code", "newbie", "channel"]
CONTROL = "No E-Mail"
SPEC = bm.Uplift(outcome="visit")
SHARE = 0.3


def measure(
    *, splits: int = 10, nulls: int = 10, seed: int = 1, data: Path | None = None, note: str = ""
) -> None:
    """Fit one half of the customers, judge by the other; then again with arms permuted.

    Parameters
    ----------
    splits
        Random halves.
    nulls
        Random permutations of the arms, each with a split of its own.
    seed
        From which all seeds follow.
    data
        Folder that holds `hillstrom/hillstrom.parquet`; None takes BAYES_MKT_DATA.
    note
        A remark to keep with the result.
    """
    folder = data or Path(os.environ.get("BAYES_MKT_DATA", "../shared/data"))
    path = Path(folder) / "hillstrom" / "hillstrom.parquet"
    if not path.is_file():
        raise SystemExit(f"{path} is absent: set BAYES_MKT_DATA or --data to its folder.")
    frame = prepared(pd.read_parquet(path))
    rows, cases = [], []
    for index in range(splits):
        found, bins = judge(frame, seeds.integer(seed, f"hillstrom {index}"))
        rows.append(found)
        cases += bins
        print(index, {k: round(v, 5) for k, v in found.items()}, flush=True)
    empty = [null(frame, seeds.integer(seed, f"hillstrom null {index}")) for index in range(nulls)]
    result = {
        **described(
            f"python -m benchmarks uplift_hillstrom --splits {splits} --nulls {nulls} --seed {seed}"
        ),
        "note": note,
        "question": "visits, two e-mails against none; features " + ", ".join(FEATURES),
        "splits": splits,
        "summary": summary(pd.DataFrame(rows)),
        "bins": {
            "what": "90 % intervals of observed - predicted uplift by fifth, that hold 0",
            "held": int(sum(case["inside"] for case in cases)),
            "cases": len(cases),
            "mean_absolute_error": float(np.mean([abs(case["error"]) for case in cases])),
        },
        "null": {
            "what": "90 % intervals that hold 0 where arms were permuted",
            "ate_held": int(sum(row["ate"] for row in empty)),
            "top_decile_held": int(sum(row["top"] for row in empty)),
            "cases": 2 * len(empty),
        },
        "rows": rows,
    }
    print(write("uplift_hillstrom", result))


def prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """Add the segments of a recency and value plan: three of recency by seven of value."""
    recency = pd.cut(frame["recency"], [0, 4, 8, 12], labels=["1-4", "5-8", "9-12"])
    return frame.assign(rfm=recency.astype(str) + " | " + frame["history_segment"])


def read(frame: pd.DataFrame) -> bm.Campaign:
    return bm.Campaign.from_frame(
        frame, treated="segment", outcome="visit", features=FEATURES, segment="rfm",
        control=CONTROL, bins=5, shares=dict.fromkeys(sorted(set(frame["segment"])), 1.0),
    )  # fmt: skip


def judge(frame: pd.DataFrame, seed: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Return the figures of one split, and its bins."""
    train, test = read(frame).split(0.5, seed=seed)
    begun = time.perf_counter()
    fit = bm.fit(SPEC, train, seed=seed, progress=False)
    row: dict[str, float] = {"seconds": time.perf_counter() - begun, "ok": fit.diagnostics.ok}
    tau = bm.uplift(fit, test, allow_unconverged=True)
    rule = by_segment(train, test, seed)
    for name, score in (("model", tau), ("rfm", rule)):
        curve = bm.qini_curve(score, test, seed=seed)
        area = bm.qini_coefficient(curve).mean("draw")
        top = (curve.sel(depth=0.1) / 0.1).mean("draw")
        for arm in test.treatments:
            row[f"qini {name} {arm}"] = float(area.sel(arm=arm).item())
            row[f"uplift at 10% {name} {arm}"] = float(top.sel(arm=arm).item())
    compared = bm.compare_targeting(fit, test, share=SHARE, allow_unconverged=True)
    for name in ("model", "segments", "difference"):
        row[f"visits per 1000 {name}"] = 1000 * float(compared[name].mean()) / test.n_customers
    row["difference is positive"] = float(bm.prob_positive(compared["difference"]))
    best = bm.ate(fit, allow_unconverged=True).mean(("chain", "draw")).max()
    row["visits per 1000 random"] = 1000 * SHARE * float(best)
    bins = bm.uplift_calibration(tau, test, bins=5)
    error = bins["observed"] - bins["predicted"]
    low, high = error.quantile([0.05, 0.95], ("chain", "draw"))
    inside = ((low <= 0) & (high >= 0)).to_numpy().ravel()
    means = error.mean(("chain", "draw")).to_numpy().ravel()
    return row, [{"inside": bool(i), "error": float(e)} for i, e in zip(inside, means, strict=True)]


def by_segment(train: bm.Campaign, test: bm.Campaign, seed: int) -> xr.DataArray:
    """Return the score that segments give: the difference in means of the training half."""
    table = pd.DataFrame(
        {"s": train.data["segment"], "a": train.data["assignment"], "y": train.values("visit")}
    ).groupby(["s", "a"])["y"].mean().unstack().fillna(0.0)  # fmt: skip
    rows = table.reindex(test.data["segment"].to_numpy()).to_numpy()
    return xr.DataArray(
        (rows[:, 1:] - rows[:, :1]).T,
        dims=("arm", "customer"),
        coords={"arm": list(test.treatments), "customer": test.data["customer"].to_numpy()},
        attrs={"outcome": "visit", "seed": seed},
    )


def null(frame: pd.DataFrame, seed: int) -> dict[str, int]:
    """Return how many of two arms' intervals hold zero where arms were permuted."""
    arms = np.random.default_rng(seed).permutation(frame["segment"].to_numpy())
    train, test = read(frame.assign(segment=arms)).split(0.5, seed=seed)
    fit = bm.fit(SPEC, train, seed=seed, progress=False)
    low, high = bm.ate(fit, allow_unconverged=True).quantile([0.05, 0.95], ("chain", "draw"))
    tau = bm.uplift(fit, test, allow_unconverged=True)
    top = bm.qini_curve(tau, test).sel(depth=0.1)
    first, last = top.quantile([0.05, 0.95], ("chain", "draw"))
    found = {
        "ate": int(((low <= 0) & (high >= 0)).sum()),
        "top": int(((first <= 0) & (last >= 0)).sum()),
    }
    print("null", found, flush=True)
    return found


def summary(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return mean and SD over splits of every figure."""
    return {
        str(name): {"mean": float(rows[name].mean()), "sd": float(rows[name].std())}
        for name in rows.columns
    }
