"""How many draws are made between two looks follows from what a log-density takes."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_mkt.inference.chunks import (
    CHUNK,
    FEW,
    LITTLE,
    LONG_CHUNK,
    LONGEST_CHUNK,
    TURN,
    _work,
    chunk_length,
)
from bayes_mkt.inference.density import Density, Layout


def density(function: object, size: int, arguments: object = ()) -> Density:
    layout = Layout(("x",), ((size,),))
    return Density(layout, function, arguments, np.zeros(size), None)


def simple(x: jax.Array, arguments: object) -> jax.Array:
    return -0.5 * jnp.vdot(x, x)


def turning(turns: int) -> Callable[[jax.Array, object], jax.Array]:
    def function(x: jax.Array, arguments: object) -> jax.Array:
        # Turn by turn: a square, a difference, and the next turn's number.
        return jax.lax.fori_loop(0, turns, lambda _, total: total - x[0] ** 2, 0.0)

    return function


def iterated(x: jax.Array, arguments: object) -> jax.Array:
    end = jnp.where(x[0] > 0, 3, 5)
    return jax.lax.fori_loop(0, end, lambda _, total: total - x.sum() ** 2, 0.0)


def inside(x: jax.Array, arguments: object) -> jax.Array:
    return jax.jit(iterated)(x, arguments)


def with_data(x: jax.Array, rows: jax.Array) -> jax.Array:
    return -jnp.sum((rows - x.sum()) ** 2)


@pytest.mark.parametrize(
    ("function", "size", "arguments", "length"),
    [
        (simple, FEW, (), LONGEST_CHUNK),
        (simple, FEW + 1, (), CHUNK),
        (with_data, 3, np.zeros(LITTLE // 4), LONGEST_CHUNK),
        (with_data, 3, np.zeros(LITTLE), LONG_CHUNK),
        (with_data, 3, jnp.zeros((LITTLE, 2)), LONG_CHUNK),
        (turning(10), 2, (), LONGEST_CHUNK),
        (turning(LITTLE), 2, (), LONG_CHUNK),
        (iterated, 2, (), LONG_CHUNK),
        (inside, 2, (), LONG_CHUNK),
    ],
)
def test_what_takes_little_has_long_chunks(
    function: object, size: int, arguments: object, length: int
) -> None:
    assert chunk_length(density(function, size, arguments)) == length


def test_numbers_are_those_that_equations_yield() -> None:
    # One product, and its half with the sign.
    assert _work(density(simple, 7)) == 1 + 1
    # Differences, squares, two sums, and the sign.
    assert _work(density(with_data, 3, np.zeros(10))) == 10 + 10 + 3
    assert _work(density(iterated, 2)) == np.inf


def test_each_equation_counts_for_something_each_time_around_a_loop() -> None:
    ten, twenty, thirty = (_work(density(turning(turns), 2)) for turns in (10, 20, 30))
    assert thirty - twenty == twenty - ten
    each = (twenty - ten) / 10
    assert each >= 2 * TURN
    assert each % TURN == 0
