"""Lopsided variables: the curve, what warmup learns of it, and that no posterior changes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytest
from scipy import stats

import bayes_mkt as bm
from bayes_mkt.inference.prepared import prepared
from bayes_mkt.inference.skew import MOST, curve, learn, straight

T = np.array([-0.9, -0.3, 0.0, 0.5, 0.9])
M = np.array([-1.0, 0.0, 2.0, 3.0, -4.0])
S = np.array([0.1, 1.0, 2.0, 5.0, 0.5])


def test_the_curve_and_its_inverse_are_a_bijection() -> None:
    v = M + S * np.linspace(-30.0, 30.0, 41)[:, None]
    x = np.stack([np.asarray(curve(jnp.asarray(row), T, M, S)[0]) for row in v])
    assert (np.diff(x, axis=0) > 0).all()
    np.testing.assert_allclose(straight(x, T, M, S), v, rtol=1e-9, atol=1e-9)


def test_the_slope_is_that_of_the_curve() -> None:
    v = jnp.asarray(M + S * np.array([-8.0, -0.5, 0.1, 2.0, 6.0]))
    jacobian = jax.jacfwd(lambda u: curve(u, T, M, S)[0])(v)
    np.testing.assert_allclose(curve(v, T, M, S)[1], np.log(np.diag(jacobian)).sum(), rtol=1e-12)


def test_without_a_bend_nothing_changes() -> None:
    v = jnp.asarray([-3.0, 0.0, 7.0])
    x, log_slope = curve(v, jnp.zeros(3), jnp.asarray(M[:3]), jnp.asarray(S[:3]))
    np.testing.assert_allclose(x, v, rtol=1e-12)
    assert float(log_slope) == 0.0


@pytest.mark.parametrize("bend", [-0.8, -0.4, 0.0, 0.6])
def test_what_is_learnt_makes_draws_normal(bend: float) -> None:
    normal = np.random.default_rng(1).normal(size=(40_000, 1))
    x = 5.0 + 2.0 * (normal + bend * (np.sqrt(1.0 + normal**2) - 1.0))
    t, m, s = learn(x)
    assert t[0] == pytest.approx(bend, abs=0.05)
    v = (straight(x, t, m, s) - m) / s
    assert stats.skew(v[:, 0]) == pytest.approx(0.0, abs=0.05)
    # Median and spread stay, so that a scale learnt before still fits.
    np.testing.assert_allclose(np.median(v), 0.0, atol=0.02)
    np.testing.assert_allclose(v.std(), 1.0, atol=0.02)


def test_few_draws_teach_no_bend() -> None:
    x = np.random.default_rng(2).normal(size=(100, 400))
    t, _, _ = learn(x)
    assert np.mean(t == 0) > 0.8
    assert np.abs(t).max() <= MOST


def test_what_does_not_move_is_left_alone() -> None:
    x = np.column_stack([np.full(50, 3.0), np.r_[np.full(49, np.inf), 1.0]])
    with np.errstate(invalid="ignore"):
        t, m, s = learn(x)
    np.testing.assert_array_equal([t, m, s], [[0, 0], [0, 0], [1, 1]])


def _skewed() -> pm.Model:
    with pm.Model() as model:
        log_rate = pm.Normal("log_rate", 0.0, 3.0, shape=3)
        pm.Poisson("count", pm.math.exp(log_rate), observed=[1, 2, 30])
    return model


def test_the_density_is_the_same_in_other_coordinates() -> None:
    density = prepared(_skewed(), None).density
    draws = np.log(np.random.default_rng(3).gamma([1.0, 2.0, 30.0], size=(4, 100, 3)))
    bent, moved = density.reformed(draws)
    assert np.abs(np.asarray(bent.forms[-3])).max() > 0.1
    given, shape = bent.arguments[0], bent.forms[-3:]
    for v in moved[0, :5]:
        x, log_slope = curve(jnp.asarray(v), *map(jnp.asarray, shape))
        plain = density.log_density(x, (given, density.arguments[1]))
        assert float(bent.log_density(jnp.asarray(v), bent.arguments)) == pytest.approx(
            float(plain + log_slope), rel=1e-12
        )
        np.testing.assert_allclose(bent.sampled(np.asarray(x)[None])[0], v, rtol=1e-9)


def test_draws_of_a_lopsided_posterior_are_right() -> None:
    """Given a flat prior of log rate, exp(log rate) is Gamma(count)."""
    with pm.Model() as model:
        log_rate = pm.Flat("log_rate", shape=3)
        pm.Poisson("count", pm.math.exp(log_rate), observed=[1, 2, 30])
    tree = bm.sample(model, seed=1, target_ess=2000, progress=False)
    draws = np.exp(tree.posterior["log_rate"].to_numpy().reshape(-1, 3))
    for count, column in zip((1, 2, 30), draws.T, strict=True):
        wanted = stats.gamma(count).ppf([0.02, 0.25, 0.5, 0.75, 0.98])
        reached = [(column <= q).mean() for q in wanted]
        np.testing.assert_allclose(reached, [0.02, 0.25, 0.5, 0.75, 0.98], atol=0.03)
