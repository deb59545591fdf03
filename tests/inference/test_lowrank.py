"""Normal distributions from L-BFGS paths, against dense algebra and against BlackJAX."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from blackjax.optimizers.lbfgs import (
    lbfgs_inverse_hessian_factors,
    lbfgs_inverse_hessian_formula_1,
    lbfgs_recover_alpha,
)
from scipy import stats

from bayes_mkt.inference.lowrank import LowRank, along_path, diagonal, factors

SIZE = 6


@pytest.fixture
def normal() -> LowRank:
    rng = np.random.default_rng(3)
    directions, _ = np.linalg.qr(rng.normal(size=(SIZE, 2)))
    factor = np.array([[0.5, 0.0], [0.7, 1.8]])
    return LowRank(rng.normal(size=SIZE), rng.uniform(0.5, 2.0, SIZE), directions, factor)


def covariance(normal: LowRank) -> np.ndarray:
    inner = normal.factor @ normal.factor.T - np.eye(len(normal.factor))
    middle = np.eye(SIZE) + normal.directions @ inner @ normal.directions.T
    return normal.sd[:, None] * middle * normal.sd


def test_the_density_is_that_of_the_dense_covariance(normal: LowRank) -> None:
    x = np.random.default_rng(4).normal(size=(20, SIZE))
    exact = stats.multivariate_normal.logpdf(x, normal.center, covariance(normal))
    np.testing.assert_allclose(normal.log_density(x), exact, rtol=1e-10)


def test_draws_have_center_and_covariance(normal: LowRank) -> None:
    draws = normal.draw(200_000, np.random.default_rng(5))
    np.testing.assert_allclose(draws.mean(axis=0), normal.center, atol=0.03)
    np.testing.assert_allclose(np.cov(draws.T), covariance(normal), atol=0.06)


def quadratic_path(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, gradients of a normal log-density there, and its covariance."""
    root = rng.normal(size=(SIZE, SIZE)) + 2 * np.eye(SIZE)
    spread = root @ root.T
    points = rng.normal(size=(9, SIZE))
    return points, -np.linalg.solve(spread, points.T).T, spread


def test_factors_are_those_of_blackjax() -> None:
    points, slopes, _ = quadratic_path(np.random.default_rng(6))
    steps, changes = np.diff(points, axis=0), -np.diff(slopes, axis=0)
    ours, theirs = np.ones(SIZE), jnp.ones(SIZE)
    for step, change in zip(steps, changes, strict=True):
        ours = diagonal(ours, step, change)
        theirs, _ = lbfgs_recover_alpha(theirs, jnp.asarray(step), jnp.asarray(change))
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
    basis, form = factors(ours, steps[:3].T, changes[:3].T)
    beta, gamma = lbfgs_inverse_hessian_factors(
        jnp.asarray(steps[:3].T), jnp.asarray(changes[:3].T), jnp.asarray(ours)
    )
    exact = lbfgs_inverse_hessian_formula_1(jnp.asarray(ours), beta, gamma)
    np.testing.assert_allclose(np.diag(ours) + basis @ form @ basis.T, exact, rtol=1e-8)


def test_the_inverse_hessian_maps_the_last_change_to_the_last_step() -> None:
    """The secant equation, which every quasi-Newton inverse Hessian obeys."""
    points, slopes, _ = quadratic_path(np.random.default_rng(7))
    last = along_path(points[:4], slopes[:4])[-1]
    change = slopes[2] - slopes[3]
    np.testing.assert_allclose(covariance(last) @ change, points[3] - points[2], rtol=1e-8)


def test_a_path_that_curves_upwards_keeps_the_diagonal() -> None:
    points = np.linspace(0.0, 1.0, 4)[:, None] * np.ones((1, SIZE))
    normals = along_path(points, 3.0 * points)
    assert len(normals) == 3
    for normal, point in zip(normals, points[1:], strict=True):
        np.testing.assert_allclose(covariance(normal), np.eye(SIZE))
        np.testing.assert_allclose(normal.center, 4.0 * point)
