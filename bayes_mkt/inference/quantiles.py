"""Scales and bounded variables through quantile transforms, so that their prior is near normal.

On the log scale a positive variable whose prior doesn't vanish at zero has an exponential tail to
the left; on the logit scale a bounded one has two. No single step size suits such tails. With z in
place of x,

    positive:  x = c + log(-log Phi(-z)),           exp(x) exponential for z ~ N(0, 1),
    bounded:   x = log Phi(z) - log Phi(-z),        sigmoid(x) uniform for z ~ N(0, 1),

such priors come near the standard normal. Both are smooth bijections of the line, so the posterior
is the same whatever the prior; c puts the median of the exponential on the prior's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import log_ndtr
from scipy.special import log_expit, ndtri_exp
from scipy.special import log_ndtr as normal_log_cdf

from bayes_mkt.inference.density import Coordinates, Density, Forms, Layout, Reform, Volume

Array = jax.Array
LOG_ROOT = float(0.5 * np.log(2.0 * np.pi))
LOG_LOG_2 = float(np.log(np.log(2.0)))


@dataclass(frozen=True)
class Quantiles:
    """Which entries of a vector are transformed, and how.

    Attributes
    ----------
    positive, shifts
        Entries on a log scale, and c of each.
    bounded
        Entries on a logit scale.
    """

    positive: tuple[int, ...]
    shifts: tuple[float, ...]
    bounded: tuple[int, ...]

    @classmethod
    def of(cls, layout: Layout, medians: Mapping[str, np.ndarray | None]) -> Quantiles:
        """Return the transforms of the variables named in `medians`.

        Parameters
        ----------
        layout
            Of the vector.
        medians
            Of the prior on the natural scale, for a positive variable; None for a bounded one.
        """
        positive: list[int] = []
        shifts: list[float] = []
        bounded: list[int] = []
        start = 0
        for name, shape in zip(layout.names, layout.shapes, strict=True):
            entries = range(start, start + int(np.prod(shape)))
            start = entries.stop
            if name not in medians:
                continue
            median = medians[name]
            if median is None:
                bounded.extend(entries)
            else:
                positive.extend(entries)
                logs = np.log(np.broadcast_to(median, shape)).ravel() - LOG_LOG_2
                shifts.extend(float(v) for v in logs)
        return cls(tuple(positive), tuple(shifts), tuple(bounded))

    @property
    def entries(self) -> tuple[int, ...]:
        """Return all entries that are transformed."""
        return self.positive + self.bounded

    def forward(self, z: Array) -> tuple[Array, Array]:
        """Return the vector x of z, and log |dx / dz|."""
        positive, bounded, log_slope = _curves(
            _taken(z, self.positive), _taken(z, self.bounded), np.asarray(self.shifts)
        )
        # One concatenation of whole runs costs less than scattering entries.
        where = np.zeros(z.shape[0], dtype=int)
        where[list(self.positive)], where[list(self.bounded)] = 1, 2
        parts, used = [], [0, 0]
        for start, stop in _runs(where):
            kind, length = int(where[start]), stop - start
            if kind == 0:
                parts.append(z[start:stop])
                continue
            first = used[kind - 1]
            parts.append((positive, bounded)[kind - 1][first : first + length])
            used[kind - 1] += length
        return jnp.concatenate(parts), log_slope

    def natural(self, z: np.ndarray) -> np.ndarray:
        """Return x (..., size) of z, without JAX."""
        x = np.array(z, dtype=float)
        at = np.asarray(self.positive, dtype=int)
        x[..., at] = np.asarray(self.shifts) + np.log(-normal_log_cdf(-z[..., at]))
        at = np.asarray(self.bounded, dtype=int)
        x[..., at] = normal_log_cdf(z[..., at]) - normal_log_cdf(-z[..., at])
        return x

    def backward(self, x: np.ndarray) -> np.ndarray:
        """Return z (..., size) with `forward(z)` equal to x."""
        z = np.array(x, dtype=float)
        at = np.asarray(self.positive, dtype=int)
        z[..., at] = -ndtri_exp(-np.exp(x[..., at] - np.asarray(self.shifts)))
        at = np.asarray(self.bounded, dtype=int)
        low = x[..., at] < 0
        near, far = log_expit(x[..., at]), log_expit(-x[..., at])
        z[..., at] = np.where(low, ndtri_exp(near), -ndtri_exp(far))
        return z


def _runs(kinds: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last-plus-one place of each run of equal values."""
    ends = [*np.flatnonzero(np.diff(kinds)) + 1, len(kinds)]
    return [(int(a), int(b)) for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def _taken(z: Array, entries: tuple[int, ...]) -> Array:
    """Return entries in ascending order."""
    chosen = np.zeros(z.shape[0], dtype=int)
    chosen[list(entries)] = 1
    parts = [z[a:b] for a, b in _runs(chosen) if chosen[a]]
    return jnp.concatenate(parts) if parts else z[:0]


@jax.custom_jvp
def _curves(positive: Array, bounded: Array, shifts: Array) -> tuple[Array, Array, Array]:
    """Return x of each kind of entry, and the sum of log dx / dz over both."""
    return _curves_and_slopes(positive, bounded, shifts)[0]


def _curves_and_slopes(
    positive: Array, bounded: Array, shifts: Array
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array, Array]]:
    """Return `_curves`, and the derivatives of x and of log dx / dz of each entry.

    All follow from log Phi at the entries, which is evaluated once. With h = phi / Phi(-z) and
    L = log Phi(-z): d log(-L) / dz = h / -L; and for A = log Phi(z), B = log Phi(-z):
    d(A - B) / dz = phi / (Phi(z) Phi(-z)).
    """
    n, m = positive.shape[0], bounded.shape[0]
    tails = log_ndtr(jnp.concatenate([-positive, bounded, -bounded]))
    upper, a, b = tails[:n], tails[n : n + m], tails[n + m :]
    log_phi, log_phi_b = -0.5 * positive**2 - LOG_ROOT, -0.5 * bounded**2 - LOG_ROOT
    hazard = jnp.exp(log_phi - upper)
    low, high = jnp.exp(log_phi_b - a), jnp.exp(log_phi_b - b)
    log_upper = jnp.log(-upper)
    slope, slope_b = hazard / -upper, jnp.exp(log_phi_b - a - b)
    log_slope = jnp.sum(log_phi - upper - log_upper) + jnp.sum(log_phi_b - a - b)
    values = (shifts + log_upper, a - b, log_slope)
    return values, (slope, slope_b, hazard - positive - slope, high - low - bounded)


