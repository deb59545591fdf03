"""What must hold of a transaction log, counted on the frame's own engine in one pass."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import narwhals as nw
import numpy as np

from bayes_mkt.days import iso_text, moment_days, text_days, to_date, zone_text
from bayes_mkt.frames import Column, Problems, Rows, message
from bayes_mkt.parse import counted, parse_dates, parse_labels, parse_numbers, show

__all__ = ["Found", "check_log", "prepared", "readable"]

_DATE_RULE: Final = "Give dates, datetimes or ISO text such as '2024-03-04'."
_WRONG_TYPE: Final = {
    "customer": "Convert the customers to text or whole numbers before loading.",
    "day": _DATE_RULE,
    "amount": "Convert the amounts to numbers before loading.",
    "market": "Convert the markets to text or whole numbers before loading.",
}
_EXAMPLES: Final = 3


@dataclass(frozen=True)
class Found:
    """What one pass over a log finds: rows, first and last day (since 1970-01-01)."""

    rows: int
    first: int
    last: int


@dataclass(frozen=True)
class Check:
    """A fault that rows may have: where, its nouns, and the remedy."""

    key: str
    mask: nw.Expr
    nouns: tuple[str, str]
    rule: str


def readable(
    frame: nw.DataFrame[Any] | nw.LazyFrame[Any], columns: Mapping[str, Column], problems: Problems
) -> nw.LazyFrame[Any]:
    """Return the frame lazy, with columns of types that the checks can work on.

    Columns of Python objects, which only eager frames have, are parsed here; categories become
    text. What can't hold its role is noted.
    """
    schema = frame.collect_schema()
    for key, column in columns.items():
        dtype = schema[column.name]
        if isinstance(frame, nw.DataFrame) and dtype in (nw.Object, nw.Unknown):
            frame = _parsed(frame, key, column, problems)
        elif dtype in (nw.Categorical, nw.Enum):
            frame = frame.with_columns(nw.col(column.name).cast(nw.String))
        elif key in _WRONG_TYPE and not _fits(key, dtype):
            problems.add(
                f"{column.role} is of type {dtype}: column {column.name!r}. {_WRONG_TYPE[key]}"
            )
    return frame.lazy()


def check_log(
    log: nw.LazyFrame[Any], columns: Mapping[str, Column], problems: Problems, *, negative: bool
) -> Found:
    """Count what is wrong with the log, and read examples of it.

    Parameters
    ----------
    log
        As `readable` returns it.
    columns
        Columns by role.
    problems
        Where problems are collected.
    negative
        Whether negative amounts are a problem.
    """
    schema = log.collect_schema()
    checks = list(_checks(schema, columns, negative))
    days = _days(schema, columns["day"].name)
    zones = _zones(schema, columns["day"].name)
    counts = {f"n{i}": check.mask.cast(nw.Int64).sum() for i, check in enumerate(checks)}
    summary = log.select(
        rows=nw.len(), first=days.min(), last=days.max(), **counts, **zones
    ).collect()
    row = {name: summary[name].to_list()[0] for name in summary.columns}
    if not row["rows"]:
        problems.add("The log has no rows. Give one row for each purchase.")
        return Found(0, 0, 0)
    for i, check in enumerate(checks):
        if row[f"n{i}"]:
            problems.add(_sentence(log, columns, check, int(row[f"n{i}"])))
    if zones and row["zone_low"] != row["zone_high"]:
        problems.add(
            f"date mixes time zones: column {columns['day'].name!r}, for example "
            f"{row['zone_low'] or 'no zone'!r} and {row['zone_high'] or 'no zone'!r}. Convert them "
            "all to the market's own time zone, or to plain dates, before loading."
        )
    return Found(int(row["rows"]), int(row["first"]), int(row["last"]))


def prepared(log: nw.LazyFrame[Any], columns: Mapping[str, Column]) -> nw.LazyFrame[Any]:
    """Return the checked log under the names of its roles, `day` as a whole number."""
    schema = log.collect_schema()
    customer = nw.col(columns["customer"].name)
    kind = schema[columns["customer"].name]
    if kind.is_float() or kind.is_decimal():
        customer = customer.cast(nw.Int64)
    chosen = [customer.alias("customer"), _days(schema, columns["day"].name).alias("day")]
    if "amount" in columns:
        chosen.append(nw.col(columns["amount"].name).cast(nw.Float64).alias("amount"))
    if "market" in columns:
        chosen.append(nw.col(columns["market"].name).cast(nw.String).alias("market"))
    chosen += [nw.col(c.name) for key, c in columns.items() if key.startswith("keep:")]
    return log.select(*chosen)


def _parsed(
    frame: nw.DataFrame[Any], key: str, column: Column, problems: Problems
) -> nw.DataFrame[Any]:
    """Return the frame with one column of Python objects parsed by its role."""
    series = frame[column.name]
    if key == "day":
        part = parse_dates(series, whole_days=False)
    elif key == "amount":
        part = parse_numbers(series)
    else:
        part = parse_labels(series)
    for found in part.faults:
        problems.add(message(column, found, Rows()))
    if part.values is None or part.faults:
        return frame
    values = part.values
    if key not in ("day", "amount"):
        values = np.asarray(values, dtype=object)
        values[part.missing] = None
    dtype = nw.String() if values.dtype == object else None
    fresh = nw.new_series(column.name, values, dtype, backend=frame.implementation)
    return frame.with_columns(fresh)


def _fits(key: str, dtype: nw.dtypes.DType) -> bool:
    """Whether a column of this type can hold its role."""
    if key == "day":
        return dtype in (nw.Date, nw.Datetime, nw.String)
    if key == "amount":
        return dtype.is_numeric()
    return dtype == nw.String or dtype.is_numeric() or (key == "market" and dtype == nw.Boolean)


def _days(schema: nw.Schema, name: str) -> nw.Expr:
    """Return the days of a column of dates, datetimes or ISO text."""
    column = nw.col(name)
    return text_days(column) if schema[name] == nw.String else moment_days(column)


def _zones(schema: nw.Schema, name: str) -> dict[str, nw.Expr]:
    """Return the smallest and largest time zone in a column of ISO text."""
    if schema[name] != nw.String:
        return {}
    column = nw.col(name)
    zone = nw.when(iso_text(column)).then(zone_text(column))
    return {"zone_low": zone.min(), "zone_high": zone.max()}


def _checks(schema: nw.Schema, columns: Mapping[str, Column], negative: bool) -> Iterator[Check]:
    """Yield what may be wrong with rows."""
    for key in ("customer", "day", "amount", "market"):
        if key not in columns:
            continue
        name = columns[key].name
        column, dtype = nw.col(name), schema[name]
        missing = column.is_null()
        if dtype.is_float():
            missing = missing | column.is_nan().fill_null(False)
        rule = "Fill in what is missing, or drop these rows."
        yield Check(key, missing, ("missing value", "missing values"), rule)
        if dtype == nw.String and key != "day":
            blank = ~column.is_null() & (column.fill_null("x").str.strip_chars() == "")
            yield Check(key, blank, ("blank value", "blank values"), "Name or drop these rows.")
        if key == "customer" and (dtype.is_float() or dtype.is_decimal()):
            number = _finite(column, missing)
            broken = number != number.floor()
            rule = _WRONG_TYPE["customer"]
            yield Check(key, broken, ("value that is no label", "values that are no labels"), rule)
    yield from _date_checks(schema, columns["day"].name)
    if "amount" in columns:
        yield from _amount_checks(columns["amount"].name, negative)


def _date_checks(schema: nw.Schema, name: str) -> Iterator[Check]:
    """Yield text that is no date, and days that can't be."""
    column = nw.col(name)
    days = _days(schema, name)
    if schema[name] == nw.String:
        wrong = ~column.is_null() & ~iso_text(column)
        yield Check(
            "day", wrong, ("value that is not a date", "values that are not dates"), _DATE_RULE
        )
    tomorrow = (dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1) - dt.date(1970, 1, 1)).days
    rule = "Correct these rows, or drop what hasn't happened yet."
    yield Check("day", days > tomorrow, ("date in the future", "dates in the future"), rule)
    early = (dt.date(1900, 1, 1) - dt.date(1970, 1, 1)).days
    rule = "Correct these rows; a missing date written as a number is the usual cause."
    yield Check("day", days < early, ("date before 1900", "dates before 1900"), rule)


