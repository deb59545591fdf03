"""Group effects between centred and non-centred form, as far as the data inform each of them.

For theta ~ N(mu, s), data that inform theta like an observation t of precision tau leave

    theta | s ~ N(M, R^2),    R = s / sqrt(1 + tau s^2),    M = mu + tau R^2 (t - mu),

so that w = (theta - M) / R is standard normal whatever mu and s: no funnel is left between the
effects and their spread. tau = 0 is the non-centred form, tau -> inf the centred one. tau and t of
each entry are learnt in warmup; any values give the same posterior. The weight tau s^2 / (1 + tau
s^2) is the partial centring of Papaspiliopoulos, Roberts & Skoeld (2007), here a function of s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_mkt.inference.density import Coordinates, Density, Forms, Layout, Reform, Volume
from bayes_mkt.inference.effects import Group, conditional

Array = jax.Array
MOST_DRAWS = 400
BATCH = 400
WEIGHTS = np.geomspace(1e-2, 1e4, 13)
GAIN = 0.02


@dataclass(frozen=True)
class Groups:
    """All group effects of a model, each after those that its parameters depend on.

    Attributes
    ----------
    members
        The groups.
    """

    members: tuple[Group, ...]

    @classmethod
    def of(
        cls,
        layout: Layout,
        found: Sequence[tuple[str, Callable[[Array, Any], list[Array]], tuple[str, ...], str]],
    ) -> Groups:
        """Return the groups of given variables' names, parameters, scales' names and kinds."""
        return cls(
            tuple(
                Group(
                    layout.place(name),
                    parameters,
                    tuple(layout.place(scale) for scale in scales if scale in layout.names),
                    layout.shapes[layout.names.index(name)],
                    kind,
                )
                for name, parameters, scales, kind in found
            )
        )

    @property
    def scales(self) -> tuple[int, ...]:
        """Return where the parameters lie that the effects' SDs and factors depend on."""
        return tuple(sorted({i for g in self.members for ends in g.scales for i in range(*ends)}))

    @property
    def size(self) -> int:
        """Return the number of effects."""
        return sum(group.entries[1] - group.entries[0] for group in self.members)

    def walk(
        self, vector: Array, data: Any, forms: tuple[Array, Array], *, forward: bool
    ) -> tuple[Array, Array, Array]:
        """Return the vector in its other form, log |d effects / dw|, and what w came from.

        Parameters
        ----------
        vector
            With w in place of the effects, if `forward`; else with the effects.
        forms
            tau and t (effect,).

        Returns
        -------
        tuple
            The last part has the effects, and mean, SD and factor of each: (4, effect).
        """
        told = vector
        log_slope, seen, first = jnp.zeros(()), [], 0
        for group in self.members:
            at = slice(*group.entries)
            last = first + at.stop - at.start
            tau, t = forms[0][first:last], forms[1][first:last]
            turned = group.turned(vector[at], group.parameters(told, data), tau, t, forward=forward)
            log_slope = log_slope + turned.log_slope
            seen.append(turned.seen)
            told = told.at[at].set(turned.values)
            vector = vector.at[at].set(turned.out)
            first = last
        return vector, log_slope, jnp.concatenate(seen, axis=1)


def centred(density: Density, groups: Groups, data: Any) -> Density:
    """Return the density of w, which learns tau and t in warmup; non-centred to begin with.

    Parameters
    ----------
    density
        Of the vector that holds the effects.
    groups
        The effects.
    data
        Argument of the groups' parameters.
    """
    if not groups.members:
        return density
    forms = (jnp.zeros(groups.size), jnp.zeros(groups.size))
    coordinates = _coordinates(groups)
    arguments = (density.arguments, data, forms)
    return replace(
        density,
        log_density=_log_density(density.log_density, groups),
        arguments=arguments,
        start=coordinates(arguments, density.start[None])[0],
        complete=_complete(density.complete, groups),
        reform=_reform(groups),
        coordinates=coordinates,
        volume=_volume(groups),
        scales=groups.scales,
    )


@lru_cache(maxsize=64)
def _log_density(
    log_density: Callable[[Array, Any], Array], groups: Groups
) -> Callable[[Array, Any], Array]:
    def of_w(w: Array, arguments: Any) -> Array:
        inner, data, forms = arguments
        x, log_slope, _ = groups.walk(w, data, forms, forward=True)
        return log_density(x, inner) + log_slope

    return of_w


