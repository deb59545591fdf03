"""Bad values in columns, each with the one message that its owner reads."""

from __future__ import annotations

import pytest

from tests.media_mix.bad_frames import Cases, assert_one_message, put

BAD: Cases = {
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
}


@pytest.mark.parametrize("name", BAD)
def test_one_fault_gives_one_clear_message(name: str) -> None:
    assert_one_message(BAD[name])
