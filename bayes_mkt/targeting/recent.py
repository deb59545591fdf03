"""How well a set of products that training hasn't seen sells of late: its level, from recent days.

The level of a new set is L = e + w with its own effect e ~ N(0, s_e^2) and that of the time
w ~ N(0, s_w^2). The customers of the last days before today, k buyers of n in each cell, say of it

    p(L | k) ~ N(L; 0, s_e^2 + s_w^2) prod_c Binomial(k_c; n_c, logistic(eta_c + L)),

with eta_c the log-odds of the cell by all else. It is log-concave in L, and is drawn from on a grid
about its mode, for each draw of the posterior; e | L is normal. The other parameters aren't
changed by these days.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

__all__ = ["drawn_effect"]

Array = NDArray[Any]
POINTS = np.linspace(-6.0, 6.0, 49)
STEPS = 50
BATCH = 50


def drawn_effect(
    log_odds: Array,
    customers: Array,
    buyers: Array,
    set_sd: Array,
    window_sd: Array,
    rng: np.random.Generator,
) -> Array:
    """Return a draw of the set's effect for each draw of the posterior (draw,).

    Parameters
    ----------
    log_odds
        Of buying, without the effects of set and time (draw, cell).
    customers, buyers
        In the days before (cell,).
    set_sd, window_sd
        SDs of both effects (draw,).
    rng
        Source of the draws.
    """
    spread = np.hypot(set_sd, window_sd)
    mode, width = _mode(log_odds, customers, buyers, spread)
    level = np.empty_like(mode)
    for first in range(0, len(mode), BATCH):  # bounds memory: draws x points x cells
        own = slice(first, first + BATCH)
        level[own] = _from_grid(
            log_odds[own], customers, buyers, spread[own], mode[own], width[own], rng
        )
    share = set_sd**2 / spread**2
    return np.asarray(level * share + set_sd * window_sd / spread * rng.normal(size=level.shape))


def _mode(log_odds: Array, customers: Array, buyers: Array, spread: Array) -> tuple[Array, Array]:
    """Return the level of highest density of each draw, and the SD by the curvature there."""
    level = np.zeros(len(log_odds))
    for _ in range(STEPS):
        chance = expit(log_odds + level[:, None])
        slope = buyers.sum() - chance @ customers - level / spread**2
        curve = (chance * (1 - chance)) @ customers + 1 / spread**2
        move = np.clip(slope / curve, -1.0, 1.0)
        level = level + move
        if np.abs(move).max() < 1e-6:
            break
    return level, curve**-0.5


def _from_grid(
    log_odds: Array,
    customers: Array,
    buyers: Array,
    spread: Array,
    mode: Array,
    width: Array,
    rng: np.random.Generator,
) -> Array:
    """Return a draw of each level by the inverse of its distribution function."""
    grid = mode[:, None] + width[:, None] * POINTS
    eta = log_odds[:, None, :] + grid[:, :, None]
    density = grid * buyers.sum() - np.logaddexp(0.0, eta) @ customers
    density -= 0.5 * (grid / spread[:, None]) ** 2
    weight = np.exp(density - density.max(axis=1, keepdims=True))
    # Between its points the density is taken to be linear.
    pieces = 0.5 * (weight[:, 1:] + weight[:, :-1])
    below = np.concatenate([np.zeros((len(grid), 1)), pieces.cumsum(axis=1)], axis=1)
    below /= below[:, -1:]
    at = rng.random(len(grid))
    return np.array([np.interp(u, b, g) for u, b, g in zip(at, below, grid, strict=True)])