@lru_cache(maxsize=64)
def _complete(
    complete: Callable[[Array, Array, Any], Array] | None, groups: Groups
) -> Callable[[Array, Array, Any], Array]:
    def of_w(key: Array, w: Array, arguments: Any) -> Array:
        inner, data, forms = arguments
        x, _, _ = groups.walk(w, data, forms, forward=True)
        return x if complete is None else complete(key, x, inner)

    return of_w


@lru_cache(maxsize=64)
def _volume(groups: Groups) -> Volume:
    def of_w(w: Array, arguments: Any) -> Array:
        _, data, forms = arguments
        return groups.walk(w, data, forms, forward=True)[1]

    return of_w


@lru_cache(maxsize=64)
def _coordinates(groups: Groups) -> Coordinates:
    def back(x: Array, data: Any, forms: Any) -> Array:
        return groups.walk(x, data, forms, forward=False)[0]

    compiled = jax.jit(jax.vmap(back, (0, None, None)))

    def coordinates(arguments: Any, points: np.ndarray) -> np.ndarray:
        return np.asarray(compiled(jnp.asarray(points), *arguments[1:]))

    return coordinates


@lru_cache(maxsize=64)
def _seen(groups: Groups) -> Callable[[Array, Any, Any], Array]:
    """Return ``(w (draw, size), data, forms) -> effects, mean, SD, factor (draw, 4, effect)``."""
    return jax.jit(jax.vmap(lambda w, d, f: groups.walk(w, d, f, forward=True)[2], (0, None, None)))


@lru_cache(maxsize=64)
def _reform(groups: Groups) -> Reform:
    def reform(arguments: Any, draws: np.ndarray) -> tuple[Forms, np.ndarray]:
        _, data, forms = arguments
        compiled = _seen(groups)
        parts = []
        for first in range(0, len(draws), BATCH):
            # A short last batch would compile anew: it is filled up with the first draws.
            rows = np.arange(first, first + BATCH) % len(draws)
            parts.append(np.asarray(compiled(jnp.asarray(draws[rows]), data, forms)))
        seen = np.concatenate(parts)[: len(draws)]
        half = seen[:: max(1, len(draws) // MOST_DRAWS)]
        tau, t = learn(*np.moveaxis(half, 1, 0))
        center, width = conditional(tau, t, *np.moveaxis(seen[:, 1:], 1, 0))
        entries = np.concatenate([np.arange(*group.entries) for group in groups.members])
        draws = draws.copy()
        draws[:, entries] = (seen[:, 0] - center) / width
        return (tau, t), draws

    return reform


def learn(
    effect: np.ndarray, mean: np.ndarray, sd: np.ndarray, factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return tau and t (effect,) under which draws of the effects are likeliest.

    Parameters
    ----------
    effect, mean, sd, factor
        (draw, effect).
    """
    size = effect.shape[1]
    unit = 1.0 / np.maximum(np.median((sd * factor) ** 2, axis=0), 1e-300)
    tau, t = np.zeros(size), np.zeros(size)
    # The non-centred form stays where the other is hardly better.
    best = _score(effect, mean, sd, factor, tau, t) + GAIN
    for weight in WEIGHTS:
        trial = weight * unit
        # Given tau, t is a regression of the effect on the share of it that the data decide.
        center, width = conditional(trial, 0.0, mean, sd, factor)
        slope = trial * sd**2 * factor / (1.0 + trial * (sd * factor) ** 2) / width
        place = (slope * (effect - center) / width).sum(axis=0) / np.maximum(
            (slope**2).sum(axis=0), 1e-300
        )
        score = _score(effect, mean, sd, factor, trial, place)
        better = np.isfinite(score) & (score > best)
        best = np.where(better, score, best)
        tau, t = np.where(better, trial, tau), np.where(better, place, t)
    return tau, t


def _score(
    effect: np.ndarray,
    mean: np.ndarray,
    sd: np.ndarray,
    factor: np.ndarray,
    tau: np.ndarray,
    t: np.ndarray,
) -> np.ndarray:
    """Return the mean log-density (effect,) of the draws, up to a constant."""
    center, width = conditional(tau, t, mean, sd, factor)
    return np.asarray(-(np.log(width) + 0.5 * ((effect - center) / width) ** 2).mean(axis=0))
