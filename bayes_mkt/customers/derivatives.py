"""First and second derivatives of the log-likelihood of one market's spells, by sums over rows.

The parameters of a market stand in the order: log hazard by interval, effects of covariates, logit
of never having the event, effects of covariates on that logit. A row's log-likelihood is a sum of
functions of the hazard that has added up to some time, Lambda = exp(x'b) a'h with h the hazards of
the intervals and a how much of each has passed. As entries of a are ones up to the last, sums of
a and of a a' over rows are running sums of sums by interval: what a pass costs doesn't depend on
the number of intervals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array
from scipy.special import expit

__all__ = ["Sums", "Terms"]

Array = NDArray[Any]


class Terms(NamedTuple):
    """Which parameters a market has.

    Attributes
    ----------
    intervals, features
        How many.
    never
        Whether some never have the event.
    never_features
        Whether covariates bear on that.
    """

    intervals: int
    features: int
    never: bool
    never_features: bool

    @property
    def curve(self) -> slice:
        """Where log hazards stand."""
        return slice(0, self.intervals)

    @property
    def effect(self) -> slice:
        """Where effects on the hazard stand."""
        return slice(self.intervals, self.intervals + self.features)

    @property
    def logit(self) -> slice:
        """Where the logit of never, and effects on it, stand."""
        return slice(self.intervals + self.features, self.size)

    @property
    def size(self) -> int:
        """Number of parameters."""
        logit = (1 + self.features * self.never_features) if self.never else 0
        return self.intervals + self.features + logit


class _Slopes(NamedTuple):
    """Derivatives of rows' terms by Lambda and by the logit of never (row,)."""

    value: Array
    total: Array
    total2: Array | float
    both: Array | float
    logit: Array | float
    logit2: Array | float


class Sums:
    """Sums over rows of one market, to which kinds of terms are added."""

    def __init__(self, terms: Terms, theta: Array, design: Array) -> None:
        self.terms, self.design = terms, design
        linear = design @ theta[terms.effect]
        self.linear, self.rate = linear, np.exp(linear)
        self.log_hazard = theta[terms.curve]
        self.hazard = np.exp(self.log_hazard)
        self.before = np.concatenate([[0.0], np.cumsum(self.hazard)[:-1]])
        never = theta[terms.logit]
        if terms.never_features:
            self.logit_design = np.column_stack([np.ones(len(design)), design])
        else:
            self.logit_design = np.ones((len(design), len(never)))
        self.logit = self.logit_design @ never if terms.never else np.full(len(design), -np.inf)
        self.gradient = np.zeros(terms.size)
        self.hessian = np.zeros((terms.size, terms.size))
        # Weights of rows in sums over products of covariates.
        zero = np.zeros(len(design))
        self.effect2, self.both, self.logit2 = zero.copy(), zero.copy(), zero.copy()

    def add(self, weight: Array, piece: Array, part: Array, *, came: bool) -> float:
        """Add log P(no event up to a time), and for who came log P(to come some day)."""
        total = self.rate * (self.before[piece] + part * self.hazard[piece])
        found = _came(total, self.logit) if came else _stayed(total, self.logit)
        self._add(weight, total, found, piece, part, running=True)
        return float(weight @ found.value)

    def add_within(self, weight: Array, piece: Array, share: Array) -> float:
        """Add log(1 - exp(-w)), w what the hazard adds up to in a share of an interval."""
        within = self.rate * share * self.hazard[piece]
        slope = 1.0 / np.expm1(within)
        value = np.log(-np.expm1(-within))
        found = _Slopes(value, slope, -slope * (1.0 + slope), 0.0, 0.0, 0.0)
        self._add(weight, within, found, piece, share, running=False)
        return float(weight @ value)

    def add_rate(self, weight: Array, piece: Array) -> float:
        """Add the log of the hazard at a time."""
        self.gradient[self.terms.effect] += weight @ self.design
        self.gradient[self.terms.curve] += np.bincount(piece, weight, len(self.hazard))
        return float(weight @ (self.linear + self.log_hazard[piece]))

    def curvature(self) -> Array:
        """Return the negative Hessian of all that was added."""
        x, z = self.design, self.logit_design
        effect, logit = self.terms.effect, self.terms.logit
        found = self.hessian.copy()
        found[effect, effect] += (x * self.effect2[:, None]).T @ x
        if self.terms.never:
            found[effect, logit] += (x * self.both[:, None]).T @ z
            found[logit, logit] += (z * self.logit2[:, None]).T @ z
        return -_symmetric(found)

    def _add(
        self, weight: Array, total: Array, by: _Slopes, piece: Array, part: Array, *, running: bool
    ) -> None:
        """Add derivatives of terms of Lambda = rate a'h, where a is `part` at `piece`.

        Before `piece`, a is one if `running`, else zero.
        """
        curve, effect, logit = self.terms.curve, self.terms.effect, self.terms.logit
        x, h = self.design, self.hazard

        def summed(by_row: Array, of: Array) -> Array:
            return _summed(by_row, of, piece, part, len(h), running=running)

        one = np.ones((len(x), 1))
        first, second = weight * by.total, weight * by.total2
        along = h * summed(first * self.rate, one)[:, 0]
        self.gradient[curve] += along
        self.gradient[effect] += (first * total) @ x
        self.effect2 += second * total**2 + first * total
        self.hessian[curve, curve] += np.diag(along)
        if not np.isscalar(by.total2):
            squared = _squared(second * self.rate**2, piece, part, len(h), running=running)
            self.hessian[curve, curve] += np.outer(h, h) * squared
        bent = (second * total + first) * self.rate
        self.hessian[curve, effect] += h[:, None] * summed(bent, x)
        if not self.terms.never or np.isscalar(by.logit):
            return
        self.gradient[logit] += (weight * by.logit) @ self.logit_design
        self.logit2 += weight * by.logit2
        if not np.isscalar(by.both):
            both = weight * by.both
            self.both += both * total
            self.hessian[curve, logit] += h[:, None] * summed(both * self.rate, self.logit_design)


