"""Do intervals hold the truth as often as they say? Fits to simulated panels of known truth."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pandas as pd
import xarray as xr

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write
from benchmarks.intervals import INTERVAL, Pair, about_fit, beside, coverage, seconds, verdicts

TARGET = (0.84, 0.96)
SPEC = bm.MediaMix(knots=2, seasonality=bm.Fourier(2))
QUANTITIES = {
    "roi": "ROI of a channel",
    "total_roi": "ROI of all channels together",
    "adstock_alpha": "adstock alpha of a channel",
    "half_saturation": "half-saturation of a channel",
    "effect_sd": "SD of a channel's log effects over regions",
}


def measure(*, panels: int = 20, seed: int = 1, note: str = "") -> None:
    """Count how often 90 % intervals hold the truth on simulated panels of the demo's size.

    Each panel has 12 regions, 104 weeks and 4 channels. Its ROIs, carry-over, half-saturation and
    spread over regions are drawn from the priors of the model that is then fitted; its baseline
    and noise are not, see `simulate.media_mix`. No panel is left out, converged or not.

    Parameters
    ----------
    panels
        Number of panels.
    seed
        From which the seeds of panels and fits follow.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    cases: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    for index in range(panels):
        rows, about = answer(seed, index)
        cases += rows
        fits.append(about)
        show(index, rows, about)
    frame = pd.DataFrame(cases)
    found = coverage(frame, QUANTITIES)
    result = {
        **described(f"python -m benchmarks roi_coverage --panels {panels} --seed {seed}"),
        "note": note,
        "question": (
            f"share of {INTERVAL:.0%} intervals that hold the truth, on {panels} simulated "
            "panels of 12 regions x 104 weeks x 4 channels"
        ),
        "model": "MediaMix(knots=2, seasonality=Fourier(2))",
        "target": {"quantity": "roi", "share": list(TARGET)},
        "target_met": TARGET[0] <= found[0]["share"] <= TARGET[1],
        "coverage": found,
        "coverage_of_converged": coverage(frame[frame.converged], QUANTITIES),
        "verdicts": verdicts(fits),
        "seconds": seconds(fits),
        "fits": fits,
        "cases": cases,
    }
    print(pd.DataFrame(found).drop(columns="what").round(3).to_string(index=False))
    print(verdicts(fits), seconds(fits))
    print(write("roi_coverage", result))


def answer(seed: int, index: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Simulate a panel, fit it, and return its intervals beside the truth, and the verdict."""
    panel_seed = seeds.integer(seed, f"roi_coverage panel {index}")
    fit_seed = seeds.integer(seed, f"roi_coverage fit {index}")
    panel = bm.simulate.media_mix(seed=panel_seed)
    data = bm.MediaPanel.from_frame(panel.frame, **panel.columns)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # verdicts are counted
        fit = bm.fit(SPEC, data, seed=fit_seed, progress=False)
    spent = time.perf_counter() - begun
    about = about_fit(index, fit.diagnostics, fit.posterior.sizes["draw"], spent)
    rows = [
        {"panel": index, **row, "converged": fit.diagnostics.ok}
        for name, (draws, truth) in compared(fit, panel.truth).items()
        for row in beside(name, draws, truth)
    ]
    return rows, {**about, "panel_seed": panel_seed, "fit_seed": fit_seed}


def compared(fit: bm.Fit, truth: xr.Dataset) -> dict[str, Pair]:
    """Return the draws and the truth of each quantity."""
    total = truth.incremental_revenue.sum() / truth.spend.sum()
    pairs = {name: (fit.posterior[name], truth[name]) for name in QUANTITIES if name in truth}
    pairs["roi"] = (bm.roi(fit, allow_unconverged=True), truth.roi)
    pairs["total_roi"] = (bm.roi(fit, by=(), allow_unconverged=True), total)
    return pairs


def show(index: int, rows: list[dict[str, Any]], about: dict[str, Any]) -> None:
    """Print a line on one panel."""
    held = [row["inside"] for row in rows if row["quantity"] == "roi"]
    state = "converged" if about["converged"] else f"NOT converged: {about['failed']}"
    print(
        f"panel {index:3d}: {sum(held)} of {len(held)} ROI intervals hold the truth, "
        f"{about['seconds']:.1f} s, {state}",
        flush=True,
    )
