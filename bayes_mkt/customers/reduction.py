"""Purchase histories reduced on the log's own engine: lazy expressions only.

Everything here returns a lazy frame; `history` decides what is brought back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import narwhals as nw

from bayes_mkt.days import Bound, day_number
from bayes_mkt.transactions import AMOUNT, CUSTOMER, DAY, FIRST_DAY, MARKET, Transactions

STATE: Final = ("frequency", "recency", "age")
SPEND: Final = "spend"
HELD: Final = "holdout"
MILLION: Final = 1e6


Bins = Mapping[str, Sequence[float]]
NONE: Final[Bins] = MappingProxyType({})


def per_customer(
    log: Transactions, end: Bound, covariates: Sequence[str], bins: Bins = NONE
) -> nw.LazyFrame[Any]:
    """Return one row for each customer who had bought by `end`.

    Columns: `customer`; `frequency`, days of purchase after the first; `recency`, days from the
    first to the last purchase; `age`, days from the first purchase to `end`; `spend`, the sum of
    amounts of repeat purchases in millionths, a whole number: sums of floats differ in their last
    bits between engines, and would tell equal customers apart; `market` and `covariate_NAME`, as of
    the first day; those in `bins` as the label of their interval.
    """
    first = log.first_days(end)
    days = log.purchase_days(end=end).join(first, on=CUSTOMER, how="inner")
    repeat = nw.col(DAY) > nw.col(FIRST_DAY)
    days = days.with_columns(frequency=repeat.cast(nw.Int64))
    sums = [nw.col("frequency").sum()]
    if log.has_amount:
        paid = nw.when(repeat).then(nw.col(AMOUNT)).otherwise(nw.lit(0.0))
        days = days.with_columns(paid.alias(SPEND))
        sums.append(nw.col(SPEND).sum())
    rows = days.group_by(CUSTOMER).agg(*sums, nw.col(FIRST_DAY).min(), last_day=nw.col(DAY).max())
    last = day_number(end, "end")
    millionths = (nw.col(SPEND) * MILLION).round(0).cast(nw.Int64)
    spend = [millionths.alias(SPEND)] if log.has_amount else []
    rows = rows.select(
        CUSTOMER,
        nw.col("frequency").cast(nw.Int64),  # a sum is a decimal on some engines
        *spend,
        recency=nw.col("last_day") - nw.col(FIRST_DAY),
        age=nw.lit(last) - nw.col(FIRST_DAY),
    )
    labels = ([MARKET] if log.has_market else []) + list(covariates)
    if labels:
        names = [f"covariate_{name}" for name in covariates]
        aliases = [*([MARKET] if log.has_market else []), *names]
        profile = log.first_values(labels, end).select(
            CUSTOMER,
            *(
                _label(label, bins).alias(alias)
                for label, alias in zip(labels, aliases, strict=True)
            ),
        )
        rows = rows.join(profile, on=CUSTOMER, how="left")
    return rows


def _label(name: str, bins: Bins) -> nw.Expr:
    """Return a column as text: its values, or in which interval they lie."""
    column = nw.col(name)
    if name not in bins:
        return column.cast(nw.String)
    edges = [f"{edge:g}" for edge in bins[name]]
    label = nw.lit(f"from {edges[-1]}")
    for k in range(len(edges) - 1, -1, -1):
        text = f"{edges[k - 1]} to {edges[k]}" if k else f"below {edges[0]}"
        label = nw.when(column < bins[name][k]).then(nw.lit(text)).otherwise(label)
    return nw.when(~column.is_null()).then(label)


def with_holdout(
    rows: nw.LazyFrame[Any], log: Transactions, end: Bound, until: Bound
) -> nw.LazyFrame[Any]:
    """Add to each customer's row the days of purchase after `end` up to `until`, and their sum.

    Columns `holdout` and, if there are amounts, `holdout_spend`; 0 for who didn't buy.
    """
    days = log.purchase_days(end=until).filter(nw.col(DAY) > day_number(end, "end"))
    sums = [nw.col(AMOUNT).sum().alias("holdout_spend")] if log.has_amount else []
    held = days.group_by(CUSTOMER).agg(nw.len().alias(HELD), *sums)
    filled = [nw.col(HELD).fill_null(0).cast(nw.Int64)]
    if log.has_amount:
        filled.append(nw.col("holdout_spend").fill_null(0.0))
    return rows.join(held, on=CUSTOMER, how="left").with_columns(*filled)


def tied(rows: nw.LazyFrame[Any], keys: Sequence[str]) -> nw.LazyFrame[Any]:
    """Return the unique rows by `keys` with how many customers share them, `weight`."""
    return rows.group_by(*keys).agg(weight=nw.len())


def daily_repeats(log: Transactions, end: Bound, until: Bound) -> nw.LazyFrame[Any]:
    """Return repeat purchases by day, of customers who had bought by `end`: `day`, `repeats`."""
    first = log.first_days(end)
    days = log.purchase_days(end=until).join(first, on=CUSTOMER, how="inner")
    return days.filter(nw.col(DAY) > nw.col(FIRST_DAY)).group_by(DAY).agg(repeats=nw.len())
