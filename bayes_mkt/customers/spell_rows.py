"""The rows of spells, and passes over them: their log-likelihood and its derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.customers.derivatives import Sums, Terms
from bayes_mkt.customers.effects import Coding
from bayes_mkt.customers.points import locate
from bayes_mkt.inference.threads import threads

if TYPE_CHECKING:
    from bayes_mkt.customers.spells import Spells

__all__ = ["Derivatives", "SpellRows"]

Array = NDArray[Any]
BLOCK: Final = 2**20  # numbers of a design matrix that a thread holds at a time
ROWS, DRAWS = 500, 200  # of which the log-likelihood is taken at a time, for the processor's cache


class Derivatives(NamedTuple):
    """Of the log-likelihood: its value, gradient and negative Hessian, by market.

    Attributes
    ----------
    value
        Sum over markets.
    gradient, curvature
        (market, parameter) and (market, parameter, parameter).
    """

    value: float
    gradient: Array
    curvature: Array


@dataclass(frozen=True, eq=False)
class SpellRows:
    """Rows of spells, sorted by market and by how they end.

    Parameters
    ----------
    terms
        Parameters of a market.
    design
        Covariates on the model's scale (row, feature).
    count, market, happened
        Of each row.
    piece, part
        Where the hazard ends that was survived.
    share
        Share of its interval in which an event is known to lie; 0 where its time is known exactly.
    log_length
        Log of the interval's length, where the time of an event is known exactly.
    entry_piece, entry_part
        Where the row begins.
    markets
        Number of markets.
    """

    terms: Terms
    design: Array
    count: Array
    market: Array
    happened: Array
    piece: Array
    part: Array
    share: Array
    log_length: Array
    entry_piece: Array
    entry_part: Array
    markets: int

    @classmethod
    def of(cls, data: Spells, *, never: bool, never_features: bool) -> SpellRows:
        """Return the rows of data."""
        rows = data.data
        cell = rows["cell_of_row"].values
        market = rows["market_of_cell"].values[cell]
        happened = rows["event"].values > 0
        lengths = np.diff(np.concatenate([[0.0], data.cuts]))
        end, start = (locate(data.cuts, rows[name].values) for name in ("duration", "entry"))
        share = np.where(happened, data.resolution / lengths[end.piece], 0.0)
        exact = happened & (data.resolution <= 0)
        columns = {
            "count": rows["count"].values,
            "market": market,
            "happened": happened,
            "piece": end.piece,
            "part": end.part - share,
            "share": share,
            "log_length": np.where(exact, np.log(lengths[end.piece]), 0.0),
            "entry_piece": start.piece,
            "entry_part": start.part,
        }
        order = np.lexsort((happened, market))
        features = len(data.features)
        terms = Terms(len(data.cuts), features, never, never and never_features and features > 0)
        design = Coding.of(data).apply(data)[cell[order]]
        ordered = {name: values[order] for name, values in columns.items()}
        return cls(terms=terms, design=design, markets=len(data.markets), **ordered)

    def take(self, rows: Array) -> SpellRows:
        """Return some rows, in ascending order."""
        names = [n for n in self.__dataclass_fields__ if n not in ("terms", "markets")]
        return SpellRows(
            terms=self.terms, markets=self.markets, **{n: getattr(self, n)[rows] for n in names}
        )

    def derivatives(self, theta: Array) -> Derivatives:
        """Return the log-likelihood at parameters (market, parameter), and its derivatives."""
        value = 0.0
        gradient = np.zeros((self.markets, self.terms.size))
        curvature = np.zeros((self.markets, self.terms.size, self.terms.size))

        def summed(at: tuple[int, slice]) -> tuple[int, float, Array, Array]:
            m, block = at
            # A step too far has no number for a value, and is taken back.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                sums = Sums(self.terms, theta[m], self.design[block])
                return m, self._add(sums, block), sums.gradient, sums.curvature()

        length = max(BLOCK // (self.design.shape[1] + 8), 1)
        with threads() as pool:
            for m, added, slope, bent in pool.map(summed, self._blocks(length)):
                value += added
                gradient[m] += slope
                curvature[m] += bent
        return Derivatives(value, gradient, curvature)

    def log_likelihood(self, theta: Array) -> Array:
        """Return the log-likelihood (draw, market) at parameters (draw, market, parameter).

        What a customer adds is in single precision, as thousands of passes are made: the sum over a
        million customers errs by about 0.01.
        """
        names = ("design", "part", "share", "log_length", "entry_part")
        single = replace(self, **{name: getattr(self, name).astype(np.float32) for name in names})
        parts = [theta[start : start + DRAWS] for start in range(0, len(theta), DRAWS)]
        with threads() as pool:
            return np.concatenate(list(pool.map(single._of_draws, parts)))

    def _of_draws(self, theta: Array) -> Array:
        """Return the log-likelihood (draw, market)."""
        total = np.zeros((len(theta), self.markets))
        at = -1
        with np.errstate(divide="ignore", over="ignore"):
            for m, block in self._blocks(ROWS):
                if m != at:
                    tables, at = _Tables.of(theta[:, m], self.terms), m
                total[:, m] += self._of_block(tables, block)
        return total

    def _of_block(self, at: _Tables, block: slice) -> Array:
        """Return the log-likelihood of rows (draw,) at one market's parameters."""
        design, count, piece = self.design[block], self.count[block], self.piece[block]
        linear = design @ at.effect
        rate = np.exp(linear)
        odds: Any = np.float32(0.0)
        if self.terms.never:
            odds = at.never[:1]
            odds = np.exp(odds + design @ at.never[1:] if self.terms.never_features else odds)
        passed = rate * at.passed(piece, self.part[block])
        out = -(count @ np.broadcast_to(np.log(1.0 + odds), passed.shape))
        if not self.happened[block.start]:
            out = out + count @ np.log(odds + np.exp(-passed))
        elif (self.share[block] > 0).all():
            within = rate * (self.share[block][:, None] * at.hazard[piece])
            out = out + count @ (np.log(-np.expm1(-within)) - passed)
        else:
            log_length = self.log_length[block][:, None]
            out = out + count @ (linear + np.log(at.hazard)[piece] - log_length - passed)
        entry, late = self.entry_piece[block], self.entry_part[block]
        if ((entry > 0) | (late > 0)).any():
            stayed = np.log(odds + np.exp(-rate * at.passed(entry, late))) - np.log(1.0 + odds)
            out = out - count @ stayed
        return np.asarray(out)

    def _blocks(self, length: int) -> Iterator[tuple[int, slice]]:
        """Yield market and at most `length` rows, of one market and one kind of end."""
        key = 2 * self.market + self.happened
        edges = np.searchsorted(key, np.arange(2 * self.markets + 1))
        for k in range(2 * self.markets):
            for start in range(edges[k], edges[k + 1], length):
                yield k // 2, slice(start, min(start + length, edges[k + 1]))

    def _add(self, sums: Sums, block: slice) -> float:
        """Add what rows contribute; return their log-likelihood."""
        count, piece = self.count[block], self.piece[block]
        end, entry = (piece, self.part[block]), (self.entry_piece[block], self.entry_part[block])
        happened = bool(self.happened[block.start])
        value = sums.add(count, *end, came=happened)
        if ((entry[0] > 0) | (entry[1] > 0)).any():
            value += sums.add(-count, *entry, came=False)
        if happened:
            share = self.share[block]
            if (share > 0).all():
                value += sums.add_within(count, piece, share)
            else:
                value += sums.add_rate(count, piece) - float(count @ self.log_length[block])
        return value


class _Tables(NamedTuple):
    """One market's parameters at some draws, in single precision, each (..., draw)."""

    hazard: Array
    before: Array
    effect: Array
    never: Array

    @classmethod
    def of(cls, theta: Array, terms: Terms) -> _Tables:
        """Return those of parameters (draw, parameter)."""
        columns = np.ascontiguousarray(theta.T)
        hazard = np.exp(columns[terms.curve])
        before = np.cumsum(hazard, axis=0) - hazard
        parts = (hazard, before, columns[terms.effect], columns[terms.logit])
        return cls(*(part.astype(np.float32) for part in parts))

    def passed(self, piece: Array, part: Array) -> Array:
        """Return the baseline hazard that has added up to some times (row, draw)."""
        return np.asarray(self.before[piece] + part[:, None] * self.hazard[piece])
