"""What no model could learn from: regions, channels and rows that do not make a panel."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.media_mix.bad_frames import Cases, assert_one_message, put, same, setting

BAD: Cases = {
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
    "a region with one date": (
        lambda table: table[(table["geo"] != "south") | (table["week"] == "2024-03-11")],
        {},
        ["1 region has one date only: region 'south', 2024-03-11", "drop it or merge it"],
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
}


@pytest.mark.parametrize("name", BAD)
def test_one_fault_gives_one_clear_message(name: str) -> None:
    assert_one_message(BAD[name])
