"""One simulated campaign and its fit, shared by the tests of the room."""

from __future__ import annotations

import pytest

import bayes_mkt as bm


@pytest.fixture(scope="session")
def world() -> bm.simulate.SimulatedCampaign:
    """Three arms, effects that differ between customers."""
    return bm.simulate.campaign(customers=24_000, arms=3, seed=3)


@pytest.fixture(scope="session")
def halves(world: bm.simulate.SimulatedCampaign) -> tuple[bm.Campaign, bm.Campaign]:
    camp = bm.Campaign.from_frame(world.frame, **world.columns, bins=4)
    return camp.split(0.5, seed=1)


@pytest.fixture(scope="session")
def uplift_fit(halves: tuple[bm.Campaign, bm.Campaign]) -> bm.Fit:
    return bm.fit(bm.Uplift(spend="gamma"), halves[0], seed=1, chains=4, progress=False)
