"""Group effects between centred and non-centred form, as far as the data inform each of them.

For theta ~ N(mu, s), data that inform theta like an observation t of precision tau leave

    theta | s ~ N(M, R^2),    R = s / sqrt(1 + tau s^2),    M = mu + tau R^2 (t - mu),

so that w = (theta - M) / R is standard normal whatever mu and s: no funnel is left between the
effects and their spread. tau = 0 is the non-centred form, tau -> inf the centred one. Where data
inform several effects of a row together, such as a market's level and its slope, and know their
sum better than each, t is a line in those before: t = t0 + sum_k b_k theta_k. tau, t0 and b of
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
from bayes_mkt.inference.effects import Group, conditional, partners_of
from bayes_mkt.inference.pseudo_observations import Effects, learn

Array = jax.Array
MOST_DRAWS = 400
BATCH = 400
# Effects of the same row, of groups before, on which what data say of an entry may depend.
MOST_PARTNERS = 4
Parts = tuple[Array, Array, Array]


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
        members: list[Group] = []
        for name, parameters, scales, kind in found:
            shape = layout.shapes[layout.names.index(name)]
            places = tuple(layout.place(scale) for scale in scales if scale in layout.names)
            partners = partners_of(shape, kind, members, MOST_PARTNERS)
            members.append(Group(layout.place(name), parameters, places, shape, kind, partners))
        return cls(tuple(members))

    @property
    def scales(self) -> tuple[int, ...]:
        """Return where the parameters lie that the effects' SDs and factors depend on."""
        return tuple(sorted({i for g in self.members for ends in g.scales for i in range(*ends)}))

    @property
    def size(self) -> int:
        """Return the number of effects."""
        return sum(group.entries[1] - group.entries[0] for group in self.members)

    @property
    def most_partners(self) -> int:
        """Return the largest number of effects before, of the same row, that an entry has."""
        widths = [
            sum(int(np.prod(self.members[i].shape[1:])) for i in group.partners)
            for group in self.members
        ]
        return max(widths, default=0)

    def parts(self, effects: np.ndarray) -> list[np.ndarray]:
        """Return arrays (..., effect) by group."""
        lengths = [group.entries[1] - group.entries[0] for group in self.members]
        return np.split(effects, np.cumsum(lengths)[:-1], axis=-1)

    def learnt(self, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return tau, t0 and b (see `learn`) of effects, means, SDs, factors (draw, 4, effect)."""
        thetas = self.parts(seen[:, 0] * seen[:, 3])
        taus, places = [], []
        slopes, first = np.zeros((self.size, self.most_partners)), 0
        for group, part in zip(self.members, self.parts(seen), strict=True):
            rows = group.rows(thetas) if group.partners else None
            # Draws of one effect lie together: what is learnt is learnt over draws.
            together = np.ascontiguousarray(part.transpose(1, 2, 0)).transpose(0, 2, 1)
            tau, t, b = learn(Effects(*together), rows)
            slopes[first : first + len(b), : b.shape[1]] = b
            first += len(b)
            taus.append(tau)
            places.append(t)
        return np.concatenate(taus), np.concatenate(places), slopes

    def standard(self, seen: np.ndarray, forms: tuple[np.ndarray, ...]) -> np.ndarray:
        """Return w (draw, effect) of effects, means, SDs and factors (draw, 4, effect)."""
        thetas = self.parts(seen[:, 0] * seen[:, 3])
        found, first = [], 0
        for group, part in zip(self.members, self.parts(seen), strict=True):
            last = first + part.shape[-1]
            tau, t, slopes = (form[first:last] for form in forms)
            t = t + group.beside(thetas, slopes)
            center, width = conditional(tau, t, *np.moveaxis(part[:, 1:], 1, 0))
            found.append((part[:, 0] - center) / width)
            first = last
        return np.concatenate(found, axis=1)

    def walk(
        self, vector: Array, data: Any, forms: Parts, *, forward: bool
    ) -> tuple[Array, Array, Array]:
        """Return the vector in its other form, log |d effects / dw|, and what w came from.

        Parameters
        ----------
        vector
            With w in place of the effects, if `forward`; else with the effects.
        forms
            tau and t0 (effect,), and b (effect, partner).

        Returns
        -------
        tuple
            The last part has the effects, and mean, SD and factor of each: (4, effect).
        """
        told = vector
        log_slope, seen, first = jnp.zeros(()), [], 0
        thetas: list[Array] = []
        for group in self.members:
            at = slice(*group.entries)
            last = first + at.stop - at.start
            tau, t, slopes = (part[first:last] for part in forms)
            t = t + group.beside(thetas, slopes)
            turned = group.turned(vector[at], group.parameters(told, data), tau, t, forward=forward)
            log_slope = log_slope + turned.log_slope
            seen.append(turned.seen)
            thetas.append(turned.seen[0] * turned.seen[3])
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
    size = groups.size
    forms = (np.zeros(size), np.zeros(size), np.zeros((size, groups.most_partners)))
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
    def of_w(noise: Array, w: Array, arguments: Any) -> Array:
        inner, data, forms = arguments
        x, _, _ = groups.walk(w, data, forms, forward=True)
        return x if complete is None else complete(noise, x, inner)

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
        forms = groups.learnt(half)
        entries = np.concatenate([np.arange(*group.entries) for group in groups.members])
        draws = draws.copy()
        draws[:, entries] = groups.standard(seen, forms)
        return forms, draws

    return reform
