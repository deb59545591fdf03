"""A model at many points, once: compiled in the background, and bounded in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
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

BATCH = 50
# The stream of random numbers of which what was integrated out is drawn back.
BLOCK = "collapsed block"
# Bytes of data that the points of a batch may come to together: each point has intermediate
# results about as large as the data.
MEMORY = 2**28


def log_densities(density: Density, points: np.ndarray) -> np.ndarray:
    """Return the log-density (draw,) at points (draw, size)."""
    compiled = prepare_log_densities(density).result()
    values, size = [], _batch(density.arguments)
    for first in range(0, len(points), size):
        # The shape is fixed: a short last batch is filled up with the first points.
        rows = np.arange(first, first + size) % len(points)
        values.append(np.asarray(compiled(points[rows], density.arguments)))
    return np.concatenate(values)[: len(points)]


def prepare_log_densities(density: Density) -> Future[Compiled]:
    """Begin to compile what `log_densities` needs, while something else is done."""
    batch = jax.ShapeDtypeStruct((_batch(density.arguments), density.layout.size), jnp.float64)
    return compiling(_over(density.log_density, (0, None)), batch, density.arguments)


def stored_values(
    posterior: Target,
    density: Density,
    names: Sequence[str],
    seed: int,
    points: np.ndarray,
    shape: tuple[int, int],
) -> dict[str, np.ndarray]:
    """Return variables of the model, each (chain, draw, ...), with an exact draw of the block.

    Parameters
    ----------
    posterior
        The model's target.
    density
        What `points` are points of.
    names
        Free variables and deterministics.
    seed
        Of what is drawn back.
    points
        (chain * draw, size).
    shape
        Chains and draws.
    """
    compiled = prepare_stored_values(posterior, density, names).result()
    data = posterior.arguments
    parts, size = [], _batch(density.arguments, data)
    rng = seeds.generator(seed, BLOCK)
    for first in range(0, len(points), size):
        rows = np.arange(first, first + size) % len(points)
        noise = rng.normal(size=(size, missing(posterior, density)))
        part = compiled(noise, points[rows], density.arguments, data)
        parts.append([np.asarray(value) for value in part])
    columns = [np.concatenate(column)[: len(points)] for column in zip(*parts, strict=True)]
    return {
        name: column.reshape(*shape, *column.shape[1:])
        for name, column in zip(names, columns, strict=True)
    }


def prepare_stored_values(
    posterior: Target, density: Density, names: Sequence[str]
) -> Future[Compiled]:
    """Begin to compile what `stored_values` needs, while something else is done."""
    function = completed(posterior.constrain(names), density.complete)
    size = _batch(density.arguments, posterior.arguments)
    noise = jax.ShapeDtypeStruct((size, missing(posterior, density)), jnp.float64)
    batch = jax.ShapeDtypeStruct((size, density.layout.size), jnp.float64)
    inputs = (noise, batch, density.arguments, posterior.arguments)
    return compiling(_over(function, (0, 0, None, None)), *inputs)


def missing(posterior: Target, density: Density) -> int:
    """Return how many entries of the model's vector were integrated out."""
    return posterior.layout.size - density.layout.size


def room(*arguments: Any) -> int:
    """Return how many points there is memory for at once, with data of this size: 4 or more."""
    held = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arguments))
    return int(max(4, MEMORY // max(held, 1)))


def _batch(*arguments: Any) -> int:
    return min(room(*arguments), BATCH)


@lru_cache(maxsize=64)
def completed(
    constrain: Callable[..., list[jax.Array]], complete: Callable[..., jax.Array] | None
) -> Callable[..., list[jax.Array]]:
    """Return ``(noise, x, arguments, data) -> stored variables`` of a sampled vector x."""

    def one(noise: jax.Array, x: jax.Array, given: Any, data: Any) -> list[jax.Array]:
        return constrain(x if complete is None else complete(noise, x, given), data)

    return one


@lru_cache(maxsize=64)
def _over(function: Callable[..., Any], axes: tuple[int | None, ...]) -> Callable[..., Any]:
    return jax.jit(jax.vmap(function, axes))
