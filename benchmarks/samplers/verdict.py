"""Draws judged: the same R-hat and effective sample sizes for every system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from arviz_stats.base import array_stats

import bayes_mkt as bm
from benchmarks.samplers.catalogue import POSTERIORS, Posterior


def judged(folder: Path, stage: str, model: str) -> dict[str, Any]:
    """Return the figures of the draws that a worker left.

    Parameters
    ----------
    folder, stage
        The draws are in ``folder/stage.npz``.
    model
        Name of the posterior, which says what counts and what is shown.
    """
    with np.load(folder / f"{stage}.npz") as file:
        values = {name: file[name].astype(float) for name in file.files}
    return figures(values, POSTERIORS[model])


def figures(values: dict[str, np.ndarray], posterior: Posterior) -> dict[str, Any]:
    """Return the worst figures over all free parameters, and the means of those shown.

    Parameters
    ----------
    values
        Draws by variable, each (chain, draw, ...).
    posterior
        What counts and what is shown.
    """
    free = {name: values[name] for name in posterior.free}
    diagnostics = bm.diagnose(tree(free))
    broken = any(f.check in ("stuck chain", "finite draws") for f in diagnostics.findings)
    shape = next(iter(free.values())).shape
    return {
        "chains": shape[0],
        "draws": shape[1],
        "parameters": sum(int(np.prod(value.shape[2:])) for value in free.values()),
        "ess_bulk": 0.0 if broken else diagnostics.min_ess_bulk,
        "ess_tail": 0.0 if broken else diagnostics.min_ess_tail,
        "ess_sd": 0.0 if broken else smallest_ess_sd(free),
        "rhat": 99.0 if broken else diagnostics.max_rhat,
        "shown": _shown(values, posterior),
    }


def smallest_ess_sd(values: dict[str, np.ndarray]) -> float:
    """Return the smallest effective sample size for a standard deviation.

    Trajectories that overshoot give means more precise than independent draws would, and
    standard deviations less so: bulk ESS alone would not show it.
    """
    columns = [value.reshape(*value.shape[:2], -1) for value in values.values()]
    flat = np.concatenate(columns, axis=2)
    moving = flat[:, :, np.ptp(flat, axis=(0, 1)) > 0]
    return float(np.min(array_stats.ess(moving, chain_axis=0, draw_axis=1, method="sd")))


def _shown(values: dict[str, np.ndarray], posterior: Posterior) -> dict[str, dict[str, float]]:
    """Return mean, SD and Monte Carlo error of the parameters that tables show."""
    names = [name for name in posterior.shown if name in values]
    table = bm.diagnose(tree({name: values[name] for name in names})).table
    labels = [str(label) for label in table["parameter"].to_numpy()][: posterior.most]
    kept = {key: table[key].to_numpy() for key in ("mean", "sd", "mcse_mean")}
    return {
        label: {
            "mean": float(kept["mean"][i]),
            "sd": float(kept["sd"][i]),
            "mcse": float(kept["mcse_mean"][i]),
        }
        for i, label in enumerate(labels)
    }


def tree(values: dict[str, np.ndarray]) -> xr.DataTree:
    arrays = {name: _labelled(name, value) for name, value in values.items()}
    return xr.DataTree.from_dict({"/posterior": xr.Dataset(arrays), "/sample_stats": xr.Dataset()})


def _labelled(name: str, value: np.ndarray) -> xr.DataArray:
    dims = [f"{name}_{axis}" for axis in range(value.ndim - 2)]
    coords = {dim: np.arange(size) for dim, size in zip(dims, value.shape[2:], strict=True)}
    return xr.DataArray(value, dims=["chain", "draw", *dims], coords=coords)