def _amount_checks(name: str, negative: bool) -> Iterator[Check]:
    """Yield amounts that are infinite, and those below 0 if nothing was said of returns."""
    number = _finite(nw.col(name).cast(nw.Float64), nw.col(name).is_null())
    infinite = (number == math.inf) | (number == -math.inf)
    rule = "Put in the true figure; a division by zero is the usual cause."
    yield Check("amount", infinite, ("infinite value", "infinite values"), rule)
    if negative:
        rule = (
            "If they are returns or cancellations, say what to do with them: returns='drop' leaves "
            "these rows out, returns='net' sums them with the day's other rows."
        )
        yield Check("amount", number < 0, ("negative value", "negative values"), rule)


def _finite(column: nw.Expr, missing: nw.Expr) -> nw.Expr:
    """Return numbers with 0 where they are missing, so that comparisons are never null."""
    return nw.when(missing).then(nw.lit(0.0)).otherwise(column.cast(nw.Float64))


def _sentence(
    log: nw.LazyFrame[Any], columns: Mapping[str, Column], check: Check, total: int
) -> str:
    """Return the problem with its first examples, read from the engine."""
    column = columns[check.key]
    chosen = [nw.col(column.name).alias("value"), nw.col(columns["customer"].name).alias("who")]
    schema = log.collect_schema()
    days = _days(schema, columns["day"].name).alias("on")
    rows = log.filter(check.mask).select(*chosen, days).head(_EXAMPLES).collect()
    examples = []
    for value, who, on in zip(*(rows[n].to_list() for n in ("value", "who", "on")), strict=True):
        absent = value is None or value != value or value == ""
        parts = [
            "" if absent else show(value),
            "" if check.key == "customer" else f"of customer {show(who)}",
            "" if check.key == "day" else f"on {to_date(on)}",
        ]
        examples.append(" ".join(part for part in parts if part))
    more = f"; and {total - len(examples):,} more" if total > len(examples) else ""
    return (
        f"{column.role} has {counted(total, *check.nouns)}: column {column.name!r}, "
        f"{'; '.join(examples)}{more}. {check.rule}"
    )
