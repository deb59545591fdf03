"""What a sampler sees of a model: a log-density of a flat vector, and where to start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_mkt.errors import SamplingError
from bayes_mkt.inference.programs import Compiled, compiling

Array = jax.Array
Forms = tuple[np.ndarray, ...]
Reform = Callable[[Any, np.ndarray], tuple[Forms, np.ndarray]]
Coordinates = Callable[[Any, np.ndarray], np.ndarray]
Volume = Callable[[Array, Any], Array]


@dataclass(frozen=True)
class Layout:
    """How the unconstrained variables lie in one flat vector.

    Attributes
    ----------
    names, shapes
        Of the value variables, in the model's order.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @property
    def size(self) -> int:
        """Return the number of unconstrained dimensions."""
        return sum(int(np.prod(shape)) for shape in self.shapes)

    def split(self, flat: Any) -> list[Any]:
        """Return the variables that the vector `flat` (size,) holds; NumPy or JAX."""
        parts, start = [], 0
        for shape in self.shapes:
            length = int(np.prod(shape))
            parts.append(flat[start : start + length].reshape(shape))
            start += length
        return parts

    def join(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return the flat vector of values by name; other names are left out."""
        parts = [np.ravel(values[name]) for name in self.names]
        return np.concatenate(parts) if parts else np.empty(0)

    def place(self, name: str) -> tuple[int, int]:
        """Return the first and the last-plus-one entry of a variable."""
        position = self.names.index(name)
        lengths = [int(np.prod(shape)) for shape in self.shapes[: position + 1]]
        return sum(lengths[:-1]), sum(lengths)

    def owner(self, index: int) -> str:
        """Return the name of the variable, with its index, that holds entry `index`."""
        for name, shape in zip(self.names, self.shapes, strict=True):
            length = int(np.prod(shape))
            if index < length:
                where = np.unravel_index(index, shape)
                return name + (f"[{', '.join(str(int(i)) for i in where)}]" if shape else "")
            index -= length
        raise IndexError(index)


@dataclass(frozen=True)
class Density:
    """A log-density to sample, and the way back to the model's own vector.

    Attributes
    ----------
    layout
        Names and shapes of the variables in the sampled vector.
    log_density
        ``(x, arguments) -> float``; pure.
    arguments
        Data, and whatever is computed from data once.
    start
        A point of the sampled vector (size,), from the model's initial point.
    complete
        ``(noise, x, arguments) -> (model's vector)``: draws what was taken out of the model's
        vector, of as many standard normal numbers; None where the sampled vector is the model's
        own.
    reform
        ``(arguments, draws) -> forms``: what the draws (draw, size) teach of the density's own
        form, as the last of `arguments` holds it, and the draws in that form; None where there is
        nothing to learn.
    coordinates
        ``(arguments, points) -> (points that are sampled)`` of points (draw, size) of the
        variables in `layout`; None where these are the same.
    volume
        ``(x, arguments) -> log |d variables in layout / dx|``; None where these are the same.
    scales
        Entries of the sampled vector that set how far group effects spread.
    """

    layout: Layout
    log_density: Callable[[Array, Any], Array]
    arguments: Any
    start: np.ndarray
    complete: Callable[[Array, Array, Any], Array] | None
    reform: Reform | None = None
    coordinates: Coordinates | None = None
    volume: Volume | None = None
    scales: tuple[int, ...] = ()

    @property
    def forms(self) -> Forms:
        """Return what has been learnt of the form: () where there is nothing to learn."""
        return () if self.reform is None else tuple(np.asarray(v) for v in self.arguments[-1])

    def with_forms(self, forms: Forms) -> Density:
        """Return the density in another form; it needs no compilation."""
        if self.reform is None:
            return self
        return replace(self, arguments=(*self.arguments[:-1], tuple(forms)))

    def sampled(self, points: np.ndarray) -> np.ndarray:
        """Return points (draw, size) of the variables in `layout` as they are sampled."""
        return points if self.coordinates is None else self.coordinates(self.arguments, points)

    def reformed(self, draws: np.ndarray) -> tuple[Density, np.ndarray]:
        """Return the density in the form that draws (chain, draw, size) teach, and these in it."""
        if self.reform is None:
            return self, draws
        forms, flat = self.reform(self.arguments, draws.reshape(-1, draws.shape[-1]))
        return self.with_forms(forms), flat.reshape(draws.shape)


def initial_positions(
    density: Density,
    *,
    chains: int,
    rng: np.random.Generator,
    terms: Callable[[], Sequence[str]] = tuple,
    remedy: str = "",
) -> np.ndarray:
    """Return `chains` starting points (chains, size) with finite density and gradient.

    Each is the density's start plus Uniform(-1, 1), drawn again up to 20 times where the density
    isn't finite; the last ten tries shrink the jitter.

    Parameters
    ----------
    density
        What is sampled.
    chains
        Number of points.
    rng
        Source of the jitter.
    terms
        Asked only if no start is found: which terms of the model aren't finite, in words.
    remedy
        A sentence that the error is to have besides.

    Raises
    ------
    SamplingError
        If no start is found; names the variables whose gradient isn't finite, and the terms.
    """
    center = density.start
    gradient = gradient_of(density)
    starts = np.empty((chains, center.size))
    missing = np.arange(chains)
    for attempt in range(20):
        radius = 1.0 if attempt < 10 else 0.5 ** (attempt - 9)
        starts[missing] = center + rng.uniform(-radius, radius, (missing.size, center.size))
        value, slopes = gradient(starts)
        missing = np.flatnonzero(~(np.isfinite(value) & np.isfinite(slopes).all(axis=1)))
        if not missing.size:
            return starts
    first = missing[0]
    culprits = [density.layout.owner(int(i)) for i in np.flatnonzero(~np.isfinite(slopes[first]))]
    named = terms()
    told = f"At the model's initial point, {'; '.join(named)}. " if named else ""
    told += f"{remedy} " if remedy else ""
    raise SamplingError(
        "No starting point with a finite density was found in 20 tries: the log-density is "
        f"{value[first]}, and the gradient isn't finite for {', '.join(culprits[:5]) or 'none'}. "
        f"{told}"
        "Check that every prior's support contains what the data demand, that the data hold no "
        "value of probability zero, and give `initval=` to the variables that need one."
    )


def gradient_of(density: Density) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return points (chain, size) -> log-densities (chain,) and gradients (chain, size)."""
    programs: dict[tuple[int, ...], Compiled] = {}

    def gradient(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        program = programs.get(points.shape)
        if program is None:
            program = programs[points.shape] = prepare_gradient(density, len(points)).result()
        value, slope = program(points, density.arguments)
        return np.asarray(value), np.asarray(slope)

    return gradient


def prepare_gradient(density: Density, count: int) -> Future[Compiled]:
    """Begin to compile what `gradient_of` needs for `count` points at once."""
    points = jax.ShapeDtypeStruct((count, density.start.size), jnp.float64)
    return compiling(_value_and_grad(density.log_density), points, density.arguments)


@cache
def _value_and_grad(log_density: Callable[..., Array]) -> Callable[..., tuple[Array, Array]]:
    return jax.jit(jax.vmap(jax.value_and_grad(log_density), (0, None)))
