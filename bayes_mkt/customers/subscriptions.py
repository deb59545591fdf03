"""Subscriptions and other durations, one row of a frame each, as spells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import narwhals as nw
import numpy as np
from numpy.typing import NDArray

from bayes_mkt.customers.coding import code
from bayes_mkt.customers.intervals import interval_ends
from bayes_mkt.customers.spells import Episodes, Spells, layout
from bayes_mkt.errors import DataError
from bayes_mkt.frames import Column, Problems, listed, open_columns, read_columns

__all__ = ["Subscriptions"]

Array = NDArray[Any]
_YES = {"yes", "true", "1", "y"}
_NO = {"no", "false", "0", "n"}


@dataclass(frozen=True, eq=False, repr=False)
class Subscriptions(Spells):
    """How long subscriptions ran, and whether they were cancelled.

    See `Spells` for what it holds. It serves every set of durations with covariates, as well
    subscriptions as the episodes (start, stop] of customers whose covariates change.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"months": [3, 5, 5, 8], "left": ["Yes", "No", "Yes", "No"],
    ...                       "plan": ["a", "b", "b", "b"]})
    >>> Subscriptions.from_frame(frame, duration="months", event="left", features=["plan"],
    ...                          unit="month")
    Subscriptions(4 subscriptions in 1 market, 2 x event, 1 covariate, 4 rows, intervals to 8
    month)
    """

    noun: ClassVar[str] = "subscriptions"

    @classmethod
    def from_frame(
        cls,
        frame: object,
        *,
        duration: str,
        event: str,
        customer: str | None = None,
        entry: str | None = None,
        market: str | None = None,
        features: Iterable[str] = (),
        labels: Iterable[str] = (),
        unit: str = "month",
        resolution: float = 1.0,
        intervals: float | Sequence[float] | None = None,
        cause: str = "event",
        like: Subscriptions | None = None,
    ) -> Subscriptions:
        """Read spells from a frame with one row for each, or for each episode of one.

        Parameters
        ----------
        frame
            pandas, Polars, PyArrow, DuckDB, or another frame that Narwhals knows.
        duration
            Column of how long the spell has run since its origin, in `unit`, >= 0.
        event
            Column that says whether it then ended with the event: 0/1, booleans, or yes/no.
        customer
            Column of customer labels. Rows of one customer are episodes of one spell; None takes
            each row for a customer of its own, called by its number.
        entry
            Column of where the row begins to be observed (left truncation, or a change of
            covariates), in `unit`; None for 0.
        market
            Column of market labels; None for one market, called ``"all"``.
        features
            Columns of covariates: numbers, or text, which becomes indicators.
        labels
            Those of `features` that are labels although they look like numbers.
        unit
            Unit of time, for messages and results.
        resolution
            How finely times of events are known: 1 (default) for whole units, an event then lies
            in (duration - 1, duration]; 0 for exact times.
        intervals
            Length of the intervals on which the baseline hazard is constant, or their ends; None
            takes about 24 of equal length.
        cause
            Name of the event.
        like
            Other data, the fitted ones: covariates and intervals are made as theirs.

        Raises
        ------
        DataError
            With every problem found: column, values, where they stand, remedy.
        """
        names = list(features)
        problems = Problems()
        values = read_columns(frame, _columns(duration, entry, market, customer), problems)
        happened = _flags(frame, event, problems)
        covariates = _covariates(frame, names, set(labels), problems)
        problems.raise_if_any()
        if happened is None or len(covariates) < len(
            names
        ):  # each reason is a problem, raised above
            raise DataError("The frame can't be read.")
        coded = code(covariates, None if like is None else like.features, len(happened))
        rows = _Rows(
            values["duration"],
            happened,
            values.get("entry", np.zeros(len(happened))),
            values.get("customer", np.arange(len(happened)).astype(str).astype(object)),
        )
        rows.check(problems)
        problems.raise_if_any()
        markets, position = np.unique(
            values.get("market", np.full(len(happened), "all", dtype=object)), return_inverse=True
        )
        longest = float(rows.duration.max())
        cuts = like.cuts if like is not None else interval_ends(intervals, longest, resolution)
        return cls(
            layout(
                rows.episodes(position, coded.values),
                markets=list(markets),
                features=coded.names,
                kinds=coded.kinds,
                causes=[cause],
                cuts=cuts,
                unit=unit,
                resolution=resolution,
            )
        )


@dataclass(frozen=True)
class _Rows:
    """Rows of the frame: each (n,)."""

    duration: Array
    event: Array
    entry: Array
    customer: Array

    def check(self, problems: Problems) -> None:
        """Note rows that can't be episodes of spells."""
        wrong = (self.entry > self.duration) | ((self.entry == self.duration) & self.event)
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            problems.add(
                f"duration must be greater than entry where there is an event, and not less "
                f"elsewhere: {int(wrong.sum())} rows break this, the first is row {row}, from "
                f"{self.entry[row]:g} to {self.duration[row]:g}."
            )
            return
        order = np.lexsort((self.entry, self.customer))
        same = self.customer[order][1:] == self.customer[order][:-1]
        after = self.event[order][:-1] | (self.entry[order][1:] != self.duration[order][:-1])
        bad = np.flatnonzero(same & after)
        if len(bad):
            who = sorted({str(self.customer[order][i]) for i in bad})
            problems.add(
                f"customer has episodes that overlap, leave a gap, or follow its event: "
                f"{listed(map(repr, who))}. Each must begin where the one before ended."
            )

    def episodes(self, market: Array, features: Array) -> Episodes:
        """Return the rows as episodes, in order of customer and time."""
        order = np.lexsort((self.entry, self.customer))
        customer = self.customer[order]
        last = np.append(customer[1:] != customer[:-1], True)
        return Episodes(
            market=market[order],
            features=features[order],
            entry=self.entry[order],
            duration=self.duration[order],
            event=self.event[order].astype(np.int64),
            last=last,
            customer=customer,
            elapsed=self.duration[order],
        )


