"""Where the chains begin: the curvature in many dimensions, and what is held while they climb."""

from __future__ import annotations

import numpy as np
import pymc as pm

from bayes_mkt.inference.density import gradient_of
from bayes_mkt.inference.mode import Gradient, climb, curvature_diagonal
from bayes_mkt.inference.prepared import prepared
from bayes_mkt.inference.start import DEPTH, LOST, begin
from bayes_mkt.inference.warmup import MAX_DENSE

SIZE = MAX_DENSE + 50


def quadratic(precision: np.ndarray) -> Gradient:
    """Log-density and gradient of a normal with mean 1."""

    def gradient(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slope = -(points - 1.0) @ precision
        return 0.5 * ((points - 1.0) * slope).sum(axis=1), slope

    return gradient


def groups() -> pm.Model:
    """Many effects, hardly informed each, with a mode of their spread far from its posterior."""
    rng = np.random.default_rng(1)
    y = rng.normal(2.0 + 0.5 * rng.normal(size=SIZE)[:, None], 1.0, (SIZE, 4))
    with pm.Model() as model:
        spread = pm.HalfNormal("spread", 2.0)
        z = pm.Normal("z", 0.0, 1.0, shape=SIZE)
        level = pm.Normal("level", 0.0, 5.0)
        pm.StudentT("y", 10.0, mu=(level + spread * z)[:, None], sigma=1.0, observed=y)
    return model


def informed() -> pm.Model:
    """Effects of 30 groups on two parameters, each known to within a thousandth."""
    rng = np.random.default_rng(1)
    seen = np.exp(rng.normal([[1.0], [2.0]], [[0.5], [0.4]], (2, 30)))
    precise = 1e6
    with pm.Model() as model:
        spread = pm.HalfNormal("spread", 1.0, shape=2)
        level = pm.Normal("level", 0.0, 3.0, shape=2)
        for i in range(2):
            effect = pm.Normal(f"effect{i}", level[i], spread[i], shape=30)
            pm.Gamma(f"y{i}", alpha=precise, beta=precise / pm.math.exp(effect), observed=seen[i])
    return model


def test_the_probed_diagonal_is_exact_where_nothing_else_is() -> None:
    diagonal = np.geomspace(1e-2, 1e4, 30)
    found = curvature_diagonal(
        quadratic(np.diag(diagonal)), np.full(30, 0.3), 8, np.random.default_rng(1)
    )
    np.testing.assert_allclose(found, diagonal, rtol=1e-5)


def test_the_probed_diagonal_is_near_where_variables_meet() -> None:
    rng = np.random.default_rng(2)
    root = rng.normal(size=(40, 40)) / 20
    precision = np.eye(40) + root @ root.T
    found = curvature_diagonal(quadratic(precision), np.zeros(40), 3, rng)
    others = np.sqrt((precision**2).sum(axis=1) - np.diag(precision) ** 2)
    assert (abs(found - np.diag(precision)) < 5 * others / np.sqrt(32)).all()


def test_the_spread_of_effects_is_known_to_the_density() -> None:
    density = prepared(groups()).density
    first, last = density.layout.place("spread_log__")
    assert density.scales == tuple(range(first, last))


def test_wide_posteriors_begin_with_the_spread_where_it_was() -> None:
    density = prepared(groups()).density
    rng = np.random.default_rng(3)
    starts = density.start + rng.uniform(-0.5, 0.5, (4, density.start.size))
    state = begin(density, starts, rng)
    entry = density.scales[0]
    # A draw around the point that was held: the climb itself leaves it by far.
    tops, _ = climb(gradient_of(density), starts)
    moved = np.abs(state.positions[:, entry] - starts[:, entry])
    climbed = np.abs(tops[:, entry] - starts[:, entry])
    assert moved.max() < climbed.min()
    level = density.layout.place("level")[0]
    assert abs(state.positions[:, level] - 2.0).max() < 0.5
    assert state.gradients > 0
    assert state.tuning.metric.size == density.start.size


def test_no_chain_begins_where_the_spread_of_well_known_effects_is_nothing() -> None:
    density = prepared(informed()).density
    gradient = gradient_of(density)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        starts = density.start + rng.uniform(-2.0, 2.0, (8, density.start.size))
        _, climbed = climb(gradient, starts)
        values, _ = gradient(begin(density, starts, rng).positions)
        assert np.ptp(climbed) > 1e5  # without more ado some chains are thrown far away
        assert np.ptp(values) < 20 * density.start.size


def test_chains_lost_where_no_climb_leads_away_begin_again_nearer() -> None:
    rng = np.random.default_rng(1)
    design = rng.normal(size=(80, 20)) * 15.0
    y = rng.normal(size=80)
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 0.05, shape=20)
        pm.Normal("y", 0.0, pm.math.exp(pm.math.dot(design, b)), observed=y)
    density = prepared(model).density
    gradient = gradient_of(density)
    rng = np.random.default_rng(2)
    starts = density.start + rng.uniform(-1.0, 1.0, (8, 20))
    _, climbed = climb(gradient, starts)
    assert climbed.min() < climbed.max() - 1e10  # by itself a climb ends in the middle of nowhere
    values, _ = gradient(begin(density, starts, rng).positions)
    assert np.ptp(values) < LOST + 2 * DEPTH * 20
