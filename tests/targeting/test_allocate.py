"""Thompson sampling: probabilities of being best, and the share that is left to chance."""

from __future__ import annotations

import numpy as np
import pytest

import bayes_mkt as bm

ARMS = ["none", "mail 1", "mail 2"]


def test_shares_follow_the_posterior_and_no_arm_is_lost(uplift_fit: bm.Fit) -> None:
    found = bm.allocate_arms(uplift_fit, explore=0.3, seed=7)
    mean = bm.expected_outcome(uplift_fit)
    kept = 1000 // mean.sizes["chain"]
    rows = np.linspace(0, mean.sizes["draw"] - 1, min(kept, mean.sizes["draw"])).round()
    thinned = mean.isel(draw=rows.astype(int))
    best = [float((thinned.argmax("arm") == a).mean()) for a in range(3)]
    assert np.allclose(found["best"].isel(customer=0), best)
    assert np.allclose(found["shares"], 0.1 + 0.7 * np.array(best))
    n = found.sizes["customer"]
    counts = [int((found["assigned"] == arm).sum()) for arm in ARMS]
    assert min(counts) >= int(0.3 * n / 3)
    assert np.allclose(np.array(counts) / n, found["shares"], atol=2 / n)
    again = bm.allocate_arms(uplift_fit, explore=0.3, seed=7)
    assert again.identical(found)
    assert not bm.allocate_arms(uplift_fit, explore=0.3, seed=8).identical(found)


def test_customers_get_the_arm_that_suits_them(
    uplift_fit: bm.Fit,
    halves: tuple[bm.Campaign, bm.Campaign],
    world: bm.simulate.SimulatedCampaign,
) -> None:
    """The truth under the assignment is near the best that could be had; exploring is even."""
    found = bm.allocate_arms(uplift_fit, halves[1], by="customer", explore=0.12, seed=1)
    assert np.allclose(found["probability"].sum("arm"), 1)
    assert float(found["probability"].min()) >= 0.04 - 1e-12
    explored = found.isel(customer=found["explored"].to_numpy())
    counts = [int((explored["assigned"] == arm).sum()) for arm in ARMS]
    assert max(counts) - min(counts) <= 1
    chance = world.truth["probability"].sel(customer=found["customer"])
    gained = chance.sel(arm=found["assigned"]).mean()
    oracle, even = chance.max("arm").mean(), chance.mean()
    assert float((gained - even) / (oracle - even)) > 0.75
    single = bm.allocate_arms(uplift_fit, halves[1], explore=0.12, seed=1)
    assert float(gained) > float(chance.sel(arm=single["assigned"]).mean())


def test_a_campaign_goes_on_from_its_allocation(
    uplift_fit: bm.Fit, world: bm.simulate.SimulatedCampaign
) -> None:
    """The next campaign, assigned by the shares of this one, passes its sample-ratio check."""
    found = bm.allocate_arms(uplift_fit, uplift_fit.data, explore=0.4, seed=2)
    names = [str(c) for c in found["customer"].to_numpy()]
    frame = world.frame.set_index("customer").loc[names].reset_index()
    frame["arm"] = found["assigned"].to_numpy()
    shares = {arm: float(found["shares"].sel(arm=arm)) for arm in ARMS}
    campaign = bm.Campaign.from_frame(frame, **world.columns, like=uplift_fit.data, shares=shares)
    assert bm.check_assignment(campaign)["p_value"].iloc[0] > 0.9


def test_costs_move_customers_to_the_control(uplift_fit: bm.Fit) -> None:
    dear = bm.allocate_arms(uplift_fit, cost={"mail 1": 9.0, "mail 2": 9.0}, explore=0.3)
    assert float(dear["best"].sel(arm="none").min()) == 1
    for wrong, text in (
        ({"explore": 0.0}, "lie in"),
        ({"by": "segment"}, "choose from"),
        ({"cost": {"mail 1": 1.0}}, "cost names"),
        ({"seed": -1}, "seed"),
    ):
        with pytest.raises(bm.SpecError, match=text):
            bm.allocate_arms(uplift_fit, **wrong)  # type: ignore[arg-type]
