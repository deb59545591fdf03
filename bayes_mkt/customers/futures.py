"""What a customer will do, given hyperparameters and history: exact conditionals, in NumPy.

Given r, alpha, ..., a customer's own rates are conjugate: what is drawn comes from gamma, beta,
geometric and Poisson distributions, and needs no Markov chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

__all__ = ["BetaFuture", "Future", "Outlook", "RateFuture", "discounted"]

Array = NDArray[Any]
NODES: Final = 16
AGES: Final = 20.0  # e^-20 of its value is left of what comes later
NUDGE: Final = 1e-4


class Outlook(Protocol):
    """What is expected of customers who are alive now."""

    @property
    def rate(self) -> Array:
        """Return alpha + T."""

    def expected(self, horizon: float | Array) -> Array:
        """Return expected purchases within `horizon`."""

    def silent(self, horizon: float) -> Array:
        """Return the probability of no purchase within `horizon`."""


class Future(Outlook, Protocol):
    """The future of customers who are alive now, to draw from."""

    def counts(self, horizons: Array, rng: np.random.Generator) -> Array:
        """Return drawn numbers of purchases up to each horizon (increasing), last axis."""


@dataclass(frozen=True)
class BetaFuture:
    """Alive under (M)BG/NBD: lambda ~ Gamma(shape, rate), p ~ Beta(a, c), leaves after a purchase.

    Parameters
    ----------
    shape, rate
        r + x and alpha + T.
    a, c
        a and b + x (BG/NBD) or b + x + 1 (MBG/NBD).
    """

    shape: Array
    rate: Array
    a: Array
    c: Array

    def expected(self, horizon: float | Array) -> Array:
        """Return (a+c-1)/(a-1) [1 - (A/(A+h))^R 2F1(R, c; a+c-1; h/(A+h))], A rate, R shape.

        Fader, Hardie, Lee (2005), equation 10, given that the customer is alive. The singularity
        at a = 1 is removable: there the mean of both sides of it is taken.
        """
        near = np.abs(self.a - 1.0) < NUDGE
        if not np.any(near):
            return self._closed(self.a, horizon)
        low = self._closed(np.where(near, 1.0 - NUDGE, self.a), horizon)
        high = self._closed(np.where(near, 1.0 + NUDGE, self.a), horizon)
        return 0.5 * (low + high)

    def _closed(self, a: Array, horizon: float | Array) -> Array:
        total = a + self.c - 1.0
        total = np.where(np.abs(total) < NUDGE, NUDGE, total)
        z = horizon / (self.rate + horizon)
        with np.errstate(over="ignore", invalid="ignore"):
            kept = (1.0 - z) ** self.shape * special.hyp2f1(self.shape, self.c, total, z)
        lost = ~np.isfinite(kept)
        if np.any(lost):
            # Euler's transformation: the same number where the factors overflow.
            shape, kind, g, u = (
                np.broadcast_to(v, kept.shape)[lost] for v in (self.shape, a, total, z)
            )
            kept[lost] = (1.0 - u) ** (kind - 1.0) * special.hyp2f1(g - shape, kind - 1.0, g, u)
        return np.asarray(total / (a - 1.0) * (1.0 - kept))

    def silent(self, horizon: float) -> Array:
        """Return (A/(A+h))^R: nobody leaves before the next purchase."""
        return np.asarray((self.rate / (self.rate + horizon)) ** self.shape)

    def counts(self, horizons: Array, rng: np.random.Generator) -> Array:
        """Return min(G, Poisson(lambda h)), with G ~ Geometric(p) the last purchase."""
        arrivals = _arrivals(rng.gamma(self.shape) / self.rate, np.asarray(horizons), rng)
        p = np.maximum(rng.beta(self.a, self.c), 1e-12)
        return np.minimum(arrivals, rng.geometric(p)[..., None])


@dataclass(frozen=True)
class RateFuture:
    """Alive under Pareto/NBD: lambda ~ Gamma(shape, rate), leaves at rate mu ~ Gamma(s, beta).

    Parameters
    ----------
    shape, rate
        r + x and alpha + T.
    s, beta
        s and beta + T.
    """

    shape: Array
    rate: Array
    s: Array
    beta: Array

    def expected(self, horizon: float | Array) -> Array:
        """Return R/A INT_0^h (B/(B+u))^s du = R/A B/(s-1) [1 - (B/(B+h))^(s-1)]."""
        span = np.log1p(horizon / self.beta)
        power = 1.0 - self.s
        small = np.abs(power * span) < 1e-8
        safe = np.where(small, 1.0, power)
        stay = np.where(small, span, np.expm1(safe * span) / safe)
        return np.asarray(self.shape / self.rate * self.beta * stay)

    def silent(self, horizon: float) -> Array:
        """Return 1 - INT_U^1 (B/(B+t))^s du, with u = (A/(A+t))^R and U its value at t = h."""
        floor = (self.rate / (self.rate + horizon)) ** self.shape
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        bought = np.zeros(np.broadcast(floor, self.s).shape)
        for node, weight in zip(0.5 - 0.5 * nodes, 0.5 * weights, strict=True):
            u = 1.0 - (1.0 - floor) * node
            t = self.rate * np.expm1(-np.log(u) / self.shape)
            bought += weight * (self.beta / (self.beta + t)) ** self.s
        return np.asarray(1.0 - (1.0 - floor) * bought)

    def counts(self, horizons: Array, rng: np.random.Generator) -> Array:
        """Return Poisson(lambda min(h, tau)), with tau ~ Exponential(mu) the end."""
        rate = rng.gamma(self.shape) / self.rate
        end = rng.standard_exponential(rate.shape) * self.beta / rng.gamma(self.s, size=rate.shape)
        active = np.minimum(np.asarray(horizons), end[..., None])
        steps = np.diff(active, axis=-1, prepend=0.0)
        return np.asarray(rng.poisson(rate[..., None] * steps).cumsum(axis=-1))


def discounted(future: Outlook, horizon: float | None, rate: float) -> Array:
    """Return expected purchases, each discounted by exp(-rate t), up to a horizon or for ever.

    With M(t) expected purchases within t, by parts: e^(-d h) M(h) + INT_0^h d e^(-d t) M(t) dt.

    Parameters
    ----------
    horizon
        None for ever, which needs a rate above 0.
    rate
        Continuous discount rate d, in the same unit of time.
    """
    if rate == 0.0 and horizon is not None:
        return future.expected(horizon)
    last = AGES / rate if horizon is None else min(horizon, AGES / rate)
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    # On t = A (e^y - 1), A = alpha + T, purchases and discount both change at an even pace.
    span = np.log1p(last / future.rate)
    total = np.zeros(())
    for node, weight in zip(0.5 + 0.5 * nodes, 0.5 * weights, strict=True):
        t = future.rate * np.expm1(node * span)
        share = weight * span * (future.rate + t) * rate * np.exp(-rate * t)
        total = total + share * future.expected(t)
    return np.asarray(total + np.exp(-rate * last) * future.expected(last))


def _arrivals(rate: Array, horizons: Array, rng: np.random.Generator) -> Array:
    """Return Poisson counts up to each horizon, last axis."""
    steps = np.diff(horizons, prepend=0.0)
    return np.asarray(rng.poisson(rate[..., None] * steps).cumsum(axis=-1))
