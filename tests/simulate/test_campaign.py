"""Simulated campaigns and logs are what their truth says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm


def test_campaign_follows_its_truth() -> None:
    world = bm.simulate.campaign(customers=60_000, arms=3, seed=1)
    frame, truth = world.frame, world.truth
    position = {arm: j for j, arm in enumerate(truth["arm"].to_numpy())}
    given = frame["arm"].map(position).to_numpy()
    rows = np.arange(len(frame))
    chance = truth["probability"].to_numpy()[rows, given]
    error = frame["bought"].to_numpy() - chance
    spread = np.sqrt(chance * (1 - chance))
    for arm in range(3):
        inside = given == arm
        assert abs(inside.mean() - 1 / 3) < 4 * np.sqrt(2 / 9 / len(frame))
        assert abs(error[inside].sum()) < 4 * np.sqrt((spread[inside] ** 2).sum())
    expected = truth["expected_revenue"].to_numpy()[rows, given].sum()
    assert abs(frame["spent"].sum() / expected - 1) < 0.03
    assert float(truth["ate"].sel(arm="none")) == 0
    assert ((frame["spent"] > 0) == (frame["bought"] == 1)).all()


def test_campaign_without_effect_has_none() -> None:
    world = bm.simulate.campaign(effect=0.0, heterogeneity=0.0, seed=1)
    assert np.allclose(world.truth["uplift"], 0)


def test_log_follows_its_rates() -> None:
    world = bm.simulate.purchase_log(customers=500, days=100, seed=2)
    lines = world.frame.merge(world.catalogue, on="product").groupby("category").size()
    expected = 100 * world.truth["rate"].sum("customer").to_series()
    assert (abs(lines - expected) < 4.5 * np.sqrt(expected)).all()
    assert world.frame["date"].between("2024-01-01", "2024-04-09").all()


def test_seeds_decide() -> None:
    first, again, other = (bm.simulate.campaign(customers=50, seed=s).frame for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert not first.equals(other)


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(bm.SpecError, match="2 arms"):
        bm.simulate.campaign(arms=1, seed=1)
    with pytest.raises(bm.SpecError, match="base_rate"):
        bm.simulate.campaign(base_rate=1.0, seed=1)
    with pytest.raises(bm.SpecError, match="days"):
        bm.simulate.purchase_log(days=0, seed=1)
