"""From a transaction log to spells between the first purchase and the second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.customers.buyers import (
    acquired,
    basket_columns,
    engaged,
    profile_columns,
    read_buyers,
    with_opt_outs,
)
from bayes_mkt.customers.coding import INDICATOR, Coded, code
from bayes_mkt.customers.contacts import Contacts
from bayes_mkt.customers.intervals import interval_ends
from bayes_mkt.customers.spells import Spells, layout
from bayes_mkt.customers.waits import Waits
from bayes_mkt.days import Bound, day_number
from bayes_mkt.errors import SpecError
from bayes_mkt.transactions import CUSTOMER, MARKET, Returns, Transactions

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["FirstPurchases"]

Array = NDArray[Any]
UNITS: Mapping[str, tuple[str, int]] = {"D": ("day", 1), "W": ("week", 7)}


@dataclass(frozen=True, eq=False, repr=False)
class FirstPurchases(Spells):
    """How long one-time buyers have waited for their second purchase; see `Spells`.

    Examples
    --------
    >>> import pandas as pd
    >>> log = pd.DataFrame({"id": [1, 2, 3, 1, 3, 4], "on": ["2024-01-01", "2024-01-01",
    ...     "2024-01-03", "2024-01-20", "2024-01-05", "2024-01-09"]})
    >>> FirstPurchases.from_transactions(log, customer="id", date="on", end="2024-01-31",
    ...                                  intervals=7)
    FirstPurchases(4 one-time buyers in 1 market, 2 x second purchase, 0 covariates, 4 rows,
    intervals to 35 day)
    """

    noun: ClassVar[str] = "one-time buyers"

    @classmethod
    def from_transactions(
        cls,
        transactions: object,
        *,
        customer: str,
        date: str,
        end: Bound | None = None,
        market: str | None = None,
        amount: str | None = None,
        profile: Iterable[str] = (),
        basket: Iterable[str] = (),
        engagement: Mapping[str, object] | None = None,
        lookback: int | None = None,
        opt_outs: object | None = None,
        contacts: Contacts | None = None,
        acquired_from: Bound | None = None,
        acquired_before: Bound | None = None,
        observed_from: Bound | None = None,
        unit: Literal["D", "W"] = "D",
        intervals: float | Sequence[float] | None = None,
        horizon: float | None = None,
        returns: Returns = "error",
        like: FirstPurchases | None = None,
    ) -> FirstPurchases:
        """Read spells from a log with one row for each purchase, or each line of one.

        Purchases of one day are one purchase. The log is reduced on its own engine (pandas, Polars,
        PyArrow, DuckDB, Spark); a few values for each customer come back.

        Parameters
        ----------
        transactions
            The log, from its beginning to `end` at least.
        customer, date, market, amount
            Columns, as in `Transactions.from_frame`. The market is that of the first purchase.
        end
            Last day of observation; later rows are not looked at. None takes the log's last day.
        profile
            Columns with one value for each customer, as on the day of the first purchase: numbers,
            or text, which becomes indicators.
        basket
            Columns of labels of lines; ``column=level`` says whether the first basket holds one.
        engagement
            Name -> frame of events (visits, clicks) with the same `customer` and `date` columns.
            Each becomes an indicator of an event in the `lookback` days before an interval starts.
        lookback
            In days; None takes the length of the first interval.
        opt_outs
            A frame with the same `customer` and `date` columns: the competing event ``"opt-out"``.
        contacts
            `Contacts` made while customers waited: covariates that change with time.
        acquired_from, acquired_before
            Only customers whose first purchase lies in [from, before) count. In a log that starts
            in the middle of things, first purchases in its first months are often not the first:
            set `acquired_from` some months after its beginning.
        observed_from
            Day since which second purchases are recorded (left truncation): customers acquired
            earlier count from then, those who had bought again before that day not at all.
        unit
            `"D"` (default) or `"W"`: waits in whole weeks, fewer rows, coarser times. A week that
            isn't observed to its end is left out.
        intervals
            Length in `unit` of the intervals on which the baseline hazard is constant, or their
            ends; None takes about 24 of equal length.
        horizon
            Longest wait that is looked at, in `unit`; None takes the longest there is.
        returns
            What negative amounts are; see `Transactions.from_frame`.
        like
            Other data, the fitted ones: covariates and intervals are made as theirs.

        Raises
        ------
        DataError
            With every problem found: column, values, where they stand, remedy.
        SpecError
            For dates or intervals that contradict each other.
        """
        noun, step = _unit(unit)
        profile, basket, engagement = list(profile), list(basket), dict(engagement or {})
        log = Transactions.from_frame(
            transactions, customer=customer, date=date, amount=amount, market=market,
            keep=dict.fromkeys([*profile, *basket]), returns=returns,
        )  # fmt: skip
        last = day_number(log.last if end is None else end, "end")
        read = partial(Transactions.from_frame, customer=customer, date=date)
        people = acquired(read_buyers(log, last, profile), acquired_from, acquired_before)
        if opt_outs is not None:
            people = with_opt_outs(people, read(opt_outs), last)
        waits = Waits.of(people, last, step, observed_from)
        people, waits = people[waits.seen].reset_index(drop=True), waits.only_seen()
        longest = horizon or max(float(waits.stop.max()), 1.0)
        cuts = interval_ends(intervals, longest, 1.0) if like is None else like.cuts
        changing = (*engagement, *(contacts.names if contacts else ()))
        wanted = None if like is None else [n for n in like.features if n not in changing]
        coded = _covariates(log, people, profile, basket, last, wanted)
        starts = np.concatenate([[0.0], cuts[:-1]])
        back = float(cuts[0]) * step if lookback is None else float(lookback)
        flags = [engaged(read(f), people, starts * step, back, last) for f in engagement.values()]
        markets, of = np.unique(people[MARKET].to_numpy(dtype=str), return_inverse=True)
        episodes = waits.episodes(of, coded.values, flags, starts, people[CUSTOMER])
        if contacts:
            when = contacts.waits(read(contacts.frame), people, waits.stop, step)
            episodes = contacts.split(episodes, when)
        causes = ["second purchase", *(["opt-out"] if opt_outs is not None else [])]
        rows = layout(
            episodes, markets=list(markets), features=(*coded.names, *changing),
            kinds=(*coded.kinds, *[INDICATOR] * len(changing)), causes=causes, cuts=cuts,
            unit=noun, resolution=1.0,
        )  # fmt: skip
        return cls(contacts.marked(rows) if contacts else rows)


def _unit(unit: str) -> tuple[str, int]:
    """Return the noun of a unit of time, and its length in days."""
    if unit not in UNITS:
        raise SpecError(f"unit={unit!r}: choose from {', '.join(map(repr, UNITS))}.")
    return UNITS[unit]


def _covariates(
    log: Transactions,
    people: pd.DataFrame,
    profile: Sequence[str],
    basket: Sequence[str],
    last: int,
    wanted: Sequence[str] | None,
) -> Coded:
    """Return profile and first basket of people as numbers."""
    columns = profile_columns(people, profile)
    for column in basket:
        columns |= basket_columns(log, people, column, last, wanted)
    return code(columns, wanted, len(people))