def _stayed(total: Array, logit: Array) -> _Slopes:
    """Return log(pi + (1 - pi) exp(-total)) and its derivatives."""
    never = expit(logit)
    some_day = expit(-logit - total)  # P(to come some day, given no event so far)
    value = -np.logaddexp(0.0, logit) + np.logaddexp(logit, -total)
    mixed = some_day * (1.0 - some_day)
    bent = mixed - never * (1.0 - never)
    return _Slopes(value, -some_day, mixed, mixed, 1.0 - some_day - never, bent)


def _came(total: Array, logit: Array) -> _Slopes:
    """Return log((1 - pi) exp(-total)) and its derivatives."""
    never = expit(logit)
    value = -total - np.logaddexp(0.0, logit)
    return _Slopes(value, -np.ones_like(total), 0.0, 0.0, -never, -never * (1.0 - never))


def _summed(
    weight: Array, of: Array, piece: Array, part: Array, intervals: int, *, running: bool
) -> Array:
    """Return sums over rows of weight a of', (interval, column)."""
    shape = (intervals, len(piece))
    ends = np.arange(len(piece) + 1)
    out = np.asarray(csc_array((weight * part, piece, ends), shape=shape) @ of)
    if running:
        whole = np.asarray(csc_array((weight, piece, ends), shape=shape) @ of)
        out += np.cumsum(whole[::-1], axis=0)[::-1] - whole
    return out


def _squared(weight: Array, piece: Array, part: Array, intervals: int, *, running: bool) -> Array:
    """Return the sum over rows of weight a a', (interval, interval)."""
    diagonal = np.bincount(piece, weight * part**2, intervals)
    if not running:
        return np.diag(diagonal)
    whole = np.bincount(piece, weight, intervals)
    later = np.cumsum(whole[::-1])[::-1] - whole
    last = np.bincount(piece, weight * part, intervals) + later
    index = np.arange(intervals)
    out = last[np.maximum(index[:, None], index[None, :])]
    np.fill_diagonal(out, diagonal + later)
    return np.asarray(out)


def _symmetric(upper: Array) -> Array:
    """Return the matrix whose blocks below the diagonal are those above it.

    Blocks on the diagonal are symmetric, and counted once.
    """
    found = np.triu(upper)
    return found + np.triu(upper, 1).T
