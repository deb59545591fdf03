"""Reach and frequency that can't be, each with the one message that its owner reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from tests.media_mix.bad_frames import Cases, assert_one_message, frame, put, read

PAIR: dict[str, Any] = {"reach": {"video": "people_seen"}, "frequency": {"video": "often"}}


def reached(change: Callable[[pd.DataFrame], object] = lambda table: table) -> Any:
    """Add reach and frequency to the sound frame, then spoil it."""

    def whole(table: pd.DataFrame) -> object:
        seen, often = np.tile(np.arange(8.0), 3), np.tile(np.linspace(1.0, 3.0, 8), 3)
        return change(table.assign(people_seen=10.0 * seen, often=often))

    return whole


BAD: Cases = {
    "reach alone": (
        reached(),
        {"reach": PAIR["reach"]},
        ["channel 'video' has reach but no frequency", "or the channel's impressions"],
    ),
    "frequency alone": (
        reached(),
        {"frequency": PAIR["frequency"]},
        ["channel 'video' has frequency but no reach"],
    ),
    "reach and exposure": (
        reached(),
        {"exposure": {"video": "posts"}, **PAIR},
        ["channel 'video' has exposure and reach", "Give either impressions"],
    ),
    "negative reach": (
        reached(put("people_seen", [3], -1.0)),
        PAIR,
        ["reach has 1 negative value: channel 'video' (column 'people_seen'), -1 at"],
    ),
    "missing reach": (
        reached(put("people_seen", [3], np.nan)),
        PAIR,
        ["reach has 1 missing value", "media must be known in every row"],
    ),
    "missing frequency": (
        reached(put("often", [0, 3, 9], np.nan)),
        PAIR,
        [
            "frequency is missing where reach is positive: channel 'video' (column 'often')",
            "2 rows, nan at region 'north', 2024-03-25",
            "impressions over reach",
        ],
    ),
    "frequency below one": (
        reached(put("often", [0, 5], 0.5)),
        PAIR,
        [
            "frequency is below 1 where reach is positive",
            "1 row, 0.5 at region 'north', 2024-04-08",
        ],
    ),
    "negative frequency": (
        reached(put("often", [5], -2.0)),
        PAIR,
        ["frequency has 1 negative value", "impressions divided by reach"],
    ),
    "impressions as reach": (
        reached(put("people_seen", [5], 101.0)),
        PAIR,
        [
            "reach is above the population",
            "101 at region 'north', 2024-04-08",
            "give them as exposure",
        ],
    ),
    "nobody reached": (
        reached(lambda table: table.assign(people_seen=0.0)),
        PAIR,
        ["reach is zero in every row", "drop it"],
    ),
    "money for nobody": (
        reached(lambda table: table.assign(people_seen=[0.0] * 8 + [5.0] * 16)),
        {**PAIR, "spend": {"video": "tv_cost"}, "exposure": {"organic": "posts"}},
        ["reach is zero on every date in 1 region with spend", "correct the reach"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_one_fault_gives_one_clear_message(name: str) -> None:
    assert_one_message(BAD[name])


def test_where_nobody_is_reached_frequency_may_be_anything() -> None:
    plain = read(reached()(frame()), **PAIR)
    for value in (np.nan, 0.0, 7.0):
        table = reached(put("often", [0, 8], value))(frame())
        assert read(table, **PAIR) == plain
    assert float(plain.data["frequency"].sel(channel="video")[0, 0]) == 0.0
    assert np.isnan(plain.data["frequency"].sel(channel="tv")).all()
    assert plain.frequency_channels == ("video",)
    assert plain.channels == ("tv", "radio", "organic", "video")
    assert "video" not in plain.paid_channels


def test_estimates_of_frequency_may_be_a_little_below_one() -> None:
    table = reached(put("often", [5], 0.97))(frame())
    assert float(read(table, **PAIR).data["frequency"].sel(channel="video")[0, 5]) == 0.97


def test_a_panel_with_reach_comes_back_from_a_dataset() -> None:
    found = read(reached()(frame()), **PAIR)
    assert bm.MediaPanel.from_dataset(found.to_dataset()) == found
    assert "frequency" in found.between(end="2024-04-08").data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: {"frequency": d["frequency"] - 2.5}, "frequency must be finite and >= 0"),
        (lambda d: {"frequency": d["frequency"] * 0.5}, "frequency must be 1 or more"),
        (lambda d: {"exposure": d["exposure"] * 50.0}, "must not exceed population"),
    ],
)
def test_a_dataset_is_held_to_the_same(change: Any, message: str) -> None:
    data = read(reached()(frame()), **PAIR).data
    with pytest.raises(bm.DataError, match=message):
        bm.MediaPanel(data.assign(change(data)), "EUR")
