"""What warmup learns of trajectories: slowness, but not from chains that are still on their way."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_mkt.inference import kernels
from bayes_mkt.inference.chance import chances
from bayes_mkt.inference.density import Density, Forms, Layout
from bayes_mkt.inference.metric import Dense, Metric
from bayes_mkt.inference.run import run
from bayes_mkt.inference.state import State
from bayes_mkt.inference.warmup import (
    LEAST_REACH,
    QUICK,
    SLOW,
    Tuning,
    _autocorrelation,
    _scale,
    arrived,
    learn,
    settled,
    strayed,
)

CHAINS, DRAWS = 8, 50
SIZE = 21  # variables, above which lessons take 50 steps


def chains(rho: float, seed: int = 1, size: int = 3) -> np.ndarray:
    """Stationary chains with one autocorrelation."""
    rng = np.random.default_rng(seed)
    out = rng.standard_normal((CHAINS, DRAWS, size))
    for t in range(1, DRAWS):
        out[:, t] = rho * out[:, t - 1] + np.sqrt(1 - rho**2) * out[:, t]
    return out


def reach(draws: np.ndarray, before: float = 2.0, *, capped: bool = False) -> float:
    tuning = Tuning(Dense(np.eye(draws.shape[2])), 0.1, before)
    return learn(tuning, draws, draws, 0.1, final=False, capped=capped).reach


def test_slow_chains_get_longer_trajectories_and_quick_ones_shorter() -> None:
    slow = np.concatenate([chains(0.0), chains(0.99, seed=2)], axis=2)
    assert _autocorrelation(slow) > SLOW
    assert reach(slow) == 4.0
    assert reach(chains(0.7)) == 2.0
    assert reach(chains(0.0)) == 1.0
    assert reach(chains(0.0), before=LEAST_REACH) == LEAST_REACH


def test_a_way_that_all_chains_go_together_is_not_slowness() -> None:
    drift = np.linspace(0.0, 30.0, DRAWS)[None, :, None]
    still = chains(0.3)
    assert _autocorrelation(still + drift) == pytest.approx(_autocorrelation(still), abs=0.02)


def test_chains_that_do_not_agree_yet_say_nothing() -> None:
    apart = chains(0.99) + 100.0 * np.arange(CHAINS)[:, None, None]
    assert _autocorrelation(apart) == QUICK
    assert reach(apart) == 2.0


def test_trajectories_that_were_kept_short_say_nothing() -> None:
    assert reach(chains(0.99), capped=True) == 2.0
    assert reach(chains(0.0), capped=True) == 2.0


def test_chains_have_settled_once_all_of_them_move_freely() -> None:
    assert settled(chains(0.5))
    assert not settled(np.concatenate([chains(0.5), chains(0.99, seed=2)], axis=2))


def test_how_the_chains_arrived_teaches_no_form() -> None:
    """Forms and scale are learnt from the latter half of the warmup so far."""
    seen = []

    def reform(arguments: Any, draws: np.ndarray) -> tuple[Forms, np.ndarray]:
        seen.append(draws.reshape(CHAINS, -1, SIZE))
        return (), draws

    density = Density(
        Layout(("x",), ((SIZE,),)), _log_density, ((), ()), np.zeros(SIZE), None, reform
    )
    state = State(np.full((CHAINS, SIZE), 300.0), Tuning(Dense(np.eye(SIZE)), 0.5))
    key = jax.random.key(1)
    options = {"warmup": 300, "most": 300, "limit": 100, "target_accept": 0.9}
    chunks = run(density, state, kernel=kernels.hmc, key=key, **options)
    drawn = np.concatenate([next(chunks).positions for _ in range(6)], axis=1)
    assert [part.shape[1] for part in seen] == [25, 50, 75, 100, 125]
    for part, done in zip(seen, range(50, 300, 50), strict=True):
        np.testing.assert_array_equal(part, drawn[:, done // 2 : done])


def _log_density(x: jax.Array, arguments: Any) -> jax.Array:
    return -0.5 * jnp.sum(x**2)


def test_a_lesson_too_short_to_tell_says_that_chains_have_arrived() -> None:
    assert arrived(np.array([[1.0, 2.0, 3.0], [100.0, 101.0, 102.0]]))


def test_a_broken_acceptance_hides_no_chain_that_has_strayed() -> None:
    acceptance = np.full((3, 50), 0.9)
    assert not strayed(acceptance, 0.9)
    acceptance[0] = 0.1
    acceptance[1, 40] = np.nan
    assert strayed(acceptance, 0.9)
    assert not strayed(acceptance[:, :10], 0.9)


def tied(rho: float, count: int, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Draws of variables with one correlation, and the root of their covariance."""
    root = np.linalg.cholesky((1.0 - rho) * np.eye(size) + rho)
    rng = np.random.default_rng(4)
    return rng.standard_normal((CHAINS, count, size)) @ root.T, root


