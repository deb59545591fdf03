"""The media mix that systems are compared on is the one that the package and Meridian state."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from benchmarks.gradient import panel
from benchmarks.peers import models

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


def density_at(model: pm.Model, point: dict[str, np.ndarray]) -> float:
    """The log-density at a point given by variable, in unconstrained coordinates."""
    values = {v.name: point[rv.name] for rv, v in model.rvs_to_values.items() if rv.name in point}
    return float(model.compile_logp(mode="FAST_COMPILE")(values))


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


def test_centred_or_not_is_one_posterior(centred: pm.Model, shared_data: Path) -> None:
    """Densities of the same point differ by the Jacobian of the change of variables."""
    other = models.build("geo_media", shared_data)
    for point in points(centred, 2):
        xi = np.exp(point["xi_c"])
        moved = {name: value for name, value in point.items() if name != "gamma_gc"}
        moved["gamma_gc_dev"] = (point["gamma_gc"] - point["gamma_c"]) / xi
        jacobian = len(point["gamma_gc"]) * np.log(xi).sum()
        assert density_at(other, moved) == pytest.approx(density_at(centred, point) + jacobian)
