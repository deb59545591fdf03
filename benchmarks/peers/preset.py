"""`MediaMix.meridian()` on the panel with everything, as a user would fit it."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import bayes_mkt as bm
from benchmarks.peers.columns import GEO_ALL_CHANNELS, Columns
from benchmarks.peers.protocol import Drawn, Sampler, Task

PACKAGES = {"bayes_mkt": ("bayes-mkt", "pymc", "pytensor", "jax", "blackjax", "numpy")}
TARGET_ESS = 400


def read(data: Path, columns: Columns = GEO_ALL_CHANNELS) -> bm.MediaPanel:
    """Return a panel in the folder `data`, promotions among its controls."""
    organic = {name.removesuffix("_impression"): name for name in columns.organic}
    return bm.MediaPanel.from_frame(
        pd.read_csv(data.joinpath(*columns.file)),
        sales="conversions",
        date="time",
        region="geo",
        population="population",
        revenue_per_sale="revenue_per_conversion",
        spend=dict(zip(columns.channels, columns.spend, strict=True)),
        exposure=dict(zip(columns.channels, columns.exposure, strict=True)) | organic,
        controls=[*columns.controls, *columns.treatments],
    )


def specified(columns: Columns = GEO_ALL_CHANNELS) -> bm.MediaMix:
    """Return Meridian's default model of such a panel, with one knot."""
    return bm.MediaMix.meridian(knots=1, treatments=dict.fromkeys(columns.treatments, "min"))


def prepare(task: Task) -> Sampler:
    """Return what fits the preset with given seed, and asks it for ROI."""
    panel, spec = read(Path(task.data)), specified()

    def sample(seed: int) -> Drawn:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.ConvergenceWarning)  # figures say it
            fit = bm.fit(spec, panel, seed=seed, target_ess=TARGET_ESS, progress=False)
        names = [rv.name for rv in fit.target.model.free_RVs if rv.name != "roi"]
        values = {name: fit.posterior[name].to_numpy() for name in names}
        values["roi"] = bm.roi(fit, allow_unconverged=True).to_numpy()
        stats = fit.draws["sample_stats"]
        total = fit.draws.attrs.get("gradients")
        kept = int(np.sum(stats["n_steps"].to_numpy()))
        return Drawn(
            values=values,
            divergences=int(stats["diverging"].sum()),
            gradients=kept,
            gradients_warmup=None if total is None else int(total) - kept,
        )

    return sample