def misfit(metric: Metric, root: np.ndarray) -> float:
    """How many times as long the longest direction is as the shortest, once whitened."""
    spread = np.linalg.svd(np.linalg.solve(metric.root, root), compute_uv=False)
    return float(spread.max() / spread.min())


def test_variables_that_determine_each_other_are_not_taken_for_freer() -> None:
    draws, root = tied(0.9999, 50)
    blind = _scale(Dense(np.eye(6)), draws)
    assert misfit(blind, root) > 10.0
    # A metric from the curvature knows, and few draws don't make it forget.
    assert misfit(_scale(Dense(root), draws), root) < 1.5
    # Learnt again and again, it comes out also where nothing was known.
    again = blind
    for _ in range(3):
        again = _scale(again, draws)
    assert misfit(again, root) < 1.5


def test_a_metric_that_misleads_is_not_followed() -> None:
    draws, root = tied(0.0, 50)
    _, wrong = tied(0.9999, 50)
    assert misfit(_scale(Dense(wrong), draws), root) < 1.5


def test_a_metric_of_many_variables_does_not_wander_off_with_chance() -> None:
    size, metric = 180, Dense(np.eye(180))
    misfits = []
    for lesson in range(1, 6):
        draws = np.random.default_rng(lesson).standard_normal((CHAINS, 25 * lesson, size))
        metric = _scale(metric, draws)
        misfits.append(misfit(metric, np.eye(size)))
    assert max(misfits) < 2.6
    assert misfits[-1] < misfits[0] + 0.5


def test_a_metric_in_which_draws_do_not_move_is_left() -> None:
    draws, _ = tied(0.5, 50)
    lost = Dense(np.diag(np.r_[np.full(5, 1.0), 1e300]))
    found = _scale(lost, 1e-30 * draws)
    assert np.isfinite(found.root).all()


@pytest.mark.parametrize("longest", [1.0, 2.7, 60.0])
def test_trajectories_are_as_long_as_from_half_of_the_longest_to_all(longest: float) -> None:
    kernel, key = kernels.hmc(), jax.random.key(1)
    numbers, at = jnp.arange(2000), jnp.zeros((1, 2))
    steps, _ = chances(kernel.noise, key[None], at, key, numbers, jnp.asarray(longest))
    assert steps.min() == max(1, round(longest / 2))
    assert steps.max() == round(longest)
    assert steps.mean() == pytest.approx(max(0.75 * longest, 1.0), rel=0.06)


def test_a_standard_normal_is_forgotten_with_its_square() -> None:
    kernel, key = kernels.hmc(), jax.random.key(1)
    tuning, at = Tuning(Dense(np.eye(2)), 0.02), jnp.zeros((1, 2))
    longest = jnp.asarray(tuning.longest)
    steps, _ = chances(kernel.noise, key[None], at, key, jnp.arange(4000), longest)
    time = 0.02 * np.asarray(steps)
    # Exact trajectories leave a correlation of cos t, and of cos^2 t in squares.
    assert -0.5 < np.cos(time).mean() < 0.0
    assert (np.cos(time) ** 2).mean() < 0.3
    # What moves faster isn't always brought back either: this is the worst.
    faster = np.linspace(1.0, 6.0, 200)[:, None]
    assert 0.7 < (np.cos(faster * time) ** 2).mean(axis=1).max() < 0.74
