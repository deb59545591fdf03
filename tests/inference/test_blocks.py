"""Blocks that meet in hubs: how they are found, and the scale that their curvature makes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference import pattern, start
from bayes_mkt.inference.arrow import Arrow, packed
from bayes_mkt.inference.blocks import (
    Curvature,
    arrow_of,
    block_curvature,
    metric_in_blocks,
    refreshed,
    spanned,
)
from bayes_mkt.inference.metric import AlongAxes, InBlocks, stretched
from bayes_mkt.inference.mode import Gradient
from bayes_mkt.inference.pattern import arrow_in
from bayes_mkt.inference.prepared import prepared
from bayes_mkt.inference.sampling import initial_positions
from bayes_mkt.inference.start import begin

CHAINS = 4
HUBS = ("level", "slope", "level_sd_log__", "slope_sd_log__")


def hierarchy(groups: int, width: int, hubs: int, seed: int = 1) -> np.ndarray:
    """Return the precision of groups of correlated effects, each about sums of the hubs."""
    rng = np.random.default_rng(seed)
    size = groups * width + hubs
    found = np.zeros((size, size))
    for g in range(groups):
        own = np.r_[g * width : (g + 1) * width, groups * width : size]
        rows = rng.normal(size=(2 * len(own), len(own)))
        found[np.ix_(own, own)] += rows.T @ rows
    order = rng.permutation(size)
    scales = np.exp(rng.uniform(-3, 3, size))
    return found[np.ix_(order, order)] / np.outer(scales, scales)


def normal(precision: np.ndarray) -> Gradient:
    def gradient(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return -0.5 * ((x @ precision) * x).sum(axis=1), -x @ precision

    return gradient


def arrow_from(precision: np.ndarray, seed: int = 1) -> tuple[Arrow | None, int]:
    """Return what is found in a normal density, and how many gradients it took."""
    asked = 0

    def counted(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        nonlocal asked
        asked += len(x)
        return normal(precision)(x)

    start, rng = np.zeros(len(precision)), np.random.default_rng(seed)
    return arrow_in(counted, start, np.diag(precision) ** -0.5, CHAINS, rng), asked


@pytest.mark.parametrize(("groups", "width"), [(60, 5), (300, 9)])
def test_blocks_are_found(groups: int, width: int) -> None:
    precision = hierarchy(groups, width, 6)
    found, asked = arrow_from(precision)
    assert found is not None
    assert len(found.hubs) == 6
    assert found.places.shape == (groups, width)
    # Blocks and hubs are all that isn't zero.
    left = precision.copy()
    left[list(found.hubs)] = left[:, list(found.hubs)] = 0.0
    for block in found.places:
        left[np.ix_(block, block)] = 0.0
    assert not left.any()
    assert asked <= len(precision) + 2 * CHAINS


def test_with_many_variables_few_gradients_tell() -> None:
    _, asked = arrow_from(hierarchy(300, 9, 6))
    assert asked < 0.4 * 2706


def test_a_density_without_blocks_has_none() -> None:
    rng = np.random.default_rng(1)
    for size in (pattern.FEW - 50, pattern.FEW + 50):
        rows = rng.normal(size=(2 * size, size))
        found, asked = arrow_from(rows.T @ rows)
        assert found is None
        assert asked <= size + 2 * CHAINS


@pytest.mark.parametrize("size", [250, 1000])
def test_variables_that_meet_nothing_are_blocks_without_hubs(size: int) -> None:
    precision = np.diag(np.exp(np.random.default_rng(1).normal(size=size)))
    arrow, _ = arrow_from(precision)
    assert arrow is not None
    assert not arrow.hubs
    curve = block_curvature(normal(precision), np.zeros((CHAINS, size)), arrow)
    assert curve is not None
    made = metric_in_blocks(curve, arrow)
    u = np.random.default_rng(2).normal(size=(3, size))
    x = np.asarray(made.stretched(u))
    np.testing.assert_allclose(x * np.sqrt(np.diag(precision)), u, rtol=1e-5)
    np.testing.assert_allclose(made.whitened(x), u, rtol=1e-9)
    np.testing.assert_allclose(made.pulled(u), x, rtol=1e-9)
    again, _ = refreshed(made, x[None].repeat(CHAINS, 0), normal(precision))
    assert np.isfinite(np.asarray(again.stretched(u))).all()


@pytest.mark.parametrize("most", [{"MOST_SIZE": 1000}, {"MOST_PAIRS": 1000}, {"MOST_HUBS": 3}])
def test_what_would_take_too_long_has_no_blocks(
    monkeypatch: pytest.MonkeyPatch, most: dict[str, int]
) -> None:
    for name, value in most.items():
        monkeypatch.setattr(pattern, name, value)
    found, _ = arrow_from(hierarchy(300, 9, 6))
    assert found is None


def test_few_that_meet_are_no_hubs() -> None:
    """Pairs, whose estimated degrees are rough, are blocks all of them."""
    precision = hierarchy(700, 2, 0)
    found, _ = arrow_from(precision)
    assert found is not None
    assert not found.hubs
    assert found.places.shape == (700, 2)


def test_small_blocks_are_put_together() -> None:
    found = packed(Arrow((6,), ((0, 1, 2), (3, 7, 7), (4, 7, 7), (5, 7, 7)), 7))
    assert found.hubs == (6,)
    assert found.places.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.fixture
def metric() -> InBlocks:
    """Of blocks that aren't all filled."""
    precision = hierarchy(40, 6, 5)[:-3, :-3]
    arrow, _ = arrow_from(precision)
    assert arrow is not None
    assert len(precision) in arrow.places
    rng = np.random.default_rng(2)
    curve = block_curvature(normal(precision), rng.normal(size=(CHAINS, len(precision))), arrow)
    assert curve is not None
    return metric_in_blocks(curve, arrow)


