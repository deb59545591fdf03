"""Bad data from any engine, and all faults at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from bayes_mkt.errors import DataError
from tests.media_mix.bad_frames import frame, read


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
