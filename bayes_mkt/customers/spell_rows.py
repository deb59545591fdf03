"""The rows of spells, and passes over them: their log-likelihood and its derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.customers.derivatives import Sums, Terms
from bayes_mkt.customers.effects import Coding
from bayes_mkt.customers.points import locate

if TYPE_CHECKING:
    from bayes_mkt.customers.spells import Spells

__all__ = ["Derivatives", "SpellRows"]

Array = NDArray[Any]
BLOCK: Final = 2**22  # numbers of a design matrix that are held at a time
ROWS, DRAWS = 2000, 50  # of which the log-likelihood is taken at a time, for the processor's cache


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
        length = max(BLOCK // (self.design.shape[1] + 8), 1)
        for m, block in self._blocks(length):
            sums = Sums(self.terms, theta[m], self.design[block])
            value += self._add(sums, block)
            gradient[m] += sums.gradient
            curvature[m] += sums.curvature()
        return Derivatives(value, gradient, curvature)

    def log_likelihood(self, theta: Array) -> Array:
        """Return the log-likelihood (draw,) at parameters (draw, market, parameter)."""
        starts = range(0, len(theta), DRAWS)
        parts = [slice(start, start + DRAWS) for start in starts]
        blocks = list(self._blocks(ROWS))

        def one(part: slice) -> Array:
            total = np.zeros(len(theta[part]))
            with np.errstate(divide="ignore", over="ignore"):
                for m, block in blocks:
                    total += self._of_block(np.ascontiguousarray(theta[part, m].T), block)
            return total

        with ThreadPoolExecutor() as pool:
            return np.concatenate(list(pool.map(one, parts)))

    def _of_block(self, theta: Array, block: slice) -> Array:
        """Return the log-likelihood of rows at one market's parameters (parameter, draw)."""
        terms, design, count = self.terms, self.design[block], self.count[block]
        linear = design @ theta[terms.effect]
        rate = np.exp(linear)
        hazard = np.exp(theta[terms.curve])
        before = np.cumsum(hazard, axis=0) - hazard
        odds: Array | float = 0.0
        if terms.never:
            slopes = theta[terms.logit]
            odds = np.exp(slopes[0] + design @ slopes[1:] if terms.never_features else slopes[:1])

        def total(piece: Array, part: Array) -> Array:
            return np.asarray(rate * (before[piece] + part[:, None] * hazard[piece]))

        piece, share = self.piece[block], self.share[block]
        passed = total(piece, self.part[block])
        entry, late = self.entry_piece[block], self.entry_part[block]
        out = -(count @ np.broadcast_to(np.log(1.0 + odds), passed.shape))
        if not self.happened[block.start]:
            out = out + count @ np.log(odds + np.exp(-passed))
        elif (share > 0).all():
            within = rate * share[:, None] * hazard[piece]
            out = out + count @ (np.log(1.0 - np.exp(-within)) - passed)
        else:
            log_length = self.log_length[block][:, None]
            out = out + count @ (linear + theta[terms.curve][piece] - log_length - passed)
        if ((entry > 0) | (late > 0)).any():
            stayed = np.log(odds + np.exp(-total(entry, late))) - np.log(1.0 + odds)
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
