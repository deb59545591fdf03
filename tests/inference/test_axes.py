"""Beyond the size of a dense scale: a diagonal, and the directions in which it is far off."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference.axes import COUNTS, RATIO, axes_of
from bayes_mkt.inference.warmup import MAX_DENSE, MOST_STRETCH, Tuning, look_again

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
    scale, axes, stretch = axes_of(hessian, np.ones(SIZE))
    tuning = Tuning(scale, axes=axes, stretch=stretch)
    root = tuning.stretched(np.eye(SIZE))  # rows are images of unit vectors
    values = np.linalg.eigvalsh(root @ hessian @ root.T)
    assert values.min() > 0.99 / np.sqrt(RATIO)
    assert values.max() < 1.01 * np.sqrt(RATIO)
    assert (0 if axes is None else axes.shape[1]) in COUNTS


def test_the_number_of_axes_can_be_given() -> None:
    _, axes, stretch = axes_of(precision(0), np.ones(SIZE), 7)
    assert axes is not None
    assert stretch is not None
    assert axes.shape == (SIZE, 7)
    np.testing.assert_allclose(axes.T @ axes, np.eye(7), atol=1e-10)


def test_a_point_without_curvature_makes_no_endless_axis() -> None:
    """Of exp(-x^4 / 4) the second derivative at 0 is 0, though its SD is 0.68."""
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(8, 50, SIZE))
    draws[..., 0] = rng.choice([-0.9, -0.4, 0.0, 0.4, 0.9], size=(8, 50))
    draws -= draws.mean(axis=(0, 1))

    def gradient(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slope = -x
        slope[:, 0] = -(x[:, 0] ** 3)
        return -0.5 * (x[:, 1:] ** 2).sum(axis=1) - x[:, 0] ** 4 / 4.0, slope

    before = Tuning(np.ones(SIZE), axes=np.eye(SIZE)[:, :16], stretch=np.ones(16))
    found = look_again(before, draws, gradient)
    length = np.linalg.norm(found.stretched(np.eye(SIZE)), axis=0)
    sd = draws.std(axis=(0, 1))
    assert length[0] == pytest.approx(MOST_STRETCH * sd[0], rel=0.2)
    assert np.all(length[1:] < 1.8)


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
