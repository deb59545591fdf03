"""Intervals beside the truth: what one fit said, and how often many were right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import stats

import bayes_mkt as bm

INTERVAL = 0.9
LOW, HIGH = 0.05, 0.95
Pair = tuple[xr.DataArray, xr.DataArray]


def beside(name: str, draws: xr.DataArray, truth: xr.DataArray) -> list[dict[str, Any]]:
    """Return, for each entry of a quantity, its interval and where the truth lies in the draws."""
    entries = truth.stack(entry=truth.dims) if truth.dims else truth.expand_dims("entry")
    values = draws.stack(sample=("chain", "draw"))
    out = []
    for position in range(entries.sizes["entry"]):
        at = {d: entries[d].to_numpy()[position] for d in truth.dims}
        one = (values.sel(at) if at else values).to_numpy()
        true = float(entries[position])
        low, high = (float(v) for v in np.quantile(one, [LOW, HIGH]))
        out.append(
            {
                "quantity": name,
                "of": ", ".join(map(str, at.values())),
                "truth": true,
                "mean": float(one.mean()),
                "low": low,
                "high": high,
                "inside": low <= true <= high,
                "share_below": float((one < true).mean()),
            }
        )
    return out


def coverage(rows: pd.DataFrame, titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the share of intervals that hold the truth, by quantity.

    The interval of the share is Clopper and Pearson's, 95 %, as if cases were independent; those
    of one panel are not quite. `rank_ks_p` is the p-value of Kolmogorov and Smirnov's test that
    the truth's rank among the draws is uniform, under the same reservation.
    """
    out = []
    for name, title in titles.items():
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
                "truth_below": int((part.truth < part.low).sum()),
                "truth_above": int((part.truth > part.high).sum()),
                "mean_width": float(width.mean()),
                "median_width": float(width.median()),
                "mean_rank": float(part.share_below.mean()),
                "rank_ks_p": float(stats.kstest(part.share_below, "uniform").pvalue),
            }
        )
    return out


def about_fit(index: int, diagnostics: bm.Diagnostics, draws: int, spent: float) -> dict[str, Any]:
    """Return what is kept of one fit besides its answers."""
    return {
        "panel": index,
        "seconds": spent,
        "draws_per_chain": draws,
        "converged": diagnostics.ok,
        "max_rhat": diagnostics.max_rhat,
        "min_ess_bulk": diagnostics.min_ess_bulk,
        "min_ess_tail": diagnostics.min_ess_tail,
        "divergences": diagnostics.divergences,
        "failed": [f"{f.check} {f.parameter}".strip() for f in diagnostics.findings if f.failed],
    }


def verdicts(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how many fits converged, and the worst figures of all."""
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
    """Return the time of a fit from panel to verdict; the first one compiles."""
    later = [one["seconds"] for one in fits[1:]] or [fits[0]["seconds"]]
    return {
        "first": fits[0]["seconds"],
        "later_median": float(np.median(later)),
        "later_quartile_1": float(np.quantile(later, 0.25)),
        "later_quartile_3": float(np.quantile(later, 0.75)),
        "later_min": min(later),
        "later_max": max(later),
    }
