"""The level of a new set of products, from how it sold in the days before."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit

import bayes_mkt as bm
from bayes_mkt.targeting import scoring
from bayes_mkt.targeting.recent import drawn_effect

LOG_ODDS = np.array([-3.0, -1.0, 0.5])
CUSTOMERS = np.array([40.0, 25.0, 10.0])
BUYERS = np.array([0.0, 3.0, 2.0])
SET_SD, WINDOW_SD = 0.8, 0.4
END = "2024-08-13"


def moments(scale: float) -> tuple[float, float]:
    """Return mean and SD of the set's effect, by quadrature over set and time."""

    def weight(effect: float, window: float) -> float:
        chance = expit(LOG_ODDS + effect + window)
        value = stats.binom.logpmf(scale * BUYERS, scale * CUSTOMERS, chance).sum()
        value += stats.norm.logpdf(effect, 0, SET_SD) + stats.norm.logpdf(window, 0, WINDOW_SD)
        return float(np.exp(value + 8.0 * scale))

    box = ((-4 * WINDOW_SD, 4 * WINDOW_SD), (-4 * SET_SD, 4 * SET_SD))
    sums = [
        integrate.dblquad(lambda w, e, k=k: e**k * weight(e, w), *box[1], *box[0])[0]
        for k in range(3)
    ]
    mean = sums[1] / sums[0]
    return mean, float(np.sqrt(sums[2] / sums[0] - mean**2))


def draws(scale: float, count: int = 4000) -> np.ndarray:
    return drawn_effect(
        np.tile(LOG_ODDS, (count, 1)),
        scale * CUSTOMERS,
        scale * BUYERS,
        np.full(count, SET_SD),
        np.full(count, WINDOW_SD),
        np.random.default_rng(1),
    )


def test_draws_are_those_of_the_posterior() -> None:
    mean, sd = moments(1.0)
    found = draws(1.0)
    assert abs(found.mean() - mean) < 4 * sd / np.sqrt(len(found))
    assert found.std() == pytest.approx(sd, rel=0.05)


def test_very_many_customers_leave_what_time_does() -> None:
    found = draws(1e5, count=2000)
    # The level is then known; how much of it is the set's isn't.
    assert found.std() == pytest.approx(SET_SD * WINDOW_SD / np.hypot(SET_SD, WINDOW_SD), rel=0.06)


@pytest.fixture(scope="module")
def shop() -> bm.simulate.SimulatedLog:
    return bm.simulate.purchase_log(customers=800, departments=2, categories=3, seed=3)


@pytest.fixture(scope="module")
def fit(shop: bm.simulate.SimulatedLog) -> bm.Fit:
    log = bm.PurchaseLog.from_frame(shop.frame, **shop.columns)
    return bm.fit(bm.Propensity(dates=2), log.until(END), seed=1, chains=4, progress=False)


def test_a_new_set_sells_as_it_did(
    shop: bm.simulate.SimulatedLog, fit: bm.Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Products that sell far better than their likes: known by their last days, not before."""
    frame = shop.frame
    best = frame["product"].value_counts().index[:2].tolist()
    found = bm.propensity(fit, best)
    late = frame[(frame["date"] > END) & (frame["date"] <= "2024-08-27")]
    bought = late.loc[late["product"].isin(best), "customer"].drop_duplicates()
    actual = float(np.isin(found["customer"].to_numpy(), bought).mean())
    monkeypatch.setattr(scoring, "recent_effect", lambda *given: None)
    blind = bm.propensity(fit, best)
    wide, narrow = (
        float(v.mean("customer").quantile([0.05, 0.95]).diff("quantile").item())
        for v in (blind, found)
    )
    assert narrow < 0.8 * wide
    assert abs(float(found.mean()) - actual) < 0.25 * actual


def test_what_was_not_on_offer_is_no_zero(shop: bm.simulate.SimulatedLog, fit: bm.Fit) -> None:
    """A product first sold within the last days keeps the level of its likes."""
    new, frame = str(shop.catalogue["product"].iloc[0]), shop.frame
    late = frame["date"] > "2024-08-08"
    short = frame[(frame["product"] != new) | late]
    log = bm.PurchaseLog.from_frame(short, **shop.columns).until(END)
    _, at = scoring.standing(fit, log)
    trained = scoring.windows(fit.spec, fit.data)
    above = scoring.taken(fit.posterior, "parent_level", 0)
    given = (fit, trained, log, at, log.positions([new]), fit.posterior, above, {}, 1)
    assert scoring.recent_effect(*given) is None
