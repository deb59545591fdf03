"""Lopsided variables made symmetric, each by a curve that warmup learns.

The logarithm of an effect that data inform on its own scale has a long left tail and a steep right
one, and the step size that suits the steep side is too small everywhere else. With v in place of x,

    x = m + s (h + t (sqrt(1 + h^2) - 1)),    h = (v - m) / s,    -1 < t < 1,

x runs at the rate 1 - t far to the left and 1 + t far to the right: the sinh-arcsinh curve of Jones
& Pewsey (2009) with tails of a normal, in units that leave median and spread of x as they are. It
is a smooth bijection, so any t, m, s give the same posterior.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_mkt.inference.density import Coordinates, Density, Forms, Reform, Volume

Array = jax.Array
TAIL = 1.2815515655446004  # of a standard normal, a tenth lies above
# (x90 + x10 - 2 x50) / (x90 - x10) of a standard normal seen through the curve is t times this.
BEND = (np.sqrt(1.0 + TAIL**2) - 1.0) / TAIL
# Variance of that estimate of t, times the number of independent draws, where t = 0.
ERROR = 4.5
# Draws are autocorrelated: about one in five counts.
THINNED = 5.0
MOST = 0.9


def straightened(density: Density) -> Density:
    """Return the density of v, which learns t, m and s in warmup; v is x to begin with."""
    size, own = density.start.size, density.reform is not None
    forms = (*density.forms, np.zeros(size), np.zeros(size), np.ones(size))
    return replace(
        density,
        log_density=_log_density(density.log_density, own),
        arguments=(density.arguments, forms),
        complete=_complete(density.complete, own),
        reform=_reform(density.reform),
        coordinates=_coordinates(density.coordinates, own),
        volume=_volume(density.volume, own),
    )


def curve(v: Array, t: Array, m: Array, s: Array) -> tuple[Array, Array]:
    """Return x (size,), and log |dx / dv|."""
    h = (v - m) / s
    root = jnp.sqrt(1.0 + h**2)
    return m + s * (h + t * (root - 1.0)), jnp.sum(jnp.log1p(t * h / root))


def lopsided(v: np.ndarray, t: np.ndarray, m: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Return x (..., size) of v, without JAX."""
    h = (v - m) / s
    return np.asarray(m + s * (h + t * (np.sqrt(1.0 + h**2) - 1.0)))


def straight(x: np.ndarray, t: np.ndarray, m: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Return v (..., size) with `curve(v, t, m, s)` equal to x."""
    wide = 1.0 / np.sqrt(1.0 - t**2)
    y = ((x - m) / s + t) * wide
    return np.asarray(m + s * wide * (y - t * np.sqrt(1.0 + y**2)))


def learn(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return t, m and s (size,) of draws x (draw, size), t shrunk by what chance could make of it.

    Variables that don't move, or aren't finite, stay as they are.
    """
    low, m, high = np.quantile(x, [0.1, 0.5, 0.9], axis=0)
    s = (high - low) / (2.0 * TAIL)
    moves = np.isfinite(s) & (s > 0)
    s, m = np.where(moves, s, 1.0), np.where(moves, m, 0.0)
    found = np.where(moves, (high + low - 2.0 * m) / (2.0 * TAIL * s), 0.0) / BEND
    chance = ERROR * THINNED / len(x)
    kept = np.maximum(1.0 - chance / np.maximum(found**2, 1e-300), 0.0)
    return np.clip(found * kept, -MOST, MOST), m, s


def _inner(arguments: Any, own: bool) -> tuple[Any, tuple[Array, Array, Array]]:
    """Return the arguments of the density of x, and t, m, s."""
    given, forms = arguments
    t, m, s = forms[-3:]
    return ((*given[:-1], tuple(forms[:-3])) if own else given), (t, m, s)


@lru_cache(maxsize=64)
def _log_density(
    log_density: Callable[[Array, Any], Array], own: bool
) -> Callable[[Array, Any], Array]:
    def of_v(v: Array, arguments: Any) -> Array:
        inner, shape = _inner(arguments, own)
        x, log_slope = curve(v, *shape)
        return log_density(x, inner) + log_slope

    return of_v


@lru_cache(maxsize=64)
def _complete(
    complete: Callable[[Array, Array, Any], Array] | None, own: bool
) -> Callable[[Array, Array, Any], Array]:
    def of_v(noise: Array, v: Array, arguments: Any) -> Array:
        inner, shape = _inner(arguments, own)
        x, _ = curve(v, *shape)
        return x if complete is None else complete(noise, x, inner)

    return of_v


@lru_cache(maxsize=64)
def _volume(of_x: Volume | None, own: bool) -> Volume:
    def of_v(v: Array, arguments: Any) -> Array:
        inner, shape = _inner(arguments, own)
        x, log_slope = curve(v, *shape)
        return log_slope if of_x is None else of_x(x, inner) + log_slope

    return of_v


def _reform(reform: Reform | None) -> Reform:
    """Return what draws of v teach: of the density of x first, of the curve after that."""

    def of_v(arguments: Any, draws: np.ndarray) -> tuple[Forms, np.ndarray]:
        inner, shape = _inner(arguments, reform is not None)
        x = lopsided(draws, *(np.asarray(part) for part in shape))
        forms: Forms = ()
        if reform is not None:
            forms, x = reform(inner, x)
        learnt = learn(x)
        return (*forms, *learnt), straight(x, *learnt)

    return of_v


def _coordinates(inner: Coordinates | None, own: bool) -> Coordinates:
    def of_x(arguments: Any, points: np.ndarray) -> np.ndarray:
        given, shape = _inner(arguments, own)
        points = points if inner is None else inner(given, points)
        return straight(points, *(np.asarray(part) for part in shape))

    return of_x
