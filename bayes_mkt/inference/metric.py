"""The linear map between positions and whitened coordinates, inside of a compiled run."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from bayes_mkt.inference.warmup import Tuning

Array = jax.Array
SMALL = 20


class Metric(NamedTuple):
    """The scale of a run.

    Attributes
    ----------
    scale, axes, stretch
        As in `Tuning`; no axes are an array without columns.
    """

    scale: Any
    axes: Any
    stretch: Any


def metric_of(tuning: Tuning) -> Metric:
    """Return the metric that a tuning says."""
    none = np.zeros((len(tuning.scale), 0))
    if tuning.axes is None or tuning.stretch is None:
        return Metric(tuning.scale, none, none[0])
    return Metric(tuning.scale, tuning.axes, tuning.stretch)


def stretched(metric: Metric, u: Array) -> Array:
    """Return x = scale u."""
    if metric.scale.ndim == 2:
        return _times(metric.scale, u)
    return jnp.multiply(metric.scale, _along(metric.axes, metric.stretch, u))


def whitened(metric: Metric, x: Array) -> Array:
    """Return u with x = scale u."""
    if metric.scale.ndim == 2:
        return solve_triangular(metric.scale, x, lower=True)
    return _along(metric.axes, 1.0 / metric.stretch, x / metric.scale)


def pulled(metric: Metric, slope: Array) -> Array:
    """Return the gradient in u of a gradient in x = scale u."""
    if metric.scale.ndim == 2:
        return _times(metric.scale.T, slope)
    return _along(metric.axes, metric.stretch, metric.scale * slope)


def _times(matrix: Array, u: Array) -> Array:
    """Return a product with a square matrix; XLA fuses a small one only if it isn't a dot."""
    return (matrix * u).sum(axis=1) if len(u) <= SMALL else matrix @ u


def _along(axes: Array, stretch: Array, u: Array) -> Array:
    """Return u stretched along orthonormal axes."""
    return u + axes @ ((stretch - 1.0) * (u @ axes)) if stretch.shape[0] else u
