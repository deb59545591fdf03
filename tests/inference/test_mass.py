"""Chains that climbed to a mode without any of the posterior's mass don't begin there."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference.mass import UNLIKE, with_mass
from bayes_mkt.inference.mode import Gradient

SIZE = 8


def normals(means: list[float], sds: list[float], logs: list[float]) -> Gradient:
    """Log-density and gradient of a mixture of normals in `SIZE` dimensions, `logs` its weights."""

    def gradient(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away = (points[..., None] - np.array(means)) / np.array(sds)
        parts = -0.5 * (away**2).sum(axis=1) - SIZE * np.log(sds) + logs
        value = np.logaddexp.reduce(parts, axis=1)
        share = np.exp(parts - value[:, None])
        return value, -(share[:, None] * away / np.array(sds)).sum(axis=2)

    return gradient


def asked(gradient: Gradient, tops: np.ndarray) -> list[bool]:
    """Return which chains go elsewhere: all to one, which stays."""
    places = with_mass(gradient, tops, gradient(tops)[0], np.random.default_rng(1))
    gone = places != np.arange(len(tops))
    assert len(set(places[gone])) <= 1
    assert not gone[places[gone]].any()
    return gone.tolist()


def tops(*means: float) -> np.ndarray:
    return np.repeat(np.array(means)[:, None], SIZE, axis=1)


def test_heavy_tails_count_in_favour_of_a_mode() -> None:
    """Of equal mass, but by its curvature a mode of Student's t has too little by e^58."""
    size, far = 180, 1e4

    def gradient(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        one = -1.5 * np.log1p(points**2 / 2.0).sum(axis=1) - size * np.log(2.0 * np.sqrt(2.0))
        two = -0.5 * ((points - far) ** 2).sum(axis=1) - 0.5 * size * np.log(2.0 * np.pi)
        value = np.logaddexp(one, two)
        share = np.exp(one - value)[:, None]
        steep = -3.0 * points / (2.0 + points**2)
        return value, share * steep - (1.0 - share) * (points - far)

    places = np.repeat(np.repeat([[0.0], [far]], 4, axis=0), size, axis=1)
    values, _ = gradient(places)
    assert np.ptp(values) > UNLIKE
    found = with_mass(gradient, places, values, np.random.default_rng(3))
    assert found.tolist() == list(range(8))


def test_a_mode_without_mass_is_told_by_mass() -> None:
    # Both stand 30 below the first; but one of these is wide.
    wide = float(np.exp(30.0 / SIZE))
    gradient = normals([0.0, 1e4, -40.0], [1.0, wide, 1.0], [0.0, 0.0, -30.0])
    assert asked(gradient, tops(0.0, 1e4, -40.0, 0.0)) == [False, False, True, False]


def test_a_spike_without_mass_is_told_however_high() -> None:
    narrow = float(np.exp(-7.0))
    gradient = normals([0.0, 5.0], [1.0, narrow], [0.0, -25.0])
    height = gradient(tops(0.0, 5.0))[0]
    assert height[1] > height[0] + 30.0
    assert asked(gradient, tops(0.0, 5.0)) == [False, True]


def test_a_spike_too_narrow_to_be_seen_is_not_judged() -> None:
    gradient = normals([0.0, 5.0], [1.0, 1e-9], [0.0, -50.0])
    assert np.ptp(gradient(tops(0.0, 5.0))[0]) > 100.0
    assert asked(gradient, tops(0.0, 5.0)) == [False, False]


def test_modes_that_draws_could_show_are_kept() -> None:
    gradient = normals([0.0, 1e6], [1.0, 10.0], [0.0, -15.0])
    values, _ = gradient(tops(0.0, 1e6))
    assert np.ptp(values) > 25.0
    assert asked(gradient, tops(0.0, 1e6)) == [False, False]


def test_what_isnt_a_mode_is_not_judged() -> None:
    gradient = normals([0.0, 40.0], [1.0, 1.0], [0.0, 0.0])
    # Half way up, and where the density curves upwards between the two.
    assert asked(gradient, tops(0.0, 33.0, 20.0)) == [False, False, False]

    def flat(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A ridge, of no curvature along the last variable."""
        slope = -points.copy()
        slope[:, -1] = 0.0
        return -0.5 * (points[:, :-1] ** 2).sum(axis=1) - 50.0 * (points[:, -1] > 9), slope

    assert asked(flat, tops(0.0, 10.0)) == [False, False]


def test_densities_that_break_are_not_judged() -> None:
    def broken(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = normals([0.0, 40.0], [1.0, 1.0], [0.0, -50.0])(points)
        return value, np.where(points > 39.0, np.nan, slope)

    assert asked(broken, tops(0.0, 40.0)) == [False, False]


@pytest.mark.parametrize("seed", [1, 4, 5])
def test_all_chains_sample_the_mode_that_holds_the_posterior(seed: int) -> None:
    with pm.Model() as model:
        x = pm.Flat("x", shape=2, initval=np.array([2.0, 2.0]))
        high = pm.logp(pm.Normal.dist(0.0, 0.3), x).sum()
        low = pm.logp(pm.Normal.dist(4.0, 0.3), x).sum()
        pm.Potential("two", pm.math.logaddexp(high, low - 40.0))
    draws = bm.sample(model, seed=seed, progress=False)
    bm.diagnose(draws).require_ok()
    assert abs(draws.posterior["x"].to_numpy()).max() < 2.0
