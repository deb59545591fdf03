"""A geo experiment with a published lift, and untreated cities taken as if treated."""

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

TREATED = ("chicago", "portland")
START, END = "2021-04-01", "2021-04-15"
# A day and treated city, by the walkthrough of GeoLift on these data.
PUBLISHED = 155.6
LEVELS = (0.5, 0.8, 0.95)
# Placebo windows: 15 days each, the last of them that of the test.
WINDOWS = (("2021-03-02", "2021-03-16"), ("2021-03-17", "2021-03-31"), (START, END))


def measure(
    *, folds: int = 3, seed: int = 1, sampler: str = "hmc", data: Path | None = None, note: str = ""
) -> None:
    """Estimate the published lift, and count how often intervals of placebo lifts hold zero.

    The cities that were not treated are dealt into folds. In each of three windows every fold is
    once taken as if it had been treated, the others as untreated: their lift is zero.

    Parameters
    ----------
    folds
        Number of folds: the more, the fewer cities are taken as treated at a time.
    seed
        From which folds and the seeds of fits follow.
    sampler
        As in `fit`; ``"laplace"`` is many times quicker, and a first look.
    data
        Folder of the data sets; by default as `real_data` finds it.
    note
        A remark to keep with the result.
    """
    frame = pd.read_csv(real_data(data, "geolift/GeoLift_Test.csv"))
    test, _ = lifts(frame, TREATED, START, END, seed, sampler)
    daily = test.sum(axis=1) / 15
    print(f"lift a day: {daily.mean():.0f} ({np.quantile(daily, [0.025, 0.975])})", flush=True)
    cities = sorted(set(frame["location"]) - set(TREATED))
    others = frame[frame["location"].isin(cities)]
    order = seeds.generator(seed, "geolift folds").permutation(cities)
    rows: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    for start, end in WINDOWS:
        for fold in range(folds):
            chosen = tuple(str(name) for name in order[fold::folds])
            drawn, about = lifts(others, chosen, start, end, seed, sampler)
            fits.append({"window": start, "fold": fold, **about})
            rows += placebos(drawn, start)
            print(fits[-1], flush=True)
            write(
                "geolift",
                _result(
                    daily, rows, fits, f"--folds {folds} --seed {seed} --sampler {sampler}", note
                ),
            )
    print(pd.DataFrame(_coverage(rows)).to_string(index=False))


def lifts(
    frame: pd.DataFrame, treated: tuple[str, ...], start: str, end: str, seed: int, sampler: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """Return draws of the lift of each treated city (draw, city), and how the fit went."""
    experiment = bm.GeoExperiment.from_frame(
        frame,
        sales="Y",
        region="location",
        date="date",
        treated=treated,
        start=start,
        end=end,
    )
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # verdicts are counted
        fit = bm.fit(bm.GeoLift(), experiment, seed=seed, chains=4, sampler=sampler, progress=False)
    found = bm.geo_lift(fit, by="region", seed=seed, allow_unconverged=True)["lift"]
    about = {"converged": fit.diagnostics.ok, "seconds": round(time.perf_counter() - begun, 1)}
    return found.stack(sample=("chain", "draw")).transpose("sample", "region").to_numpy(), about


def placebos(drawn: np.ndarray, window: str) -> list[dict[str, Any]]:
    """Return where zero stands among the draws of single cities, of pairs, and of all together."""
    count = drawn.shape[1]
    groups = [("city", (i,)) for i in range(count)]
    groups += [("pair", (i, i + 1)) for i in range(0, count - 1, 2)]
    groups += [("fold", tuple(range(count)))]
    return [
        {"window": window, "of": of, "rank": float((drawn[:, list(who)].sum(axis=1) < 0).mean())}
        for of, who in groups
    ]


def _coverage(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the share of intervals that hold zero, by group and window."""
    frame = pd.DataFrame(rows)
    out = []
    for of in ("city", "pair", "fold"):
        own = frame[frame["of"] == of]
        for window, part in [("all", own), *own.groupby("window")]:
            inside = [(np.abs(part["rank"] - 0.5) <= level / 2).mean() for level in LEVELS]
            shares = {f"{level:.0%}": float(x) for level, x in zip(LEVELS, inside, strict=True)}
            out.append({"of": of, "window": window, "cases": len(part), **shares})
    return out


def _result(
    daily: np.ndarray,
    rows: list[dict[str, Any]],
    fits: list[dict[str, Any]],
    options: str,
    note: str,
) -> dict[str, Any]:
    low, high = np.quantile(daily, [0.025, 0.975])
    published = PUBLISHED * len(TREATED)
    return {
        **described(f"python -m benchmarks geolift {options}"),
        "note": note,
        "question": (
            "the lift a day of two treated cities among 40, with its 95 % interval, beside the "
            "published one; and the share of intervals of lifts of untreated cities that hold zero"
        ),
        "model": "GeoLift()",
        "published": published,
        "mean": float(daily.mean()),
        "sd": float(daily.std()),
        "interval": [float(low), float(high)],
        "published_inside": bool(low <= published <= high),
        "probability_positive": float((daily > 0).mean()),
        "placebo": _coverage(rows),
        "unconverged": sum(not one["converged"] for one in fits),
        "fits": fits,
    }
