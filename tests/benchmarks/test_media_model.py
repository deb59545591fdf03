"""The media mix that systems are compared on is the one that the package and Meridian state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from benchmarks.gradient import panel
from benchmarks.peers import models, preset

NAMES = {
    "knot_values": "knot_value",
    "sigma": "sigma",
    "tau_g_excl_baseline": "intercept_difference",
    "roi_m": "roi",
    "alpha_m": "adstock_alpha",
    "ec_m": "half_saturation",
    "eta_m": "effect_sd",
    "beta_gm_dev": "effect_offset",
    "gamma_c": "control_effect",
    "xi_c": "control_sd",
    "gamma_gc": "region_control_effect",
}


def density_at(model: pm.Model, point: dict[str, np.ndarray], *, jacobian: bool = True) -> float:
    """The log-density at a point given by variable, in unconstrained coordinates."""
    values = {v.name: point[rv.name] for rv, v in model.rvs_to_values.items() if rv.name in point}
    return float(model.compile_logp(mode="FAST_COMPILE", jacobian=jacobian)(values))


def points(model: pm.Model, count: int) -> list[dict[str, np.ndarray]]:
    """Unconstrained points around the model's start, by variable."""
    start = model.initial_point(random_seed=0)
    rng = np.random.default_rng(3)
    return [
        {
            rv.name: np.asarray(start[v.name]) + rng.normal(0.0, 0.3, np.shape(start[v.name]))
            for rv, v in model.rvs_to_values.items()
            if rv in model.free_RVs
        }
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def centred(shared_data: Path) -> pm.Model:
    return models.build("geo_media_centred", shared_data)


def test_it_is_the_model_of_the_package(centred: pm.Model, shared_data: Path) -> None:
    """Sales are in other units here, so that densities differ by a constant."""
    ours = bm.MediaMix.meridian().build(panel(shared_data))
    drawn = points(centred, 3)
    gaps = [
        density_at(centred, point)
        - density_at(ours, {NAMES[name]: value for name, value in point.items()})
        for point in drawn
    ]
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-9)


def test_so_is_the_preset_with_organic_media_and_a_promotion(shared_data: Path) -> None:
    """Effects of controls by region are multiples of their SD there, and here themselves."""
    theirs = models.build("geo_all_channels", shared_data)
    ours = preset.specified().build(preset.read(shared_data))
    gaps = []
    for point in points(theirs, 3):
        scale = len(point["gamma_gc_dev"]) * point["xi_c"].sum()
        found = density_at(ours, moved(point), jacobian=False)
        gaps.append(density_at(theirs, point, jacobian=False) - found - scale)
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-9)


def moved(point: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a point of the one model with everything as a point of the preset."""
    own = {NAMES[name]: value for name, value in point.items() if name in NAMES}
    for name in ("alpha", "ec", "eta"):  # organic media stand beside paid ones
        own[NAMES[f"{name}_m"]] = np.concatenate([point[f"{name}_m"], point[f"{name}_om"]])
    own["effect_offset"] = np.concatenate([point["beta_gm_dev"], point["beta_gom_dev"]], axis=1)
    own["unpaid_share"] = point["contribution_om"]
    own["treatment_share"] = 2.0 / (1.0 + np.exp(-point["contribution_n"])) - 1.0
    own["treatment_sd"] = point["xi_n"]
    own["treatment_offset"] = point["gamma_gn_dev"]
    own["region_other_control_effect"] = (
        point["gamma_c"] + np.exp(point["xi_c"]) * point["gamma_gc_dev"]
    )
    return own


def test_centred_or_not_is_one_posterior(centred: pm.Model, shared_data: Path) -> None:
    """Densities of the same point differ by the Jacobian of the change of variables."""
    other = models.build("geo_media", shared_data)
    for point in points(centred, 2):
        xi = np.exp(point["xi_c"])
        moved = {name: value for name, value in point.items() if name != "gamma_gc"}
        moved["gamma_gc_dev"] = (point["gamma_gc"] - point["gamma_c"]) / xi
        jacobian = len(point["gamma_gc"]) * np.log(xi).sum()
        assert density_at(other, moved) == pytest.approx(density_at(centred, point) + jacobian)
