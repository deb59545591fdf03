"""Pareto-smoothed weights: known tails, known means, and what can't be judged."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bayes_mkt.inference.psis import (
    Importance,
    effective_size,
    importance_of,
    resampled,
    smoothed,
)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_khat_is_the_shape_of_the_tail(shape: float) -> None:
    found = []
    for seed in range(10):
        ratios = stats.genpareto.rvs(shape, size=20_000, random_state=seed)
        found.append(smoothed(np.log(ratios))[1])
    assert np.mean(found) == pytest.approx(shape, abs=0.06)


def test_weighted_means_are_those_of_the_target() -> None:
    x = np.random.default_rng(1).normal(0.0, 1.5, 40_000)
    weights, khat = smoothed(stats.norm.logpdf(x, 0.5, 1.0) - stats.norm.logpdf(x, 0.0, 1.5))
    assert khat < 0.5
    assert weights.sum() == pytest.approx(1.0)
    assert weights @ x == pytest.approx(0.5, abs=0.03)
    assert weights @ (x - 0.5) ** 2 == pytest.approx(1.0, abs=0.04)
    assert 1 < effective_size(weights) < x.size


def test_a_proposal_that_is_too_narrow_shows() -> None:
    x = np.random.default_rng(1).normal(0.0, 0.3, 8000)
    _, khat = smoothed(stats.norm.logpdf(x) - stats.norm.logpdf(x, 0.0, 0.3))
    assert khat > 0.7


def test_equal_ratios_are_even_weights() -> None:
    weights, khat = smoothed(np.full(100, -3.0))
    assert khat == 0.0
    np.testing.assert_allclose(weights, 0.01)
    assert effective_size(weights) == pytest.approx(100)


@pytest.mark.parametrize("ratios", [[0.0, 1.0, 2.0], [], [np.nan] * 100, [0.0] + [-np.inf] * 99])
def test_what_can_not_be_judged_is_infinite(ratios: list[float]) -> None:
    weights, khat = smoothed(np.array(ratios))
    assert khat == np.inf
    assert np.isfinite(weights).all()
    assert not Importance("laplace", khat, len(ratios), 1.0).usable


def test_draws_without_density_weigh_nothing() -> None:
    ratios = np.random.default_rng(2).normal(size=1000)
    ratios[::4] = [np.nan, -np.inf] * 125
    weights, khat = smoothed(ratios)
    assert weights[::4].max() < 1e-250
    assert khat < 0.7


def test_resampling_keeps_order_and_shares() -> None:
    weights = np.array([0.1, 0.0, 0.35, 0.55])
    chosen = resampled(weights, 1000, np.random.default_rng(1))
    assert (np.diff(chosen) >= 0).all()
    np.testing.assert_allclose(np.bincount(chosen, minlength=4) / 1000, weights, atol=1e-3)
    again = resampled(weights, 1000, np.random.default_rng(1))
    np.testing.assert_array_equal(chosen, again)


def test_the_limit_falls_with_few_draws() -> None:
    assert Importance("laplace", 0.69, 8000, 100.0).usable
    assert not Importance("laplace", 0.71, 8000, 100.0).usable
    assert Importance("laplace", 0.0, 100, 50.0).limit == pytest.approx(0.5)
    assert not Importance("laplace", 0.1, 8000, 100.0, modes=1).usable


def test_attrs_say_all_of_it() -> None:
    importance = Importance("reweighting", 0.3, 4000, 1200.0)
    assert importance_of(importance.attrs) == importance
    assert importance_of({"seed": 1}) is None
