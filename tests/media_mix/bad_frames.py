"""A sound frame, ways to spoil it, and the one message that each fault must give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def same(table: pd.DataFrame) -> object:
    return table


# name: (change of the frame, changed roles, all that the one message must say)
Cases = Mapping[str, tuple[Change, dict[str, Any], list[str]]]


def assert_one_message(case: tuple[Change, dict[str, Any], list[str]]) -> None:
    """Hold a fault to its one message."""
    change, roles, fragments = case
    with pytest.raises(DataError) as caught:
        read(change(frame()), **roles)
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message
    assert len(caught.value.problems) == 1, message
    assert message.endswith(".")
    assert message[0] == message.lstrip()[0]
