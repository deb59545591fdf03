"""A simulated log with known hazards: fitted, and its truth found again."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.customers.effects import Coding


@pytest.fixture(scope="module")
def simulated() -> bm.simulate.SimulatedPurchases:
    return bm.simulate.second_purchases(customers=3000, markets=5, seed=11)


@pytest.fixture(scope="module")
def fit(simulated: bm.simulate.SimulatedPurchases) -> bm.Fit:
    """Observation ends before everyone has been followed to the horizon."""
    columns = {**simulated.columns, "end": "2024-03-01"}
    data = bm.FirstPurchases.from_transactions(simulated.frame, **columns)
    return bm.fit(bm.SecondPurchase(effects="normal"), data, seed=1, progress=False)


def survival(
    simulated: bm.simulate.SimulatedPurchases, linear: np.ndarray, market: int
) -> np.ndarray:
    """Return the true survival of customers at the ends of intervals (customer, interval)."""
    truth = simulated.truth
    never = 1.0 / (1.0 + np.exp(-truth["never"].values[market]))
    total = np.exp(truth["log_hazard"].values[market]).cumsum()
    return np.asarray(never + (1 - never) * np.exp(-np.exp(linear)[:, None] * total))


def held(draws: xr.DataArray, truth: np.ndarray, share: float = 0.9) -> np.ndarray:
    tail = 0.5 * (1.0 - share)
    low, high = draws.quantile([tail, 1.0 - tail], ("chain", "draw")).to_numpy()
    return np.asarray((low <= truth) & (truth <= high))


def test_effects_are_found(fit: bm.Fit, simulated: bm.simulate.SimulatedPurchases) -> None:
    truth = simulated.truth["effect"].values.copy()
    truth[0] *= Coding.of(fit.data).scale[0] / 12.0  # the model's SD of age, not the simulator's
    assert held(fit.posterior["effect"], truth, 0.99).all()
    assert float(fit.posterior["effect"].std(("chain", "draw")).max()) < 0.25


def test_survival_by_market_is_found(
    fit: bm.Fit, simulated: bm.simulate.SimulatedPurchases
) -> None:
    found = bm.survival_function(fit)
    first = simulated.frame.drop_duplicates("customer")["customer"]
    linear = simulated.truth["linear"].sel(customer=first.to_numpy()).values
    market = simulated.truth["market_of_customer"].sel(customer=first.to_numpy()).values
    truth = np.stack([survival(simulated, linear[market == m], m).mean(axis=0) for m in range(5)])
    assert held(found, truth).mean() > 0.7
    error = abs(found.mean(("chain", "draw")) - truth)
    assert float(error.max()) < 0.06


def test_the_share_that_never_returns_is_found(
    fit: bm.Fit, simulated: bm.simulate.SimulatedPurchases
) -> None:
    share = bm.never_return(fit)
    truth = 1.0 / (1.0 + np.exp(-simulated.truth["never"].values))
    assert held(share, truth, 0.95).mean() >= 0.8


def test_with_short_follow_up_the_share_is_driven_by_the_prior(
    simulated: bm.simulate.SimulatedPurchases,
) -> None:
    columns = {**simulated.columns, "end": "2024-01-01", "horizon": 28}
    columns["acquired_from"] = "2023-10-01"
    data = bm.FirstPurchases.from_transactions(simulated.frame, **columns)
    spec = bm.SecondPurchase(effects="normal", never="market", markets="level")
    short = bm.fit(spec, data, seed=1, progress=False)
    assert bool(bm.never_return(short)["prior_driven"].all())


def test_contact_windows_are_near_the_best(
    fit: bm.Fit, simulated: bm.simulate.SimulatedPurchases
) -> None:
    """What is lost by the chosen window against the true best, as a share of its value."""
    some = fit.data.data["customer"].values[::4]
    young = fit.data.data["elapsed"].values[::4] < 160
    found = bm.contact_windows(fit, length=14, horizon=84, ids=some[young])
    truth = simulated.truth.sel(customer=found["customer"].values)
    grid = np.arange(183.0)
    ends = np.concatenate([[0.0], simulated.truth["interval"].values])
    lost = best = 0.0
    waited = dict(
        zip(fit.data.data["customer"].values, fit.data.data["elapsed"].values, strict=True)
    )
    for i, who in enumerate(found["customer"].values):
        m = int(truth["market_of_customer"][i])
        never = 1.0 / (1.0 + np.exp(-float(truth["never"][m])))
        total = np.concatenate([[0.0], np.exp(truth["log_hazard"].values[m]).cumsum()])
        rate = np.exp(float(truth["linear"][i]))
        alive = never + (1 - never) * np.exp(-rate * np.interp(grid, ends, total))
        now = int(waited[who])
        starts = np.arange(71)[now + np.arange(71) + 14 <= 182]
        chance = (alive[now + starts] - alive[now + starts + 14]) / alive[now]
        best += chance.max()
        lost += chance.max() - chance[int(found["best_window"][i])]
    assert lost / best < 0.05


def test_visits_are_found_and_leaks_are_not() -> None:
    """The effect of a visit in the interval before, where everyone comes back some day."""
    sim = bm.simulate.second_purchases(
        customers=2500, markets=1, seed=4, never=0.0, visit_effect=0.7, visits=0.02
    )
    data = bm.FirstPurchases.from_transactions(
        sim.frame, **sim.columns, engagement={"visit": sim.engagement}
    )
    found = bm.fit(bm.Churn(effects="normal"), data, seed=1, progress=False).posterior["effect"]
    assert held(found.sel(feature="visit"), np.array(0.7), 0.99)
    assert float(found.sel(feature="visit").std()) < 0.1
