"""Do intervals hold the truth where it is hard? Confounded spend, gaps, forecasts, plans."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write
from benchmarks.intervals import INTERVAL, Pair, about_fit, beside, coverage, seconds, verdicts

TARGET = (0.85, 0.95)
SPEC = bm.MediaMix(knots=2, seasonality=bm.Fourier(2))
WEEKS, AHEAD = 104, 4
QUANTITIES = {
    "roi": "ROI of a channel",
    "region_roi": "ROI of a channel in a region",
    "forecast": "sales of a region, four weeks ahead together",
    "total_forecast": "sales of all regions, four weeks ahead together",
    "plan_difference": "sales of the last four weeks, half more of one channel less today's",
}
SAMPLE = ("chain", "draw")


def measure(*, panels: int = 50, first: int = 0, seed: int = 1, note: str = "") -> None:
    """Count how often 90 % intervals hold the truth on hard simulated panels.

    Each has 5 to 50 regions of unequal size (SD of log population 0.8), 104 weeks to fit and 4
    to forecast, 3 channels whose spend follows demand (confounding 1), and 5 % of its region-weeks
    missing. The model has the causes of demand: season, trend and controls.

    Parameters
    ----------
    panels
        Number of panels.
    first
        Number of the first one: a run on `panels` more goes on where another ended, into a file
        of its own.
    seed
        From which the seeds of panels and fits follow.
    note
        A remark to keep with the result.
    """
    name = "twin_coverage" if first == 0 else f"twin_coverage_from_{first}"
    cases: list[dict[str, Any]] = []
    fits: list[dict[str, Any]] = []
    for index in range(first, first + panels):
        rows, about = answer(seed, index)
        cases += rows
        fits.append(about)
        inside = np.mean([row["inside"] for row in rows])
        state = "converged" if about["converged"] else f"NOT converged: {about['failed']}"
        print(
            f"panel {index:3d}: {about['regions']:2d} regions, {inside:.0%} inside, "
            f"{about['seconds']:.1f} s, {state}",
            flush=True,
        )
        result = summary(cases, fits, first=first, seed=seed, note=note)
        write(name, result)  # so that a run that is cut short leaves what it found
    print(pd.DataFrame(result["coverage"]).drop(columns="what").round(3).to_string(index=False))
    print(result["verdicts"], result["seconds"])


def summary(
    cases: list[dict[str, Any]], fits: list[dict[str, Any]], *, first: int, seed: int, note: str
) -> dict[str, Any]:
    """Return what the panels so far have shown."""
    frame = pd.DataFrame(cases)
    found = coverage(frame, QUANTITIES)
    panels = len(fits)
    command = f"python -m benchmarks twin_coverage --panels {panels} --first {first} --seed {seed}"
    return {
        **described(command.replace(" --first 0", "")),
        "note": note,
        "question": (
            f"share of {INTERVAL:.0%} intervals that hold the truth, on {panels} simulated panels "
            "of 5 to 50 regions x 104 weeks x 3 channels, spend following demand, 5 % missing"
        ),
        "model": "MediaMix(knots=2, seasonality=Fourier(2))",
        "target": {"share": list(TARGET)},
        "target_met": all(TARGET[0] <= row["share"] <= TARGET[1] for row in found),
        "coverage": found,
        "coverage_of_converged": coverage(frame[frame.converged], QUANTITIES),
        "verdicts": verdicts(fits),
        "seconds": seconds(fits),
        "fits": fits,
    }


def answer(seed: int, index: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Simulate a panel, fit all but its end, and return intervals beside the truth."""
    rng = seeds.generator(seed, f"twin_coverage size {index}")
    regions = int(np.round(np.exp(rng.uniform(np.log(5), np.log(50)))))
    market = bm.simulate.media_mix(
        seed=seeds.integer(seed, f"twin_coverage panel {index}"),
        regions=regions,
        weeks=WEEKS + AHEAD,
        channels=3,
        confounding=1.0,
        missing=0.05,
    )
    whole = bm.MediaPanel.from_frame(market.frame, **market.columns)
    dates = [str(date.date()) for date in whole.dates]
    past = whole.between(end=dates[WEEKS - 1])
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # verdicts are counted
        fit = bm.fit(SPEC, past, seed=seeds.integer(seed, f"fit {index}"), progress=False)
    spent = time.perf_counter() - begun
    about = about_fit(index, fit.diagnostics, fit.posterior.sizes["draw"], spent)
    rows = [
        {"panel": index, **row, "converged": fit.diagnostics.ok}
        for name, (draws, truth) in compared(fit, whole, market.truth, dates).items()
        for row in beside(name, draws, truth)
    ]
    return rows, {**about, "regions": regions}


def compared(
    fit: bm.Fit, whole: bm.MediaPanel, truth: xr.Dataset, dates: list[str]
) -> dict[str, Pair]:
    """Return the draws and the truth of each quantity."""
    seen = fit.data.observed
    price = fit.data.data["revenue_per_sale"]
    earned = (truth.contribution.sel(date=seen.date) * price).where(seen).sum("date")
    spend = fit.data.data["spend"].where(seen).sum("date")
    ahead = bm.MediaPlan.observed(whole, dates[WEEKS], dates[-1])
    later = whole.data["sales"].sel(date=ahead.dates)
    # Regions whose sales are known in all four weeks; the whole, if all are.
    known = later.notnull().all("date")
    predicted = bm.forecast(fit, ahead, seed=1, allow_unconverged=True)["sales"]
    predicted = predicted.sel(region=known).sum("date")
    actual = later.sel(region=known).sum("date")
    last = bm.MediaPlan.observed(fit.data, dates[WEEKS - 4], dates[WEEKS - 1])
    name = str(fit.data.channels[0])
    change = bm.compare_plans(fit, last.times({name: 1.5}), last, allow_unconverged=True)
    return {
        "roi": (bm.roi(fit, allow_unconverged=True), earned.sum("region") / spend.sum("region")),
        "region_roi": (
            bm.roi(fit, by=("region", "channel"), allow_unconverged=True),
            earned / spend,
        ),
        "forecast": (predicted, actual),
        "total_forecast": (predicted.sum("region"), actual.sum("region")),
        "plan_difference": (change["difference"], true_change(fit.data, whole, truth, name)),
    }


def true_change(
    past: bm.MediaPanel, whole: bm.MediaPanel, truth: xr.Dataset, name: str
) -> xr.DataArray:
    """Return what half more of a channel in the last four weeks would truly have sold.

    From the generator's own equations: geometric adstock to lag 8, then Hill; no media after.
    """
    exposure = past.data["exposure"].sel(channel=name).to_numpy()
    heads = past.data["population"].to_numpy()[:, None]
    everywhere = whole.data["exposure"].sel(channel=name).to_numpy() / heads
    typical = np.median(everywhere[everywhere > 0])
    own = truth.sel(channel=name)
    alpha, half = float(own.adstock_alpha), float(own.half_saturation)
    weights = alpha ** np.arange(9)
    weights = weights / weights.sum()
    effect = own.effect.to_numpy()[:, None] * float(truth.sales_scale) * heads

    def sold(media: np.ndarray) -> float:
        x = np.concatenate([media, np.zeros((len(media), 8))], axis=1) / heads / typical
        carried = np.zeros_like(x)
        for lag, weight in enumerate(weights):
            carried[:, lag:] += weight * x[:, : x.shape[1] - lag]
        return float((effect * carried / (carried + half)).sum())

    more = exposure.copy()
    more[:, -4:] *= 1.5
    return xr.DataArray(sold(more) - sold(exposure))