@_curves.defjvp
def _curves_jvp(
    primals: tuple[Array, Array, Array], tangents: tuple[Array, Array, Array]
) -> tuple[tuple[Array, Array, Array], tuple[Array, Array, Array]]:
    values, (slope, slope_b, bend, bend_b) = _curves_and_slopes(*primals)
    moved, moved_b, _ = tangents
    log_slope = jnp.sum(bend * moved) + jnp.sum(bend_b * moved_b)
    return values, (slope * moved, slope_b * moved_b, log_slope)


def transformed(density: Density, quantiles: Quantiles) -> Density:
    """Return the density of z, with the transforms' Jacobian, and the way back."""
    if not quantiles.entries:
        return density
    return replace(
        density,
        log_density=_log_density(density.log_density, quantiles),
        start=quantiles.backward(density.start),
        complete=_complete(density.complete, quantiles),
        reform=None if density.reform is None else _reform(density.reform, quantiles),
        coordinates=_coordinates(density.coordinates, quantiles),
        volume=_volume(density.volume, quantiles),
    )


@lru_cache(maxsize=64)
def _log_density(
    log_density: Callable[[Array, Any], Array], quantiles: Quantiles
) -> Callable[[Array, Any], Array]:
    def of_z(z: Array, arguments: Any) -> Array:
        x, log_slope = quantiles.forward(z)
        return log_density(x, arguments) + log_slope

    return of_z


@lru_cache(maxsize=64)
def _complete(
    complete: Callable[[Array, Array, Any], Array] | None, quantiles: Quantiles
) -> Callable[[Array, Array, Any], Array]:
    def of_z(noise: Array, z: Array, arguments: Any) -> Array:
        x, _ = quantiles.forward(z)
        return x if complete is None else complete(noise, x, arguments)

    return of_z


@lru_cache(maxsize=64)
def _volume(inner: Volume | None, quantiles: Quantiles) -> Volume:
    def of_z(z: Array, arguments: Any) -> Array:
        x, log_slope = quantiles.forward(z)
        return log_slope if inner is None else inner(x, arguments) + log_slope

    return of_z


def _reform(reform: Reform, quantiles: Quantiles) -> Reform:
    """Return what draws of z teach of the density of x."""

    def of_z(arguments: Any, draws: np.ndarray) -> tuple[Forms, np.ndarray]:
        at = list(quantiles.entries)
        forms, moved = reform(arguments, quantiles.natural(draws))
        moved[:, at] = draws[:, at]
        return forms, moved

    return of_z


def _coordinates(inner: Coordinates | None, quantiles: Quantiles) -> Coordinates:
    def of_x(arguments: Any, points: np.ndarray) -> np.ndarray:
        return quantiles.backward(points if inner is None else inner(arguments, points))

    return of_x
