"""A model at many points, once: compiled in the background, and bounded in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_mkt import seeds
from bayes_mkt.inference.density import Density
from bayes_mkt.inference.programs import Compiled, compiling

if TYPE_CHECKING:
    from bayes_mkt.inference.target import Target

# Points of a batch, and batches at once.
BATCH, AT_ONCE = 50, 2
# The stream of random numbers of which what was integrated out is drawn back.
BLOCK = "collapsed block"
# Bytes of data that points which are evaluated at once may come to together: each has intermediate
# results about as large as the data.
MEMORY = 2**28


def log_densities(density: Density, points: np.ndarray) -> np.ndarray:
    """Return the log-density (draw,) at points (draw, size)."""
    compiled = prepare_log_densities(density).result()

    def one(number: int, rows: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(compiled(points[rows], density.arguments))]

    return _joined(one, len(points), density.arguments)[0]


def prepare_log_densities(density: Density) -> Future[Compiled]:
    """Begin to compile what `log_densities` needs, while something else is done."""
    batch = jax.ShapeDtypeStruct((_batches(density.arguments)[0], density.layout.size), jnp.float64)
    return compiling(_over(density.log_density, (0, None)), batch, density.arguments)


def completed_points(
    posterior: Target, density: Density, seed: int, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the log-density at points, and the model's vectors with an exact draw of the block.

    One program does both, for both need the block's quadratic form, and to compile that takes
    longer than to evaluate it at a few thousand points.

    Parameters
    ----------
    posterior
        The model's target.
    density
        What `points` are points of.
    seed
        Of what is drawn back.
    points
        (draw, size).

    Returns
    -------
    log_density, vectors
        (draw,), and (draw, size of the model's vector).
    """
    compiled = prepare_completed_points(posterior, density).result()
    size = _batches(density.arguments)[0], missing(posterior, density)

    def one(number: int, rows: np.ndarray) -> list[np.ndarray]:
        noise = seeds.generator(seed, BLOCK, number).normal(size=size)
        return [np.asarray(part) for part in compiled(noise, points[rows], density.arguments)]

    values, vectors = _joined(one, len(points), density.arguments)
    return values, vectors


def prepare_completed_points(posterior: Target, density: Density) -> Future[Compiled]:
    """Begin to compile what `completed_points` needs, while something else is done."""
    size = _batches(density.arguments)[0]
    noise = jax.ShapeDtypeStruct((size, missing(posterior, density)), jnp.float64)
    batch = jax.ShapeDtypeStruct((size, density.layout.size), jnp.float64)
    function = _valued(density.log_density, density.complete)
    return compiling(_over(function, (0, 0, None)), noise, batch, density.arguments)


def stored_values(
    posterior: Target, names: Sequence[str], vectors: np.ndarray, shape: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Return variables of the model, each (chain, draw, ...).

    Parameters
    ----------
    posterior
        The model's target.
    names
        Free variables and deterministics.
    vectors
        Points of the model's vector (chain * draw, size).
    shape
        Chains and draws.
    """
    compiled, data = prepare_stored_values(posterior, names).result(), posterior.arguments

    def one(number: int, rows: np.ndarray) -> list[np.ndarray]:
        return [np.asarray(part) for part in compiled(vectors[rows], data)]

    columns = _joined(one, len(vectors), data)
    return {
        name: column.reshape(*shape, *column.shape[1:])
        for name, column in zip(names, columns, strict=True)
    }


def prepare_stored_values(posterior: Target, names: Sequence[str]) -> Future[Compiled]:
    """Begin to compile what `stored_values` needs, while something else is done."""
    data = posterior.arguments
    batch = jax.ShapeDtypeStruct((_batches(data)[0], posterior.layout.size), jnp.float64)
    return compiling(_over(posterior.constrain(names), (0, None)), batch, data)


def _joined(
    one: Callable[[int, np.ndarray], list[np.ndarray]], count: int, arguments: Any
) -> list[np.ndarray]:
    """Return the arrays (count, ...) of which ``(number of a batch, its rows)`` gives parts.

    All batches have the same shape: a short last one is filled up with the first rows.
    """
    size, at_once = _batches(arguments)
    numbers = range(-(-count // size))
    rows = [np.arange(number * size, (number + 1) * size) % count for number in numbers]
    with ThreadPoolExecutor(at_once) as pool:
        parts = list(pool.map(one, numbers, rows))
    return [np.concatenate(column)[:count] for column in zip(*parts, strict=True)]


def missing(posterior: Target, density: Density) -> int:
    """Return how many entries of the model's vector were integrated out."""
    return posterior.layout.size - density.layout.size


def room(*arguments: Any) -> int:
    """Return how many points there is memory for at once, with data of this size: 4 or more."""
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arguments))
    return int(max(4, MEMORY // max(held, 1)))


def _batches(arguments: Any) -> tuple[int, int]:
    """Return the points of a batch, and how many batches there is memory for at once."""
    points = room(arguments)
    at_once = AT_ONCE if points >= 2 * AT_ONCE else 1
    return min(points // at_once, BATCH), at_once


@lru_cache(maxsize=64)
def _valued(
    log_density: Callable[..., jax.Array], complete: Callable[..., jax.Array] | None
) -> Callable[..., tuple[jax.Array, jax.Array]]:
    """Return ``(noise, x, arguments) -> log-density, model's vector`` of a sampled vector x."""

    def one(noise: jax.Array, x: jax.Array, arguments: Any) -> tuple[jax.Array, jax.Array]:
        vector = x if complete is None else complete(noise, x, arguments)
        return log_density(x, arguments), vector

    return one


@lru_cache(maxsize=64)
def _over(function: Callable[..., Any], axes: tuple[int | None, ...]) -> Callable[..., Any]:
    return jax.jit(jax.vmap(function, axes))
