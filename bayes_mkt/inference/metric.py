"""The linear map between positions and whitened coordinates: x = scale u, in three forms.

Each form maps vectors (..., size); arrays may be NumPy's or, inside of a compiled run, JAX's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular
from jax.tree_util import register_dataclass

SMALL = 20


@register_dataclass
@dataclass(frozen=True)
class Dense:
    """A scale for few dimensions.

    Attributes
    ----------
    root
        (size, size), a lower triangle whose product with its transpose is the covariance.
    """

    root: Any

    @property
    def size(self) -> int:
        """Return the number of dimensions."""
        return len(self.root)

    def stretched(self, u: Any) -> Any:
        """Return x."""
        # XLA fuses a small product only if it isn't a dot.
        if len(self.root) <= SMALL:
            return (self.root * u[..., None, :]).sum(axis=-1)
        return u @ self.root.T

    def whitened(self, x: Any) -> Any:
        """Return u of one vector."""
        return solve_triangular(self.root, x, lower=True)

    def pulled(self, slope: Any) -> Any:
        """Return the gradient in u of a gradient in x."""
        if len(self.root) <= SMALL:
            return (self.root * slope[..., :, None]).sum(axis=-2)
        return slope @ self.root


@register_dataclass
@dataclass(frozen=True)
class AlongAxes:
    """A diagonal scale, with some orthonormal directions stretched.

    x = scale (u + axes (stretch - 1) axes' u).

    Attributes
    ----------
    scale
        (size,).
    axes, stretch
        (size, axis), (axis,); there may be none.
    """

    scale: Any
    axes: Any
    stretch: Any

    @classmethod
    def plain(cls, scale: np.ndarray) -> AlongAxes:
        """Return a diagonal scale."""
        return cls(scale, np.zeros((len(scale), 0)), np.zeros(0))

    @property
    def size(self) -> int:
        """Return the number of dimensions."""
        return len(self.scale)

    def stretched(self, u: Any) -> Any:
        """Return x."""
        return self._along(self.stretch, u) * self.scale

    def whitened(self, x: Any) -> Any:
        """Return u."""
        return self._along(1.0 / self.stretch, x / self.scale)

    def pulled(self, slope: Any) -> Any:
        """Return the gradient in u of a gradient in x."""
        return self._along(self.stretch, slope * self.scale)

    def _along(self, stretch: Any, u: Any) -> Any:
        if not self.axes.shape[1]:
            return u
        return u + ((u @ self.axes) * (stretch - 1.0)) @ self.axes.T


@register_dataclass
@dataclass(frozen=True)
class InBlocks:
    """A scale of many small blocks that are correlated with a few hubs, and only through these.

    x_hub = hub u_hub, and for each block x_block = within u_block - slopes x_hub.

    Attributes
    ----------
    within, back
        (block, place, place) and its inverse; 0 where a block is filled up.
    slopes
        (block, place, hub).
    hub, hub_back
        (hub, hub) and its inverse.
    places
        (block, place) entries of x, any where filled up.
    hubs
        (hub,) entries of x.
    order
        (size,), where each entry of x stands in its blocks, one after the other, and hubs.
    """

    within: Any
    back: Any
    slopes: Any
    hub: Any
    hub_back: Any
    places: Any
    hubs: Any
    order: Any

    @property
    def size(self) -> int:
        """Return the number of dimensions."""
        return len(self.order)

    def stretched(self, u: Any) -> Any:
        """Return x."""
        hub = _chosen(u, self.hubs) @ self.hub.T
        return self._joined(_times(self.within, _chosen(u, self.places)) - self._with(hub), hub)

    def whitened(self, x: Any) -> Any:
        """Return u."""
        hub = _chosen(x, self.hubs)
        local = _times(self.back, _chosen(x, self.places) + self._with(hub))
        return self._joined(local, hub @ self.hub_back.T)

    def pulled(self, slope: Any) -> Any:
        """Return the gradient in u of a gradient in x."""
        local = _chosen(slope, self.places)
        flat = local.reshape(*local.shape[:-2], -1)
        hub = _chosen(slope, self.hubs) - flat @ self._flat_slopes()
        return self._joined(_times(self.within.swapaxes(-1, -2), local), hub @ self.hub)

    def _with(self, hub: Any) -> Any:
        return (hub @ self._flat_slopes().T).reshape(*hub.shape[:-1], *self.places.shape)

    def _flat_slopes(self) -> Any:
        blocks, places, hubs = self.slopes.shape
        return self.slopes.reshape(blocks * places, hubs)

    def _joined(self, local: Any, hub: Any) -> Any:
        flat = local.reshape(*local.shape[:-2], -1)
        return _chosen(jnp.concatenate([flat, hub], axis=-1), self.order)


def _chosen(values: Any, index: Any) -> Any:
    """Return entries of the last axis; `index` is known to lie within it."""
    return jnp.take(values, index, axis=-1, mode="clip")


def _times(blocks: Any, values: Any) -> Any:
    """Return the products of blocks (block, place, place) with values (..., block, place)."""
    return (blocks * values[..., None, :]).sum(axis=-1)


Metric = Dense | AlongAxes | InBlocks


def unit(size: int, most_dense: int) -> Metric:
    """Return the scale of one in every direction."""
    return Dense(np.eye(size)) if size <= most_dense else AlongAxes.plain(np.ones(size))


@jax.custom_vjp
def stretched(metric: Metric, u: jax.Array) -> jax.Array:
    """Return x of one vector u, whose derivative in u is `pulled`; in the metric there is none.

    By itself JAX would turn each choice by index into a sum by index, which is slow.
    """
    x: jax.Array = metric.stretched(u)
    return x


def _forward(metric: Metric, u: jax.Array) -> tuple[jax.Array, Metric]:
    return metric.stretched(u), metric


def _backward(metric: Metric, slope: jax.Array) -> tuple[Any, jax.Array]:
    return None, metric.pulled(slope)


stretched.defvjp(_forward, _backward)
