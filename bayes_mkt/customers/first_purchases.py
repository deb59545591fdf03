"""From a transaction log to spells between the first purchase and the second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_mkt.customers.coding import INDICATOR, code
from bayes_mkt.customers.engagement import active, stretches
from bayes_mkt.customers.intervals import interval_ends
from bayes_mkt.customers.spells import Episodes, Spells, layout
from bayes_mkt.days import Bound, day_number
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.frames import Problems, counted, listed
from bayes_mkt.transactions import (
    CUSTOMER,
    DAY,
    FIRST_DAY,
    MARKET,
    Returns,
    Transactions,
    collect,
)

__all__ = ["FirstPurchases"]

Array = NDArray[Any]
SECOND = "second_day"
OPT_OUT = "opt_out_day"
UNITS: Mapping[str, tuple[str, int]] = {"D": ("day", 1), "W": ("week", 7)}


@dataclass(frozen=True, eq=False, repr=False)
class FirstPurchases(Spells):
    """How long one-time buyers have waited for their second purchase; see `Spells`.

    Examples
    --------
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
        if unit not in UNITS:
            raise SpecError(f"unit={unit!r}: choose from {', '.join(map(repr, UNITS))}.")
        profile, basket, engagement = list(profile), list(basket), dict(engagement or {})
        log = Transactions.from_frame(
            transactions,
            customer=customer,
            date=date,
            amount=amount,
            market=market,
            keep=list(dict.fromkeys([*profile, *basket])),
            returns=returns,
        )
        last = day_number(log.last if end is None else end, "end")
        people = _people(log, last, profile)
        people = _acquired(people, acquired_from, acquired_before)
        others = {"customer": customer, "date": date}
        if opt_outs is not None:
            people = _with_opt_outs(people, Transactions.from_frame(opt_outs, **others), last)
        spells = _Waits.of(people, last, UNITS[unit][1], observed_from)
        people, spells = people[spells.seen].reset_index(drop=True), spells.only_seen()
        cuts = (
            interval_ends(intervals, horizon or max(float(spells.stop.max()), 1.0), 1.0)
            if like is None
            else like.cuts
        )
        columns = _columns(people, profile)
        columns |= {
            name: flags
            for column in basket
            for name, flags in _contents(log, people, column, last, like).items()
        }
        # Indicators of a basket are levels of one column already: they are numbers to `code`.
        wanted = None if like is None else [n for n in like.features if n not in engagement]
        coded = code(columns, wanted)
        starts = np.concatenate([[0.0], cuts[:-1]])
        back = float(lookback) if lookback is not None else float(cuts[0]) * UNITS[unit][1]
        flags = [
            _engaged(
                Transactions.from_frame(frame, **others), people, starts * UNITS[unit][1], back, last
            )
            for frame in engagement.values()
        ]
        names = (*coded.names, *engagement)
        markets, position = np.unique(people[MARKET].to_numpy(dtype=str), return_inverse=True)
        return cls(
            layout(
                spells.episodes(position, coded.values, flags, starts, people[CUSTOMER]),
                markets=list(markets),
                features=names,
                kinds=(*coded.kinds, *[INDICATOR] * len(engagement)),
                causes=["second purchase", *(["opt-out"] if opt_outs is not None else [])],
                cuts=cuts,
                unit=UNITS[unit][0],
                resolution=1.0,
            )
        )


