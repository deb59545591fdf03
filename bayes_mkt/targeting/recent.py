"""What is new about a product set that training has not seen: its effects, from recent days.

A new set has a level of its own, e ~ t(0, s_e^2), slopes b_k ~ N(0, s_k^2) about those of the mean
set, and each of the last windows t before today an effect w_t ~ N(0, s_w^2). The customers of those
windows, k buyers of n in each cell c, say of them

    p(e, b, w | k) ~ p(e) p(b) p(w) prod_tc Bin(k_tc; n_tc, logistic(eta_tc + e + w_t + x_c' b)),

with eta the log-odds of the cell by all else; one draw is taken for each draw of the posterior,
whose other parameters aren't changed by these days. A set that someone puts together need not be
like the catalogue's groups, among which s_e was learned: hence the t distribution, without which
the windows' effects would take part of what sets it apart.

The t is a normal of random variance, drawn in turns with the effects. Given it the density is
log-concave: a draw starts at the mode with the spread of the curvature there, and goes some steps
of Metropolis and Hastings' rule with independent proposals of that kind, with t tails.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["DEGREES", "Seen", "drawn_effects"]

Array = NDArray[Any]
DEGREES = 4.0  # of the t distribution of the set's level
NEWTON = 50
TURNS = 6
STEPS = 20
PROPOSED = 8.0  # degrees of freedom of the proposals
BATCH = 100


@dataclass(frozen=True, eq=False)
class Seen:
    """What customers bought of a set, by cell and window.

    Parameters
    ----------
    log_odds
        Of buying, without the set's own effects (draw, row).
    design
        What each effect adds to the log-odds (row, effect).
    customers, buyers
        Counts (row,).
    """

    log_odds: Array
    design: Array
    customers: Array
    buyers: Array

    def take(self, draws: slice) -> Seen:
        """Return the same for some of the draws."""
        return Seen(self.log_odds[draws], self.design, self.customers, self.buyers)

    def log_density(self, effects: Array, sd: Array) -> Array:
        """Return the log-density of effects (draw, effect), up to a constant (draw,)."""
        eta = self.log_odds + effects @ self.design.T
        fit = eta @ self.buyers - np.logaddexp(0.0, eta) @ self.customers
        return np.asarray(fit - 0.5 * ((effects / sd) ** 2).sum(axis=1))

    def derivatives(self, effects: Array, sd: Array) -> tuple[Array, Array]:
        """Return gradient (draw, effect) and negative curvature (draw, effect, effect)."""
        chance = expit(self.log_odds + effects @ self.design.T)
        slope = (self.buyers - self.customers * chance) @ self.design - effects / sd**2
        weight = self.customers * chance * (1 - chance)
        size = self.design.shape[1]
        pairs = (self.design[:, :, None] * self.design[:, None, :]).reshape(-1, size**2)
        curve = (weight @ pairs).reshape(-1, size, size)
        curve[:, np.arange(size), np.arange(size)] += 1 / sd**2
        return slope, curve


def drawn_effects(seen: Seen, sd: Array, rng: np.random.Generator) -> Array:
    """Return a draw of the effects for each draw of the posterior (draw, effect).

    Parameters
    ----------
    seen
        What customers bought.
    sd
        Prior scales of the effects (draw, effect): of the first, which has a t distribution of
        `DEGREES`, and SDs of the others.
    rng
        Source of the draws.
    """
    parts = []
    for first in range(0, len(sd), BATCH):  # bounds memory: draws x rows, draws x effects^2
        own = slice(first, first + BATCH)
        parts.append(_in_turns(seen.take(own), sd[own], rng))
    return np.concatenate(parts)


def _in_turns(seen: Seen, sd: Array, rng: np.random.Generator) -> Array:
    """Return effects drawn in turns with the variance of the first one's prior (draw, effect)."""
    variance = DEGREES / rng.chisquare(DEGREES, size=len(sd))
    own = sd.copy()
    for _ in range(TURNS):
        own[:, 0] = sd[:, 0] * np.sqrt(variance)
        effects = _stepped(seen, own, rng)
        size = DEGREES + (effects[:, 0] / sd[:, 0]) ** 2
        variance = size / rng.chisquare(DEGREES + 1, size=len(sd))
    return effects


def _stepped(seen: Seen, sd: Array, rng: np.random.Generator) -> Array:
    """Return where Metropolis steps end that start near the mode (draw, effect)."""
    mode, curve = _mode(seen, sd)
    # Of the inverse of the curvature: x = mode + root^-T z has this covariance.
    root = np.linalg.cholesky(curve).transpose(0, 2, 1)
    size = sd.shape[1]

    def proposed() -> tuple[Array, Array]:
        scale = np.sqrt(rng.chisquare(PROPOSED, size=len(sd)) / PROPOSED)
        z = rng.normal(size=sd.shape) / scale[:, None]
        tail = -0.5 * (PROPOSED + size) * np.log1p((z**2).sum(axis=1) / PROPOSED)
        return mode + np.linalg.solve(root, z[..., None])[..., 0], tail

    here, tail = proposed()
    weight = seen.log_density(here, sd) - tail
    for _ in range(STEPS):
        there, tail = proposed()
        other = seen.log_density(there, sd) - tail
        moves = np.log(rng.random(len(sd))) < other - weight
        here, weight = np.where(moves[:, None], there, here), np.where(moves, other, weight)
    return here


def _mode(seen: Seen, sd: Array) -> tuple[Array, Array]:
    """Return the effects of highest density of each draw, and the curvature there."""
    effects = np.zeros_like(sd)
    value = seen.log_density(effects, sd)
    for _ in range(NEWTON):
        slope, curve = seen.derivatives(effects, sd)
        step = np.linalg.solve(curve, slope[..., None])[..., 0]
        for _ in range(30):
            trial = seen.log_density(effects + step, sd)
            worse = trial < value - 1e-9 * np.abs(value)
            if not worse.any():
                break
            step = np.where(worse[:, None], step / 2, step)
        effects, value = effects + step, trial
        if (step * slope).sum(axis=1).max() < 1e-8:
            break
    return effects, seen.derivatives(effects, sd)[1]
