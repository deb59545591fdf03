"""Does the sampler draw from what the model states? Truth and sales drawn from the model itself.

Simulation-based calibration (Talts, Betancourt, Simpson, Vehtari, Gelman 2018): parameters are
drawn from the prior, sales from the likelihood given them, and the posterior given those sales
is sampled. Over repetitions the rank of the truth among the draws is uniform, exactly, for every
parameter, if the sampler and the exact integration of linear-Gaussian blocks are right. Unlike
`roi_coverage`, no simulator stands between.
"""

from __future__ import annotations

import time
import warnings
from typing import Any

import pandas as pd
import pymc as pm
import xarray as xr

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write
from benchmarks.intervals import INTERVAL, about_fit, beside, coverage, seconds, verdicts

SPEC = bm.MediaMix(knots=2, seasonality=bm.Fourier(2))
REGIONS, WEEKS, CHANNELS = 6, 60, 3
MAX_DRAWS = 2000  # of each chain; what has not converged by then is counted as such
QUANTITIES = {
    "roi": "ROI of a channel",
    "adstock_alpha": "adstock alpha of a channel",
    "half_saturation": "half-saturation of a channel",
    "effect_sd": "SD of a channel's log effects over regions",
    "effect": "effect of a channel in a region",
    "knot_value": "trend at a knot",
    "season_effect": "coefficient of a season term",
    "control_effect": "effect of a control",
    "control_sd": "SD of a control's effect over regions",
    "intercept_sd": "SD of region intercepts",
    "region_intercept": "intercept of a region",
    "sigma": "noise",
}


def measure(*, repetitions: int = 100, seed: int = 1, note: str = "") -> None:
    """Rank prior draws among the draws of the posterior that they gave rise to.

    Parameters
    ----------
    repetitions
        Number of prior draws, each with its own data and fit.
    seed
        From which all seeds follow.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    market = bm.simulate.media_mix(regions=REGIONS, weeks=WEEKS, channels=CHANNELS, seed=seed)
    panel = bm.MediaPanel.from_frame(market.frame, **market.columns)
    truths = prior_draws(panel, repetitions, seed)
    cases: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    for index in range(repetitions):
        rows, about = answer(panel, truths.isel(draw=index), seed, index)
        cases += rows
        fits.append(about)
        print(f"{index:3d}: {about['seconds']:.1f} s, converged: {about['converged']}", flush=True)
    frame = pd.DataFrame(cases)
    found = coverage(frame, QUANTITIES)
    result = {
        **described(f"python -m benchmarks calibration --repetitions {repetitions} --seed {seed}"),
        "note": note,
        "question": (
            f"share of {INTERVAL:.0%} intervals that hold the truth, and ranks of the truth, with "
            f"truth and sales drawn from the model; {repetitions} repetitions on the media and "
            f"controls of one panel of {REGIONS} regions x {WEEKS} weeks x {CHANNELS} channels"
        ),
        "model": "MediaMix(knots=2, seasonality=Fourier(2))",
        "coverage": found,
        "coverage_of_converged": coverage(frame[frame.converged], QUANTITIES),
        "verdicts": verdicts(fits),
        "seconds": seconds(fits),
        "fits": fits,
    }
    print(pd.DataFrame(found).drop(columns="what").round(3).to_string(index=False))
    print(verdicts(fits), seconds(fits))
    print(write("calibration", result))


def prior_draws(panel: bm.MediaPanel, count: int, seed: int) -> xr.Dataset:
    """Return parameters and sales drawn from the model, dims ``draw, ...``."""
    with SPEC.build(panel):
        drawn = pm.sample_prior_predictive(
            draws=count,
            var_names=[*QUANTITIES, "sales"],
            random_seed=seeds.integer(seed, "calibration truth"),
        )
    parts = (drawn["prior"].to_dataset(), drawn["prior_predictive"].to_dataset())
    merged: xr.Dataset = xr.merge(parts).isel(chain=0, drop=True)
    return merged


def answer(
    panel: bm.MediaPanel, truth: xr.Dataset, seed: int, index: int
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the intervals that the drawn sales lead to, beside the drawn truth, and the verdict.

    The sales replace those of the panel in the model already built, so that its scaling stays.
    """
    begun = time.perf_counter()
    with SPEC.build(panel) as model:
        pm.set_data({"observed_sales": truth["sales"].to_numpy()})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # verdicts are counted
        draws = bm.sample(
            model,
            seed=seeds.integer(seed, f"calibration fit {index}"),
            var_names=list(QUANTITIES),
            max_draws=MAX_DRAWS,
            progress=False,
        )
    verdict = bm.diagnose(draws)
    posterior = draws["posterior"].to_dataset()
    spent = time.perf_counter() - begun
    rows = [
        {"panel": index, **row, "converged": verdict.ok}
        for name in QUANTITIES
        for row in beside(name, posterior[name], truth[name])
    ]
    return rows, about_fit(index, verdict, posterior.sizes["draw"], spent)
