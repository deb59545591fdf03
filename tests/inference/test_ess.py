"""Figures of many parameters at once equal ArviZ's, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from arviz_stats.base import array_stats

from bayes_mkt.inference import ess


def autoregressive(chains: int, draws: int, size: int, seed: int = 1) -> np.ndarray:
    """Return draws (chain, draw, parameter), from antithetic to hardly moving; some have ties."""
    rng = np.random.default_rng(seed)
    memory = np.linspace(-0.9, 0.99, size)
    values = rng.normal(size=(chains, draws, size))
    for step in range(1, draws):
        values[:, step] = memory * values[:, step - 1] + np.sqrt(1 - memory**2) * values[:, step]
    values[:, :, ::3] = np.round(values[:, :, ::3], 1)
    return values + np.arange(chains)[:, None, None] * np.linspace(0, 0.5, size)


@pytest.mark.parametrize(
    "shape",
    [
        *((4, 100, 7), (8, 650, 9), (3, 101, 7), (2, 7, 5), (4, 4, 5), (2, 5, 5)),
        # Halves about as long as the lags that are taken one by one, also of one chain.
        *((1, 69, 5), (1, 70, 5), (2, 66, 5), (2, 67, 5)),
        (8, 1200, 120),  # in several threads
    ],
)
def test_figures_equal_arvizs(shape: tuple[int, int, int]) -> None:
    values = autoregressive(*shape)
    found = ess.figures(values)
    axes = {"chain_axis": 0, "draw_axis": 1}
    close = {"rtol": 1e-12}
    np.testing.assert_allclose(found.bulk, array_stats.ess(values, method="bulk", **axes), **close)
    tail = array_stats.ess(values, method="tail", prob=(0.05, 0.95), **axes)
    np.testing.assert_allclose(found.tail, tail, **close)
    if shape[0] > 1:  # ArviZ gives none of one chain
        np.testing.assert_allclose(found.rhat, array_stats.rhat(values, **axes), **close)
    mean = array_stats.ess(values, method="mean", **axes)
    np.testing.assert_allclose(ess.mean_ess(values), mean, **close)


def test_draws_of_few_values_equal_arvizs() -> None:
    rng = np.random.default_rng(3)
    values = np.stack([rng.random((4, 90)) < p for p in (0.5, 0.02, 0.99)], axis=2).astype(float)
    axes = {"chain_axis": 0, "draw_axis": 1}
    found = ess.figures(values)
    bulk = array_stats.ess(values, method="bulk", **axes)
    np.testing.assert_allclose(found.bulk, bulk, rtol=1e-12)
    tail = array_stats.ess(values, method="tail", prob=(0.05, 0.95), **axes)
    np.testing.assert_allclose(found.tail, tail, rtol=1e-12)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = autoregressive(4, 60, 11)
    whole = ess.figures(values)
    monkeypatch.setattr(ess, "BATCH", 4 * 60 * 2)
    for one, other in zip(whole, ess.figures(values), strict=True):
        np.testing.assert_array_equal(one, other)


def test_one_chain_is_split_in_halves() -> None:
    values = np.concatenate([np.zeros(50), np.ones(50)])[None, :, None]
    values = values + 0.1 * np.random.default_rng(1).normal(size=values.shape)
    assert ess.figures(values).rhat[0] > 1.5


def test_too_few_draws_are_refused() -> None:
    with pytest.raises(ValueError, match="3 draws are too few"):
        ess.figures(np.zeros((4, 3, 1)))


def test_figures_are_remembered_by_what_was_drawn() -> None:
    values = np.random.default_rng(5).normal(size=(4, 50, 3))
    first = ess.figures(values)
    assert ess.figures(values.copy()) is first
    other = values.copy()
    other[2, 7, 1] += 1e-9
    assert ess.figures(other) is not first
    reshaped = values.reshape(2, 100, 3)
    assert not np.array_equal(ess.figures(reshaped).bulk, first.bulk)