def _columns(
    duration: str, entry: str | None, market: str | None, customer: str | None
) -> dict[str, Column]:
    """Return which columns say when a row begins and ends, and whose it is."""
    columns = {"duration": Column(duration, "duration", minimum=0)}
    if entry is not None:
        columns["entry"] = Column(entry, "entry", minimum=0)
    if market is not None:
        columns["market"] = Column(market, "market", "label")
    if customer is not None:
        columns["customer"] = Column(customer, "customer", "label", locates=True)
    return columns


def _flags(frame: object, name: str, problems: Problems) -> Array | None:
    """Return a column of yes and no as booleans."""
    trial = Problems()
    numbers = read_columns(frame, {"event": Column(name, "event", minimum=0)}, trial)
    if "event" in numbers:
        found = numbers["event"]
        if not np.isin(found, (0.0, 1.0)).all():
            odd = listed(f"{v:g}" for v in np.unique(found[~np.isin(found, (0.0, 1.0))]))
            problems.add(f"event must be 0 or 1: column {name!r} has {odd}.")
            return None
        return np.asarray(found == 1.0)
    texts = read_columns(frame, {"event": Column(name, "event", "label")}, problems)
    if "event" not in texts:
        return None
    lower = np.array([str(value).strip().lower() for value in texts["event"]])
    other = sorted(set(lower) - _YES - _NO)
    if other:
        problems.add(f"event must be yes or no, 0 or 1: column {name!r} has {listed(other)}.")
        return None
    return np.isin(lower, sorted(_YES))


def _covariates(
    frame: object, names: Sequence[str], labels: set[str], problems: Problems
) -> dict[str, Array]:
    """Return covariates as numbers, or as labels where they are text."""
    unknown = sorted(labels - set(names))
    if unknown:
        problems.add(f"labels names {listed(map(repr, unknown))}, which isn't among the features.")
    wanted = {name: Column(name, "covariate", "label") for name in names}
    opened, wanted = open_columns(frame, wanted, problems)
    if opened is None:
        return {}
    schema = opened.collect_schema()
    for name in wanted:
        dtype = schema[name]
        number = name not in labels and (dtype.is_numeric() or dtype == nw.Boolean)
        wanted[name] = Column(name, "covariate", "number" if number else "label")
    found = read_columns(frame, wanted, problems)
    return {name: found[name] for name in names if name in found}
