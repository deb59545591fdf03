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
REACH: Final = 32.0  # e^-32 of a weight is left beyond the nodes
GAMMA_NODES: Final = 48
BETA_NODES: Final = 80


class Outlook(Protocol):
    """What is expected of customers who are alive now."""

    @property
    def rate(self) -> Array:
        """Return alpha + T."""

    def expected(self, horizon: float | Array) -> Array:
        """Return expected purchases within `horizon`."""

    def silent(self, horizon: float) -> Array:
        """Return the probability of no purchase within `horizon`."""

    def chances(self, horizon: float, most: int) -> Array:
        """Return P(0), P(1), ... purchases, the last of `most` or more; last axis."""

    def ever(self, rate: float) -> Array:
        """Return expected purchases for ever, each discounted by exp(-rate t); rate > 0."""


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

    def chances(self, horizon: float, most: int) -> Array:
        """Return P(min(G, K) = n), K ~ Poisson(lambda h), G ~ Geometric(p) the last purchase.

        P(n) = E[(1-p)^n] P(K = n) + E[p (1-p)^(n-1)] P(K >= n); K is negative binomial.
        """
        arrived = negative_binomial(self.shape, horizon / self.rate, most)
        later = np.ones(arrived.shape[:-1])
        stays = np.ones(np.broadcast(self.a, self.c).shape)
        out = np.empty(arrived.shape)
        out[..., 0] = arrived[..., 0]
        for n in range(1, most):
            later = later - arrived[..., n - 1]
            leaves = stays * self.a / (self.a + self.c + n - 1)
            stays = stays - leaves
            out[..., n] = stays * arrived[..., n] + leaves * later
        out[..., most] = 1.0 - out[..., :most].sum(axis=-1)
        return np.maximum(out, 0.0)

    def ever(self, rate: float) -> Array:
        """Return E[lambda / (d + p lambda)].

        The n-th purchase comes if the n-1 before it weren't the last, at a time Gamma(n, lambda):
        SUM_n (1-p)^(n-1) (lambda / (lambda + d))^n = lambda / (d + p lambda). Both expectations
        are trapezoidal sums over the whole line, of ln lambda and, stretched by sinh, of logit p,
        which converge exponentially (Trefethen, Weideman 2014).
        """
        level = self.rate * rate
        gains, mass = _gamma_nodes(self.shape)
        risks, share = _beta_nodes(self.a, self.c)
        total = np.zeros(np.broadcast(level, mass[0], share[0]).shape)
        for p, weight in zip(risks, share, strict=True):
            inner = np.zeros(total.shape)
            for gain, part in zip(gains, mass, strict=True):
                inner += part / (level + p * gain)
            total += weight * inner
        return total

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

    def chances(self, horizon: float, most: int) -> Array:
        """Return P(Poisson(lambda min(h, tau)) = n), tau ~ Exponential(mu) the end.

        P(n) = S(h) NB_h(n) + INT_0^h f(u) NB_u(n) du, with S and f of tau and NB_u the counts
        within u; on u = m (e^y - 1), m the smaller of alpha + T and beta + T.
        """
        scale = np.minimum(self.rate, self.beta)
        span = np.log1p(horizon / scale)
        survives = (self.beta / (self.beta + horizon)) ** self.s
        out = survives[..., None] * negative_binomial(self.shape, horizon / self.rate, most)
        nodes, weights = np.polynomial.legendre.leggauss(2 * NODES)
        for node, weight in zip(0.5 + 0.5 * nodes, 0.5 * weights, strict=True):
            u = scale * np.expm1(node * span)
            ends = self.s / (self.beta + u) * (self.beta / (self.beta + u)) ** self.s
            share = weight * span * (scale + u) * ends
            out += share[..., None] * negative_binomial(self.shape, u / self.rate, most)
        out[..., most] = 1.0 - out[..., :most].sum(axis=-1)
        return np.maximum(out, 0.0)

    def ever(self, rate: float) -> Array:
        """Return E[lambda] E[1 / (d + mu)] = R/A B U(1, 2-s, d B), U Tricomi's function.

        1 / (d + mu) = INT e^(-(d + mu) t) dt: by parts, as for a horizon.
        """
        return _by_parts(self, AGES / rate, rate)

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
    if horizon is None:
        return future.ever(rate)
    if rate == 0.0:
        return future.expected(horizon)
    return _by_parts(future, min(horizon, AGES / rate), rate)


