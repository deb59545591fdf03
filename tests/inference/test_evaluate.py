"""Named quantities of a model, from points and from draws, under any data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.inference.evaluate import (
    BATCH,
    MEMORY,
    _batches,
    completed_points,
    log_densities,
    room,
    stored_values,
)
from bayes_mkt.inference.prepared import prepared
from bayes_mkt.inference.target import Target, target

X = np.linspace(-1.0, 2.0, 5)
CHAINS, DRAWS = 2, 25


def build(x: np.ndarray = X) -> pm.Model:
    """A level scaled by the data, effects of x, and the expected outcome of both."""
    with pm.Model() as model:
        data = pm.Data("x", x)
        weight = pm.Data("weight", np.ones(5))
        slope, share = pm.Normal("slope", shape=2), pm.Beta("share", 2.0, 2.0)
        scale = pm.Deterministic("scale", share * data.mean())
        mean = pm.Deterministic("mean", scale + slope[:, None] * data * weight)
        pm.Deterministic("total", mean.sum())
        pm.Normal("y", mean, 1.0, observed=np.zeros((2, 5)))
    return model


@pytest.fixture(scope="module")
def posterior() -> Target:
    return target(build())


@pytest.fixture(scope="module")
def draws() -> xr.Dataset:
    rng = np.random.default_rng(1)
    share = rng.uniform(size=(CHAINS, DRAWS))
    return xr.Dataset(
        {
            "slope": (("chain", "draw", "s"), rng.normal(size=(CHAINS, DRAWS, 2))),
            "share": (("chain", "draw"), share),
            "scale": (("chain", "draw"), share * X.mean()),
        }
    )


def expected(draws: xr.Dataset, x: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """The mean of each flattened draw, (draw, 2, 5)."""
    slope = draws["slope"].to_numpy().reshape(-1, 2)
    share = draws["share"].to_numpy().ravel()
    level = share * x.mean() if scale is None else scale
    return level[:, None, None] + slope[:, :, None] * x


def gathered(
    posterior: Target, draws: xr.Dataset, names: Sequence[str], **options: Any
) -> list[dict[str, np.ndarray]]:
    """What `evaluate` yields, its batches joined, for each data set."""
    batches = list(posterior.evaluate(draws, names, **options))
    assert [w.start for w, _ in batches[1:]] == [w.stop for w, _ in batches[:-1]]
    assert batches[0][0].start == 0
    assert batches[-1][0].stop == CHAINS * DRAWS
    sets = range(len(batches[0][1]))
    return [{n: np.concatenate([r[i][n] for _, r in batches]) for n in names} for i in sets]


def test_constrain_gives_variables_and_deterministics_on_their_own_scale(
    posterior: Target,
) -> None:
    values = posterior.constrain(["share", "mean", "slope"])
    flat = jnp.array([0.5, -1.0, 0.4])
    assert posterior.layout.names == ("slope", "share_logodds__")
    share, mean, slope = jax.jit(values)(flat, posterior.arguments)
    np.testing.assert_allclose(share, 1 / (1 + np.exp(-0.4)))
    np.testing.assert_allclose(slope, [0.5, -1.0])
    level = float(share) * X.mean()
    np.testing.assert_allclose(mean, level + np.outer([0.5, -1.0], X))


def test_constrain_follows_the_data_it_is_given(posterior: Target) -> None:
    values = posterior.constrain(["scale"])
    changed = posterior.with_data({"x": X + 1}).arguments
    (share,) = posterior.constrain(["share"])(jnp.zeros(3), changed)
    (scale,) = values(jnp.zeros(3), changed)
    np.testing.assert_allclose(scale, share * (X.mean() + 1))


def test_constrain_of_an_equal_model_is_the_same_function(posterior: Target) -> None:
    other = target(build(X * 2))
    assert other.constrain(["mean"]) is posterior.constrain(["mean"])
    assert other.constrain(["total"]) is not posterior.constrain(["mean"])


def test_draws_give_quantities_under_the_models_own_data(
    posterior: Target, draws: xr.Dataset
) -> None:
    (found,) = gathered(posterior, draws, ["mean", "total"])
    np.testing.assert_allclose(found["mean"], expected(draws, X))
    np.testing.assert_allclose(found["total"], expected(draws, X).sum((1, 2)))


def test_the_order_of_dimensions_of_the_draws_does_not_matter(
    posterior: Target, draws: xr.Dataset
) -> None:
    turned = draws.transpose("draw", "s", "chain")
    np.testing.assert_array_equal(
        gathered(posterior, turned, ["mean"])[0]["mean"],
        gathered(posterior, draws, ["mean"])[0]["mean"],
    )


def test_several_data_sets_share_the_draws(posterior: Target, draws: xr.Dataset) -> None:
    sets = [{}, {"x": X + 1.0}, {"weight": np.zeros(5)}]
    own, shifted, none = gathered(posterior, draws, ["mean"], data=sets)
    np.testing.assert_allclose(own["mean"], expected(draws, X))
    np.testing.assert_allclose(shifted["mean"], expected(draws, X + 1.0))
    level = draws["share"].to_numpy().ravel() * X.mean()
    np.testing.assert_allclose(none["mean"], np.broadcast_to(level[:, None, None], (50, 2, 5)))


def test_what_is_held_keeps_its_posterior_value(posterior: Target, draws: xr.Dataset) -> None:
    (held,) = gathered(posterior, draws, ["mean"], data=[{"x": X + 1.0}], hold=["scale"])
    scale = draws["scale"].to_numpy().ravel()
    np.testing.assert_allclose(held["mean"], expected(draws, X + 1.0, scale))


@pytest.mark.parametrize("memory", [1, 80 * 7, 80 * 50, 2**27])
def test_batches_of_any_memory_give_equal_values(
    posterior: Target, draws: xr.Dataset, memory: int
) -> None:
    sets = [{}, {"x": X * 3.0}]
    whole = gathered(posterior, draws, ["mean"], data=sets)
    parts = gathered(posterior, draws, ["mean"], data=sets, memory=memory)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one["mean"], other["mean"], rtol=1e-14)


def test_a_batch_holds_no_more_than_its_memory(posterior: Target, draws: xr.Dataset) -> None:
    # One draw of the mean under two data sets is 2 x 10 doubles, 160 bytes.
    sizes = [
        where.stop - where.start
        for where, _ in posterior.evaluate(draws, ["mean"], data=[{}, {}], memory=160 * 7)
    ]
    assert sizes == [7] * 7 + [1]


def test_other_data_and_other_models_of_equal_form_compile_nothing(
    posterior: Target, draws: xr.Dataset, compilations: Any
) -> None:
    gathered(posterior, draws, ["mean"], memory=80 * 7)
    other = target(build(X * 2))
    with compilations.none():
        (found,) = gathered(other, draws, ["mean"], data=[{"x": X + 5.0}], memory=80 * 7)
    np.testing.assert_allclose(found["mean"], expected(draws, X + 5.0))


def test_a_missing_variable_is_named(posterior: Target, draws: xr.Dataset) -> None:
    with pytest.raises(bm.SpecError, match=r"no draws of 'share'; it has \['slope', 'scale'\]"):
        list(posterior.evaluate(draws.drop_vars("share"), ["mean"]))
    with pytest.raises(bm.SpecError, match=r"no draws of 'scale'"):
        list(posterior.evaluate(draws.drop_vars("scale"), ["mean"], hold=["scale"]))


def test_data_the_model_lacks_are_named(posterior: Target, draws: xr.Dataset) -> None:
    with pytest.raises(bm.SpecError, match="no data named"):
        list(posterior.evaluate(draws, ["mean"], data=[{"price": X}]))


def test_a_quantity_that_is_random_is_refused(draws: xr.Dataset) -> None:
    with pm.Model() as model:
        pm.Deterministic("noisy", pm.Normal("a") + pm.Normal.dist(0.0, 1.0))
        pm.Normal("y", 0.0, 1.0, observed=0.0)
    with pytest.raises(bm.SpecError, match="random numbers"):
        target(model).constrain(["noisy"])


def test_the_larger_the_data_the_fewer_points_at_once() -> None:
    def data(numbers: int) -> tuple[np.ndarray, ...]:
        return (np.broadcast_to(np.float64(0.0), numbers),)

    assert room(data(MEMORY // 80), ()) == 10
    assert room(data(MEMORY // 160), data(MEMORY // 160)) == 10
    assert room(data(MEMORY), ()) == 4


@pytest.mark.parametrize("size", [10, MEMORY // 800, MEMORY // 48, MEMORY // 40, MEMORY])
def test_batches_at_once_are_no_more_points_than_there_is_memory_for(size: int) -> None:
    data = np.broadcast_to(np.float64(0.0), size)
    points, at_once = _batches(data)
    assert 1 <= points <= BATCH
    assert points * at_once <= room(data)
    assert points * at_once > min(room(data), 2 * BATCH) / 2


def with_a_block() -> pm.Model:
    """A regression, of which the coefficients are integrated out."""
    with pm.Model() as model:
        level, slope = pm.Normal("level"), pm.Normal("slope", shape=2)
        noise = pm.HalfNormal("noise")
        mean = level + slope[:, None] * X
        pm.Deterministic("gain", slope.sum())
        pm.Normal("y", mean, noise, observed=np.stack([X, 1.0 - X]))
    return model


@pytest.mark.parametrize("collapsing", ["auto", None])
def test_points_are_completed_with_their_log_density(collapsing: str | None) -> None:
    """Of a whole batch and a part of one, in one program."""
    made = prepared(with_a_block(), collapsing)
    posterior, density = made.target, made.marginal
    rng = np.random.default_rng(3)
    points = rng.normal(size=(BATCH + 10, density.layout.size))
    found, vectors = completed_points(posterior, density, 5, points)
    np.testing.assert_allclose(found, log_densities(density, points), rtol=1e-12)
    assert vectors.shape == (BATCH + 10, posterior.layout.size)
    for name in density.layout.names:
        inside, outside = density.layout.place(name), posterior.layout.place(name)
        np.testing.assert_array_equal(vectors[:, slice(*outside)], points[:, slice(*inside)])
    again = completed_points(posterior, density, 5, points)[1]
    np.testing.assert_array_equal(vectors, again)
    values = stored_values(posterior, ["gain", "noise"], vectors, (2, (BATCH + 10) // 2))
    slope = vectors[:, slice(*posterior.layout.place("slope"))]
    np.testing.assert_allclose(values["gain"].ravel(), slope.sum(axis=1))
    noise = vectors[:, slice(*posterior.layout.place("noise_log__"))]
    np.testing.assert_allclose(values["noise"].ravel(), np.exp(noise[:, 0]))


def test_what_is_drawn_back_is_drawn_anew_for_each_point() -> None:
    """Copies of a point have draws of their own, with the exact conditional mean and SD."""
    made = prepared(with_a_block())
    points = np.zeros((4000, 1))
    _, vectors = completed_points(made.target, made.marginal, 2, points)
    level = vectors[:, made.target.layout.place("level")[0]]
    design = np.zeros((10, 3))
    design[:, 0], design[:5, 1], design[5:, 2] = 1.0, X, X
    precision = np.eye(3) + design.T @ design  # SDs of prior and noise are one
    mean = np.linalg.solve(precision, design.T @ np.concatenate([X, 1.0 - X]))
    sd = np.sqrt(np.linalg.inv(precision)[0, 0])
    assert len(np.unique(level)) == len(level)
    assert abs(level.mean() - mean[0]) < 4 * sd / np.sqrt(len(level))
    assert abs(level.std() / sd - 1) < 4 / np.sqrt(2 * len(level))
