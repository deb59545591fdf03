"""What runs at the edge of what can be sampled: each ends, and says why."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr
from scipy import stats

import bayes_mkt as bm
from bayes_mkt.inference.chunks import LONGEST_CHUNK

NormalModel = Callable[..., pm.Model]


def refused(model: pm.Model) -> str:
    with pytest.raises(bm.SamplingError) as caught:
        bm.sample(model, seed=1, progress=False)
    return str(caught.value)


def test_a_likelihood_without_density_is_named_with_its_values() -> None:
    with pm.Model() as model:
        pm.Gamma("y", pm.HalfNormal("shape"), pm.HalfNormal("rate"), observed=[1.0, -2.0, 3.0])
    assert "likelihood 'y' is -inf in 1 of 3 entries (observed -2.0 at [1])" in refused(model)


def test_a_prior_and_a_potential_without_density_are_named() -> None:
    with pm.Model() as model:
        pm.Normal("fine")
        far = pm.Normal("far", shape=2, initval=[0.0, 1e200])
        pm.Potential("wall", pt.switch(far[0] > 50.0, 0.0, -np.inf))
    message = refused(model)
    assert "prior 'far' is -inf in 1 of 2 entries (far 1e+200 at [1])" in message
    assert "potential 'wall' is -inf" in message
    assert "'fine'" not in message


def test_a_parameter_out_of_range_is_named() -> None:
    with pm.Model() as model:
        a = pm.Normal("a")
        pm.Normal("y", a, pm.math.exp(a) - 50.0, observed=[1.0, 2.0])
    assert "likelihood 'y'" in refused(model)


def test_values_that_are_not_numbers_end_the_run_early(normal: NormalModel) -> None:
    def content(mu: Any, variance: Any) -> None:
        pm.Deterministic("surprise", pt.log(mu - 2.5))

    with pytest.warns(bm.ConvergenceWarning, match="finite draws of surprise"):
        draws = bm.sample(normal(extra=content), seed=1, progress=False)
    assert draws.posterior.sizes["draw"] == LONGEST_CHUNK


def test_one_chain_stops_by_the_halves_of_itself(normal: NormalModel) -> None:
    with pytest.warns(bm.ConvergenceWarning, match="at least 2 chains"):
        draws = bm.sample(normal(), seed=1, chains=1, progress=False)
    assert 200 <= draws.posterior.sizes["draw"] < 10_000
    found = bm.diagnose(draws)
    assert min(found.min_ess_bulk, found.min_ess_tail) >= 400
    assert found.max_rhat <= 1.01


@pytest.mark.filterwarnings("ignore::bayes_mkt.errors.ConvergenceWarning")
@pytest.mark.parametrize("most", [4, 130, 270])
def test_max_draws_is_not_overshot(normal: NormalModel, most: int) -> None:
    draws = bm.sample(normal(), seed=1, target_ess=1e9, max_draws=most, progress=False)
    for group in ("posterior", "sample_stats"):
        assert draws[group].sizes["draw"] == most


@pytest.mark.parametrize("names", [[], (), "mu", 3, [1], ["mu", None]])
def test_names_to_store_are_names(normal: NormalModel, names: Any) -> None:
    with pytest.raises(bm.SpecError, match="must be a list of names, at least one of"):
        bm.sample(normal(), seed=1, var_names=names)


def test_the_referee_samples_discrete_variables_alone() -> None:
    with pm.Model() as model:
        switch = pm.Bernoulli("switch", 0.4)
        pm.Normal("y", 2.0 * switch, 1.0, observed=[1.3])
    draws = bm.sample(model, seed=1, sampler="pymc", draws=2000, progress=False)
    on, off = 0.4 * stats.norm.pdf(1.3, 2.0), 0.6 * stats.norm.pdf(1.3, 0.0)
    assert abs(float(draws.posterior["switch"].mean()) - on / (on + off)) < 0.05
    assert draws.attrs["free_variables"] == ["switch"]


@pytest.mark.parametrize("names", [None, ["mu"], ["double"]])
def test_attrs_tell_what_was_done_and_a_file_keeps_them(
    normal: NormalModel, tmp_path: Path, names: list[str] | None
) -> None:
    def content(mu: Any, variance: Any) -> None:
        pm.Deterministic("double", 2 * mu)

    draws = bm.sample(
        normal(extra=content), seed=1, var_names=names, target_ess=400, progress=False
    )
    free = [name for name in ("variance", "mu") if names is None or name in names]
    assert draws.attrs["free_variables"] == free
    steps = int(draws.sample_stats["n_steps"].sum())
    # Warmup and the search for the mode are counted too.
    assert draws.attrs["gradients"] > steps + 8 * draws.attrs["warmup"]
    assert 0 < draws.attrs["warmup_seconds"] < draws.attrs["seconds"]
    draws.to_netcdf(tmp_path / "draws.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "draws.nc", engine="h5netcdf") as read:
        assert list(np.atleast_1d(read.attrs["free_variables"])) == free
        assert read.attrs["gradients"] == draws.attrs["gradients"]
        xr.testing.assert_identical(bm.diagnose(read.load()).table, bm.diagnose(draws).table)


@pytest.mark.parametrize(
    "spec",
    [
        bm.MediaMix(),
        bm.MediaMix.meridian(knots=3, seasonality=bm.Fourier(order=2)),
        bm.MediaMix(priors={"roi": bm.Prior("LogNormal", mu=0.1, sigma=0.5)}),
        bm.Prior("Normal", mu=[0.0, 1.0], sigma=1.0),
        bm.GeometricAdstock(max_lag=3),
        bm.HillSaturation(),
        bm.Estimand(),
    ],
)
def test_specifications_can_be_copied_and_pickled(spec: Any) -> None:
    read = pickle.loads(pickle.dumps(spec))  # noqa: S301 its own bytes, written a moment ago
    for twin in (copy.copy(spec), copy.deepcopy(spec), read):
        assert twin == spec
        assert hash(twin) == hash(spec)
        assert repr(twin) == repr(spec)
    assert copy.deepcopy([spec, spec])[0] == spec


def test_predictive_draws_print_nothing(fitted: bm.Fit, capfd: pytest.CaptureFixture[str]) -> None:
    bm.prior_predictive(fitted.spec, fitted.data, seed=1, draws=2)
    bm.posterior_predictive(fitted, seed=1, allow_unconverged=True)
    assert capfd.readouterr() == ("", "")
