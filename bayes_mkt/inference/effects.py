"""Group effects in a flat vector, each in a form between centred and non-centred.

Effects stand apart, are correlated with each other (a multivariate normal: each is seen given those
before it), or are the steps of a random walk. Given what they depend on, each is N(mean, sd^2).
Effects of one row in several groups, such as a level and a slope of each market, are partners: data
inform them together. (Columns of one group aren't partners of each other.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Array = jax.Array
APART, CORRELATED, STEPS = "apart", "correlated", "steps"


class Turned(NamedTuple):
    """A group in its other form.

    Attributes
    ----------
    values
        What the model's variable is (entry,).
    out
        What replaces the entries that were given (entry,).
    log_slope
        log |d values / d w|, summed.
    seen
        Effect, mean, SD and factor of each entry (4, entry).
    """

    values: Array
    out: Array
    log_slope: Array
    seen: Array


@dataclass(frozen=True)
class Group:
    """Group effects in a flat vector.

    Attributes
    ----------
    entries
        First and last-plus-one entry of the vector that hold them.
    parameters
        ``(x, data) -> [mean, SD, factor]``, each (entry,): of an entry's prior, and what it is
        multiplied by to give theta (one where the model is centred, s where it isn't). Of
        correlated effects, the SD is the entry's row of the covariance's Cholesky factor
        (entry, last axis).
    scales
        First and last-plus-one entries of the variables that SD and factor depend on.
    shape
        Of the variable; correlated effects and the steps of a walk lie along its last axis.
    kind
        One of `APART`, `CORRELATED`, `STEPS`.
    partners
        Which groups before it have effects of the same rows (first axis): what data say of an
        entry may depend on these.
    """

    entries: tuple[int, int]
    parameters: Callable[[Array, Any], list[Array]]
    scales: tuple[tuple[int, int], ...] = ()
    shape: tuple[int, ...] = ()
    kind: str = APART
    partners: tuple[int, ...] = ()

    def beside(self, thetas: Sequence[Any], slopes: Any) -> Any:
        """Return by how much theta of the partners moves what data say of each entry (..., entry).

        Parameters
        ----------
        thetas
            Of all groups before, each (..., entry). NumPy or JAX.
        slopes
            (entry, partner); columns beyond this group's partners are not used.
        """
        moved, first = 0.0, 0
        for partner in self.partners:
            theta = self._by_row(thetas[partner])
            last = first + theta.shape[-1]
            own = slopes[:, first:last].reshape(theta.shape[-2], -1, theta.shape[-1])
            for k in range(theta.shape[-1]):
                part = theta[..., k, None] * own[..., k]
                moved = moved + part.reshape(*part.shape[:-2], -1)
            first = last
        return moved

    def rows(self, thetas: Sequence[np.ndarray]) -> np.ndarray:
        """Return theta of the partners, by row (draw, row, partner), of thetas (draw, entry)."""
        return np.concatenate([self._by_row(thetas[i]) for i in self.partners], axis=-1)

    def _by_row(self, theta: Any) -> Any:
        return theta.reshape(*theta.shape[:-1], self.shape[0], -1)

    def turned(
        self, given: Array, parameters: list[Array], tau: Array, t: Array, *, forward: bool
    ) -> Turned:
        """Return the group with w replaced by the variable if `forward`, else the reverse.

        Parameters
        ----------
        given
            w, or the variable's values (entry,).
        parameters
            What the function of that name returns.
        tau, t
            Precision and place of what data say (entry,).
        """
        turn = _correlated if self.kind == CORRELATED else _independent
        return turn(self, given, parameters, tau, t, forward)

    def _summed(self, effects: Array) -> Array:
        """Return the variable's values of effects (entry,)."""
        if self.kind != STEPS:
            return effects
        return jnp.cumsum(effects.reshape(self.shape), axis=-1).ravel()

    def _differenced(self, values: Array) -> Array:
        """Return the effects of the variable's values (entry,)."""
        if self.kind != STEPS:
            return values
        walk = values.reshape(self.shape)
        return jnp.diff(walk, axis=-1, prepend=jnp.zeros((*self.shape[:-1], 1))).ravel()


def conditional(tau: Any, t: Any, mean: Any, sd: Any, factor: Any) -> tuple[Any, Any]:
    """Return mean and SD of an effect whose product with `factor` data inform by (t, tau).

    The effect is N(mean, sd^2) a priori, and t ~ N(factor effect, 1 / tau). NumPy or JAX.
    """
    share = 1.0 + tau * (sd * factor) ** 2
    center = mean + tau * sd**2 * factor / share * (t - factor * mean)
    return center, sd / share**0.5


def _independent(
    group: Group, given: Array, parameters: list[Array], tau: Array, t: Array, forward: bool
) -> Turned:
    mean, sd, factor = parameters
    center, width = conditional(tau, t, mean, sd, factor)
    effects = center + width * given if forward else group._differenced(given)
    values = group._summed(effects) if forward else given
    out = values if forward else (effects - center) / width
    seen = jnp.stack([effects, mean, sd, factor])
    return Turned(values, out, jnp.sum(jnp.log(width)), seen)


def _correlated(
    group: Group, given: Array, parameters: list[Array], tau: Array, t: Array, forward: bool
) -> Turned:
    size = group.shape[-1]
    mean, _, factor = (p.reshape(-1, size) for p in parameters)
    rows = parameters[1].reshape(-1, size, size)
    tau, t, given = (v.reshape(-1, size) for v in (tau, t, given))
    standard: list[Array] = []
    columns: list[list[Array]] = []
    for k in range(size):
        # Of a normal vector, entry k given the ones before is normal with the factor's row.
        own = mean[:, k] + sum(rows[:, k, j] * z for j, z in enumerate(standard))
        sd = rows[:, k, k]
        center, width = conditional(tau[:, k], t[:, k], own, sd, factor[:, k])
        effect = center + width * given[:, k] if forward else given[:, k]
        standard.append((effect - own) / sd)
        columns.append([effect, (effect - center) / width, width, own, sd])
    values, w, widths, means, sds = (
        jnp.stack(column, axis=1).ravel() for column in zip(*columns, strict=True)
    )
    seen = jnp.stack([values, means, sds, factor.ravel()])
    return Turned(values, values if forward else w, jnp.sum(jnp.log(widths)), seen)


def partners_of(
    shape: tuple[int, ...], kind: str, before: Sequence[Group], most: int
) -> tuple[int, ...]:
    """Return which groups before have effects of the same rows, at most `most` of each row."""
    if kind == STEPS or not shape or shape[0] < 2:
        return ()
    found, width = [], 0
    for i, group in enumerate(before):
        if group.kind == STEPS or not group.shape or group.shape[0] != shape[0]:
            continue
        own = int(np.prod(group.shape[1:]))
        if width + own <= most:
            found.append(i)
            width += own
    return tuple(found)
