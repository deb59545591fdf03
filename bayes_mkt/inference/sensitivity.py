"""How weighted sums of a model's quantities answer to its data: values and slopes over draws."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from bayes_mkt.inference.layout import flat_draws
from bayes_mkt.inference.target import Target, given

Array = jax.Array
BATCH = 2**26


@dataclass(frozen=True)
class Response:
    """r_d(x) = sum( weight * quantity_d ), the model's datum `data` being pattern * x[index].

    Attributes
    ----------
    pattern
        The datum at x = 1.
    index
        For each of its entries the place in x, or -1 where it stays as it is.
    weight
        Broadcastable to the quantity.
    inputs
        Draws of what is held, each (draw, ...).
    """

    function: Callable[..., list[Array]]
    arguments: tuple[Array, ...]
    place: int
    pattern: np.ndarray
    index: np.ndarray
    weight: np.ndarray
    inputs: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls,
        target: Target,
        posterior: xr.Dataset,
        quantity: str,
        *,
        data: str,
        pattern: np.ndarray,
        index: np.ndarray,
        weight: np.ndarray,
        values: Mapping[str, np.ndarray] | None = None,
        hold: Iterable[str] = (),
        draws: int | None = None,
    ) -> Response:
        """Return the response of a quantity of `target`.

        Parameters
        ----------
        target, posterior
            The model, and draws of its free variables.
        quantity, data
            Names of a deterministic and of a datum.
        pattern, index, weight
            As in the class.
        values
            Other data to replace.
        hold
            Deterministics that keep their posterior value.
        draws
            At most so many, evenly spaced; None takes all.
        """
        held = [rv.name for rv in target.model.free_RVs] + sorted(hold)
        inputs = [flat_draws(posterior, name) for name in held]
        total = inputs[0].shape[0]
        if draws is not None and draws < total:
            chosen = np.linspace(0, total - 1, draws).round().astype(int)
            inputs = [value[chosen] for value in inputs]
        changed = target.with_data(values or {})
        return cls(
            function=given(target, (quantity,), tuple(held)),
            arguments=changed.arguments,
            place=list(target.data).index(data),
            pattern=pattern,
            index=index,
            weight=weight,
            inputs=tuple(inputs),
        )

    @property
    def draws(self) -> int:
        """Return the number of draws."""
        return int(self.inputs[0].shape[0])

    def values(self, x: np.ndarray) -> np.ndarray:
        """Return r (draw,) at x (entry,)."""
        value = _values(self.function, self.place)
        parts = []
        for rows, count in self._batches():
            inputs = [jnp.asarray(v[rows]) for v in self.inputs]
            parts.append(np.asarray(value(jnp.asarray(x), inputs, self._given))[:count])
        return np.concatenate(parts)

    def slope(self, x: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Return sum_d share_d dr_d/dx (entry,)."""
        slope = _slope(self.function, self.place)
        out = np.zeros(len(x))
        for first, (rows, count) in zip(self._starts(), self._batches(), strict=True):
            inputs = [jnp.asarray(v[rows]) for v in self.inputs]
            own = np.zeros(len(rows))
            own[:count] = share[first : first + count]
            out += np.asarray(slope(jnp.asarray(x), inputs, self._given, jnp.asarray(own)))
        return out

    @property
    def _given(self) -> tuple[Any, ...]:
        return (
            jnp.asarray(self.pattern),
            jnp.asarray(self.index),
            jnp.asarray(self.weight),
            self.arguments,
        )

    @property
    def _size(self) -> int:
        return int(np.clip(BATCH // max(8 * self.pattern.size, 1), 1, self.draws))

    def _starts(self) -> range:
        return range(0, self.draws, self._size)

    def _batches(self) -> Iterable[tuple[np.ndarray, int]]:
        """Yield the rows of each batch, filled up to one size, and how many of them count."""
        for first in self._starts():
            rows = np.arange(first, first + self._size) % self.draws
            yield rows, min(self._size, self.draws - first)


@cache
def _one(function: Callable[..., list[Array]], place: int) -> Callable[..., Array]:
    """Return ``(x, values held, what is given) -> r`` of one draw."""

    def response(x: Array, values: list[Array], about: tuple[Any, ...]) -> Array:
        pattern, index, weight, data = about
        factor = jnp.where(index < 0, 1.0, x[jnp.maximum(index, 0)])
        changed = (*data[:place], pattern * factor, *data[place + 1 :])
        (quantity,) = function(values, changed)
        return jnp.sum(quantity * weight)

    return response


@cache
def _values(function: Callable[..., list[Array]], place: int) -> Callable[..., Array]:
    return jax.jit(jax.vmap(_one(function, place), (None, 0, None)))


@cache
def _slope(function: Callable[..., list[Array]], place: int) -> Callable[..., Array]:
    every = jax.vmap(_one(function, place), (None, 0, None))

    def total(x: Array, values: list[Array], about: tuple[Any, ...], share: Array) -> Array:
        return jnp.vdot(share, every(x, values, about))

    return jax.jit(jax.grad(total))