def test_the_scale_makes_the_precision_one(metric: InBlocks) -> None:
    precision = hierarchy(40, 6, 5)[:-3, :-3]
    root = np.asarray(metric.stretched(np.eye(metric.size)))
    np.testing.assert_allclose(root @ precision @ root.T, np.eye(metric.size), atol=1e-5)


def test_whitening_and_gradients_belong_to_the_scale(metric: InBlocks) -> None:
    rng = np.random.default_rng(3)
    u, slope = rng.normal(size=(2, 3, metric.size))
    x = np.asarray(metric.stretched(u))
    np.testing.assert_allclose(metric.whitened(x), u, atol=1e-9)
    pulled = np.asarray(metric.pulled(slope))
    np.testing.assert_allclose((pulled * u).sum(axis=1), (slope * x).sum(axis=1))
    one = jax.grad(lambda v: jnp.vdot(jnp.asarray(slope[0]), stretched(metric, v)))(u[0])
    np.testing.assert_allclose(one, pulled[0], rtol=1e-10)


def test_blocks_can_be_read_from_the_scale(metric: InBlocks) -> None:
    arrow = arrow_of(metric)
    entries = sorted([*arrow.hubs, *(i for block in arrow.blocks for i in block if i < arrow.size)])
    assert entries == list(range(metric.size))
    inside = arrow.places < arrow.size
    np.testing.assert_array_equal(metric.places[inside], arrow.places[inside])


def test_directions_that_curve_the_wrong_way_are_taken_by_size() -> None:
    precision = hierarchy(40, 6, 5)
    arrow, _ = arrow_from(precision)
    assert arrow is not None
    points = np.zeros((CHAINS, len(precision)))
    up, down = (block_curvature(normal(sign * precision), points, arrow) for sign in (1.0, -1.0))
    assert up is not None
    assert down is not None
    one, other = metric_in_blocks(up, arrow), metric_in_blocks(down, arrow)
    np.testing.assert_allclose(one.within, other.within, rtol=1e-6, atol=1e-9)
    assert np.isfinite(np.asarray(other.stretched(np.ones(len(precision))))).all()


def test_what_draws_span_counts_as_much_as_curvature(metric: InBlocks) -> None:
    """Draws four times as wide as curvature says make a scale twice as wide."""
    rng = np.random.default_rng(4)
    u = rng.normal(size=(4000, metric.size))
    found = spanned(metric, 4.0 * np.asarray(metric.stretched(u)))
    ratio = np.asarray(found.whitened(np.asarray(metric.stretched(u)))).std(axis=0)
    np.testing.assert_allclose(ratio, 0.5, rtol=0.1)
    # Where both differ much, a factor of two is left between the scale and the draws; of the hubs,
    # all of whose correlations are learnt, the draws are shrunk towards the curvature.
    local = metric.order < metric.places.size
    for wild in (1e-3, 1e3):
        far = spanned(metric, wild * np.asarray(metric.stretched(u)))
        ratio = wild * np.asarray(far.whitened(np.asarray(metric.stretched(u)))).std(axis=0)
        np.testing.assert_allclose(ratio[local], 0.5 if wild < 1 else 2.0, rtol=0.15)