@dataclass(frozen=True)
class _Waits:
    """Waits of customers, in the unit of time, each (customer,).

    Attributes
    ----------
    entry, stop
        Where observation begins and ends.
    event
        0 for none, 1 for a second purchase, 2 for an opt-out.
    elapsed
        From the first purchase to the end of observation.
    first
        Day of the first purchase.
    seen
        Whether the customer counts.
    """

    entry: Array
    stop: Array
    event: Array
    elapsed: Array
    first: Array
    seen: Array

    @classmethod
    def of(cls, people: pd.DataFrame, last: int, step: int, observed_from: Bound | None) -> _Waits:
        """Return the waits of people with their first, second and opt-out days (NaN for none)."""
        first = people[FIRST_DAY].to_numpy(dtype=float)
        second = people[SECOND].to_numpy(dtype=float)
        left = people[OPT_OUT].to_numpy(dtype=float) if OPT_OUT in people else first * np.nan
        elapsed = (last - first) / step
        follow = np.floor(elapsed)
        nothing = np.full(len(first), np.inf)
        bought = np.where(np.isnan(second), nothing, np.ceil((second - first) / step))
        opted = np.where(np.isnan(left), nothing, np.ceil((left - first) / step))
        # Within a week of both, or on the day of both, the earlier day decides; a tie, the purchase.
        opted = np.where(np.nan_to_num(left, nan=np.inf) < np.nan_to_num(second, nan=np.inf), opted, nothing)
        bought = np.where(np.isfinite(opted), nothing, bought)
        happened = np.minimum(bought, opted)
        event = np.where(happened <= follow, np.where(bought <= opted, 1, 2), 0)
        stop = np.minimum(happened, follow)
        entry = np.zeros(len(first))
        if observed_from is not None:
            since = day_number(observed_from, "observed_from")
            entry = np.maximum(np.ceil((since - 1 - first) / step), 0.0)
        seen = (entry < stop) | ((entry == 0) & (event == 0))
        return cls(entry, stop, event, elapsed, first, seen)

    def only_seen(self) -> _Waits:
        """Return those that count.

        Raises
        ------
        DataError
            If none does.
        """
        if not self.seen.any():
            raise DataError("No customer has been at risk for a whole day. Check end= and dates.")
        return _Waits(**{name: values[self.seen] for name, values in vars(self).items()})

    def episodes(
        self,
        market: Array,
        features: Array,
        flags: Sequence[Array],
        starts: Array,
        customer: pd.Series,
    ) -> Episodes:
        """Return waits cut where engagement changes."""
        if flags:
            who, interval, end = stretches(flags, starts, self.stop)
            begin = np.maximum(starts[interval], self.entry[who])
        else:
            who, end = np.arange(len(self.stop)), self.stop
            interval, begin = np.zeros(len(who), dtype=int), self.entry
        last = np.append(who[1:] != who[:-1], True)
        kept = (begin < end) | last
        changing = [flag[who, interval][:, None].astype(float) for flag in flags]
        names = customer.astype(str).to_numpy(dtype=object)
        parts = {
            "market": market[who],
            "features": np.concatenate([features[who], *changing], axis=1),
            "entry": begin,
            "duration": end,
            "event": np.where(last, self.event[who], 0),
            "last": last,
            "customer": names[who],
            "elapsed": self.elapsed[who],
        }
        return Episodes(**{name: values[kept] for name, values in parts.items()})


def _people(log: Transactions, last: int, profile: list[str]) -> pd.DataFrame:
    """Return one row for each customer: first and second day, market and profile."""
    end = np.datetime64(last, "D")
    known = [*([MARKET] if log.has_market else []), *profile]
    first = log.first_days(end)
    about = log.first_values(known, end) if known else first
    days = log.purchase_days(end=end).join(first, on=CUSTOMER, how="inner")
    later = days.filter(nw.col(DAY) > nw.col(FIRST_DAY))
    second = later.group_by(CUSTOMER).agg(nw.col(DAY).min().alias(SECOND))
    people = collect(about, order=(CUSTOMER,)).merge(collect(second), on=CUSTOMER, how="left")
    if not log.has_market:
        people[MARKET] = "all"
    return people


