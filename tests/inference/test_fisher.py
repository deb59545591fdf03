"""The covariance from curvature, draws and gradients: exact for normals, sane elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from bayes_mkt.inference.fisher import SPAN, fisher_covariance

SIZE = 60


def normal(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a covariance, draws of the normal distribution with it, and gradients there."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    covariance = (axes * np.exp(rng.uniform(-3, 3, SIZE))) @ axes.T
    draws = 5.0 + rng.normal(size=(count, SIZE)) @ np.linalg.cholesky(covariance).T
    return covariance, draws, -(draws - 5.0) @ np.linalg.inv(covariance)


def condition(found: np.ndarray, covariance: np.ndarray) -> float:
    """Return the condition number that sampling with `found` leaves."""
    root = np.linalg.cholesky(found)
    values = np.linalg.eigvalsh(root.T @ np.linalg.inv(covariance) @ root)
    return float(values.max() / values.min())


@pytest.mark.parametrize("count", [20, 60, 2000])
def test_a_normal_with_its_own_curvature_is_found_from_any_number_of_draws(count: int) -> None:
    """No noise of the draws remains, though there are fewer of them than dimensions."""
    covariance, draws, slopes = normal(1, count)
    found = fisher_covariance(np.linalg.inv(covariance), draws, slopes)
    assert condition(found, covariance) < 1.0 + 1e-6


def test_a_wrong_curvature_is_mended_by_draws() -> None:
    covariance, draws, slopes = normal(2, 4000)
    wrong = np.eye(SIZE)
    assert condition(np.linalg.inv(wrong), covariance) > 100
    assert condition(fisher_covariance(wrong, draws, slopes), covariance) < 1.5


def test_a_point_without_curvature_makes_no_endless_direction() -> None:
    """Of exp(-x^4 / 4) the second derivative at 0 is 0, though its SD is 0.68."""
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(400, SIZE))
    draws[:, 0] = rng.choice([-0.9, -0.4, 0.0, 0.4, 0.9], size=400)
    slopes = -draws
    slopes[:, 0] = -(draws[:, 0] ** 3)
    curvature = np.eye(SIZE)
    curvature[0, 0] = 0.0
    length = np.sqrt(np.diag(fisher_covariance(curvature, draws, slopes)))
    sd = draws[:, 0].std()
    assert 0.5 * sd < length[0] < 1.01 * SPAN * sd
    np.testing.assert_allclose(length[1:], 1.0, atol=0.05)
