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

from bayes_mkt.inference.density import Density, Layout

Array = jax.Array
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

    def forward(self, z: Array) -> Array:
        """Return the model's vector x of z."""
        x = z
        if self.positive:
            at = np.asarray(self.positive)
            x = x.at[at].set(np.asarray(self.shifts) + jnp.log(-log_ndtr(-z[at])))
        if self.bounded:
            at = np.asarray(self.bounded)
            x = x.at[at].set(log_ndtr(z[at]) - log_ndtr(-z[at]))
        return x

    def backward(self, x: np.ndarray) -> np.ndarray:
        """Return z with `forward(z)` equal to x."""
        z = np.array(x, dtype=float)
        at = np.asarray(self.positive, dtype=int)
        z[at] = -ndtri_exp(-np.exp(x[at] - np.asarray(self.shifts)))
        at = np.asarray(self.bounded, dtype=int)
        low = x[at] < 0
        z[at] = np.where(low, ndtri_exp(log_expit(x[at])), -ndtri_exp(log_expit(-x[at])))
        return z


def transformed(density: Density, quantiles: Quantiles) -> Density:
    """Return the density of z, with the transforms' Jacobian, and the way back."""
    if not quantiles.positive and not quantiles.bounded:
        return density
    return replace(
        density,
        log_density=_log_density(density.log_density, quantiles),
        start=quantiles.backward(density.start),
        complete=_complete(density.complete, quantiles),
    )


@lru_cache(maxsize=64)
def _log_density(
    log_density: Callable[[Array, Any], Array], quantiles: Quantiles
) -> Callable[[Array, Any], Array]:
    entries = np.asarray(quantiles.positive + quantiles.bounded)

    def of_z(z: Array, arguments: Any) -> Array:
        # Entry by entry, so one derivative in the direction of ones gives every slope.
        x, slope = jax.jvp(quantiles.forward, (z,), (jnp.ones_like(z),))
        return log_density(x, arguments) + jnp.sum(jnp.log(slope[entries]))

    return of_z


@lru_cache(maxsize=64)
def _complete(
    complete: Callable[[Array, Array, Any], Array] | None, quantiles: Quantiles
) -> Callable[[Array, Array, Any], Array]:
    def of_z(key: Array, z: Array, arguments: Any) -> Array:
        x = quantiles.forward(z)
        return x if complete is None else complete(key, x, arguments)

    return of_z
