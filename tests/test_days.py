from __future__ import annotations

import datetime as dt

import narwhals as nw
import numpy as np
import pandas as pd
import pytest

from bayes_mkt.days import day_number, iso_text, moment_days, text_days, to_date, zone_text
from bayes_mkt.errors import SpecError


def every_day() -> np.ndarray:
    """Days over two centuries, with the ends of months and leap years among them."""
    return np.arange("1899-12-25", "2101-03-05", 3, dtype="datetime64[D]")


def evaluated(values: object, expression: nw.Expr) -> list[object]:
    frame = nw.from_native(pd.DataFrame({"x": values}))
    return list(frame.select(y=expression)["y"].to_list())


def test_days_of_datetimes_are_those_of_the_calendar() -> None:
    days = every_day()
    found = evaluated(pd.to_datetime(days) + pd.Timedelta(hours=23), moment_days(nw.col("x")))
    assert found == days.astype(int).tolist()


def test_days_of_text_are_those_of_the_calendar() -> None:
    days = every_day()
    found = evaluated([f"{day}T23:30:00" for day in days], text_days(nw.col("x")))
    assert found == days.astype(int).tolist()


def test_days_turn_back_into_date() -> None:
    assert str(to_date(day_number("2024-02-29", "end"))) == "2024-02-29"


def test_time_zone_of_a_column_decides_the_day() -> None:
    moment = pd.to_datetime(["2024-03-04T23:30:00Z"]).tz_convert("Europe/Berlin")
    (found,) = evaluated(moment, moment_days(nw.col("x")))
    assert found == day_number("2024-03-05", "day")


@pytest.mark.parametrize(
    "text", ["2024-02-29", " 2024-12-31 ", "2024-01-01 10:00", "2024-01-01T10:00:00.5+01:00"]
)
def test_iso_text_is_accepted(text: str) -> None:
    assert evaluated([text], iso_text(nw.col("x"))) == [True]


@pytest.mark.parametrize(
    "text",
    ["2023-02-29", "1900-02-29", "2024-13-01", "2024-04-31", "2024-1-1", "03/04/2024", "", None],
)
def test_other_text_is_refused(text: str | None) -> None:
    assert evaluated(pd.Series([text], dtype="str"), iso_text(nw.col("x"))) == [False]


def test_zones_of_text() -> None:
    stamps = ["2024-01-01", "2024-01-01T10:00Z", "2024-01-01 10:00:00+02:00"]
    assert evaluated(stamps, zone_text(nw.col("x"))) == ["", "Z", "+02:00"]


def test_bounds_of_every_kind() -> None:
    kinds = [
        "2024-03-04",
        dt.date(2024, 3, 4),
        dt.datetime(2024, 3, 4, 9),
        np.datetime64("2024-03-04"),
    ]
    assert {day_number(kind, "end") for kind in kinds} == {19786}


@pytest.mark.parametrize("bound", ["soon", 20240304, None, dt.datetime(2024, 3, 4, tzinfo=dt.UTC)])
def test_other_bounds_are_refused(bound: object) -> None:
    with pytest.raises(SpecError, match=r"end=.* is not a date"):
        day_number(bound, "end")  # type: ignore[arg-type]
