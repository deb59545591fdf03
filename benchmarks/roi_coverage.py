"""Do intervals hold the truth as often as they say? Fits to simulated panels of known truth."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write

INTERVAL = 0.9
LOW, HIGH = 0.05, 0.95
TARGET = (0.84, 0.96)
SPEC = bm.MediaMix(knots=2, seasonality=bm.Fourier(2))
QUANTITIES = {
    "roi": "ROI of a channel",
    "total_roi": "ROI of all channels together",
    "adstock_alpha": "adstock alpha of a channel",
    "half_saturation": "half-saturation of a channel",
    "effect_sd": "SD of a channel's log effects over regions",
}


@dataclass(frozen=True)
class Answer:
    """What one fit said, and what was true."""

    rows: list[dict[str, Any]]
    fit: dict[str, Any]


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
    command = f"python -m benchmarks roi_coverage --panels {panels} --seed {seed}"
    answers = []
    for index in range(panels):
        answers.append(answer(seed, index))
        show(index, answers[-1])
    rows = pd.DataFrame([row for one in answers for row in one.rows])
    fits = [one.fit for one in answers]
    result = {
        **described(command),
        "note": note,
        "question": (
            f"share of {INTERVAL:.0%} intervals that hold the truth, {panels} simulated panels of "
            "12 regions x 104 weeks x 4 channels"
        ),
        "model": repr(SPEC),
        "interval": INTERVAL,
        "target": list(TARGET),
        "target_met": bool(TARGET[0] <= rows.query("quantity == 'roi'").inside.mean() <= TARGET[1]),
        "coverage": coverage(rows),
        "coverage_converged_only": coverage(rows[rows.converged]),
        "verdicts": verdicts(fits),
        "seconds": seconds(fits),
        "fits": fits,
        "cases": rows.to_dict("records"),
    }
    print(pd.DataFrame(result["coverage"]).to_string(index=False))
    print(result["verdicts"], result["seconds"])
    print(write("roi_coverage", result))


def answer(seed: int, index: int) -> Answer:
    """Simulate a panel, fit it, and put intervals beside the truth."""
    panel_seed = seeds.integer(seed, f"roi_coverage panel {index}")
    fit_seed = seeds.integer(seed, f"roi_coverage fit {index}")
    panel = bm.simulate.media_mix(seed=panel_seed)
    data = bm.MediaPanel.from_frame(panel.frame, **panel.columns)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # counted below
        fit = bm.fit(SPEC, data, seed=fit_seed, progress=False)
    spent = time.perf_counter() - begun
    verdict = fit.diagnostics
    rows = [
        {"panel": index, "quantity": name, "channel": channel, **row, "converged": verdict.ok}
        for name, (draws, truth) in compared(fit, panel.truth).items()
        for channel, row in beside(draws, truth)
    ]
    about = {
        "panel": index,
        "panel_seed": panel_seed,
        "fit_seed": fit_seed,
        "seconds": spent,
        "draws_per_chain": fit.posterior.sizes["draw"],
        "converged": verdict.ok,
        "max_rhat": verdict.max_rhat,
        "min_ess_bulk": verdict.min_ess_bulk,
        "min_ess_tail": verdict.min_ess_tail,
        "divergences": verdict.divergences,
        "failed": [f"{f.check} {f.parameter}".strip() for f in verdict.findings if f.failed],
    }
    return Answer(rows, about)


def compared(fit: bm.Fit, truth: xr.Dataset) -> dict[str, tuple[xr.DataArray, xr.DataArray]]:
    """Return the draws and the truth of each quantity."""
    posterior = fit.posterior
    known = {name: truth[name] for name in QUANTITIES if name in truth}
    known["total_roi"] = truth.incremental_revenue.sum() / truth.spend.sum()
    draws = {name: posterior[name] for name in known if name in posterior}
    draws["roi"] = bm.roi(fit, allow_unconverged=True)
    draws["total_roi"] = bm.roi(fit, by=(), allow_unconverged=True)
    return {name: (draws[name], known[name]) for name in QUANTITIES}


def beside(draws: xr.DataArray, truth: xr.DataArray) -> list[tuple[str, dict[str, Any]]]:
    """Return the interval of each entry, whether it holds the truth, and the truth's rank."""
    channels = [str(c) for c in truth["channel"].to_numpy()] if truth.dims else [""]
    out = []
    for channel in channels:
        values = (draws.sel(channel=channel) if channel else draws).to_numpy().ravel()
        true = float(truth.sel(channel=channel) if channel else truth)
        low, high = (float(v) for v in np.quantile(values, [LOW, HIGH]))
        row = {
            "truth": true,
            "mean": float(values.mean()),
            "low": low,
            "high": high,
            "inside": low <= true <= high,
            "share_below": float((values < true).mean()),
        }
        out.append((channel, row))
    return out


def coverage(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the share of intervals that hold the truth, by quantity.

    The interval of the share is Clopper and Pearson's, 95 %, as if cases were independent; those
    of one panel are not quite. `rank_ks_p` tests that the truth's rank among the draws is uniform.
    """
    out = []
    for name, title in QUANTITIES.items():
        part = rows[rows.quantity == name]
        if not len(part):
            continue
        held, cases = int(part.inside.sum()), len(part)
        bounds = stats.binomtest(held, cases).proportion_ci(0.95, method="exact")
        width = part.high - part.low
        out.append(
            {
                "quantity": name,
                "what": title,
                "held": held,
                "cases": cases,
                "share": held / cases,
                "share_low": float(bounds.low),
                "share_high": float(bounds.high),
                "truth_below_interval": int((part.truth < part.low).sum()),
                "truth_above_interval": int((part.truth > part.high).sum()),
                "mean_width": float(width.mean()),
                "median_width": float(width.median()),
                "mean_rank": float(part.share_below.mean()),
                "rank_ks_p": float(stats.kstest(part.share_below, "uniform").pvalue),
            }
        )
    return out


def verdicts(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many fits converged, and why others failed."""
    return {
        "fits": len(fits),
        "converged": sum(one["converged"] for one in fits),
        "unconverged_panels": [one["panel"] for one in fits if not one["converged"]],
        "divergences": sum(one["divergences"] for one in fits),
        "fits_with_divergences": sum(one["divergences"] > 0 for one in fits),
        "largest_rhat": max(one["max_rhat"] for one in fits),
        "smallest_ess": min(min(one["min_ess_bulk"], one["min_ess_tail"]) for one in fits),
    }


def seconds(fits: list[dict[str, Any]]) -> dict[str, float]:
    """Return the time of a fit from panel to verdict; only the first one compiles."""
    later = [one["seconds"] for one in fits[1:]] or [fits[0]["seconds"]]
    return {
        "first": fits[0]["seconds"],
        "later_median": float(np.median(later)),
        "later_quartile_1": float(np.quantile(later, 0.25)),
        "later_quartile_3": float(np.quantile(later, 0.75)),
        "later_min": min(later),
        "later_max": max(later),
    }


def show(index: int, one: Answer) -> None:
    """Print a line on one panel."""
    held = [row["inside"] for row in one.rows if row["quantity"] == "roi"]
    state = "converged" if one.fit["converged"] else f"NOT converged: {one.fit['failed']}"
    print(
        f"panel {index:3d}: {sum(held)} of {len(held)} ROI intervals hold the truth, "
        f"{one.fit['seconds']:.1f} s, {state}",
        flush=True,
    )
