"""The closed form is exact for any shape of the block: hubs only, blocks only, wide blocks."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytest
from scipy.stats import multivariate_normal

from bayes_mkt.inference.collapse import collapse
from bayes_mkt.inference.density import Density
from bayes_mkt.inference.target import target

LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)


def shaped(blocks: int, places: int, hubs: int) -> tuple[np.ndarray, np.ndarray]:
    """Return y and a design whose columns are `blocks` groups of `places`, then `hubs`."""
    rng = np.random.default_rng(1)
    rows = np.repeat(np.arange(blocks), places + 2)
    design = np.zeros((rows.size, blocks * places + hubs))
    for k in range(blocks):
        own = rng.normal(size=(places + 2, places))
        design[rows == k, k * places : (k + 1) * places] = own
    design[:, blocks * places :] = rng.normal(size=(rows.size, hubs))
    return rng.normal(size=rows.size), design


def linear_model(y: np.ndarray, design: np.ndarray) -> pm.Model:
    with pm.Model() as model:
        tau, sigma = pm.HalfNormal("tau", 1.0), pm.HalfNormal("sigma", 1.0)
        b = pm.Normal("b", 0.5, tau, shape=design.shape[1])
        pm.Normal("y", pm.math.dot(design, b), sigma, observed=y)
    return model


def collapsed(model: pm.Model) -> Density:
    density = collapse(target(model))
    assert density is not None
    return density


MANY = 3000


@cache
def over_noise(complete: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """The exact draw, compiled for much noise at one point."""
    return jax.jit(jax.vmap(complete, (0, None, None)))


def noise_of(size: int) -> np.ndarray:
    """Standard normal numbers for `MANY` draws of a block."""
    return np.random.default_rng(2).normal(size=(MANY, size))


def half_normal(log_scale: np.ndarray | float) -> float:
    """Log-density of the logs of HalfNormal(1) scales."""
    log_scale = np.asarray(log_scale)
    terms = np.log(2.0) - LOG_SQRT_2PI - 0.5 * np.exp(2 * log_scale) + log_scale
    return float(np.sum(terms))


# Blocks of up to eight places are written out, larger ones go to LAPACK; either may lack hubs.
SHAPES = [(3, 2, 2), (2, 9, 2), (4, 3, 0), (1, 1, 11)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_gradient_and_draws_are_those_of_dense_matrices(shape: tuple[int, int, int]) -> None:
    y, design = shaped(*shape)
    density = collapsed(linear_model(y, design))

    def dense(theta: np.ndarray) -> float:
        tau, sigma = np.exp(theta)
        covariance = tau**2 * design @ design.T + sigma**2 * np.eye(y.size)
        mean = 0.5 * design.sum(axis=1)
        return half_normal(theta) + float(multivariate_normal.logpdf(y, mean, covariance))

    value_and_grad = jax.jit(jax.value_and_grad(density.log_density))
    for theta in np.array([[0.0, 0.0], [1.0, -2.0], [-15.0, 0.3], [2.0, 0.1]]):
        value, gradient = value_and_grad(theta, density.arguments)
        np.testing.assert_allclose(value, dense(theta), rtol=1e-9)
        slopes = [dense(theta + h) - dense(theta - h) for h in 1e-5 * np.eye(2)]
        np.testing.assert_allclose(gradient, np.array(slopes) / 2e-5, rtol=1e-5, atol=1e-5)
    assert density.complete is not None
    drawn = np.asarray(
        over_noise(density.complete)(noise_of(design.shape[1]), jnp.zeros(2), density.arguments)
    )
    b = drawn[:, 2:]
    covariance = np.linalg.inv(design.T @ design + np.eye(design.shape[1]))
    mean = 0.5 + covariance @ design.T @ (y - 0.5 * design.sum(axis=1))
    # Whitened by the exact posterior, the draws are standard normal.
    white = np.linalg.solve(np.linalg.cholesky(covariance), (b - mean).T)
    assert np.abs(white.mean(axis=1)).max() < 4.5 / np.sqrt(len(b))
    assert np.abs(np.cov(white) - np.eye(len(white))).max() < 4.5 * np.sqrt(2 / len(b))


ROWS = np.repeat([0, 1, 2], [2, 3, 4])
OUTCOME = np.array([5.1, 4.9, 6.3, 5.8, 6.1, 7.4, 6.6, 7.0, 7.1])


def exact_marginal(prior_sd: float, sigma: float) -> float:
    """Log-density of OUTCOME under a level and three groups' effects, in exact fractions."""
    design = [[1, *(int(g == r) for g in range(3))] for r in ROWS]
    outcome = [Fraction(float(v)) for v in OUTCOME]
    size = len(outcome)
    table = [
        [sum(a * b for a, b in zip(u, v, strict=True)) * Fraction(prior_sd) ** 2 for v in design]
        for u in design
    ]
    for i in range(size):
        table[i][i] += Fraction(sigma) ** 2
        table[i].append(outcome[i])
    log_det = 0.0
    for k in range(size):
        pivot = table[k][k]
        log_det += np.log(float(pivot))
        table[k] = [x / pivot for x in table[k]]
        for i in range(size):
            if i != k:
                first = table[i][k]
                table[i] = [a - first * b for a, b in zip(table[i], table[k], strict=True)]
    quadratic = float(sum(a * table[i][size] for i, a in enumerate(outcome)))
    return -0.5 * quadratic - 0.5 * log_det - size * LOG_SQRT_2PI