def negative_binomial(shape: Array, odds: Array, most: int) -> Array:
    """Return probabilities of 0, 1, ... of Poisson counts at a rate Gamma(shape, 1) / odds.

    The last is of `most` or more. P(n) = G(R+n) / (G(R) n!) (1+o)^-R (o / (1+o))^n.
    """
    p = np.exp(-shape * np.log1p(odds))
    ratio = odds / (1.0 + odds)
    out = np.empty((*np.broadcast(shape, odds).shape, most + 1))
    left = np.ones(out.shape[:-1])
    for n in range(most):
        out[..., n] = p
        left = left - p
        p = p * ratio * (shape + n) / (n + 1)
    out[..., most] = np.maximum(left, 0.0)
    return out


def _by_parts(future: Outlook, last: float, rate: float) -> Array:
    """Return e^(-d h) M(h) + INT_0^h d e^(-d t) M(t) dt, h `last`."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    # On t = A (e^y - 1), A = alpha + T, purchases and discount both change at an even pace.
    span = np.log1p(last / future.rate)
    total = np.zeros(())
    for node, weight in zip(0.5 + 0.5 * nodes, 0.5 * weights, strict=True):
        t = future.rate * np.expm1(node * span)
        share = weight * span * (future.rate + t) * rate * np.exp(-rate * t)
        total = total + share * future.expected(t)
    return np.asarray(total + np.exp(-rate * last) * future.expected(last))


def _gamma_nodes(shape: Array) -> tuple[Array, Array]:
    """Return nodes G and weights of INT g^R e^-g / G(R) f(g) dg / g, G = e^s: G times a Gamma(R).

    The first axis runs over nodes. Evenly spaced s, where s (R+1) - e^s is within 32 of its
    greatest value.
    """
    power = np.asarray(shape + 1.0)
    peak = np.log(power)
    width = np.sqrt(2 * REACH / power)
    low = peak - np.where(width < 1.0, 1.3 * width, REACH / power + 1.5)
    high = peak + np.where(width < 1.0, 1.1 * width, np.log1p(REACH / power))
    s = low + (high - low) * _even(GAMMA_NODES, power.ndim)
    step = (high - low) / (GAMMA_NODES - 1)
    return np.exp(s), step * np.exp(power * s - np.exp(s) - special.gammaln(shape))


def _beta_nodes(a: Array, c: Array) -> tuple[Array, Array]:
    """Return nodes p and weights of a Beta(a, c), by logit p = m + 2 sinh(u), u evenly spaced."""
    middle = np.log(a / c)
    left = np.arcsinh(0.5 * (REACH / a + 4.0))
    right = np.arcsinh(0.5 * (REACH / c + 4.0))
    u = -left + (left + right) * _even(BETA_NODES, np.ndim(middle))
    logit = middle + 2.0 * np.sinh(u)
    stays = -np.logaddexp(0.0, logit)
    density = np.exp(a * (logit + stays) + c * stays - special.betaln(a, c))
    step = (left + right) / (BETA_NODES - 1)
    return np.exp(logit + stays), step * 2.0 * np.cosh(u) * density


def _even(count: int, ndim: int) -> Array:
    """Return evenly spaced numbers from 0 to 1 along a new first axis."""
    return np.linspace(0.0, 1.0, count).reshape(-1, *[1] * ndim)


def _arrivals(rate: Array, horizons: Array, rng: np.random.Generator) -> Array:
    """Return Poisson counts up to each horizon, last axis."""
    steps = np.diff(horizons, prepend=0.0)
    return np.asarray(rng.poisson(rate[..., None] * steps).cumsum(axis=-1))
