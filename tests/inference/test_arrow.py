"""Blocks and hubs are found in the pattern of what meets what."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from bayes_mkt.inference import arrow
from bayes_mkt.inference.arrow import _ELIMINATED, _invert
from bayes_mkt.inference.runtime import prepare


@pytest.fixture(scope="module", autouse=True)
def sixty_four_bit() -> None:
    prepare()


def pattern(size: int, *cliques: list[int]) -> np.ndarray:
    """Which entries meet: those that stand in one clique together."""
    coupled = np.eye(size, dtype=bool)
    for clique in cliques:
        coupled[np.ix_(clique, clique)] = True
    return coupled


def test_blocks_that_meet_in_a_hub_are_found() -> None:
    # Entry 6 meets everything; 0-1, 2-3 and 4-5 meet each other.
    found = arrow.split(pattern(7, [0, 1, 6], [2, 3, 6], [4, 5, 6]))
    assert found.hubs == (6,)
    assert {frozenset(block) for block in found.blocks} == {
        frozenset(pair) for pair in ((0, 1), (2, 3), (4, 5))
    }


def test_entries_that_never_meet_need_no_hub() -> None:
    found = arrow.split(pattern(4))
    assert found.hubs == ()
    assert sorted(found.blocks) == [(0,), (1,), (2,), (3,)]


def test_blocks_of_unequal_size_are_filled_up() -> None:
    # 6 and 7 meet all; one block of three entries, one of two, one alone.
    found = arrow.split(pattern(8, [0, 1, 2, 6, 7], [3, 4, 6, 7], [5, 6, 7]))
    assert found.hubs == (6, 7)
    assert sorted(found.blocks) == [(0, 1, 2), (3, 4, 8), (5, 8, 8)]
    assert found.places.shape == (3, 3)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_where_all_meet_every_entry_has_its_place(size: int) -> None:
    found = arrow.split(np.ones((size, size), dtype=bool))
    inside = [entry for block in found.blocks for entry in block if entry < size]
    assert sorted([*found.hubs, *inside]) == list(range(size))
    assert found.places.shape[0] == len(found.blocks)


def test_two_hundred_groups_stay_small() -> None:
    hubs = [400, 401, 402]
    found = arrow.split(pattern(403, *([2 * g, 2 * g + 1, *hubs] for g in range(200))))
    assert found.hubs == tuple(hubs)
    assert found.places.shape == (200, 2)


def test_parts_of_a_vector_join_again() -> None:
    shape = arrow.split(pattern(8, [0, 1, 2, 6, 7], [3, 4, 6, 7], [5, 6, 7]))
    values = jnp.arange(1.0, 9.0)
    local, hub = shape.local(values), shape.hub(values)
    np.testing.assert_array_equal(shape.join(local, hub), values)
    np.testing.assert_array_equal(hub, [7.0, 8.0])
    # What is only filled up is zero.
    assert float(jnp.sum(local) + jnp.sum(hub)) == 36.0


@pytest.mark.parametrize("size", [0, 1, 2, 5, _ELIMINATED, _ELIMINATED + 1])
@pytest.mark.parametrize("columns", [0, 3])
def test_inverses_are_those_of_numpy(size: int, columns: int) -> None:
    """Whether eliminated here or by LAPACK, of many matrices at once."""
    rng = np.random.default_rng(size)
    half = rng.normal(size=(4, 7, size, size + 2))
    matrices = half @ half.swapaxes(-1, -2)
    right = rng.normal(size=(4, 7, size, columns))
    inverse, solved, log_det = _invert(jnp.asarray(matrices), jnp.asarray(right))
    np.testing.assert_allclose(inverse, np.linalg.inv(matrices), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(solved, np.linalg.solve(matrices, right), rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(log_det, np.linalg.slogdet(matrices)[1], rtol=1e-10, atol=1e-10)


def test_a_matrix_that_is_not_positive_definite_gives_nan_and_leaves_others_alone() -> None:
    matrices = np.stack([np.diag([1.0, -2.0, 3.0]), np.diag([1.0, 2.0, 4.0])])
    inverse, _, log_det = _invert(jnp.asarray(matrices), jnp.ones((2, 3, 1)))
    assert np.isnan(log_det[0])
    np.testing.assert_allclose(inverse[1], np.diag([1.0, 0.5, 0.25]))
    np.testing.assert_allclose(log_det[1], np.log(8.0))
