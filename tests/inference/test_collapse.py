"""A linear-Gaussian block is integrated out exactly, and drawn back exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy.stats import multivariate_normal, norm

import bayes_mkt as bm
from bayes_mkt.inference.collapse import collapse
from bayes_mkt.inference.density import Density
from bayes_mkt.inference.target import Target, target

# Rows of each group: unequal, and not sorted by group.
ROWS = np.random.default_rng(0).permutation(np.repeat(np.arange(6), [1, 2, 3, 4, 6, 9]))
MARKET = np.array([0, 0, 1, 1, 1, 2])
X = np.random.default_rng(1).normal(size=ROWS.size)
OMEGA = np.random.default_rng(2).uniform(0.5, 2.0, ROWS.size)
Y = 2.0 + X + np.random.default_rng(3).normal(size=6)[ROWS] + 0.5 * X**2


@dataclass(frozen=True)
class Dense:
    """y = A b + noise, b = m + L e, in plain dense matrices, for one value of theta."""

    design: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    noise: np.ndarray

    @property
    def marginal(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of y."""
        root = self.design @ self.root
        return self.design @ self.mean, root @ root.T + np.diag(self.noise**2)

    @property
    def conditional(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of b given y."""
        center, covariance = self.marginal
        prior = self.root @ self.root.T
        gain = np.linalg.solve(covariance, self.design @ prior).T
        return self.mean + gain @ (Y - center), prior - gain @ self.design @ prior


def intercepts() -> pm.Model:
    """A regression whose groups have their own intercepts."""
    with pm.Model() as model:
        level = pm.Normal("level", 1.0, 5.0)
        tau = pm.LogNormal("tau", 0.0, 0.5)
        slope = pm.Normal("slope", 0.0, 2.0)
        alpha = pm.Normal("alpha", 0.0, tau, shape=6)
        sigma = pm.LogNormal("sigma", 0.0, 0.5)
        mean = level + alpha[ROWS] + slope * pm.Data("x", X)
        pm.Normal("y", mean, sigma, observed=pm.Data("y_data", Y))
    return model


def dense_intercepts(tau: float, sigma: float) -> Dense:
    groups = np.eye(6)[ROWS]
    design = np.column_stack([np.ones_like(X), X, groups])
    root = np.diag([5.0, 2.0, *[tau] * 6])
    return Dense(design, np.array([1.0, *[0.0] * 7]), root, np.full(Y.size, sigma))


def nested() -> pm.Model:
    """Groups in markets in a whole, centred; rows of unequal precision."""
    with pm.Model() as model:
        mu = pm.Normal("mu", 1.0, 3.0)
        between, within = pm.LogNormal("between", 0.0, 0.5), pm.LogNormal("within", 0.0, 0.5)
        market = pm.Normal("market", mu, between, shape=3)
        group = pm.Normal("group", 0.5 + 2.0 * market[MARKET], within, shape=6)
        slope = pm.Normal("slope", 0.0, 2.0)
        sigma = pm.LogNormal("sigma", 0.0, 0.5)
        mean = group[ROWS] + slope * X
        pm.Normal("y", mean, sigma * OMEGA, observed=Y)
    return model


def dense_nested(between: float, within: float, sigma: float) -> Dense:
    # e is (mu, market, group, slope); each row of the root says what an entry of b is made of.
    mu = np.concatenate([[3.0], np.zeros(10)])
    market = mu + between * np.eye(3, 11, 1)
    group = 2.0 * market[MARKET] + within * np.eye(6, 11, 4)
    slope = 2.0 * np.eye(1, 11, 10)
    root = np.vstack([mu, market, group, slope])
    mean = np.concatenate([np.full(4, 1.0), np.full(6, 2.5), [0.0]])
    design = np.column_stack([np.zeros((Y.size, 4)), np.eye(6)[ROWS], X])
    return Dense(design, mean, root, sigma * OMEGA)


@dataclass(frozen=True)
class Case:
    build: Callable[[], pm.Model]
    dense: Callable[..., Dense]
    scales: tuple[str, ...]


CASES = {
    "intercepts": Case(intercepts, dense_intercepts, ("tau", "sigma")),
    "nested": Case(nested, dense_nested, ("between", "within", "sigma")),
}


@dataclass(frozen=True)
class Collapsed:
    """A model, its collapsed density, and the same by dense matrices."""

    case: Case
    whole: Target
    density: Density

    def dense(self, theta: np.ndarray) -> Dense:
        return self.case.dense(*np.exp(theta))

    def expected(self, theta: np.ndarray) -> float:
        """Log p(y, theta), with the marginal of y as one dense multivariate normal."""
        mean, covariance = self.dense(theta).marginal
        marginal = multivariate_normal.logpdf(Y, mean, covariance)
        return float(norm.logpdf(theta, 0.0, 0.5).sum() + marginal)

    @property
    def inside(self) -> np.ndarray:
        """Which entries of the model's vector are in the block."""
        taken = [n not in self.density.layout.names for n in self.whole.layout.names]
        return np.repeat(taken, [int(np.prod(s)) for s in self.whole.layout.shapes])

    def join(self, theta: np.ndarray, b: np.ndarray) -> np.ndarray:
        """The model's vector."""
        out = np.empty(self.inside.size)
        out[self.inside], out[~self.inside] = b, theta
        return out


@pytest.fixture(scope="module", params=list(CASES))
def collapsed(request: pytest.FixtureRequest) -> Collapsed:
    case = CASES[request.param]
    whole = target(case.build())
    density = collapse(whole)
    assert density is not None
    return Collapsed(case, whole, density)


def test_only_the_scales_are_left_to_sample(collapsed: Collapsed) -> None:
    assert collapsed.density.layout.names == tuple(f"{n}_log__" for n in collapsed.case.scales)


def points(collapsed: Collapsed) -> list[np.ndarray]:
    """Logs of the scales: ordinary ones, then each in turn nearly zero, then large."""
    size = collapsed.density.layout.size
    ordinary = list(np.random.default_rng(5).normal(0.0, 0.7, (3, size)))
    tiny = [np.where(np.arange(size) == i, -15.0, 0.2) for i in range(size - 1)]
    both = np.where(np.arange(size) == size - 1, 0.2, -15.0)
    return [*ordinary, *tiny, both, np.full(size, 1.5)]


def test_the_marginal_is_that_of_dense_linear_algebra(collapsed: Collapsed) -> None:
    log_density = jax.jit(collapsed.density.log_density)
    for theta in points(collapsed):
        found = log_density(theta, collapsed.density.arguments)
        np.testing.assert_allclose(found, collapsed.expected(theta), rtol=1e-9)


def test_the_gradient_is_finite_and_that_of_dense_linear_algebra(collapsed: Collapsed) -> None:
    gradient = jax.jit(jax.grad(collapsed.density.log_density))
    for theta in points(collapsed):
        step = 1e-5 * np.eye(theta.size)
        slopes = [collapsed.expected(theta + s) - collapsed.expected(theta - s) for s in step]
        found = gradient(theta, collapsed.density.arguments)
        np.testing.assert_allclose(found, np.asarray(slopes) / 2e-5, rtol=1e-5, atol=1e-5)


def test_joint_is_marginal_times_conditional(collapsed: Collapsed) -> None:
    # log p(y, theta, b) = log p(y, theta) + log p(b | y, theta) at any b.
    rng = np.random.default_rng(6)
    whole, density = jax.jit(collapsed.whole.log_density), jax.jit(collapsed.density.log_density)
    for theta in points(collapsed)[:3]:
        mean, covariance = collapsed.dense(theta).conditional
        for spread in (0.0, 1.0, 3.0):
            b = mean + spread * rng.normal(size=mean.size)
            joint = whole(jnp.asarray(collapsed.join(theta, b)), collapsed.whole.arguments)
            conditional = multivariate_normal.logpdf(b, mean, covariance)
            marginal = density(theta, collapsed.density.arguments)
            np.testing.assert_allclose(joint, marginal + conditional, rtol=1e-9)


@pytest.mark.parametrize("log_scale", [0.2, -15.0])
def test_the_block_is_drawn_from_its_exact_conditional(
    collapsed: Collapsed, log_scale: float
) -> None:
    theta = np.full(collapsed.density.layout.size, log_scale)
    theta[-1] = 0.2
    complete = collapsed.density.complete
    assert complete is not None
    noise = np.random.default_rng(1).normal(size=(4000, collapsed.inside.sum()))
    over_noise = jax.jit(jax.vmap(complete, (0, None, None)))
    drawn = np.asarray(over_noise(noise, jnp.asarray(theta), collapsed.density.arguments))
    b = drawn[:, collapsed.inside]
    np.testing.assert_array_equal(drawn[0], collapsed.join(theta, b[0]))
    mean, covariance = collapsed.dense(theta).conditional
    error = np.sqrt(np.diag(covariance) / len(b))
    assert (np.abs(b.mean(axis=0) - mean) <= 4.5 * error + 1e-12).all()
    # Covariances of normals have the standard error sqrt((c_ii c_jj + c_ij^2) / n).
    found = np.cov(b.T)
    variances = np.diag(covariance)
    error = np.sqrt((np.outer(variances, variances) + covariance**2) / len(b))
    assert (np.abs(found - covariance) <= 4.5 * error + 1e-12).all()


def test_draws_of_the_block_differ_by_noise_only(collapsed: Collapsed) -> None:
    complete = collapsed.density.complete
    assert complete is not None
    run = jax.jit(complete)
    theta = jnp.zeros(collapsed.density.layout.size)
    size = collapsed.inside.sum()
    noises = [np.random.default_rng(seed).normal(size=size) for seed in (1, 1, 2)]
    one, same, other = (run(noise, theta, collapsed.density.arguments) for noise in noises)
    np.testing.assert_array_equal(one, same)
    np.testing.assert_array_equal(np.asarray(one != other), collapsed.inside)


@pytest.mark.parametrize("name", CASES)
def test_draws_agree_with_those_of_the_whole_model_and_of_the_referee(
    name: str, mcse: Callable[[xr.DataArray], xr.DataArray]
) -> None:
    model = CASES[name].build()
    options = {"seed": 1, "draws": 1000, "target_accept": 0.9, "progress": False}
    ours = bm.sample(model, collapse="auto", **options).posterior
    others = [bm.sample(model, collapse=None, **options).posterior]
    if name == "intercepts":
        referee = {**options, "draws": 1500, "warmup": 1000, "sampler": "pymc"}
        others.append(bm.sample(model, **referee).posterior)
    for other in others:
        assert list(other.data_vars) == list(ours.data_vars)
        for variable in ours.data_vars:
            one, two = ours[variable], other[variable]
            center = two.mean(("chain", "draw"))
            for a, b in ((one, two), ((one - center) ** 2, (two - center) ** 2)):
                gap = abs(a.mean(("chain", "draw")) - b.mean(("chain", "draw")))
                assert (gap < 4 * np.hypot(mcse(a), mcse(b))).all(), variable
