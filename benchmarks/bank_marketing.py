"""Who says yes to a call? Calibration on the bank's data beside two usual learners."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, real_data, write
from benchmarks.other_libraries import run
from benchmarks.propensity_scores import figures, reliability

# Known before the call: its length isn't.
FEATURES = [
    "age", "job", "marital", "education", "default", "balance", "housing", "loan", "contact",
    "month", "campaign", "pdays", "previous", "poutcome",
]  # fmt: skip


def measure(*, splits: int = 3, seed: int = 1, data: Path | None = None, note: str = "") -> None:
    """Fit to a random half of the customers, judge by the other.

    The hierarchical logistic model is `Uplift` with arms at random, whose effects are then nil in
    truth: the probability is the mean over arms.

    Parameters
    ----------
    splits
        Random halves.
    seed
        From which all seeds follow.
    data
        Folder of the data sets; by default as `real_data` finds it.
    note
        A remark to keep with the result.
    """
    frame = pd.read_parquet(real_data(data, "bank_marketing/bank_full.parquet"))
    frame["pdays"] = frame["pdays"].where(frame["pdays"] >= 0)  # -1: never called before
    y = (frame["y"].astype(str).isin(["yes", "1"])).to_numpy()
    numbers = pd.get_dummies(frame[FEATURES], dtype=float).to_numpy(dtype=float)
    halves, arrays = [], {}
    for index in range(splits):
        rng = seeds.generator(seed, f"bank {index}")
        train = rng.random(len(frame)) < 0.5
        halves.append(train)
        arrays |= {
            f"{index} x train": numbers[train],
            f"{index} y train": y[train].astype(int),
            f"{index} x test": numbers[~train],
        }
    found = run("propensity", arrays)
    rows, tenths = [], []
    for index, train in enumerate(halves):
        chances = {
            key.split(" ", 1)[1]: values
            for key, values in found.items()
            if key.startswith(f"{index} ")
        }
        begun = time.perf_counter()
        chances["model"], verdict = ours(frame, y, train, seeds.integer(seed, f"bank fit {index}"))
        seconds = time.perf_counter() - begun
        for learner, chance in chances.items():
            rows.append({"split": index, "learner": learner, **figures(chance, y[~train])})
            tenths += [{"split": index, "learner": learner, **row}
                       for row in reliability(chance, y[~train])]  # fmt: skip
        print(index, round(seconds, 1), verdict, flush=True)
    table = pd.DataFrame(rows).groupby("learner").mean(numeric_only=True).drop(columns="split")
    print(table.round(5).to_string())
    result = {
        **described(f"python -m benchmarks bank_marketing --splits {splits} --seed {seed}"),
        "note": note,
        "question": "a yes to the call, features known before it: " + ", ".join(FEATURES),
        "splits": splits,
        "mean_over_splits": table.to_dict("index"),
        "rows": rows,
        "reliability": tenths,
    }
    print(write("bank_marketing", result))


def ours(frame: pd.DataFrame, y: np.ndarray, train: np.ndarray, seed: int) -> tuple[Any, str]:
    """Return probabilities of the held-out half, and the verdict on the fit."""
    rng = seeds.generator(seed, "arms")
    table = frame.assign(yes=y.astype(int), arm=rng.integers(0, 2, len(frame)))
    campaign = bm.Campaign.from_frame(
        table, treated="arm", outcome="yes", features=FEATURES, bins=10
    )
    half = campaign.take(train)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # the verdict is printed
        fit = bm.fit(bm.Uplift(), half, seed=seed, progress=False)
    from bayes_mkt.targeting.effects import means_by_arm

    means = means_by_arm(fit, campaign.take(~train), "outcome")
    return means.mean(axis=1), fit.diagnostics.verdict.splitlines()[0]
