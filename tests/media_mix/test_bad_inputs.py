"""Bad data, each with the one message that its owner reads, and all of them at once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_mkt.errors import DataError
from bayes_mkt.media_mix.panel import MediaPanel

ROLES: dict[str, Any] = {
    "sales": "units",
    "date": "week",
    "region": "geo",
    "spend": {"tv": "tv_cost", "radio": "radio_cost"},
    "exposure": {"tv": "tv_views", "organic": "posts"},
    "controls": ["temperature"],
    "population": "people",
    "revenue_per_sale": "price",
    "currency": "EUR",
}
Change = Callable[[pd.DataFrame], object]


def frame() -> pd.DataFrame:
    """A sound frame: rows 0 to 7 are north, 8 to 15 south, 16 to 23 west."""
    rng = np.random.default_rng(1)
    weeks = pd.date_range("2024-03-04", periods=8, freq="7D")
    return pd.DataFrame(
        {
            "geo": np.repeat(["north", "south", "west"], 8),
            "week": np.tile(weeks, 3),
            "units": rng.uniform(50, 99, 24),
            "tv_cost": np.tile(np.arange(1.0, 9.0), 3),
            "tv_views": rng.uniform(1, 999, 24),
            "radio_cost": rng.uniform(1, 9, 24),
            "posts": rng.uniform(1, 9, 24),
            "temperature": rng.normal(size=24),
            "price": rng.uniform(2, 3, 24),
            "people": np.repeat([100.0, 200.0, 300.0], 8),
        }
    )


def read(table: object, **roles: Any) -> MediaPanel:
    return MediaPanel.from_frame(table, **{**ROLES, **roles})


def put(column: str, rows: list[int], value: object) -> Change:
    """Write a value into some rows of a column, of whatever type it makes the column."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        kind = float if isinstance(value, float) else object
        values = table[column].to_numpy().astype(kind)
        if column == "week":
            values = np.array([*table["week"]], dtype=object)
        values[rows] = value
        return table.assign(**{column: values})

    return change


def setting(**columns: object) -> Change:
    return lambda table: table.assign(**columns)


