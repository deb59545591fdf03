"""Draws come as a DataTree in ArviZ's layout, with the model's own names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import arviz_stats
import numpy as np
import pymc as pm
import pytest
import xarray as xr

import bayes_mkt as bm

STATS = {
    "acceptance_rate",
    "diverging",
    "energy",
    "log_density",
    "lp",
    "n_steps",
    "step_size",
}
short_run = pytest.mark.filterwarnings("ignore::bayes_mkt.errors.ConvergenceWarning")


def test_groups_are_those_of_arviz(schools_draws: xr.DataTree) -> None:
    assert list(schools_draws.children) == [
        "posterior",
        "sample_stats",
        "observed_data",
        "constant_data",
    ]


def test_variables_keep_the_models_dimensions_and_coordinates(
    schools: pm.Model, schools_draws: xr.DataTree
) -> None:
    posterior = schools_draws["posterior"]
    assert list(posterior.data_vars) == ["mu", "tau", "z", "theta", "hyper"]
    assert posterior["mu"].dims == ("chain", "draw")
    assert posterior["theta"].dims == ("chain", "draw", "school")
    assert list(posterior["school"].to_numpy()) == list(schools.coords["school"])
    for dim in ("chain", "draw"):
        np.testing.assert_array_equal(posterior[dim], np.arange(posterior.sizes[dim]))
    assert posterior["mu"].dtype == np.float64


def test_dimensions_without_a_name_are_named_after_the_variable(
    schools_draws: xr.DataTree,
) -> None:
    hyper = schools_draws.posterior["hyper"]
    assert hyper.dims == ("chain", "draw", "hyper_dim_0")
    assert "hyper_dim_0" not in hyper.coords


def test_deterministics_are_those_of_the_same_draw(schools_draws: xr.DataTree) -> None:
    posterior = schools_draws.posterior
    theta = posterior["mu"] + posterior["tau"] * posterior["z"]
    xr.testing.assert_allclose(theta.transpose(*posterior["theta"].dims), posterior["theta"])
    np.testing.assert_allclose(posterior["hyper"].isel(hyper_dim_0=1), posterior["tau"])


def test_observed_and_constant_data_are_kept(schools: pm.Model, schools_draws: xr.DataTree) -> None:
    observed = schools_draws.observed_data["y"]
    assert observed.dims == ("school",)
    assert float(observed.sel(school="C")) == -3.0
    constant = schools_draws.constant_data["error"]
    np.testing.assert_array_equal(constant, schools["error"].get_value())
    assert list(constant["school"].to_numpy()) == list(schools.coords["school"])


def test_sampling_statistics_have_arvizs_names(schools_draws: xr.DataTree) -> None:
    stats = schools_draws.sample_stats
    assert set(stats.data_vars) == STATS
    for name in STATS:
        assert stats[name].dims == ("chain", "draw")
    assert stats["diverging"].dtype == bool
    assert np.issubdtype(stats["n_steps"].dtype, np.integer)
    assert (stats["n_steps"] >= 1).all()
    assert ((stats["acceptance_rate"] >= 0) & (stats["acceptance_rate"] <= 1)).all()
    # Adaptation has ended: one step size for all, but for a few cautious steps.
    full = stats["step_size"] == stats["step_size"].max()
    assert 0.9 < float(full.mean()) < 1.0
    assert (stats["step_size"] > 0).all()
    # Momentum's kinetic energy is what the energy has above the potential.
    assert (stats["energy"] + stats["lp"] > 0).all()


def test_warmup_reaches_the_acceptance_that_was_asked_for(schools_draws: xr.DataTree) -> None:
    found = float(schools_draws.sample_stats["acceptance_rate"].mean())
    assert abs(found - schools_draws.attrs["target_accept"]) < 0.06


def test_settings_and_versions_are_in_the_attributes(schools_draws: xr.DataTree) -> None:
    attrs = schools_draws.attrs
    expected = {
        "seed": 1,
        "chains": schools_draws.posterior.sizes["chain"],
        "target_ess": 1500,
        "target_accept": 0.9,
        "max_draws": 10_000,
        "sampler": "hmc",
        "collapse": "auto",
        "bayes_mkt_version": bm.__version__,
        "pymc_version": pm.__version__,
    }
    assert {name: attrs[name] for name in expected} == expected
    assert attrs["seconds"] > 0
    assert attrs["warmup"] > 0
    assert "draws" not in attrs


def test_arviz_reads_it_and_a_file_keeps_it(schools_draws: xr.DataTree, tmp_path: Path) -> None:
    table = arviz_stats.summary(schools_draws, var_names=["theta"])
    assert len(table) == 8
    file = tmp_path / "draws.nc"
    schools_draws.to_netcdf(file, engine="h5netcdf")
    with xr.open_datatree(file, engine="h5netcdf") as read:
        for group in ("posterior", "sample_stats", "observed_data", "constant_data"):
            xr.testing.assert_equal(read[group].to_dataset(), schools_draws[group].to_dataset())
        assert read.attrs["seed"] == 1


@short_run
def test_only_the_names_asked_for_are_kept_in_the_models_order(
    normal: Callable[..., pm.Model],
) -> None:
    def content(mu: object, variance: object) -> None:
        pm.Deterministic("double", 2 * mu)

    options = {"seed": 5, "draws": 60, "warmup": 100, "progress": False}
    model = normal(extra=content)
    some = bm.sample(model, var_names=["double", "variance"], **options).posterior
    assert list(some.data_vars) == ["variance", "double"]
    everything = bm.sample(model, **options).posterior
    for name in some.data_vars:
        xr.testing.assert_equal(some[name], everything[name])
    np.testing.assert_allclose(everything["double"], 2 * everything["mu"])


def test_the_model_itself_is_left_as_it_was(schools: pm.Model, schools_draws: xr.DataTree) -> None:
    assert [v.name for v in schools.free_RVs] == ["mu", "tau", "z"]
    assert [v.name for v in schools.value_vars] == ["mu", "tau_log__", "z"]
    constant = schools_draws.constant_data["error"]
    np.testing.assert_array_equal(schools["error"].get_value(), constant)
