"""Cost against the size of a panel: which sizes, and what is kept of two fits."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from benchmarks.growth import CENTRE, GRID, measure, points, size_of


def test_one_dimension_moves_at_a_time() -> None:
    sizes = points(CENTRE, GRID)
    assert CENTRE in sizes
    for size in sizes:
        assert sum(size[name] != CENTRE[name] for name in CENTRE) <= 1
    assert {size["regions"] for size in sizes} >= {10, 200}


@pytest.mark.parametrize("text", ["200x156", "200x156x10x1", "200xx10", "200x156x-1", "0x156x4"])
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(SystemExit, match=f"{text}.*such as 200x156x10"):
        size_of(text)


def test_quick_has_sizes_of_its_own() -> None:
    with pytest.raises(SystemExit, match="leave out --sizes, or --quick"):
        measure(sizes=["5x52x2"], quick=True)


@pytest.mark.parametrize("worse", [0, 1])
def test_the_worse_of_two_fits_is_shown(worse: int, monkeypatch: pytest.MonkeyPatch) -> None:
    good: dict[str, Any] = {"min_ess": 900.0, "max_rhat": 1.004, "converged": True, "draws": 500}
    bad: dict[str, Any] = {"min_ess": 300.0, "max_rhat": 1.02, "converged": False, "draws": 700}
    fits = [{"seconds": 9.0, **good}, {"seconds": 2.0, **good}]
    fits[worse] |= bad
    left = iter(fits)
    module = import_module("benchmarks.growth.point")
    monkeypatch.setattr(module, "fitted", lambda panel, seed: next(left))
    monkeypatch.setattr(module, "gradient_microseconds", lambda model: 1.0)
    found = module.figures(2, 10, 1, 1)
    assert {name: found[name] for name in bad} == bad
    assert (found["cold_seconds"], found["warm_seconds"]) == (9.0, 2.0)
    assert found["fits"] == {"cold": fits[0], "warm": fits[1]}
