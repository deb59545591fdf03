"""Calendar days as whole numbers since 1970-01-01, computed on any engine.

Engines disagree on date types, time zones and parsing; they agree on whole numbers.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import narwhals as nw
import numpy as np
import pandas as pd

from bayes_mkt.errors import SpecError

__all__ = ["Bound", "day_number", "iso_text", "moment_days", "text_days", "to_date", "zone_text"]

Bound = str | dt.date | np.datetime64

_CLOCK: Final = "(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.][0-9]+)?)?)?"
_STAMP: Final = f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}{_CLOCK}"
_ISO: Final = f"{_STAMP}(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?$"


def day_number(bound: Bound, name: str) -> int:
    """Return a date as days since 1970-01-01.

    Parameters
    ----------
    bound
        A date or ISO text; a time of day is left off.
    name
        What the date is, for the message.

    Raises
    ------
    SpecError
        If it isn't a date, or has a time zone.

    Examples
    --------
    >>> day_number("1970-02-01", "end")
    31
    """
    if isinstance(bound, str | dt.date | np.datetime64):
        try:
            moment = pd.Timestamp(
                dt.datetime.fromisoformat(bound) if isinstance(bound, str) else bound
            )
            if not pd.isna(moment) and moment.tzinfo is None:
                return int(moment.to_datetime64().astype("datetime64[D]").astype(np.int64))
        except ValueError:
            pass
    raise SpecError(f"{name}={bound!r} is not a date. Give one such as '2024-03-04'.")


def to_date(day: int) -> dt.date:
    """Return a day since 1970-01-01 as a date."""
    return dt.date(1970, 1, 1) + dt.timedelta(days=int(day))


def moment_days(column: nw.Expr) -> nw.Expr:
    """Return the days of dates or datetimes, on the clock of their own zone; missing as 1970.

    With y the year and o the day within it: 365 (y - 1970) + leap days since 1970 + o - 1.
    """
    year = column.dt.year().fill_null(1970).cast(nw.Int64)
    ordinal = column.dt.ordinal_day().fill_null(1).cast(nw.Int64)
    leaps = (year - 1969) // 4 - (year - 1901) // 100 + (year - 1601) // 400
    return (year - 1970) * 365 + leaps + ordinal - 1


def iso_text(column: nw.Expr) -> nw.Expr:
    """Return whether text is an ISO date or datetime of a day that exists; missing text is not."""
    text = column.fill_null("").str.strip_chars()
    shaped = text.str.contains(_ISO)
    year, month, day = _parts(text, shaped)
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    february = nw.when(leap).then(nw.lit(29)).otherwise(nw.lit(28))
    short = (month == 4) | (month == 6) | (month == 9) | (month == 11)
    long = nw.when(short).then(nw.lit(30)).otherwise(nw.lit(31))
    length = nw.when(month == 2).then(february).otherwise(long)
    return shaped & (month >= 1) & (month <= 12) & (day >= 1) & (day <= length)


def text_days(column: nw.Expr) -> nw.Expr:
    """Return the days of ISO text, on its own clock; what `iso_text` refuses counts as 1970.

    Years that begin in March put the leap day last (Hinnant, "chrono-compatible low-level date
    algorithms", 2013, days_from_civil).
    """
    text = column.fill_null("").str.strip_chars()
    year, month, day = _parts(text, text.str.contains(_ISO))
    year = year - nw.when(month > 2).then(nw.lit(0)).otherwise(nw.lit(1))
    within = (((month + 9) % 12) * 153 + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + within - 719468


def zone_text(column: nw.Expr) -> nw.Expr:
    """Return what ISO text says of its time zone, such as ``"Z"`` or ``"+01:00"``; else ''."""
    return column.fill_null("").str.strip_chars().str.replace_all(_STAMP, "")


def _parts(text: nw.Expr, shaped: nw.Expr) -> tuple[nw.Expr, nw.Expr, nw.Expr]:
    """Return year, month and day of text that has the shape of a date; of other text 1970-01-01."""
    safe = nw.when(shaped).then(text).otherwise(nw.lit("1970-01-01"))
    year, month, day = (
        safe.str.slice(start, size).cast(nw.Int64) for start, size in ((0, 4), (5, 2), (8, 2))
    )
    return year, month, day
