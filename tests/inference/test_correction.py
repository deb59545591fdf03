"""Draws resampled for another likelihood: as many are weighed as the verdict asks for."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from bayes_mkt.inference.correction import corrected
from bayes_mkt.inference.diagnostics import MIN_ESS, diagnose

CHAINS, DRAWS = 4, 2000


def drawn() -> xr.DataTree:
    """Return independent draws of two standard Normals."""
    values = np.random.default_rng(2).normal(size=(2, CHAINS, DRAWS))
    names = dict(zip("xy", values, strict=True))
    posterior = xr.Dataset({n: (("chain", "draw"), v) for n, v in names.items()})
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((CHAINS, DRAWS), dtype=bool))})
    groups = {"posterior": posterior, "sample_stats": stats}
    coords = {"chain": np.arange(CHAINS), "draw": np.arange(DRAWS)}
    return xr.DataTree.from_dict({g: v.assign_coords(coords) for g, v in groups.items()})


@pytest.mark.parametrize("slope", [0.0, 0.8])
def test_as_many_draws_are_weighed_as_the_verdict_asks_for(slope: float) -> None:
    weighed = []

    def log_ratios(posterior: xr.Dataset) -> np.ndarray:
        weighed.append(posterior["x"].size)
        return slope * posterior["x"].to_numpy().ravel()

    found = corrected(drawn(), log_ratios, seed=1, ess=400, weighed=600)
    verdict = diagnose(found)
    assert verdict.ok, verdict.verdict
    x = found["posterior"]["x"]
    assert x.size == sum(weighed)
    assert min(verdict.min_ess_bulk, verdict.min_ess_tail) >= MIN_ESS
    # N(0, 1) times exp(slope x) is N(slope, 1).
    assert float(x.mean()) == pytest.approx(slope, abs=0.15)
    assert float(x.std()) == pytest.approx(1.0, abs=0.1)
    if slope:
        assert len(weighed) > 1
        assert sum(weighed) < CHAINS * DRAWS
    else:
        assert weighed == [600]


def test_the_ess_that_was_asked_for_counts() -> None:
    found = corrected(drawn(), lambda posterior: np.zeros(posterior["x"].size), 1, 1500, 600)
    verdict = diagnose(found)
    assert min(verdict.min_ess_bulk, verdict.min_ess_tail) >= 1500


def test_weights_that_cannot_be_relied_on_leave_the_draws_and_fail() -> None:
    weighed = []

    def log_ratios(posterior: xr.Dataset) -> np.ndarray:
        weighed.append(posterior["x"].size)
        return 4.0 * posterior["x"].to_numpy().ravel() ** 2

    found = corrected(drawn(), log_ratios, seed=1, ess=400)
    assert weighed == [1000]  # further ones would not help
    verdict = diagnose(found)
    assert not verdict.ok
    assert verdict.importance is not None
    assert not verdict.importance.usable
    assert abs(float(found["posterior"]["x"].mean())) < 0.1
