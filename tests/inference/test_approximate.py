"""Laplace and Pathfinder: right where k-hat says so, and refused where they are wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import bayes_mkt as bm
from bayes_mkt.inference.psis import importance_of

METHODS = ("laplace", "pathfinder")
Mcse = Callable[[xr.DataArray], xr.DataArray]


def exact_normal(y: np.ndarray) -> dict[str, Any]:
    """Marginal posteriors of the conjugate model: inverse gamma and Student t."""
    shape = 3.0 + y.size / 2
    center = (0.5 + y.sum()) / (0.5 + y.size)
    squares = ((y - y.mean()) ** 2).sum() + 0.5 * y.size / (0.5 + y.size) * (y.mean() - 1.0) ** 2
    rate = 4.0 + squares / 2
    scale = np.sqrt(rate / shape / (0.5 + y.size))
    return {
        "variance": stats.invgamma(shape, scale=rate),
        "mu": stats.t(2 * shape, loc=center, scale=scale),
    }


@pytest.mark.parametrize("collapse", ["auto", None])
@pytest.mark.parametrize("method", METHODS)
def test_a_nearly_normal_posterior_is_right(
    normal: Callable[..., pm.Model], method: str, collapse: str | None
) -> None:
    model = normal(extra=lambda mu, variance: pm.Deterministic("ratio", mu / variance))
    draws = bm.sample(model, seed=1, sampler=method, collapse=collapse, draws=2000, progress=False)
    found = bm.diagnose(draws)
    assert found.ok
    assert found.importance is not None
    assert found.importance.khat <= 0.7
    posterior = draws.posterior
    assert dict(posterior.sizes) == {"chain": 4, "draw": 2000}
    error = 5 / np.sqrt(found.min_ess_bulk)
    for name, exact in exact_normal(model["y_data"].get_value()).items():
        values = posterior[name].to_numpy()
        assert abs(values.mean() - exact.mean()) < error * exact.std()
        assert abs(values.std() / exact.std() - 1.0) < error
        for p in (0.05, 0.5, 0.95):
            assert abs((values < exact.ppf(p)).mean() - p) < error / 2
    np.testing.assert_allclose(posterior["ratio"], posterior["mu"] / posterior["variance"])


@pytest.mark.parametrize("method", METHODS)
def test_the_verdict_names_the_method_and_its_khat(
    normal: Callable[..., pm.Model], method: str
) -> None:
    draws = bm.sample(normal(), seed=1, sampler=method, progress=False)
    found = bm.diagnose(draws)
    assert found.verdict.startswith(f"Approximate, not sampled: {method.capitalize()} approx")
    assert "PSIS k-hat" in found.verdict
    assert draws.attrs["approximation"] == draws.attrs["sampler"] == method
    assert draws.attrs["khat"] == importance_of(draws.attrs).khat
    assert draws.attrs["warmup"] == 0
    assert found.table["rhat"].isnull().all()
    assert (found.table["ess_bulk"] >= 400).all()


def funnel() -> None:
    v = pm.Normal("v", 0.0, 3.0)
    pm.Normal("x", 0.0, pm.math.exp(v / 2), shape=9)


def banana() -> None:
    a = pm.Normal("a", 0.0, 3.0)
    pm.Normal("b", a**2, 0.1)


BENT = {"funnel": funnel, "banana": banana}


@pytest.mark.parametrize("name", BENT)
@pytest.mark.parametrize("method", METHODS)
def test_a_posterior_far_from_normal_is_refused(name: str, method: str) -> None:
    with pm.Model() as model:
        BENT[name]()
    with pytest.warns(bm.ConvergenceWarning) as caught:
        draws = bm.sample(model, seed=1, sampler=method, progress=False)
    found = bm.diagnose(draws)
    assert not found.ok
    assert [str(w.message) for w in caught] == [found.verdict]
    assert caught[0].filename == __file__
    assert found.verdict.startswith("Not usable, and not sampled: ")
    finding = next(f for f in found.findings if f.check == "k-hat")
    assert "above 0.70" in finding.figure
    assert "use sampler='hmc'" in finding.remedy
    with pytest.raises(bm.SamplingError, match="k-hat"):
        found.require_ok()


def two_modes(distance: float) -> pm.Model:
    with pm.Model() as model:
        pm.NormalMixture("x", [0.5, 0.5], [-distance, distance], [1.0, 1.0])
    return model


@pytest.mark.parametrize(("distance", "check"), [(2.0, "k-hat"), (12.0, "modes")])
def test_laplace_sees_the_mode_that_it_leaves_out(distance: float, check: str) -> None:
    with pytest.warns(bm.ConvergenceWarning):
        draws = bm.sample(two_modes(distance), seed=1, sampler="laplace", progress=False)
    assert check in [f.check for f in bm.diagnose(draws).findings if f.failed]


@pytest.mark.parametrize("distance", [2.0, 12.0])
def test_pathfinder_shares_two_modes_by_their_mass(distance: float) -> None:
    draws = bm.sample(two_modes(distance), seed=1, sampler="pathfinder", progress=False)
    found = bm.diagnose(draws)
    assert found.ok
    x = draws.posterior["x"]
    # Whatever the number of paths that climbed to either.
    assert abs(float((x < 0).mean()) - 0.5) < 2 / np.sqrt(found.min_ess_bulk)
    assert abs(float(x.std()) - np.hypot(distance, 1.0)) < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_give_equal_draws(normal: Callable[..., pm.Model], method: str) -> None:
    first, second, other = (
        bm.sample(normal(), seed=seed, sampler=method, draws=500, progress=False)
        for seed in (5, 5, 6)
    )
    xr.testing.assert_identical(first["posterior"].to_dataset(), second["posterior"].to_dataset())
    assert first.attrs["khat"] == second.attrs["khat"]
    for name in ("variance", "mu"):
        assert (first.posterior[name] != other.posterior[name]).mean() > 0.99


@pytest.mark.parametrize("method", METHODS)
def test_chains_and_draws_are_as_asked(normal: Callable[..., pm.Model], method: str) -> None:
    draws = bm.sample(
        normal(), seed=1, sampler=method, chains=3, draws=170, var_names=["mu"], progress=False
    )
    assert dict(draws.posterior.sizes) == {"chain": 3, "draw": 170}
    assert list(draws.posterior) == ["mu"]
    assert "y" in draws.observed_data


def test_few_draws_are_too_few(normal: Callable[..., pm.Model]) -> None:
    with pytest.warns(bm.ConvergenceWarning, match="effective draws: 80, below 400"):
        bm.sample(normal(), seed=1, sampler="laplace", draws=20, progress=False)


def test_bad_options_are_refused(normal: Callable[..., pm.Model]) -> None:
    with pytest.raises(bm.SpecError, match="'laplace', 'pathfinder'"):
        bm.sample(normal(), seed=1, sampler="advi")
    with pytest.raises(bm.SpecError, match="draws=0 must be"):
        bm.sample(normal(), seed=1, sampler="laplace", draws=0)
    with pytest.raises(bm.SpecError, match="collapse"):
        bm.sample(normal(), seed=1, sampler="pathfinder", collapse=["variance"])


def test_laplace_needs_a_curvature() -> None:
    with pm.Model() as model:
        pm.Normal("x", shape=4001)
    with pytest.raises(bm.SamplingError, match=r"at most 4,000 sampled dimensions \(here 4001\)"):
        bm.sample(model, seed=1, sampler="laplace")


def test_an_approximate_fit_is_saved_and_its_answers_are_marked(tmp_path: Any) -> None:
    simulated = bm.simulate.media_mix(regions=1, weeks=80, channels=1, controls=0, seed=3)
    panel = bm.MediaPanel.from_frame(simulated.frame, **simulated.columns)
    spec = bm.MediaMix(adstock=bm.NoAdstock(), saturation=bm.NoSaturation())
    fit = bm.fit(spec, panel, seed=1, sampler="pathfinder", progress=False)
    assert fit.diagnostics.ok
    assert "Pathfinder approximation, k-hat" in repr(fit)
    assert bm.roi(fit).attrs["approximation"] == fit.diagnostics.verdict
    loaded = bm.Fit.load(fit.save(tmp_path / "run"))
    assert loaded.diagnostics.verdict == fit.diagnostics.verdict
    assert loaded.draws.attrs["khat"] == fit.draws.attrs["khat"]
