"""One process of the refit benchmark: the earlier fit, a refit, or the cold fit of all weeks."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import bayes_mkt as bm
from benchmarks.gradient import panel
from benchmarks.peers.protocol import leave

SPEC = bm.MediaMix.meridian()


def run(told: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the figures of a process, by way."""
    whole = panel(Path(told["data"]))
    seed = told["seed"]
    warnings.simplefilter("ignore", bm.ConvergenceWarning)  # figures say it
    if told["way"] == "cold":
        fit, figures = timed(lambda: bm.fit(SPEC, whole, seed=seed + 3, progress=False))
        return {"cold": figures | agreement(fit, told["refits"])}
    if told["way"] == "next":
        saved = bm.Fit.load(told["saved"])
        fit, figures = timed(lambda: bm.refit(saved, whole, seed=seed + 2, progress=False))
        keep(fit, folder / "next")
        return {"next": figures}
    known = whole.between(end=f"{whole.dates[-1 - told['weeks']]:%Y-%m-%d}")
    fit, figures = timed(lambda: bm.fit(SPEC, known, seed=seed, progress=False))
    if told["way"] == "earlier":
        fit.save(told["saved"])
        return {"earlier": figures}
    return {"same": timed(lambda: bm.refit(fit, whole, seed=seed + 1, progress=False))[1]}


def timed(make: Any) -> tuple[bm.Fit, dict[str, Any]]:
    """Return a fit and its figures."""
    begun = time.perf_counter()
    fit = make()
    seconds = time.perf_counter() - begun
    found, attrs = fit.diagnostics, fit.draws.attrs
    figures = {
        "seconds": seconds,
        "min_ess": min(found.min_ess_bulk, found.min_ess_tail),
        "converged": found.ok,
        "way_taken": str(attrs.get("refit", "fit")),
    }
    return fit, figures | ({"khat": float(attrs["khat"])} if "khat" in attrs else {})


def keep(fit: bm.Fit, path: Path) -> None:
    """Write down what the cold fit is compared with."""
    table = fit.diagnostics.table
    columns: dict[str, Any] = {n: table[n].to_numpy() for n in ("mean", "sd", "mcse_mean")}
    np.savez(path.with_suffix(".npz"), names=table["parameter"].to_numpy().astype(str), **columns)


def agreement(fit: bm.Fit, refits: list[str]) -> dict[str, float]:
    """Return the largest gap of means in Monte Carlo SE, and the largest ratio of SDs."""
    gaps, ratios = [], []
    table = fit.diagnostics.table
    for path in refits:
        with np.load(f"{path}.npz") as other:
            theirs = xr.Dataset(
                {n: ("parameter", other[n]) for n in ("mean", "sd", "mcse_mean")},
                {"parameter": other["names"]},
            ).sel(parameter=table["parameter"].to_numpy().astype(str))
        moves = table["sd"].to_numpy() > 0
        error = np.hypot(table["mcse_mean"].to_numpy(), theirs["mcse_mean"].to_numpy())[moves]
        gap = np.abs(table["mean"].to_numpy() - theirs["mean"].to_numpy())[moves] / error
        log = np.abs(np.log(table["sd"].to_numpy()[moves] / theirs["sd"].to_numpy()[moves]))
        gaps.append(float(gap.max()))
        ratios.append(float(np.exp(log.max())))
    return {"gap": max(gaps), "ratio": max(ratios)}


if __name__ == "__main__":
    task = Path(sys.argv[1])
    leave(task.parent, run(json.loads(task.read_text(encoding="utf-8")), task.parent))
