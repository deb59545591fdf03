"""Dates that make no calendar, each with the one message that its owner reads."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from tests.media_mix.bad_frames import Cases, Change, assert_one_message, put


def months(*skipped: int, day: int = 1) -> Change:
    """Put the eight dates on a day of consecutive months, but for some skipped."""
    starts = [m for m in range(8 + len(skipped)) if m not in skipped]
    dates = [dt.datetime(2024 + m // 12, m % 12 + 1, day) for m in starts]
    return lambda table: table.assign(week=pd.DatetimeIndex(dates * 3))


BAD: Cases = {
    "dates in local style": (
        lambda table: table.assign(week=table["week"].dt.strftime("%d/%m/%y")),
        {},
        ["date has 24 values that are not dates: column 'week', '04/03/24' at", "ISO text"],
    ),
    "impossible date": (
        put("week", [5], "2024-02-30"),
        {},
        ["date has 1 value that is not a date: column 'week', '2024-02-30' at region 'north', row"],
    ),
    "numbered weeks": (
        lambda table: table.assign(week=table["week"].dt.isocalendar().week),
        {},
        ["date is of type", "where dates are needed: column 'week'", "the day on which that week"],
    ),
    "two time zones": (
        put("week", list(range(8)), pd.Timestamp("2024-03-04", tz="UTC")),
        {},
        ["date mixes time zones: column 'week', UTC at", "no zone at", "own time zone"],
    ),
    "time of day": (
        lambda table: table.assign(week=table["week"] + pd.Timedelta("5h")),
        {},
        ["date has 24 values with a time of day: column 'week', 2024-03-04 05:00:00", "whole days"],
    ),
    "missing date": (
        put("week", [5], None),
        {},
        ["date has 1 missing value: column 'week', at region 'north', row 5", "drop these rows"],
    ),
    "a week missing everywhere": (
        lambda table: table[table["week"] != "2024-03-25"],
        {},
        [
            "date (column 'week') has 1 uneven step where the usual one is 7 days: "
            "14 days from 2024-03-18 to 2024-04-01",
            "add the periods that are missing everywhere",
        ],
    ),
    "a week off the grid": (
        lambda table: table.replace({"week": {pd.Timestamp("2024-03-25"): "2024-03-26"}}).assign(
            week=lambda t: pd.to_datetime(t["week"])
        ),
        {},
        ["2 uneven steps", "8 days from 2024-03-18 to 2024-03-26, 6 days from 2024-03-26"],
    ),
    "a month missing everywhere": (
        months(3),
        {},
        ["1 uneven step where the usual one is 1 month: 2 months from 2024-03-01 to 2024-05-01"],
    ),
    "the middle of the month": (
        months(day=15),
        {},
        ["date (column 'week') falls on day 15 of the month", "first or the last day"],
    ),
    "few dates": (
        lambda table: table[table["week"] < "2024-03-20"],
        {},
        ["date has 3 distinct values: column 'week', 2024-03-04,", "needs 6 dates or more"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_fault_gives_one_clear_message(name: str) -> None:
    assert_one_message(BAD[name])
