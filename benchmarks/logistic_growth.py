"""Time to 400 effective draws of a hierarchical logistic model as the customers grow."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats.base import array_stats

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write
from benchmarks.other_libraries import run

FEATURES = 50
ESS = 400.0
SYSTEMS = ("numpyro", "nutpie")


def measure(
    *,
    customers: Sequence[int] = (10_000, 100_000, 1_000_000),
    peer_customers: int = 100_000,
    draws: int = 300,
    seed: int = 1,
    note: str = "",
) -> None:
    """Sample the same simulated campaigns of two arms and 50 linear features by each system.

    Times are those of one run from the call to the draws, compilation and the search for the mode
    among them, divided by the smallest bulk ESS over all effects and multiplied by 400. Draws that
    were resampled by weight count as the ESS of the weights says where that is less.

    Parameters
    ----------
    customers
        Sizes.
    peer_customers
        The largest size that NumPyro and nutpie are given.
    draws
        Their draws of each of four chains, after as many of tuning.
    seed
        From which all seeds follow.
    note
        A remark to keep with the result.
    """
    rows = []
    for size in customers:
        x, arm, y = simulated(size, seeds.integer(seed, f"logistic {size}"))
        rows.append({"customers": size, "system": "bayes_mkt", **ours(x, arm, y, seed)})
        print(rows[-1], flush=True)
        for system in SYSTEMS if size <= peer_customers else ():
            rows.append({"customers": size, "system": system, **theirs(system, x, arm, y, draws)})
            print(rows[-1], flush=True)
    frame = pd.DataFrame(rows).pivot(index="customers", columns="system", values="to_ess_400")
    ratios = [
        {"customers": int(size), "best_peer_over_bayes_mkt": float(ratio)}
        for size, ratio in (frame.drop(columns="bayes_mkt").min(axis=1) / frame.bayes_mkt).items()
        if np.isfinite(ratio)
    ]
    sizes = " ".join(f"--customers {size}" for size in customers)
    result = {
        **described(
            f"python -m benchmarks logistic_growth {sizes} --peer-customers {peer_customers} "
            f"--draws {draws} --seed {seed}"
        ),
        "note": note,
        "question": f"seconds to {ESS:g} effective draws, hierarchical logistic, {FEATURES} slopes",
        "target": "at least 10 times as fast as the best peer, at the largest size they are given",
        "target_met": bool(ratios) and ratios[-1]["best_peer_over_bayes_mkt"] >= 10,
        "ratios": ratios,
        "rows": rows,
    }
    print(write("logistic_growth", result))


def simulated(size: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features (customer, column), arms and responses."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(size, FEATURES))
    arm = rng.integers(0, 2, size)
    baseline = 0.15 * rng.normal(size=FEATURES)
    uplift = np.where(rng.random(FEATURES) < 0.3, 0.1 * rng.normal(size=FEATURES), 0.0)
    logit = -2.0 + x @ baseline + arm * (0.3 + x @ uplift)
    return x, arm, (rng.random(size) < 1 / (1 + np.exp(-logit))).astype(int)


def ours(x: np.ndarray, arm: np.ndarray, y: np.ndarray, seed: int) -> dict[str, Any]:
    """Return seconds and ESS of `Uplift`."""
    names = [f"x{j}" for j in range(x.shape[1])]
    frame = pd.DataFrame(x, columns=names).assign(arm=arm, y=y)
    campaign = bm.Campaign.from_frame(
        frame, treated="arm", outcome="y", features=names, linear=names
    )
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # the verdict is kept
        spec = bm.Uplift()
        fit = bm.fit(spec, campaign, seed=seed, progress=False)
    seconds = time.perf_counter() - begun
    draws = xr.concat(
        [fit.posterior[name] for name in ("baseline", "uplift")], dim="effect"
    ).transpose("chain", "draw", ...)
    found = figures(seconds, draws.to_numpy().reshape(*draws.shape[:2], -1))
    about = {"expanded": spec.expands(campaign), "ok": fit.diagnostics.ok}
    return found | about | {"verdict": fit.diagnostics.verdict.splitlines()[0]}


def theirs(
    system: str, x: np.ndarray, arm: np.ndarray, y: np.ndarray, draws: int
) -> dict[str, Any]:
    """Return seconds and ESS of another system."""
    columns = (x - x.mean(axis=0)) / x.std(axis=0)
    found = run("logistic", {"x": columns, "arm": arm, "y": y}, system=system, draws=draws)
    effects = found["effects"]
    return figures(float(found["seconds"]), effects.reshape(*effects.shape[:2], -1))


def figures(seconds: float, draws: np.ndarray) -> dict[str, float]:
    """Return seconds, smallest bulk ESS, and what 400 effective draws take."""
    ess = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="bulk")
    smallest = float(np.min(ess))
    return {"seconds": seconds, "ess": smallest, "to_ess_400": seconds * ESS / smallest}
