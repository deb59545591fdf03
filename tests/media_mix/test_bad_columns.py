"""Frames and names of columns: each fault with the one message that its owner reads."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.media_mix.bad_frames import Cases, assert_one_message, same

BAD: Cases = {
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
    assert_one_message(BAD[name])
