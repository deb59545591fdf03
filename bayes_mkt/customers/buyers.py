"""What a transaction log says of each customer's first purchase and of what came next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_mkt.customers.engagement import active
from bayes_mkt.days import Bound, day_number
from bayes_mkt.errors import DataError
from bayes_mkt.frames import Problems, counted, listed
from bayes_mkt.transactions import CUSTOMER, DAY, FIRST_DAY, MARKET, Transactions, collect

Array = NDArray[Any]
SECOND_DAY: Final = "second_day"
OPT_OUT_DAY: Final = "opt_out_day"


def read_buyers(log: Transactions, last: int, profile: list[str]) -> pd.DataFrame:
    """Return one row for each customer: first and second day, market and profile."""
    end = np.datetime64(last, "D")
    known = [*([MARKET] if log.has_market else []), *profile]
    first = log.first_days(end)
    about = log.first_values(known, end) if known else first
    days = log.purchase_days(end=end).join(first, on=CUSTOMER, how="inner")
    later = days.filter(nw.col(DAY) > nw.col(FIRST_DAY))
    second = later.group_by(CUSTOMER).agg(nw.col(DAY).min().alias(SECOND_DAY))
    people = collect(about, order=(CUSTOMER,)).merge(collect(second), on=CUSTOMER, how="left")
    if not log.has_market:
        people[MARKET] = "all"
    return people


def acquired(
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


def with_opt_outs(people: pd.DataFrame, log: Transactions, last: int) -> pd.DataFrame:
    """Return the customers with the day of their first opt-out after the first purchase."""
    days = collect(log.purchase_days(end=np.datetime64(last, "D")), order=(CUSTOMER, DAY))
    days = days.merge(people[[CUSTOMER, FIRST_DAY]], on=CUSTOMER)
    days = days[days[DAY] > days[FIRST_DAY]]
    first = days.groupby(CUSTOMER)[DAY].min().rename(OPT_OUT_DAY).reset_index()
    return people.merge(first, on=CUSTOMER, how="left")


def profile_columns(people: pd.DataFrame, profile: Sequence[str]) -> dict[str, Array]:
    """Return the profile's columns as numbers or labels."""
    problems = Problems()
    found: dict[str, Array] = {}
    for name in profile:
        column = people[name]
        missing = column.isna().to_numpy()
        if missing.any():
            who = listed(repr(str(c)) for c in people[CUSTOMER][missing])
            problems.add(
                f"profile has {counted(int(missing.sum()), 'missing value', 'missing values')}: "
                f"column {name!r}, on the first day of customer {who}. Fill in what is missing."
            )
            continue
        number = pd.api.types.is_numeric_dtype(column)
        found[name] = column.to_numpy(dtype=float) if number else _text(column)
    problems.raise_if_any()
    return found


def _text(column: pd.Series) -> Array:
    return np.array([str(value) for value in column], dtype=object)


def basket_columns(
    log: Transactions,
    people: pd.DataFrame,
    column: str,
    last: int,
    like: Sequence[str] | None,
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
        names = [n for n in like if n.startswith(f"{column}=")]
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


def engaged(
    log: Transactions, people: pd.DataFrame, starts: Array, lookback: float, last: int
) -> Array:
    """Return whether customers engaged before each interval (customer, interval)."""
    days = collect(log.purchase_days(end=np.datetime64(last, "D")))
    position = pd.Series(np.arange(len(people)), index=people[CUSTOMER])
    days = days[days[CUSTOMER].isin(position.index)]
    row = position.loc[days[CUSTOMER]].to_numpy()
    since = days[DAY].to_numpy(dtype=float) - people[FIRST_DAY].to_numpy(dtype=float)[row]
    return active(row, since, starts, lookback, len(people))