def _acquired(
    people: pd.DataFrame, acquired_from: Bound | None, before: Bound | None
) -> pd.DataFrame:
    """Return the customers acquired in a window.

    Raises
    ------
    DataError
        If there are none.
    """
    inside = np.ones(len(people), dtype=bool)
    if acquired_from is not None:
        inside &= (people[FIRST_DAY] >= day_number(acquired_from, "acquired_from")).to_numpy()
    if before is not None:
        inside &= (people[FIRST_DAY] < day_number(before, "acquired_before")).to_numpy()
    if not inside.any():
        raise DataError(
            f"No customer's first purchase lies in [{acquired_from}, {before}) and before the end. "
            "Widen the window."
        )
    return people[inside].reset_index(drop=True)


def _with_opt_outs(people: pd.DataFrame, log: Transactions, last: int) -> pd.DataFrame:
    """Return the customers with the day of their first opt-out after the first purchase."""
    days = collect(log.purchase_days(end=np.datetime64(last, "D")), order=(CUSTOMER, DAY))
    days = days.merge(people[[CUSTOMER, FIRST_DAY]], on=CUSTOMER)
    days = days[days[DAY] > days[FIRST_DAY]]
    first = days.groupby(CUSTOMER)[DAY].min().rename(OPT_OUT).reset_index()
    return people.merge(first, on=CUSTOMER, how="left")


def _columns(people: pd.DataFrame, profile: list[str]) -> dict[str, Array]:
    """Return the profile's columns as numbers or labels."""
    problems = Problems()
    found: dict[str, Array] = {}
    for name in profile:
        column = people[name]
        missing = column.isna().to_numpy()
        if missing.any():
            who = listed(repr(str(c)) for c in people[CUSTOMER][missing])
            problems.add(
                f"profile has {counted(int(missing.sum()), 'missing value', 'missing values')}: column "
                f"{name!r}, on the first day of customer {who}. Fill in what is missing."
            )
            continue
        number = pd.api.types.is_numeric_dtype(column)
        found[name] = column.to_numpy(dtype=float) if number else _text(column)
    problems.raise_if_any()
    return found


def _text(column: pd.Series) -> Array:
    return np.array([str(value) for value in column], dtype=object)


def _contents(
    log: Transactions,
    people: pd.DataFrame,
    column: str,
    last: int,
    like: FirstPurchases | None,
) -> dict[str, Array]:
    """Return whether first baskets hold a line of each level (customer,), by ``column=level``.

    The most frequent level has no indicator of its own where every basket holds one line only.
    """
    end = np.datetime64(last, "D")
    lines = log.between(end=end).join(log.first_days(end), on=CUSTOMER, how="inner")
    lines = lines.filter(nw.col(DAY) == nw.col(FIRST_DAY)).select(CUSTOMER, column).unique()
    pairs = collect(lines).dropna()
    position = pd.Series(np.arange(len(people)), index=people[CUSTOMER])
    pairs = pairs[pairs[CUSTOMER].isin(position.index)]
    text = pairs[column].astype(str).to_numpy(dtype=object)
    row = position.loc[pairs[CUSTOMER]].to_numpy()
    if like is not None:
        names = [n for n in like.features if n.startswith(f"{column}=")]
        levels = [n.split("=", 1)[1] for n in names]
    else:
        counts = pd.Series(text).value_counts()
        most = min(counts.index[counts == counts.max()])
        single = len(np.unique(row)) == len(row)
        levels = sorted(level for level in counts.index if not (single and level == most))
    found = {}
    for level in levels:
        flag = np.zeros(len(people))
        flag[row[text == level]] = 1.0
        found[f"{column}={level}"] = flag
    return found


def _engaged(
    log: Transactions, people: pd.DataFrame, starts: Array, lookback: float, last: int
) -> Array:
    """Return whether customers engaged before each interval (customer, interval)."""
    days = collect(log.purchase_days(end=np.datetime64(last, "D")))
    position = pd.Series(np.arange(len(people)), index=people[CUSTOMER])
    days = days[days[CUSTOMER].isin(position.index)]
    row = position.loc[days[CUSTOMER]].to_numpy()
    since = days[DAY].to_numpy(dtype=float) - people[FIRST_DAY].to_numpy(dtype=float)[row]
    return active(row, since, starts, lookback, len(people))
