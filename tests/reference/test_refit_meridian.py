"""Four more weeks of Meridian's simulated panel: the earlier fit reweighted, against a cold fit."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm

CONFIG = Path(__file__).resolve().parents[2] / "docs" / "configs" / "geo_media.toml"
SPEC = bm.MediaMix.meridian(knots=1)
DRAWS = 1250


@pytest.fixture(scope="module")
def panel(shared_data: Path) -> bm.MediaPanel:
    columns = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["data"]
    frame = pd.read_csv(shared_data / "meridian_simulated" / "geo_media.csv")
    return bm.MediaPanel.from_frame(frame, **columns)


@pytest.fixture(scope="module")
def refitted(panel: bm.MediaPanel, tmp_path_factory: pytest.TempPathFactory) -> bm.Fit:
    """The new fit, from an earlier one that was saved and loaded."""
    known = panel.between(end=f"{panel.dates[-5]:%Y-%m-%d}")
    earlier = bm.fit(SPEC, known, seed=1, draws=DRAWS, progress=False)
    path = earlier.save(tmp_path_factory.mktemp("meridian") / "earlier")
    return bm.refit(bm.Fit.load(path), panel, seed=2, progress=False)


@pytest.fixture(scope="module")
def cold(panel: bm.MediaPanel, refitted: bm.Fit) -> bm.Fit:
    """After the refit, so that nothing that it needs has been compiled for it."""
    return bm.fit(SPEC, panel, seed=3, draws=DRAWS, progress=False)


def test_four_weeks_are_reweighted(refitted: bm.Fit, panel: bm.MediaPanel) -> None:
    assert refitted.data == panel
    assert refitted.draws.attrs["refit"] == "reweighting"
    assert refitted.draws.attrs["khat"] < 0.7
    assert refitted.diagnostics.ok


def test_the_posterior_is_that_of_a_cold_fit(refitted: bm.Fit, cold: bm.Fit) -> None:
    ours, theirs = refitted.diagnostics.table, cold.diagnostics.table
    free = theirs["sd"] > 0
    error = np.hypot(ours["mcse_mean"], theirs["mcse_mean"])
    gaps = (abs(ours["mean"] - theirs["mean"]) / error).where(free, 0.0)
    assert float(gaps.max()) < 4.5, gaps.idxmax().item()
    ratio = (ours["sd"] / theirs["sd"]).where(free, 1.0)
    assert float(abs(ratio - 1.0).max()) < 0.1