@pytest.mark.parametrize(("prior_sd", "log_sigma"), [(1e2, 0.0), (1e2, -5.0), (1e5, 0.0)])
def test_vague_priors_on_what_only_their_sum_identifies(prior_sd: float, log_sigma: float) -> None:
    with pm.Model() as model:
        vague = pm.Data("prior_sd", prior_sd)
        level = pm.Normal("level", 0.0, vague)
        group = pm.Normal("group", 0.0, vague, shape=3)
        pm.Normal("y", level + group[ROWS], pm.HalfNormal("sigma", 1.0), observed=OUTCOME)
    density = collapsed(model)
    theta = jnp.array([log_sigma])
    expected = half_normal(log_sigma) + exact_marginal(prior_sd, float(np.exp(log_sigma)))
    value, gradient = jax.jit(jax.value_and_grad(density.log_density))(theta, density.arguments)
    np.testing.assert_allclose(value, expected, rtol=1e-7)
    assert np.isfinite(gradient).all()
    assert density.complete is not None
    drawn = np.asarray(over_noise(density.complete)(noise_of(4), theta, density.arguments))
    total = drawn[:, :1] + drawn[:, 1:4]
    means = np.array([OUTCOME[g == ROWS].mean() for g in range(3)])
    sds = np.exp(log_sigma) / np.sqrt(np.bincount(ROWS))
    white = (total - means) / sds
    assert np.abs(white.mean(axis=0)).max() < 4.5 / np.sqrt(MANY)
    assert np.abs(white.std(axis=0) - 1).max() < 4.5 / np.sqrt(2 * MANY)
    # The data leave the level itself a quarter of its prior variance.
    assert abs(drawn[:, 0].std() / (0.5 * prior_sd) - 1) < 4.5 / np.sqrt(2 * MANY)


def many_groups(groups: int = 200) -> pm.Model:
    """Own intercept and slope for each of many groups, and three shared coefficients."""
    rows = np.tile(np.arange(groups), 4)
    rng = np.random.default_rng(7)
    shared = rng.normal(size=(rows.size, 3))
    x = rng.normal(size=rows.size)
    with pm.Model() as model:
        beta = pm.Normal("beta", 0.0, 1.0, shape=3)
        tau = pm.HalfNormal("tau", 1.0)
        intercept = pm.Normal("intercept", 0.0, tau, shape=groups)
        slope = pm.Normal("slope", 0.0, tau, shape=groups)
        mean = intercept[rows] + slope[rows] * x + pm.math.dot(shared, beta)
        pm.Normal("y", mean, pm.HalfNormal("sigma", 1.0), observed=rng.normal(size=rows.size))
    return model


def test_many_groups_need_no_dense_matrix_of_all() -> None:
    density = collapse(target(many_groups()))
    assert density is not None
    assert density.layout.names == ("tau_log__", "sigma_log__")
    size = 403
    gradient = jax.jit(jax.value_and_grad(density.log_density))
    compiled = gradient.lower(jnp.zeros(2), density.arguments).compile()
    # Working memory: far less than one dense matrix over all entries of the block.
    assert compiled.memory_analysis().temp_size_in_bytes < 0.5 * size**2 * 8
    value, slope = compiled(jnp.zeros(2), density.arguments)
    assert np.isfinite(value)
    assert np.isfinite(slope).all()
