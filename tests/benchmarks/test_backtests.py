"""The table of backtests: scores by hand, and what is kept of an earlier run."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from benchmarks.backtests import LEVELS, _merged, against_naive, table


def row(panel: str, forecaster: str, crps: float) -> dict[str, Any]:
    return {"panel": panel, "of": "total", "forecaster": forecaster, "crps": crps}


def test_regions_and_their_sum_are_rows_of_their_own() -> None:
    crps = np.asarray([[[1.0, 3.0, 10.0]], [[np.nan, 5.0, 20.0]]])
    covered = np.broadcast_to(np.asarray([0.0, 1.0, 0.5]), (2, 1, len(LEVELS), 3))
    found = xr.Dataset(
        {
            "crps": (("origin", "forecaster", "region"), crps),
            "covered": (("origin", "forecaster", "level", "region"), covered),
        },
        coords={"forecaster": ["mine"], "region": ["a", "b", "all regions"], "level": list(LEVELS)},
    )
    rows = {r["of"]: r for r in table("shop", found)}
    assert rows["region"]["crps"] == pytest.approx(3.0)
    assert rows["total"]["crps"] == pytest.approx(15.0)
    assert rows["region"]["inside_80%"] == rows["total"]["inside_80%"] == 0.5


def test_scores_are_multiples_of_the_naive_one_of_the_same_panel() -> None:
    rows = [row("x", "seasonal_naive", 4.0), row("x", "mine", 1.0), row("y", "seasonal_naive", 2.0)]
    assert [r["against_naive"] for r in against_naive(rows)] == [1.0, 0.25, 1.0]
    with pytest.raises(SystemExit, match="y: no seasonal-naive forecast"):
        against_naive([*rows[:2], row("y", "mine", 1.0)])


def test_a_forecaster_run_again_replaces_its_own_rows_only() -> None:
    old = [row("x", "mine", 1.0), row("x", "theirs", 2.0), row("y", "mine", 3.0)]
    new = [row("x", "mine", 9.0)]
    assert _merged(old, new) == [old[1], old[2], new[0]]