def months(*skipped: int, day: int = 1) -> Change:
    """Put the eight dates on a day of consecutive months, but for some skipped."""
    starts = [m for m in range(8 + len(skipped)) if m not in skipped]
    dates = [dt.datetime(2024 + m // 12, m % 12 + 1, day) for m in starts]
    return lambda table: table.assign(week=pd.DatetimeIndex(dates * 3))


def same(table: pd.DataFrame) -> object:
    return table


# name: (change of the frame, changed roles, all that the one message must say)
BAD: Mapping[str, tuple[Change, dict[str, Any], list[str]]] = {
    "no frame": (
        lambda _: [1, 2],
        {},
        ["must be a data frame, but got list", "Give a pandas, Polars"],
    ),
    "a path": (lambda _: Path("data.csv"), {}, ["Read the file first", "pandas.read_csv"]),
    "no rows": (lambda table: table[:0], {}, ["The frame has no rows", "one row for each"]),
    "misspelt columns": (
        same,
        {"spend": {"tv": "tv_costs", "radio": "Radio_Cost"}},
        [
            "2 columns are not in the frame",
            "'tv_costs' for spend, channel 'tv' (did you mean 'tv_cost'?)",
            "'Radio_Cost' for spend, channel 'radio' (did you mean 'radio_cost'?)",
            "The frame has 'geo', 'week', 'units'",
        ],
    ),
    "columns in the index": (
        lambda table: table.set_index(["geo", "week"]),
        {},
        ["'geo' for region; 'week' for date", "index holds 'geo' and 'week'", "reset_index()"],
    ),
    "two columns of one name": (
        lambda table: pd.concat([table, table[["price"]]], axis=1),
        {},
        ["more than one column named 'price'", "Rename or drop one"],
    ),
    "sales as a control": (
        same,
        {"controls": ["units"]},
        ["column 'units' is used as sales and as control", "Give each its own column"],
    ),
    "one spend for two channels": (
        same,
        {"spend": {"tv": "tv_cost", "radio": "tv_cost"}},
        ["column 'tv_cost' is used as spend, channel 'tv' and as spend, channel 'radio'"],
    ),
    "text among numbers": (
        put("tv_cost", [2], "n/a"),
        {},
        [
            "spend has 1 value that is not a number: channel 'tv' (column 'tv_cost')",
            "'n/a' at region 'north', 2024-03-18",
            "convert the column to numbers",
        ],
    ),
    "numbers as text": (
        lambda table: table.assign(units=table["units"].astype(str)),
        {},
        ["sales has 24 numbers stored as text: column 'units'", "Convert the column to numbers"],
    ),
    "dates for numbers": (
        lambda table: table.assign(people=table["week"]),
        {},
        ["population is of type datetime64", "numbers are needed: column 'people'", "2024-03-04"],
    ),
    "missing spend": (
        put("tv_cost", [0, 9, 10, 11], float("nan")),
        {},
        [
            "spend has 4 missing values: channel 'tv' (column 'tv_cost'), at region 'north', "
            "2024-03-04; region 'south', 2024-03-11; region 'south', 2024-03-18; and 1 more",
            "Write 0 where there was none",
        ],
    ),
    "missing sales": (
        put("units", [1], float("nan")),
        {},
        [
            "sales has 1 missing value: column 'units', at region 'north', 2024-03-11",
            "missing_sales='mask'",
        ],
    ),
    "missing control": (
        put("temperature", [1], None),
        {},
        ["control has 1 missing value: column 'temperature', at region 'north'", "Fill in"],
    ),
    "missing control where sales are not": (
        put("temperature", [1], float("nan")),
        {"missing_sales": "mask"},
        ["control has 1 missing value: column 'temperature', at region 'north'"],
    ),
    "infinite exposure": (
        put("tv_views", [1], float("inf")),
        {},
        ["exposure has 1 infinite value: channel 'tv' (column 'tv_views'), inf at", "division by"],
    ),
    "negative spend": (
        put("tv_cost", [0, 1, 8], -2.5),
        {},
        [
            "spend has 3 negative values: channel 'tv' (column 'tv_cost'), "
            "-2.5 at region 'north', 2024-03-04; -2.5 at region 'north', 2024-03-11; "
            "-2.5 at region 'south', 2024-03-04. "
            "Spend must be >= 0; net refunds before loading."
        ],
    ),
    "negative spend, one series": (
        lambda table: put("tv_cost", [0, 1], -2.5)(table[:8]),
        {"region": None},
        ["channel 'tv' (column 'tv_cost'), -2.5 at 2024-03-04; -2.5 at 2024-03-11. Spend must"],
    ),
    "negative exposure": (
        put("posts", [0], -1.0),
        {},
        ["exposure has 1 negative value: channel 'organic' (column 'posts'), -1 at", "net cancel"],
    ),
    "negative sales": (
        put("units", [0], -7.0),
        {},
        ["sales has 1 negative value: column 'units', -7 at region 'north'", "book returns"],
    ),
    "population zero": (
        put("people", list(range(8)), 0.0),
        {},
        ["population has 8 zero or negative values: column 'people', 0 at", "must be > 0"],
    ),
    "population varies": (
        put("people", [3], 150.0),
        {},
        ["population varies over time in 1 region: column 'people'", "'north' from 100 to 150"],
    ),
    "free of charge": (
        put("price", [3], 0.0),
        {},
        ["revenue per sale has 1 zero or negative value: column 'price'", "must be > 0"],
    ),
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
    "missing region": (
        put("geo", [5], None),
        {},
        ["region has 1 missing value: column 'geo', at 2024-04-08, row 5", "drop these rows"],
    ),
    "blank region": (put("geo", [5], " "), {}, ["region has 1 blank label: column 'geo', at 2024"]),
    "two spellings of a region": (
        put("geo", [5, 6], "North "),
        {},
        ["differ only in case or blanks: column 'geo', 'North ', 'north'", "one spelling"],
    ),
    "fractions as regions": (
        lambda table: table.assign(geo=table["price"]),
        {},
        ["region is of type float64 where labels are needed: column 'geo'", "to text"],
    ),
    "duplicate rows": (
        lambda table: pd.concat([table, table.iloc[[3, 3, 9]]]),
        {},
        [
            "2 regions and dates have more than one row: region 'north', 2024-03-25 (3 rows); "
            "region 'south', 2024-03-11 (2 rows)",
            "Keep one row for each region and date",
        ],
    ),
    "regions without region=": (
        same,
        {"region": None},
        ["8 dates have more than one row: 2024-03-04 (3 rows)", "Give region="],
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
    "a region with one date": (
        lambda table: table[(table["geo"] != "south") | (table["week"] == "2024-03-11")],
        {},
        ["1 region has one date only: region 'south', 2024-03-11", "drop it or merge it"],
    ),
    "few dates": (
        lambda table: table[table["week"] < "2024-03-20"],
        {},
        ["date has 3 distinct values: column 'week', 2024-03-04,", "needs 6 dates or more"],
    ),
    "sales constant": (setting(units=5), {}, ["sales are 5 in every row: column 'units'"]),
    "a region without sales": (
        put("units", list(range(16, 24)), float("nan")),
        {"missing_sales": "mask"},
        ["1 region has fewer than two dates with sales: column 'units', region 'west' (0)"],
    ),
    "no sales at all": (
        setting(units=np.nan),
        {"missing_sales": "mask"},
        ["sales are missing in every row: column 'units'"],
    ),
    "a channel that never ran": (
        setting(tv_views=0),
        {},
        ["exposure is zero in every row: channel 'tv' (column 'tv_views')", "drop it"],
    ),
    "a channel that never cost": (
        setting(tv_cost=0),
        {},
        ["spend is zero in every row: channel 'tv' (column 'tv_cost')", "in exposure only"],
    ),
    "spend without exposure in a region": (
        put("tv_views", list(range(8)), 0.0),
        {},
        [
            "exposure is zero on every date in 1 region with spend: channel 'tv' "
            "(column 'tv_views'), region 'north' (spend 36)",
            "correct the exposure",
        ],
    ),
    "exposure without spend in a region": (
        put("tv_cost", list(range(8)), 0.0),
        {},
        ["spend is zero on every date in 1 region with exposure: channel 'tv' (column 'tv_cost')"],
    ),
    "constant control": (
        setting(temperature=20),
        {},
        ["control is 20 in every row: column 'temperature'", "drop it"],
    ),
    "a channel that is a control": (
        same,
        {"exposure": {"temperature": "posts"}},
        ["'temperature' is both a channel and a control", "Rename the channel"],
    ),
    "two spellings of a channel": (
        same,
        {"exposure": {"TV": "tv_views"}},
        ["channels 'tv', 'TV' differ only in case or blanks", "Use one name"],
    ),
    "a control twice": (
        same,
        {"controls": ["temperature"] * 2},
        ["controls names 'temperature' more than once"],
    ),
    "controls as text": (
        same,
        {"controls": "temperature"},
        ["controls is a list of columns, but got 'temperature'. Write ['temperature']"],
    ),
    "spend as a list": (
        same,
        {"spend": ["tv_cost"]},
        ["spend is a dictionary from channel to column", "but got ['tv_cost']"],
    ),
    "no channels": (
        same,
        {"spend": {}, "exposure": None},
        ["spend and exposure name no channel", "spend={'tv': 'tv_spend'}"],
    ),
    "a channel without a name": (
        same,
        {"exposure": {"": "posts"}},
        ["exposure has channels without a name: ''", "Name each channel"],
    ),
    "a list of sales columns": (
        same,
        {"sales": ["units"]},
        ["sales takes the name of a column as text, but got ['units']"],
    ),
    "a price in place of its column": (
        same,
        {"revenue_per_sale": 2.5},
        ["revenue per sale takes the name of a column as text, but got 2.5"],
    ),
    "a currency that is none": (
        same,
        {"currency": 978},
        ["currency is text such as 'EUR', but got 978", "Leave it out"],
    ),
    "an unknown way with missing sales": (
        same,
        {"missing_sales": "drop"},
        ["missing_sales is 'error' or 'mask', but got 'drop'"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_fault_gives_one_clear_message(name: str) -> None:
    change, roles, fragments = BAD[name]
    with pytest.raises(DataError) as caught:
        read(change(frame()), **roles)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message
    assert len(caught.value.problems) == 1, message
    assert message.endswith(".")
    assert message[0] == message.lstrip()[0]


def test_the_frame_itself_is_sound() -> None:
    assert read(frame()).balanced


@pytest.mark.parametrize("engine", ["polars", "polars lazy", "pyarrow", "duckdb"])
def test_other_engines_give_the_same_message(engine: str) -> None:
    table = frame()
    table.loc[[0, 8], "tv_cost"] = -2.5
    table.loc[3, "units"] = np.nan
    arrow = pytest.importorskip("pyarrow").Table.from_pandas(table)
    convert: dict[str, Callable[[], object]] = {
        "polars": lambda: pytest.importorskip("polars").from_arrow(arrow),
        "polars lazy": lambda: pytest.importorskip("polars").from_arrow(arrow).lazy(),
        "pyarrow": lambda: arrow,
        "duckdb": lambda: pytest.importorskip("duckdb").connect().from_arrow(arrow),
    }
    with pytest.raises(DataError) as expected:
        read(table)
    with pytest.raises(DataError) as found:
        read(convert[engine]())
    assert found.value.problems == expected.value.problems
    assert len(found.value.problems) == 2


def test_all_faults_are_raised_together() -> None:
    table = frame().assign(temperature=20.0)
    table.loc[2, "tv_cost"] = -1.0
    table.loc[3, "units"] = np.nan
    table.loc[4, "people"] = 150.0
    table = pd.concat([table[table["week"] != "2024-04-15"], table.iloc[[9]]])
    with pytest.raises(DataError) as caught:
        read(table, exposure={"tv": "tv_view"}, currency=978)
    starts = [
        "currency is text",
        "1 column is not in the frame: 'tv_view' for exposure, channel 'tv'",
        "sales has 1 missing value",
        "spend has 1 negative value",
        "1 region and date has more than one row",
        "date (column 'week') has 1 uneven step",
        "control is 20 in every row",
    ]
    assert len(caught.value.problems) == len(starts)
    for problem, start in zip(caught.value.problems, starts, strict=True):
        assert problem.startswith(start)
    lines = str(caught.value).splitlines()
    assert lines[0] == "7 problems in the data:"
    assert len(lines) == 8
