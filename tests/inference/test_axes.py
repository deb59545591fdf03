"""Beyond the size of a dense scale: a diagonal, and the directions in which it is far off."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference.axes import COUNTS, RATIO, axes_of
from bayes_mkt.inference.metric import AlongAxes
from bayes_mkt.inference.warmup import MAX_DENSE, Tuning, look_again

SIZE = MAX_DENSE + 20


def precision(extreme: int, seed: int = 1) -> np.ndarray:
    """Return a precision matrix with scales over six orders, and some far-off directions."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
    values = np.exp(rng.uniform(-0.5, 0.5, SIZE))
    values[:extreme] *= np.where(np.arange(extreme) % 2, 1e-3, 1e3)
    scales = np.exp(rng.uniform(-7, 7, SIZE))
    return (axes * values) @ axes.T / np.outer(scales, scales)


@pytest.mark.parametrize("extreme", [0, 5, 40])
def test_the_scale_makes_the_precision_nearly_one(extreme: int) -> None:
    hessian = precision(extreme)
    metric = axes_of(hessian, np.ones(SIZE))
    root = metric.stretched(np.eye(SIZE))  # rows are images of unit vectors
    values = np.linalg.eigvalsh(root @ hessian @ root.T)
    assert values.min() > 0.99 / np.sqrt(RATIO)
    assert values.max() < 1.01 * np.sqrt(RATIO)
    assert metric.axes.shape[1] in COUNTS


def test_the_number_of_axes_can_be_given() -> None:
    axes = axes_of(precision(0), np.ones(SIZE), 7).axes
    assert axes.shape == (SIZE, 7)
    np.testing.assert_allclose(axes.T @ axes, np.eye(7), atol=1e-10)


def test_axes_are_looked_for_where_the_chains_are() -> None:
    rng = np.random.default_rng(1)
    covariance = np.linalg.inv(precision(5, seed=2))
    draws = (rng.normal(size=(400, SIZE)) @ np.linalg.cholesky(covariance).T).reshape(8, 50, SIZE)
    inverse = np.linalg.inv(covariance)

    def gradient(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return -0.5 * ((x @ inverse) * x).sum(axis=1), -x @ inverse

    before = Tuning(AlongAxes(np.ones(SIZE), np.eye(SIZE)[:, :64], np.ones(64)))
    found, asked = look_again(before, draws, gradient)
    assert asked == 2 * SIZE + 400
    root = found.metric.stretched(np.eye(SIZE))
    values = np.linalg.eigvalsh(root @ inverse @ root.T)
    assert values.max() / values.min() < 1.05 * RATIO


def test_draws_of_a_wide_correlated_normal_have_its_moments() -> None:
    place = np.arange(SIZE)
    covariance = 0.95 ** np.abs(place[:, None] - place)
    with pm.Model() as model:
        pm.MvNormal("x", np.zeros(SIZE), cov=covariance)
    draws = bm.sample(model, seed=1, progress=False)["posterior"]["x"]
    flat = draws.to_numpy().reshape(-1, SIZE)
    assert np.abs(flat.mean(axis=0)).max() < 0.25
    assert np.abs(flat.std(axis=0) - 1.0).max() < 0.15
    assert np.corrcoef(flat[:, 3], flat[:, 4])[0, 1] == pytest.approx(0.95, abs=0.02)
