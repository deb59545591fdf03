"""Meridian's own geo model, with its own sampler, on the panels that it publishes.

Its backend is JAX, the default of Meridian 2.1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from meridian.data import load  # type: ignore[import-not-found]  # in its own environment only
from meridian.model import model as meridian_model  # type: ignore[import-not-found]  # in its own environment only
from meridian.model import spec

from benchmarks.peers.columns import GEO_ALL_CHANNELS, GEO_MEDIA, Columns
from benchmarks.peers.protocol import Drawn, Sampler, Task

PACKAGES = {"meridian": ("google-meridian", "jax", "tfp-nightly", "numpy")}
PANELS = {"geo_media": GEO_MEDIA, "geo_all_channels": GEO_ALL_CHANNELS}
SAMPLED = (
    *("knot_values", "sigma", "roi_m", "alpha_m", "ec_m", "eta_m", "gamma_c", "xi_c"),
    *("contribution_om", "alpha_om", "ec_om", "eta_om", "contribution_n", "xi_n"),
)
DEVIATIONS = {
    "beta_gm_dev": ("beta_gm", "beta_m", "eta_m"),
    "beta_gom_dev": ("beta_gom", "beta_om", "eta_om"),
    "gamma_gc_dev": ("gamma_gc", "gamma_c", "xi_c"),
    "gamma_gn_dev": ("gamma_gn", "gamma_n", "xi_n"),
}
SETTINGS = {"n_chains": 4, "n_adapt": 500, "n_burnin": 500, "n_keep": 500}


def prepare(task: Task) -> Sampler:
    """Return what samples Meridian's model of the task's panel, with one knot."""
    columns = PANELS[task.model]
    model = meridian_model.Meridian(
        input_data=_data(Path(task.data), columns), model_spec=spec.ModelSpec(knots=1)
    )

    def sample(seed: int) -> Drawn:
        model.sample_posterior(**SETTINGS, seed=seed)
        found = model.inference_data
        posterior = {str(n): np.asarray(v.values) for n, v in found.posterior.data_vars.items()}
        return Drawn(
            values=sampled(posterior),
            divergences=int(np.sum(found.sample_stats["diverging"].values)),
            gradients=int(np.sum(found.trace["n_steps"].values)),
            gradients_warmup=None,
        )

    return sample


def sampled(posterior: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return what Meridian sampled, which it keeps in part as region effects only."""
    kept = {name: posterior[name] for name in SAMPLED if name in posterior}
    tau = posterior["tau_g"]
    kept["tau_g_excl_baseline"] = tau[..., np.ptp(tau, axis=(0, 1)) > 0]
    for deviation, (effect, mean, sd) in DEVIATIONS.items():
        if effect in posterior:
            value = posterior[effect].astype(float)
            value = np.log(value) if effect.startswith("beta") else value
            centre, scale = posterior[mean][:, :, None], posterior[sd][:, :, None]
            kept[deviation] = (value - centre) / scale
    return kept


def _data(folder: Path, columns: Columns) -> Any:
    names = load.CoordToColumns(
        kpi="conversions",
        revenue_per_kpi="revenue_per_conversion",
        controls=list(columns.controls),
        media=columns.exposure,
        media_spend=columns.spend,
        organic_media=list(columns.organic) or None,
        non_media_treatments=list(columns.treatments) or None,
    )
    return load.CsvDataLoader(
        csv_path=str(folder.joinpath(*columns.file)),
        kpi_type="non_revenue",
        coord_to_columns=names,
        media_to_channel=dict(zip(columns.exposure, columns.channels, strict=True)),
        media_spend_to_channel=dict(zip(columns.spend, columns.channels, strict=True)),
    ).load()
