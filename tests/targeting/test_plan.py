"""Plans against every plan there is, and what they refuse."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm

CAMPAIGNS = (
    bm.PlannedCampaign("a", "2024-03-04", cost=1.0),
    bm.PlannedCampaign("b", "2024-03-06", cost=2.0, excludes=("c",)),
    bm.PlannedCampaign("c", "2024-03-20", cost=0.5),
)


def gains(customers: int = 4, seed: int = 1) -> xr.DataArray:
    rng = np.random.default_rng(seed)
    draws = rng.normal(3.0, 1.5, (1, 1, customers, 3)) + rng.normal(0, 0.5, (2, 50, customers, 3))
    return xr.DataArray(
        draws,
        dims=("chain", "draw", "customer", "campaign"),
        coords={"customer": [f"c{i}" for i in range(customers)], "campaign": ["a", "b", "c"]},
        attrs={"units": "EUR"},
    )


def best_by_hand(gain: xr.DataArray, cap: int, budget: float, loss: float = 0.0) -> float:
    """Try every plan: a and b are of one week, b and c exclude each other."""
    cost = np.array([1.0, 2.0, 0.5])
    net = gain.mean(("chain", "draw")).to_numpy() - cost - loss
    options = [z for z in itertools.product((0, 1), repeat=3) if z[0] + z[1] <= cap
               and z[1] + z[2] <= 1]  # fmt: skip
    best = 0.0
    for plan in itertools.product(options, repeat=len(net)):
        send = np.array(plan)
        if (send * cost).sum() <= budget + 1e-9:
            best = max(best, float((send * net).sum()))
    return best


@pytest.mark.parametrize("cap", [1, 2])
@pytest.mark.parametrize("budget", [2.0, 4.5, 100.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_plan_is_better(cap: int, budget: float, seed: int) -> None:
    gain = gains(seed=seed)
    plan = bm.plan_campaigns(gain, CAMPAIGNS, max_contacts=cap, per="7D", budget=budget)
    best = best_by_hand(gain, cap, budget)
    assert plan.attrs["planned"] <= best + 1e-9 <= plan.attrs["bound"] + 2e-9
    assert np.isclose(float(plan["value"].mean()), plan.attrs["planned"])
    if budget == 100.0:  # without a budget that binds, contacts come out whole
        assert np.isclose(plan.attrs["planned"], best)
    send = plan["send"].to_numpy()
    assert float(plan["spent"].sum()) <= budget + 1e-9
    assert (send[:, 0] + send[:, 1] <= cap).all()
    assert (send[:, 1] + send[:, 2] <= 1).all()


def test_price_of_the_cap_is_what_one_more_contact_brings() -> None:
    gain = gains(40)
    one = bm.plan_campaigns(gain, CAMPAIGNS, max_contacts=1)
    two = bm.plan_campaigns(gain, CAMPAIGNS, max_contacts=2)
    assert float(one["cap_price"]) > 0
    assert np.isclose(float(one["cap_price"]), two.attrs["bound"] - one.attrs["bound"])
    assert np.isclose(float(two["cap_price"]), 0)


def test_price_of_a_budget_is_its_slope() -> None:
    gain = gains(200)
    limits = (60.0, 61.0)
    found = [
        bm.plan_campaigns(gain, [bm.PlannedCampaign("a", "2024-03-04", cost=1.0, budget=limit),
                                 *CAMPAIGNS[1:]], max_contacts=2)
        for limit in limits
    ]  # fmt: skip
    slope = found[1].attrs["bound"] - found[0].attrs["bound"]
    prices = [float(plan["budget_price"].sel(campaign="a")) for plan in found]
    assert prices[1] - 1e-9 <= slope <= prices[0] + 1e-9
    assert float(found[0]["contacts"].sel(campaign="a")) == 60


def test_opt_out_is_a_cost_and_ineligible_customers_are_left_out() -> None:
    gain = gains(50)
    loss = xr.DataArray(np.linspace(0, 200, 50), dims="customer")
    plan = bm.plan_campaigns(gain, CAMPAIGNS, max_contacts=2, opt_out_risk=0.02, opt_out_loss=loss)
    contacts = plan["send"].sum("campaign").to_numpy()
    assert contacts[:15].sum() > contacts[-15:].sum()
    mean = gain.mean(("chain", "draw")).to_numpy() - np.array([1.0, 2.0, 0.5])
    net = mean - 0.02 * loss.to_numpy()[:, None]
    assert np.isclose((plan["send"].to_numpy() * net).sum(), plan.attrs["planned"])
    allowed = xr.ones_like(gain.isel(chain=0, draw=0, drop=True), dtype=bool)
    allowed[0] = False
    plan = bm.plan_campaigns(gain, CAMPAIGNS, max_contacts=2, eligible=allowed)
    assert int(plan["send"].isel(customer=0).sum()) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_contacts": 0}, "max_contacts"),
        ({"per": "soon"}, "no number of days"),
        ({"budget": -1.0}, "budget"),
        ({"opt_out_risk": -0.1, "opt_out_loss": 1.0}, "opt_out"),
        ({"opt_out_risk": 1.0, "opt_out_loss": 1e9}, "nothing to plan"),
        ({"campaigns": CAMPAIGNS[:2]}, "each once"),
    ],
)
def test_impossible_plans_are_refused(changes: dict[str, Any], message: str) -> None:
    asked: dict[str, Any] = {"campaigns": CAMPAIGNS, "max_contacts": 1} | changes
    with pytest.raises(bm.SpecError, match=message):
        bm.plan_campaigns(gains(), **asked)