def test_directions_without_curvature_are_learnt_from_draws() -> None:
    """Such as those of a Laplace density, which curves nowhere but at its top."""
    precision = np.diag(np.r_[np.zeros(100), np.ones(150)])
    arrow = Arrow((), tuple((i,) for i in range(250)), 250)
    curve = block_curvature(normal(precision), np.zeros((CHAINS, 250)), arrow)
    assert curve is not None
    made = metric_in_blocks(curve, arrow)
    np.testing.assert_allclose(np.asarray(made.stretched(np.ones(250))), 1.0, rtol=1e-5)
    # A hub that they would meet were it not for that is left as it is.
    hub = Curvature(curve.local, np.ones((250, 1, 1)), np.array([[400.0]]))
    place = Arrow((250,), arrow.blocks, 251)
    root = np.asarray(metric_in_blocks(hub, place).stretched(np.eye(251)))
    assert root[250, :100] == pytest.approx(0.0)
    assert root[250, 250] == pytest.approx((400.0 - 150.0) ** -0.5, rel=1e-3)
    draws = 1.4 * np.random.default_rng(1).normal(size=(CHAINS, 500, 250))
    found, _ = refreshed(made, draws, normal(precision))
    np.testing.assert_allclose(np.asarray(found.stretched(np.ones(250))), 1.4**0.5, rtol=0.1)


def test_a_scale_is_refreshed_where_the_chains_are(metric: InBlocks) -> None:
    precision = 9.0 * hierarchy(40, 6, 5)[:-3, :-3]
    rng = np.random.default_rng(5)
    draws = np.asarray(metric.stretched(rng.normal(size=(CHAINS, 500, metric.size)))) / 3.0
    found, asked = refreshed(metric, draws, normal(precision))
    assert asked == 2 * CHAINS * (metric.places.shape[1] + len(metric.hubs))
    root = np.asarray(found.stretched(np.eye(metric.size)))
    values = np.linalg.eigvalsh(root @ precision @ root.T)
    assert values[0] > 0.8
    assert values[-1] < 1.25
    broken, _ = refreshed(metric, draws, lambda x: (x[:, 0], np.full_like(x, np.nan)))
    assert broken is metric


def many_groups(groups: int, seen: int = 8) -> pm.Model:
    """Return a regression with an intercept and a slope of each group."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=(groups, seen))
    own = 0.5 * rng.normal(size=(2, groups, 1))
    y = rng.random((groups, seen)) < 1 / (1 + np.exp(-(0.5 + own[0] - x * (1 + own[1]))))
    with pm.Model() as model:
        level, slope = pm.Normal("level"), pm.Normal("slope")
        level_sd, slope_sd = pm.HalfNormal("level_sd"), pm.HalfNormal("slope_sd")
        moved = pm.Normal("own_level", level, level_sd, shape=groups)
        tilt = pm.Normal("own_slope", slope, slope_sd, shape=groups)
        pm.Bernoulli("y", logit_p=moved[:, None] + tilt[:, None] * x, observed=y)
    return model


def test_a_run_with_many_groups_begins_in_blocks() -> None:
    density = prepared(many_groups(450), None).density
    rng = np.random.default_rng(7)
    starts = initial_positions(density, chains=CHAINS, rng=rng)
    state = begin(density, starts, rng)
    found = state.tuning.metric
    assert isinstance(found, InBlocks)
    assert found.hubs.tolist() == sorted(density.layout.place(name)[0] for name in HUBS)
    assert found.places.shape == (450, 2)
    assert state.gradients < 4000


def test_draws_in_blocks_agree_with_draws_along_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    model = many_groups(101, 40)
    density = prepared(model, None).density
    points = density.start + np.random.default_rng(1).normal(0.0, 0.1, (8, density.start.size))
    found = []
    for kind in (InBlocks, AlongAxes):
        state = begin(density, points, np.random.default_rng(2))
        assert isinstance(state.tuning.metric, kind)
        found.append(bm.sample(model, seed=1, progress=False)["posterior"])
        monkeypatch.setattr(start, "blocks_near", lambda *_: (None, 0))
    one, other = found
    for name in ("level", "slope", "level_sd", "slope_sd"):
        gap = float(one[name].mean() - other[name].mean())
        assert abs(gap) < 0.15 * float(other[name].std())
        assert float(one[name].std()) == pytest.approx(float(other[name].std()), rel=0.2)
    apart = one["own_slope"].mean(("chain", "draw")) - other["own_slope"].mean(("chain", "draw"))
    assert float(abs(apart / other["own_slope"].std(("chain", "draw"))).max()) < 0.25
