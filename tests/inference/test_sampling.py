"""Draws have the exact, the published, and the referee's distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import bayes_mkt as bm
from bayes_mkt.inference.chunks import LONGEST_CHUNK

Mcse = Callable[[xr.DataArray], xr.DataArray]


def exact_normal(y: np.ndarray) -> dict[str, stats.rv_continuous]:
    """Marginal posteriors of `normal`: inverse gamma and Student t."""
    n, mean = y.size, y.mean()
    weight = 0.5 + n
    center = (0.5 * 1.0 + n * mean) / weight
    shape = 3.0 + n / 2
    rate = 4.0 + 0.5 * ((y - mean) ** 2).sum() + 0.5 * n * (mean - 1.0) ** 2 / (2 * weight)
    scale = np.sqrt(rate / (shape * weight))
    return {
        "variance": stats.invgamma(shape, scale=rate),
        "mu": stats.t(2 * shape, loc=center, scale=scale),
    }


def assert_distributed(found: xr.DataArray, exact: stats.rv_continuous, mcse: Mcse) -> None:
    """Hold mean, variance (where they exist) and quantiles of draws to a known distribution."""
    probabilities = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95]
    if np.isfinite(exact.var()):
        probabilities.append(0.99)
        assert abs(found.mean() - exact.mean()) < 4 * mcse(found), found.name
        squares = (found - exact.mean()) ** 2
        assert abs(squares.mean() - exact.var()) < 4 * mcse(squares), found.name
    for p in probabilities:
        below = (found < exact.ppf(p)).astype(float)
        assert abs(below.mean() - p) < 4 * mcse(below), f"{found.name} at {p}"


@pytest.mark.parametrize("collapse", ["auto", None])
def test_the_conjugate_normal_is_exact(
    normal: Callable[..., pm.Model], mcse: Mcse, collapse: str | None
) -> None:
    model = normal()
    draws = bm.sample(model, seed=1, draws=1000, collapse=collapse, progress=False)
    for name, exact in exact_normal(model["y_data"].get_value()).items():
        assert_distributed(draws.posterior[name], exact, mcse)


def test_priors_of_every_support_are_sampled_exactly(mcse: Mcse) -> None:
    known = {
        "uniform": (pm.Uniform.dist(-1, 4), stats.uniform(-1, 5)),
        "beta": (pm.Beta.dist(0.8, 3), stats.beta(0.8, 3)),
        "truncated": (
            pm.TruncatedNormal.dist(0.8, 0.8, lower=0.1, upper=10),
            stats.truncnorm(-0.7 / 0.8, 9.2 / 0.8, loc=0.8, scale=0.8),
        ),
        "half_normal": (pm.HalfNormal.dist(3), stats.halfnorm(scale=3)),
        "half_cauchy": (pm.HalfCauchy.dist(2), stats.halfcauchy(scale=2)),
        "exponential": (pm.Exponential.dist(0.2), stats.expon(scale=5)),
        "gamma": (pm.Gamma.dist(2, 3), stats.gamma(2, scale=1 / 3)),
        "log_normal": (pm.LogNormal.dist(0.2, 0.9), stats.lognorm(0.9, scale=np.exp(0.2))),
    }
    with pm.Model() as model:
        for name, (prior, _) in known.items():
            model.register_rv(prior, name=name)
    draws = bm.sample(model, seed=1, draws=1000, progress=False)
    for name, (_, exact) in known.items():
        assert_distributed(draws.posterior[name], exact, mcse)


def test_eight_schools_are_as_published(
    schools_draws: xr.DataTree, schools_reference: dict[str, dict[str, float]], mcse: Mcse
) -> None:
    posterior = schools_draws.posterior
    found = {"mu": posterior["mu"], "tau": posterior["tau"]}
    for i in range(8):
        found[f"theta[{i + 1}]"] = posterior["theta"].isel(school=i, drop=True)
    assert set(found) == set(schools_reference)
    for name, draws in found.items():
        known = schools_reference[name]
        # 10,000 independent reference draws have errors of their own.
        error = np.hypot(mcse(draws), known["sd"] / 100)
        assert abs(draws.mean() - known["mean"]) < 4 * error, name
        squares = (draws - known["mean"]) ** 2
        error = np.hypot(mcse(squares), squares.std() / 100)
        assert abs(squares.mean() - known["sd"] ** 2) < 4 * error, name
        for p, q in ((0.05, known["q05"]), (0.95, known["q95"])):
            below = (draws < q).astype(float)
            error = np.hypot(mcse(below), np.sqrt(p * (1 - p)) / 100)
            assert abs(below.mean() - p) < 4 * error, f"{name} at {p}"


def test_the_referee_takes_discrete_variables() -> None:
    with pm.Model() as model:
        switch = pm.Bernoulli("switch", 0.5)
        mu = pm.Normal("mu", 0.0, 0.1)
        pm.Normal("y", mu + 3.0 * switch, 1.0, observed=[2.0, 1.2])
    draws = bm.sample(model, seed=1, draws=1500, sampler="pymc", progress=False)
    assert draws.attrs["sampler"] == "pymc"
    # Given the switch, y is bivariate normal with covariance I + 0.01.
    y, covariance = np.array([2.0, 1.2]), np.eye(2) + 0.01
    on = stats.multivariate_normal.pdf(y, [3.0, 3.0], covariance)
    off = stats.multivariate_normal.pdf(y, [0.0, 0.0], covariance)
    assert abs(float(draws.posterior["switch"].mean()) - on / (on + off)) < 0.05


SHORT = {"draws": 60, "warmup": 100, "progress": False}
short_run = pytest.mark.filterwarnings("ignore::bayes_mkt.errors.ConvergenceWarning")


@short_run
def test_equal_seeds_give_bit_equal_draws(normal: Callable[..., pm.Model]) -> None:
    first, second = (bm.sample(normal(), seed=5, **SHORT) for _ in range(2))
    for group in ("posterior", "sample_stats"):
        xr.testing.assert_identical(first[group].to_dataset(), second[group].to_dataset())


@short_run
def test_another_seed_gives_other_draws(normal: Callable[..., pm.Model]) -> None:
    # `mu` is integrated out and drawn back, `variance` is sampled: both depend on the seed.
    first, second = (bm.sample(normal(), seed=seed, **SHORT).posterior for seed in (5, 6))
    assert (first["variance"] != second["variance"]).all()
    assert (first["mu"] != second["mu"]).all()


@short_run
def test_chains_differ(normal: Callable[..., pm.Model]) -> None:
    posterior = bm.sample(normal(), seed=5, **SHORT).posterior
    # A chain may stay where it is; two chains never meet.
    chains = [set(values) for values in posterior["variance"].to_numpy()]
    assert len(chains) > 1
    assert sum(map(len, chains)) == len(set().union(*chains))


@short_run
def test_what_was_integrated_out_is_drawn_with_fresh_noise(
    normal: Callable[..., pm.Model],
) -> None:
    model = normal()
    y = model["y_data"].get_value()
    posterior = bm.sample(model, seed=5, **{**SHORT, "draws": LONGEST_CHUNK + 50}).posterior
    # Given the variance, mu is normal with this centre and SD; of more than one chunk.
    center = (0.5 * 1.0 + y.sum()) / (0.5 + y.size)
    noise = (posterior["mu"] - center) / np.sqrt(posterior["variance"] / (0.5 + y.size))
    assert len(np.unique(noise.to_numpy().round(12))) == noise.size
    assert stats.kstest(noise.to_numpy().ravel(), "norm").pvalue > 0.001


@short_run
def test_a_longer_run_begins_with_the_shorter_one(normal: Callable[..., pm.Model]) -> None:
    short = bm.sample(normal(), seed=5, **SHORT).posterior
    longer = bm.sample(normal(), seed=5, **{**SHORT, "draws": 133}).posterior
    assert longer.sizes["draw"] == 133
    xr.testing.assert_equal(short.to_dataset(), longer.to_dataset().isel(draw=slice(60)))


@short_run
@pytest.mark.parametrize("draws", [4, 50, 51])
def test_draws_fixes_the_number(normal: Callable[..., pm.Model], draws: int) -> None:
    tree = bm.sample(normal(), seed=5, **{**SHORT, "draws": draws})
    for group in ("posterior", "sample_stats"):
        assert dict(tree[group].sizes) == {"chain": tree.attrs["chains"], "draw": draws}


def test_the_run_goes_on_until_the_ess_is_reached(normal: Callable[..., pm.Model]) -> None:
    sizes = []
    for wanted in (400, 20_000):
        draws = bm.sample(normal(), seed=1, target_ess=wanted, progress=False)
        found = bm.diagnose(draws)
        assert min(found.min_ess_bulk, found.min_ess_tail) >= wanted
        assert found.max_rhat <= 1.01
        sizes.append(draws.posterior.sizes["draw"])
    assert sizes[0] < sizes[1] < 10_000


def test_the_ess_is_that_of_the_stored_variables(normal: Callable[..., pm.Model]) -> None:
    def content(mu: object, variance: object) -> None:
        pm.Deterministic("distance", abs(mu - 2.8))

    draws = bm.sample(normal(extra=content), seed=1, target_ess=2000, progress=False)
    assert bm.diagnose(draws).table.sel(parameter="distance")["ess_bulk"] >= 2000


@short_run
def test_max_draws_ends_the_run(normal: Callable[..., pm.Model]) -> None:
    draws = bm.sample(normal(), seed=1, target_ess=1e9, max_draws=250, progress=False)
    assert draws.posterior.sizes["draw"] == 250


@short_run
def test_no_more_is_drawn_than_was_asked_for(normal: Callable[..., pm.Model]) -> None:
    few, many = (bm.sample(normal(), seed=1, draws=count, progress=False) for count in (100, 1000))
    assert few.posterior.sizes["draw"] == 100
    xr.testing.assert_identical(
        few.posterior.to_dataset(), many.posterior.to_dataset().isel(draw=slice(100))
    )
    steps = [int(tree["sample_stats"]["n_steps"].sum()) for tree in (few, many)]
    assert many.attrs["gradients"] - few.attrs["gradients"] == steps[1] - steps[0]


@short_run
def test_other_data_and_other_seeds_compile_nothing(
    normal: Callable[..., pm.Model], compilations: Any
) -> None:
    bm.sample(normal(), seed=5, **SHORT)
    with compilations.none():
        bm.sample(normal(np.random.default_rng(9).normal(size=12)), seed=6, **SHORT)


@short_run
def test_data_of_the_second_model_are_used(normal: Callable[..., pm.Model]) -> None:
    y = np.random.default_rng(9).normal(-7.0, 1.0, 12)
    exact = exact_normal(y)["mu"]
    draws = bm.sample(normal(y), seed=6, **{**SHORT, "draws": 250}).posterior["mu"]
    assert abs(float(draws.mean()) - exact.mean()) < exact.std()
