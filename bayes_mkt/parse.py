"""One column of any engine to one NumPy array, and what is wrong with it."""

from __future__ import annotations

import datetime as dt
import numbers
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = [
    "Fault",
    "Parsed",
    "counted",
    "fault",
    "parse_dates",
    "parse_labels",
    "parse_numbers",
    "show",
]

Array = NDArray[Any]
Mask = NDArray[np.bool_]

_EARLIEST: Final = np.datetime64("1678-01-01", "us")
_LATEST: Final = np.datetime64("2262-01-01", "us")
_DATE_RULE: Final = "Give dates, datetimes or ISO text such as '2024-03-04'"
_NUMBERED_WEEKS: Final = "turn a week number into the day on which that week starts"
_LABEL_RULE: Final = "Convert the labels to text or whole numbers before loading."
_TEXT: Final = ("number stored as text", "numbers stored as text")
_NOT_NUMBERS: Final = ("value that is not a number", "values that are not numbers")
_NOT_DATES: Final = ("value that is not a date", "values that are not dates")
_OUTSIDE: Final = ("date outside the years 1678 to 2261", "dates outside the years 1678 to 2261")
_TIMED: Final = ("value with a time of day", "values with a time of day")


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a column.

    Parameters
    ----------
    what
        The predicate of the message, such as ``"has 3 negative values"``.
    rows
        Positions of the first offending rows, counted from 0; empty if it is all of them.
    total
        How many rows offend.
    shown
        The offending values as text, one for each of `rows`; empty if there is nothing to show.
    rule
        The requirement and the remedy, as one or two sentences.
    """

    what: str
    rows: tuple[int, ...]
    total: int
    shown: tuple[str, ...]
    rule: str


@dataclass(frozen=True)
class Parsed:
    """A column as an array (None if it can't be one), which rows are missing, and its faults."""

    values: Array | None
    missing: Mask
    faults: tuple[Fault, ...] = ()


def counted(n: int, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> counted(1, "gap"), counted(1200, "gap")
    ('1 gap', '1,200 gaps')
    """
    return f"{n:,} {singular if n == 1 else plural or singular + 's'}"


def show(value: object) -> str:
    """Return a value as a reader would write it."""
    if isinstance(value, float | np.floating):
        return f"{value:.10g}"
    if isinstance(value, np.datetime64):
        text = str(pd.Timestamp(value))
        return text.removesuffix(" 00:00:00")
    if isinstance(value, bool | int | np.integer | np.bool_):
        return str(value)
    return repr(str(value)) if isinstance(value, str | dt.date | Decimal) else repr(value)


def fault(
    mask: Mask, nouns: tuple[str, str], rule: str, values: Array | None = None, keep: int = 3
) -> Fault | None:
    """Return the fault "has n `nouns`" at the rows where `mask` holds, or None if there are none.

    Parameters
    ----------
    mask
        Offending rows (n_rows).
    nouns
        Singular and plural, such as ``("negative value", "negative values")``.
    rule
        Requirement and remedy.
    values
        Where to read the offending values from (n_rows); None shows only where they are.
    keep
        How many offenders to show.
    """
    total = int(np.count_nonzero(mask))
    if total == 0:
        return None
    rows = tuple(int(row) for row in np.flatnonzero(mask)[:keep])
    shown = () if values is None else tuple(show(values[row]) for row in rows)
    return Fault(f"has {counted(total, *nouns)}", rows, total, shown, rule)


def parse_numbers(series: nw.Series[Any]) -> Parsed:
    """Read numbers (integers, decimals, floats, booleans) as float64, missing ones as NaN."""
    n = len(series)
    dtype = series.dtype
    if bool(series.is_null().all()):
        return Parsed(np.full(n, np.nan), np.ones(n, dtype=bool))
    if dtype.is_numeric() or dtype == nw.Boolean:
        values = np.array(series.cast(nw.Float64).to_numpy(), dtype=np.float64)
        return Parsed(values, np.isnan(values))
    if dtype == nw.String:
        return _numbers_from_text(_objects(series))
    if dtype in (nw.Object, nw.Unknown):
        return _numbers_from_objects(_objects(series))
    return _wrong_type(series, "numbers", "Convert the column to numbers before loading.")


def parse_labels(series: nw.Series[Any]) -> Parsed:
    """Read labels (text, categories, whole numbers, booleans) as `str`, missing ones as ''."""
    n = len(series)
    dtype = series.dtype
    if bool(series.is_null().all()):
        return Parsed(np.full(n, "", dtype=object), np.ones(n, dtype=bool))
    if dtype.is_float() or dtype.is_decimal():
        # Whole numbers with nulls among them are often stored as floats.
        floats = np.asarray(series.cast(nw.Float64).to_numpy(), dtype=np.float64)
        whole = np.mod(floats, 1.0, where=np.isfinite(floats), out=np.ones(n)) == 0
        if np.all(whole | np.isnan(floats)):
            return _labels_of(floats)
    elif dtype.is_integer() and not bool(series.is_null().any()):
        return _labels_of(np.asarray(series.to_numpy()))
    elif dtype.is_integer() or dtype in (nw.String, nw.Categorical, nw.Enum):
        return _labels_of(_objects(series.cast(nw.String)))
    elif dtype in (nw.Boolean, nw.Object, nw.Unknown):
        return _labels_of(_objects(series))
    return _wrong_type(series, "labels", _LABEL_RULE)


def parse_dates(series: nw.Series[Any], *, whole_days: bool) -> Parsed:
    """Read dates, naive or single-zone datetimes or ISO text as datetime64[ns], missing as NaT.

    A time zone is dropped and the local clock time kept, so that a day stays the day on
    which the market saw it.

    Parameters
    ----------
    series
        The column.
    whole_days
        Whether a time of day is a fault.
    """
    n = len(series)
    dtype = series.dtype
    if bool(series.is_null().all()):
        return Parsed(np.full(n, np.datetime64("NaT", "ns")), np.ones(n, dtype=bool))
    if dtype in (nw.Date, nw.Datetime):
        if isinstance(dtype, nw.Datetime) and dtype.time_zone is not None:
            series = series.dt.replace_time_zone(None)
        values = np.array(series.cast(nw.Datetime("us")).to_numpy(), dtype="datetime64[us]")
        return _checked_dates(values, np.isnat(values), whole_days, [])
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        series = series.cast(nw.String)
    elif dtype not in (nw.Object, nw.Unknown):
        return _wrong_type(series, "dates", f"{_DATE_RULE}; {_NUMBERED_WEEKS}.")
    return _dates_from_objects(series, whole_days)


def _objects(series: nw.Series[Any]) -> Array:
    """Return the column as an array of Python objects."""
    return np.asarray(series.to_numpy(), dtype=object)


def _wrong_type(series: nw.Series[Any], wanted: str, rule: str) -> Parsed:
    """Return the fault of a column whose type can't hold what is wanted."""
    missing = np.asarray(series.is_null().to_numpy(), dtype=bool)
    row = int(np.flatnonzero(~missing)[0])
    what = f"is of type {_type_name(series)} where {wanted} are needed"
    found = Fault(what, (), 0, (f"for example {show(series.to_numpy()[row])}",), rule)
    return Parsed(None, missing, (found,))


def _type_name(series: nw.Series[Any]) -> str:
    """Return the column's type as its own engine calls it."""
    native = series.to_native()
    return str(getattr(native, "dtype", None) or getattr(native, "type", series.dtype))


def _numbers_from_text(objects: Array) -> Parsed:
    """Read a column of text: which entries aren't numbers, or that all are and need a cast."""
    missing = np.asarray(pd.isna(objects), dtype=bool)
    filled = np.where(missing, "nan", objects)
    values = np.asarray(
        pd.to_numeric(pd.Series(filled, dtype=object), errors="coerce"), dtype=float
    )
    failed = np.isnan(values) & ~missing
    rule = "Correct these entries and convert the column to numbers."
    found = fault(failed, _NOT_NUMBERS, rule, objects)
    if found is None:
        rule = "Convert the column to numbers before loading."
        found = fault(~missing, _TEXT, rule, objects)
    return Parsed(values, missing, (found,) if found else ())


def _numbers_from_objects(objects: Array) -> Parsed:
    """Read a column of Python objects, such as `decimal.Decimal` or numbers mixed with text."""
    missing = np.asarray(pd.isna(objects), dtype=bool)
    kinds = (numbers.Real, Decimal, np.bool_)
    number = np.fromiter((isinstance(v, kinds) for v in objects), dtype=bool, count=len(objects))
    number &= ~missing
    values = np.full(len(objects), np.nan)
    values[number] = objects[number].astype(np.float64)
    rule = "Correct these entries and convert the column to numbers."
    found = fault(~number & ~missing, _NOT_NUMBERS, rule, objects)
    return Parsed(values, missing, (found,) if found else ())


def _labels_of(values: Array) -> Parsed:
    """Turn each distinct value into its text once."""
    try:
        codes, uniques = pd.factorize(values)
    except TypeError:  # lists and other values that can't be told apart
        missing = np.zeros(len(values), dtype=bool)
        found = fault(
            ~missing, ("value that is no label", "values that are no labels"), _LABEL_RULE
        )
        return Parsed(None, missing, (found,) if found else ())
    texts = [_label(value) for value in uniques]
    bad = np.array([text is None for text in texts] + [False])[codes]
    blank = np.array([text is not None and not text.strip() for text in texts] + [False])[codes]
    labels = np.array([text or "" for text in texts] + [""], dtype=object)[codes]
    faults = (
        fault(bad, ("value that is no label", "values that are no labels"), _LABEL_RULE, values),
        fault(blank, ("blank label", "blank labels"), "Name or drop these rows."),
    )
    return Parsed(labels, codes == -1, tuple(f for f in faults if f is not None))


def _label(value: object) -> str | None:
    """Return the text of one label, or None if the value can't be one."""
    if isinstance(value, str | uuid.UUID | numbers.Integral | np.bool_):
        return str(value)
    if isinstance(value, float | np.floating | Decimal) and float(value).is_integer():
        return str(int(value))
    return None


def _dates_from_objects(series: nw.Series[Any], whole_days: bool) -> Parsed:
    """Read text or Python dates, each distinct value once."""
    objects = _objects(series)
    try:
        codes, uniques = pd.factorize(objects)
    except TypeError:
        return _wrong_type(series, "dates", f"{_DATE_RULE}.")
    moments = [_moment(value) for value in uniques]
    zones = [str(m.tzinfo) if m is not None and m.tzinfo is not None else None for m in moments]
    naive = [None if m is None else m.replace(tzinfo=None) for m in moments]
    values = np.array([*naive, None], dtype="datetime64[us]")[codes]
    missing = codes == -1
    failed = np.array([m is None for m in moments] + [False])[codes]
    rule = f"{_DATE_RULE}, or convert the column to dates before loading."
    faults = [fault(failed, _NOT_DATES, rule, objects)]
    if len({z for z, m in zip(zones, moments, strict=True) if m is not None}) > 1:
        names = np.array([z or "no zone" for z in zones] + [""], dtype=object)
        faults.append(_mixed_zones(names[codes], ~missing & ~failed))
    return _checked_dates(values, missing, whole_days, faults)


def _moment(value: object) -> dt.datetime | None:
    """Return one value as a datetime, or None if it isn't a date."""
    if isinstance(value, str):
        try:
            return dt.datetime.fromisoformat(value.strip())
        except ValueError:
            return None
    if isinstance(value, np.datetime64 | pd.Timestamp):
        moment: dt.datetime = pd.Timestamp(value).floor("us").to_pydatetime(warn=False)
        return moment
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day)
    return None


def _mixed_zones(zones: Array, valid: Mask) -> Fault:
    """Return the fault of a column whose dates carry more than one time zone."""
    rows = [int(np.flatnonzero(valid & (zones == z))[0]) for z in pd.unique(zones[valid])][:3]
    shown = tuple(str(zones[row]) for row in rows)
    rule = "Convert them all to the market's own time zone, or to plain dates, before loading."
    return Fault("mixes time zones", tuple(rows), len(rows), shown, rule)


def _checked_dates(
    values: Array, missing: Mask, whole_days: bool, faults: Sequence[Fault | None]
) -> Parsed:
    """Check range and time of day, and go over to nanoseconds."""
    outside = (values < _EARLIEST) | (values >= _LATEST)
    found = [*faults, fault(outside, _OUTSIDE, "Correct or drop these rows.", values)]
    values = np.where(outside, np.datetime64("NaT", "us"), values)
    if whole_days:
        days = values.astype("datetime64[D]").astype("datetime64[us]")
        rule = "Dates must be whole days; round them down to the day before loading."
        found.append(fault(values > days, _TIMED, rule, values))
        values = days
    return Parsed(values.astype("datetime64[ns]"), missing, tuple(f for f in found if f))
