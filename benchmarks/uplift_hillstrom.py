"""Does the uplift model find whom an e-mail moves? Held-out halves of Hillstrom's experiment."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import RESULTS, described, real_data, write
from benchmarks.other_libraries import run

FEATURES = ["recency", "history", "mens", "womens", "zip_code", "newbie", "channel"]
CONTROL = "No E-Mail"
SPEC = bm.Uplift(outcome="visit")
SHARE = 0.3
REPLICATES = 200


def measure(
    *,
    splits: int = 10,
    nulls: int = 10,
    peers: bool = True,
    seed: int = 1,
    data: Path | None = None,
    note: str = "",
) -> None:
    """Fit one half of the customers, judge by the other; then again with arms permuted.

    Parameters
    ----------
    splits
        Random halves.
    nulls
        Random permutations of the arms, each with a split of its own.
    peers
        Whether causalml's and EconML's learners are fitted to the same halves. Else the result
        keeps those of the last run, if that had the same halves.
    seed
        From which all seeds follow.
    data
        Folder of the data sets; by default as `real_data` finds it.
    note
        A remark to keep with the result.
    """
    path = real_data(data, "hillstrom/hillstrom.parquet")
    frame = prepared(pd.read_parquet(path))
    rows, cases, halves = [], [], []
    for index in range(splits):
        split = seeds.integer(seed, f"hillstrom {index}")
        halves.append((*read(frame).split(0.5, seed=split), split))
        found, bins = judge(*halves[-1])
        rows.append(found)
        cases += bins
        print(index, {k: round(v, 5) for k, v in found.items()}, flush=True)
    others = judge_peers(frame, halves) if peers else earlier_peers(splits, seed)
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
        "peers": others,
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


def judge(
    train: bm.Campaign, test: bm.Campaign, seed: int
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Return the figures of one split, and its bins."""
    begun = time.perf_counter()
    fit = bm.fit(SPEC, train, seed=seed, progress=False)
    row: dict[str, float] = {"seconds": time.perf_counter() - begun, "ok": fit.diagnostics.ok}
    tau = bm.uplift(fit, test, allow_unconverged=True)
    rule = by_segment(train, test, seed)
    for name, score in (("model", tau), ("rfm", rule)):
        row |= ranking(name, score, test, seed)
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


def ranking(name: str, score: xr.DataArray, test: bm.Campaign, seed: int) -> dict[str, float]:
    """Return what held-out customers say of an order, by arm."""
    curve = bm.qini_curve(score, test, seed=seed)
    area = bm.qini_coefficient(curve).mean("draw")
    top = (curve.sel(depth=0.1) / 0.1).mean("draw")
    found = {}
    for arm in test.treatments:
        found[f"qini {name} {arm}"] = float(area.sel(arm=arm).item())
        found[f"uplift at 10% {name} {arm}"] = float(top.sel(arm=arm).item())
    return found


def judge_peers(
    frame: pd.DataFrame, halves: list[tuple[bm.Campaign, bm.Campaign, int]]
) -> dict[str, dict[str, Any]]:
    """Return mean and SD over splits of other learners' figures, and their error by bin."""
    campaign = read(frame)
    numbers = pd.get_dummies(frame[FEATURES], columns=["zip_code", "channel"])
    train = np.zeros((len(halves), len(frame)), dtype=bool)
    for inside, (half, _, _) in zip(train, halves, strict=True):
        inside[half.data["customer"].to_numpy()] = True
    scores = run(
        "uplift",
        {
            "x": numbers.to_numpy(dtype=float),
            "arm": campaign.data["assignment"].to_numpy(),
            "y": campaign.values("visit"),
            "train": train,
        },
    )
    found: dict[str, dict[str, Any]] = {}
    for name, values in scores.items():
        rows, errors = [], []
        for score, (_, test, seed) in zip(values, halves, strict=True):
            who = test.data["customer"].to_numpy()
            effect = xr.DataArray(
                np.broadcast_to(score[:, who], (1, REPLICATES, *score[:, who].shape)),
                dims=("chain", "draw", "arm", "customer"),
                coords={"arm": list(test.treatments), "customer": who},
                attrs={"outcome": "visit", "seed": seed},
            )
            rows.append(ranking("peer", effect, test, seed))
            errors.append(bin_error(effect, test))
        mean = summary(pd.DataFrame(rows))
        found[name] = {key.replace("peer ", ""): value for key, value in mean.items()}
        found[name]["mean absolute error by fifth"] = float(np.mean(errors))
        print(name, found[name], flush=True)
    return found


def earlier_peers(splits: int, seed: int) -> dict[str, Any]:
    """Return the peers of the result on disk, with its date, if they had the same halves."""
    path = RESULTS / "uplift_hillstrom.json"
    earlier = json.loads(path.read_text()) if path.exists() else {}
    same = f"--splits {splits} " in earlier.get("command", "") and earlier["command"].endswith(
        f"--seed {seed}"
    )
    return {"of": earlier["date"], **earlier["peers"]} if same and earlier["peers"] else {}


def bin_error(effect: xr.DataArray, test: bm.Campaign) -> float:
    """Return the mean over fifths and arms of |observed - predicted uplift|."""
    bins = bm.uplift_calibration(effect, test, bins=5)
    return float(abs((bins["observed"] - bins["predicted"]).mean(("chain", "draw"))).mean())


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
