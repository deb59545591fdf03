"""Customers as they stood at the close of a day, and what they bought in the days after it.

Features read days up to and including the day; outcomes read the days after. Nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.targeting.events import EVENT_FEATURES, shares
from bayes_mkt.targeting.log import PurchaseLog
from bayes_mkt.targeting.tastes import TASTE, Tastes

__all__ = ["CUSTOMER_FEATURES", "SET_FEATURES", "Lines", "Standing"]

Array = NDArray[Any]
CUSTOMER_FEATURES = ("recency", "frequency", "value")
SET_FEATURES = ("set recency", "set frequency")


@dataclass(frozen=True)
class Lines:
    """Some lines of a log, as arrays.

    Parameters
    ----------
    buyer, day, amount
        Of each line.
    shares
        Of each place that events may be of, what share is in the set, and near it (place, 2);
        None without events.
    items
        Positions of the products; None for all.
    """

    buyer: Array
    day: Array
    amount: Array
    shares: Array | None = None
    items: Array | None = None

    @classmethod
    def of(cls, log: PurchaseLog, items: Array | None = None, level: str | None = None) -> Lines:
        """Return the lines of products, by position; None takes all.

        `level` is that of the sets of training, None the finest: it says what is near.
        """
        data = log.data
        rows: Any = slice(None)
        if items is not None:
            inside = np.zeros(len(log.products), dtype=bool)
            inside[items] = True
            rows = np.flatnonzero(inside[data["item"].to_numpy()])
        buyer, day, amount = (data[name].to_numpy()[rows] for name in ("buyer", "day", "amount"))
        looked = None if items is None else shares(log, items, level)
        return cls(buyer, day, amount, looked, items)

    @classmethod
    def by_set(cls, log: PurchaseLog, sets: list[Array], level: str | None = None) -> list[Lines]:
        """Return the lines of each of several disjoint sets of products; `level` as in `of`."""
        owner = np.full(len(log.products), len(sets))
        for j, items in enumerate(sets):
            owner[items] = j
        of_line = owner[log.data["item"].to_numpy()]
        order = np.argsort(of_line, kind="stable")
        ends = np.cumsum(np.bincount(of_line, minlength=len(sets) + 1))[:-1]
        parts = np.split(order, ends)[: len(sets)]
        everything = cls.of(log)
        return [
            replace(everything.take(part), shares=shares(log, items, level), items=items)
            for part, items in zip(parts, sets, strict=True)
        ]

    def take(self, rows: Array) -> Lines:
        """Return the lines at these rows."""
        return replace(self, buyer=self.buyer[rows], day=self.day[rows], amount=self.amount[rows])

    def between(self, first: int, last: int) -> Lines:
        """Return the lines from day `first` to day `last`, both included."""
        return self.take((self.day >= first) & (self.day <= last))

    def days_by_customer(self, customers: int) -> Array:
        """Return the number of distinct days on which each customer bought (customer,)."""
        if not len(self.buyer):
            return np.zeros(customers)
        base = int(self.day.min())
        span = int(self.day.max()) - base + 1
        distinct = np.unique(self.buyer.astype(np.int64) * span + (self.day - base))
        return np.bincount(distinct // span, minlength=customers).astype(float)

    def last_day(self, customers: int) -> Array:
        """Return the last day on which each customer bought (customer,), NaN for never."""
        last = np.full(customers, -np.inf)
        np.maximum.at(last, self.buyer, self.day)
        return np.where(np.isfinite(last), last, np.nan)


@dataclass(frozen=True)
class Standing:
    """What was known of customers at the close of a day, of all products and of a set.

    Parameters
    ----------
    day
        The day.
    known
        Whether a customer had bought by then (customer,); others aren't candidates.
    recency, frequency, value
        Days since the last purchase, days with one in the look-back, money spent a such day
        (customer,); NaN where there was none.
    lookback
        Days up to `day` that frequency, value and the set's features read.
    visits
        Weighted events of each customer and place, as `events.visits` gives; None without.
    tastes
        Factors of customers and products; None without.
    """

    day: int
    known: Array
    recency: Array
    frequency: Array
    value: Array
    lookback: int
    visits: Any = None
    tastes: Tastes | None = None

    @classmethod
    def of(
        cls,
        everything: Lines,
        customers: int,
        day: int,
        lookback: int,
        visits: Any = None,
        tastes: Tastes | None = None,
    ) -> Standing:
        """Return the standing of customers at the close of `day`."""
        before = everything.take(everything.day <= day)
        recent = before.between(day - lookback + 1, day)
        last = before.last_day(customers)
        frequency = recent.days_by_customer(customers)
        spent = np.bincount(recent.buyer, recent.amount, minlength=customers)
        value = np.where(frequency > 0, spent / np.maximum(frequency, 1), 0.0)
        known = np.isfinite(last)
        return cls(day, known, day - last, frequency, value, lookback, visits, tastes)

    def features(self, lines: Lines) -> dict[str, Array]:
        """Return the features of known customers with regard to a set's lines (customer,)."""
        n = len(self.known)
        recent = lines.between(self.day - self.lookback + 1, self.day)
        columns = {
            "recency": self.recency,
            "frequency": self.frequency,
            "value": self.value,
            "set recency": self.day - recent.last_day(n),
            "set frequency": recent.days_by_customer(n),
        }
        if self.visits is not None and lines.shares is not None:
            columns |= dict(zip(EVENT_FEATURES, (self.visits @ lines.shares).T, strict=True))
        if self.tastes is not None and lines.items is not None:
            columns[TASTE] = self.tastes.scores(lines.items)
        return {name: column[self.known] for name, column in columns.items()}

    def outcomes(self, lines: Lines, horizon: int) -> tuple[Array, Array]:
        """Return whether known customers bought in the `horizon` days after, and the amount."""
        after = lines.between(self.day + 1, self.day + horizon)
        spent = np.bincount(after.buyer, after.amount, minlength=len(self.known))[self.known]
        return spent > 0, spent
