"""Graphs rewritten together give what each gives alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

from bayes_mkt.errors import SpecError
from bayes_mkt.inference.jaxify import function_of, functions_of, open_data

X, Y = np.array([0.3, -1.2, 2.0]), np.array(1.7)


def graphs() -> tuple[Any, Any, list[Any]]:
    """Return two inputs, and graphs that have much in common."""
    x, y = pt.vector("x"), pt.scalar("y")
    common = pt.exp(x) * 2 - pt.softplus(x)
    return x, y, [common.sum(), common + y, y * 2, x, pt.as_tensor(np.array(3.0))]


def test_functions_together_are_those_of_each_apart() -> None:
    x, y, made = graphs()
    takes: list[tuple[list[Any], list[np.ndarray]]] = [
        ([x], [X]),
        ([y, x], [Y, X]),  # in another order
        ([y], [Y]),
        ([x, y], [X, Y]),  # one of them without use
        ([], []),
    ]
    parts = [(inputs, [graph]) for (inputs, _), graph in zip(takes, made, strict=True)]
    common = 2 * np.exp(X) - np.logaddexp(0, X)
    expected = [common.sum(), common + Y, 2 * Y, X, 3.0]
    for (inputs, given), graph, together, value in zip(
        takes, made, functions_of(parts), expected, strict=True
    ):
        np.testing.assert_allclose(together(*given)[0], value, rtol=1e-13)
        np.testing.assert_array_equal(together(*given)[0], function_of(inputs, [graph])(*given)[0])


def test_a_part_may_have_several_outputs() -> None:
    x, y, made = graphs()
    first, second = functions_of([([x], [made[0], x]), ([x, y], [made[1]])])
    assert [np.shape(value) for value in first(X)] == [(), (3,)]
    np.testing.assert_allclose(second(X, Y)[0], 2 * np.exp(X) - np.logaddexp(0, X) + 1.7)


def test_equal_graphs_give_the_same_functions_and_other_inputs_others() -> None:
    (x, y, made), (u, v, again) = graphs(), graphs()
    parts = functions_of([([x], [made[0]]), ([x, y], [made[1]])])
    assert functions_of([([u], [again[0]]), ([u, v], [again[1]])]) is parts
    assert functions_of([([u], [again[0]]), ([v, u], [again[1]])]) is not parts
    assert function_of([x], [made[0]]) is function_of([u], [again[0]])


def test_constants_are_placed_by_no_program(compilations: Any) -> None:
    """PyTensor makes an array of each, which JAX compiles a program for, shape by shape."""
    x = pt.matrix("x")
    table = np.arange(77.0).reshape(7, 11)
    with compilations.none():
        function = function_of([x], [x * table + np.arange(11)])
    given = np.ones((7, 11))
    np.testing.assert_array_equal(function(given)[0], given * table + np.arange(11))


def test_constants_stay_what_they_were_whatever_becomes_of_the_array() -> None:
    room = np.zeros(9 * 8 + 64, dtype=np.uint8)
    first = -room.ctypes.data % 64  # JAX takes what is aligned so as it lies
    table = room[first : first + 72].view(np.float64)
    table[:] = np.arange(9.0)
    x = pt.vector("x")
    function = function_of([x], [x * table])
    table += 1.0
    np.testing.assert_array_equal(function(np.ones(9))[0], np.arange(9.0))


def test_random_numbers_are_refused() -> None:
    with pm.Model() as model:
        drawn = pm.Normal("a") + pm.Normal.dist()
    with pytest.raises(SpecError, match="draws random numbers"):
        open_data(model, [drawn])
