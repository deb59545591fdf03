"""Does refutation catch what it should, and leave clean panels alone?"""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write

SPEC = bm.MediaMix(adstock=bm.GeometricAdstock(max_lag=4), knots=2, seasonality=bm.Fourier(2))
CHECKS = ("placebo", "future", "random_cause", "dropped_region")
KINDS = ("clean", "reactive", "late")


def measure(*, panels: int = 10, seed: int = 1, note: str = "") -> None:
    """Count how often panels of three kinds pass `refute`.

    Clean ones follow the model. In reactive ones something that the model doesn't know moves sales
    for some weeks, and next week's budget of one channel with it. In late ones one channel's media
    are dated a week after they ran.

    Parameters
    ----------
    panels
        Number of panels of each kind.
    seed
        From which the seeds of panels and fits follow.
    note
        A remark to keep with the result.
    """
    rows: list[dict[str, Any]] = []
    for index in range(panels):
        for kind in KINDS:
            rows.append(one(seed, index, kind))
            print(rows[-1], flush=True)
        # Written as it goes, so that a run that is cut short leaves what it found.
        result = summary(rows, panels=index + 1, seed=seed, note=note)
        written = write("refutation", result)
    print(result["passed"])
    print(written)


def summary(rows: list[dict[str, Any]], *, panels: int, seed: int, note: str) -> dict[str, Any]:
    """Return which share of the panels so far passed, by kind."""
    frame = pd.DataFrame(rows)
    passed = {kind: float(frame[frame.kind == kind].passed.mean()) for kind in KINDS}
    return {
        **described(f"python -m benchmarks refutation --panels {panels} --seed {seed}"),
        "note": note,
        "question": "share of panels, 6 regions x 80 weeks x 2 channels, that pass refute()",
        "checks": list(CHECKS),
        "passed": passed,
        "target": {"clean": "at least 0.9", "reactive": "0", "late": "0"},
        "target_met": passed["clean"] >= 0.9 and passed["reactive"] == passed["late"] == 0.0,
        "rows": rows,
    }


def one(seed: int, index: int, kind: str) -> dict[str, Any]:
    """Simulate a panel, fit it, and try to refute the fit."""
    world = bm.simulate.media_mix(
        regions=6,
        weeks=80,
        channels=2,
        controls=1,
        seed=seeds.integer(seed, f"refutation panel {index}"),
        max_lag=4,
    )
    frame = spoilt(world.frame.sort_values(["region", "week"]), kind, seed, index)
    panel = bm.MediaPanel.from_frame(frame, **world.columns)
    own = seeds.integer(seed, f"refutation fit {index}")
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # verdicts are counted
        fit = bm.fit(SPEC, panel, seed=own, progress=False)
        found = bm.refute(fit, seed=own, checks=CHECKS, allow_unconverged=True, target_ess=200)
    failed = found.table[found.table.verdict.isin(["fail", "not converged"])]
    return {
        "panel": index,
        "kind": kind,
        "converged": fit.diagnostics.ok,
        "passed": found.ok,
        "failed": [f"{row.check}: {row.subject} {row.verdict}" for row in failed.itertuples()],
        "seconds": round(time.perf_counter() - begun, 1),
    }


def spoilt(frame: pd.DataFrame, kind: str, seed: int, index: int) -> pd.DataFrame:
    """Return the panel's rows with a flaw of a kind."""
    frame = frame.copy()
    if kind == "late":
        media = ["tv_spend", "tv_impressions"]
        frame[media] = frame.groupby("region")[media].shift(1, fill_value=0.0)
    if kind == "reactive":
        rng = seeds.generator(seed, f"refutation hidden {index}")
        hidden = np.zeros((6, 80))
        for t in range(1, 80):
            hidden[:, t] = 0.7 * hidden[:, t - 1] + rng.standard_normal(6)
        level = frame.groupby("region")["sales"].transform("mean")
        frame["sales"] += 0.03 * hidden.ravel() * level
        before = np.concatenate([np.zeros((6, 1)), hidden[:, :-1]], axis=1).ravel()
        for name in ("tv_spend", "tv_impressions"):
            frame[name] *= np.exp(0.6 * before)
    return frame
