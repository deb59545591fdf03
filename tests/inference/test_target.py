"""A model's log-density in JAX is PyMC's own, and its data are arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest

import bayes_mkt as bm
from bayes_mkt.inference.target import Target, target

Content = Callable[[np.random.Generator], None]
GROUP = np.repeat([0, 1, 2], 4)


@pytest.fixture(scope="module", autouse=True)
def pytensor_in_python() -> Iterator[None]:
    """Let PyTensor run the reference without compiling C."""
    with pytensor.config.change_flags(cxx=""):
        yield


def hierarchical_normal(rng: np.random.Generator) -> None:
    mu, tau = pm.Normal("mu", 0, 5), pm.HalfCauchy("tau", 5)
    a = pm.Normal("a", mu, tau, shape=3)
    x = pm.Data("x", rng.normal(size=12))
    mean = a[pm.Data("group", GROUP)] + pm.Normal("b") * x
    pm.Normal("y", mean, pm.Exponential("sigma", 1), observed=rng.normal(size=12))


def poisson_regression(rng: np.random.Generator) -> None:
    design, exposure = pm.Data("x", rng.normal(size=(30, 3))), pm.Data("e", rng.uniform(1, 3, 30))
    rate = exposure * pm.math.exp(design @ pm.Normal("b", 0, 1, shape=3))
    pm.Poisson("y", rate, observed=rng.poisson(2, 30))


def transformed(rng: np.random.Generator) -> None:
    beta, gamma = pm.Beta("beta", 2, 3, shape=2), pm.Gamma("gamma", 2, 1)
    truncated = pm.TruncatedNormal("truncated", 0.8, 0.8, lower=0.1, upper=10)
    positive = pm.LogNormal("log_normal", 0.2, 0.9) + pm.InverseGamma("inverse_gamma", 3, 2)
    mean = pm.Uniform("uniform", -1, 4) + beta.sum()
    sd = gamma + truncated + positive + pm.HalfStudentT("half_t", 3, 1)
    pm.Normal("y", mean, sd, observed=rng.normal(size=5))


def ordered_and_simplex(rng: np.random.Generator) -> None:
    ordered = pm.distributions.transforms.ordered
    cut = pm.Normal("cut", 0, 2, shape=3, transform=ordered, initval=[-1, 0, 1])
    weight = pm.Dirichlet("weight", np.array([1.0, 2.0, 3.0]))
    pm.Normal("y", (weight * cut).sum(), 1, observed=rng.normal(size=4))


def correlated(rng: np.random.Generator) -> None:
    chol, _, _ = pm.LKJCholeskyCov("chol", n=3, eta=2, sd_dist=pm.HalfNormal.dist(1, shape=3))
    b = pm.MvNormal("b", np.zeros(3), chol=chol)
    pm.Bernoulli("y", logit_p=b @ rng.normal(size=(3, 7)), observed=rng.integers(0, 2, 7))


def with_potential(_: np.random.Generator) -> None:
    a = pm.Normal("a", shape=2)
    pm.Potential("quartic", -pt.sum(a**4))
    pm.StudentT("y", 3, mu=a.sum(), sigma=1, observed=[1.0, 2.0])


def mixture(rng: np.random.Generator) -> None:
    mu = pm.Normal("mu", 0, 3, shape=2)
    pm.NormalMixture("y", pm.Dirichlet("w", np.ones(2)), mu, 1.0, observed=rng.normal(size=9))
    pm.NegativeBinomial("count", mu=pm.Exponential("rate", 1), alpha=2.0, observed=[1, 2, 3])


def flat_and_censored(_: np.random.Generator) -> None:
    f, scale = pm.Flat("f"), pm.HalfFlat("scale")
    normal = pm.Normal.dist(f, scale)
    pm.Censored("y", normal, lower=-1, upper=1, observed=[-1.0, 0.3, 1.0])


MODELS = (
    hierarchical_normal,
    poisson_regression,
    transformed,
    ordered_and_simplex,
    correlated,
    with_potential,
    mixture,
    flat_and_censored,
)


def built(content: Content) -> pm.Model:
    with pm.Model() as model:
        content(np.random.default_rng(3))
    return model


def by_name(posterior: Target, x: np.ndarray) -> dict[str, np.ndarray]:
    parts = posterior.layout.split(jnp.asarray(x))
    return {n: np.asarray(v) for n, v in zip(posterior.layout.names, parts, strict=True)}


@pytest.mark.parametrize("content", MODELS)
def test_density_and_gradient_are_pymcs(content: Content) -> None:
    model = built(content)
    posterior = target(model)
    logp, dlogp = model.compile_logp(mode="FAST_COMPILE"), model.compile_dlogp(mode="FAST_COMPILE")
    ours = jax.jit(jax.value_and_grad(posterior.log_density))
    center = np.concatenate([np.ravel(posterior.start[n]) for n in posterior.layout.names])
    rng = np.random.default_rng(0)
    for scale in (0.0, 0.5, 0.5, 1.0, 1.0):
        x = center + scale * rng.normal(size=posterior.layout.size)
        value, gradient = ours(x, posterior.arguments)
        point = by_name(posterior, x)
        assert value.dtype == np.float64
        assert np.isfinite(value)
        np.testing.assert_allclose(value, logp(point), rtol=1e-11)
        np.testing.assert_allclose(gradient, dlogp(point), rtol=1e-9, atol=1e-9)


def test_the_density_batches() -> None:
    posterior = target(built(hierarchical_normal))
    x = np.random.default_rng(0).normal(size=(5, posterior.layout.size))
    one = jax.jit(posterior.log_density)
    together = jax.jit(jax.vmap(posterior.log_density, (0, None)))(x, posterior.arguments)
    each = [one(row, posterior.arguments) for row in x]
    np.testing.assert_allclose(together, each, rtol=1e-12)


def regression(seed: int, prior_sd: float = 2.0) -> pm.Model:
    y, x = np.random.default_rng(seed).normal(size=(2, 6))
    with pm.Model() as model:
        slope, sd = pm.Normal("slope", 0.0, prior_sd), pm.HalfNormal("sd", 1.0)
        # Data in no alphabetic order: the target sorts them.
        outcome, cause = pm.Data("y_data", y), pm.Data("x", x)
        pm.Normal("y", slope * cause, sd, observed=outcome)
    return model


def test_data_are_sorted_arguments() -> None:
    model = regression(seed=1)
    posterior = target(model)
    assert list(posterior.data) == ["x", "y_data"]
    for argument, name in zip(posterior.arguments, ("x", "y_data"), strict=True):
        np.testing.assert_array_equal(argument, model[name].get_value())


def test_other_data_of_equal_shape_change_the_value_and_compile_nothing(compilations: Any) -> None:
    first, second = (target(regression(seed)) for seed in (1, 2))
    assert first.log_density is second.log_density
    x = jnp.array([0.3, -0.2])
    jax.jit(first.log_density)(x, first.arguments)
    with compilations.none():
        value = jax.jit(second.log_density)(x, second.arguments)
        swapped = jax.jit(first.log_density)(x, first.with_data(second.data).arguments)
    logp = second.model.compile_logp(mode="FAST_COMPILE")
    np.testing.assert_allclose(value, logp(by_name(second, np.asarray(x))), rtol=1e-12)
    assert swapped == value


def test_another_structure_is_another_function() -> None:
    plain, wider = target(regression(1)), target(regression(1, prior_sd=9.0))
    assert plain.log_density is not wider.log_density
    at = jnp.array([1.3, -0.2])
    gap = plain.log_density(at, plain.arguments) - wider.log_density(at, wider.arguments)
    expected = np.log(9 / 2) - 0.5 * 1.3**2 * (1 / 4 - 1 / 81)
    np.testing.assert_allclose(gap, expected, rtol=1e-6)


def test_a_constant_observation_is_no_argument() -> None:
    def with_observed(y: list[float]) -> Target:
        with pm.Model() as model:
            pm.Normal("y", pm.Normal("mu"), 1.0, observed=y)
        return target(model)

    first, second = with_observed([1.0, 2.0]), with_observed([1.0, 5.0])
    assert not first.data
    at = jnp.zeros(1)
    gap = first.log_density(at, ()) - second.log_density(at, ())
    np.testing.assert_allclose(gap, (25 - 4) / 2)


def test_changed_data_of_a_model_are_seen_by_the_next_target() -> None:
    model = regression(1)
    before = target(model)
    model.set_data("x", np.arange(6.0))
    np.testing.assert_array_equal(target(model).data["x"], np.arange(6.0))
    assert not np.array_equal(before.data["x"], np.arange(6.0))


def test_other_data_are_those_that_were_given_whatever_becomes_of_them() -> None:
    room = np.zeros(6 * 8 + 64, dtype=np.uint8)
    first = -room.ctypes.data % 64  # JAX takes what is aligned so as it lies
    rows = room[first : first + 48].view(np.float64)
    rows[:] = np.arange(6.0)
    changed = target(regression(1)).with_data({"x": rows})
    argument = changed.arguments[0]
    rows += 1.0
    np.testing.assert_array_equal(argument, np.arange(6.0))
    np.testing.assert_array_equal(changed.arguments[0], np.arange(6.0))


def test_unknown_data_are_refused() -> None:
    posterior = target(regression(1))
    with pytest.raises(bm.SpecError, match=r"no data named \['price'\].*'x', 'y_data'"):
        posterior.with_data({"price": np.ones(6)})


def test_discrete_variables_are_refused_by_name() -> None:
    with pm.Model() as model:
        pm.Poisson("count", 3.0)
        pm.Normal("mu")
    with pytest.raises(bm.SpecError, match=r"count\..*mixture.*sampler='pymc'"):
        target(model)
    with pytest.raises(bm.SpecError, match="count"):
        bm.sample(model, seed=1)


def test_a_model_without_free_variables_is_refused() -> None:
    with pm.Model() as model:
        pm.Normal("y", 0.0, 1.0, observed=[1.0])
    with pytest.raises(bm.SpecError, match="no free random variable"):
        target(model)
    with pytest.raises(bm.SpecError, match="no free random variable"):
        bm.sample(model, seed=1)
