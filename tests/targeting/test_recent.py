"""The effects of a new set of products, from how it sold in the days before."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

import bayes_mkt as bm
from bayes_mkt.targeting import scoring
from bayes_mkt.targeting.recent import DEGREES, Seen, drawn_effects

LOG_ODDS = np.array([-3.0, -1.0, 0.5])
CUSTOMERS = np.array([40.0, 25.0, 10.0])
BUYERS = np.array([0.0, 3.0, 2.0])
# Of the set, of the window, of a feature.
SD = np.array([0.8, 0.4, 0.6])
DESIGN = np.column_stack([np.ones((3, 2)), [1.0, -0.5, 0.2]])
END = "2024-08-13"


def moments() -> tuple[np.ndarray, np.ndarray]:
    """Return mean and SD of the effects, by sums over a grid of them."""
    reach = [16, 5, 5]  # the first has the tails of a t distribution
    axes = [np.linspace(-r * sd, r * sd, 20 * r + 1) for r, sd in zip(reach, SD, strict=True)]
    axes[1:] = [axis[::2] for axis in axes[1:]]
    effects = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    chance = expit(LOG_ODDS + effects @ DESIGN.T)
    value = stats.binom.logpmf(BUYERS, CUSTOMERS, chance).sum(axis=1)
    value += stats.t.logpdf(effects[:, 0], DEGREES, 0, SD[0])
    value += stats.norm.logpdf(effects[:, 1:], 0, SD[1:]).sum(axis=1)
    weight = np.exp(value - value.max())
    weight /= weight.sum()
    mean = weight @ effects
    return mean, np.sqrt(weight @ (effects - mean) ** 2)


def draws(scale: float, count: int = 4000) -> np.ndarray:
    seen = Seen(np.tile(LOG_ODDS, (count, 1)), DESIGN, scale * CUSTOMERS, scale * BUYERS)
    return drawn_effects(seen, np.tile(SD, (count, 1)), np.random.default_rng(1))


def test_draws_are_those_of_the_posterior() -> None:
    mean, sd = moments()
    found = draws(1.0)
    np.testing.assert_allclose(found.mean(axis=0), mean, atol=4 * sd.max() / len(found) ** 0.5)
    np.testing.assert_allclose(found.std(axis=0), sd, rtol=0.05)


def test_very_many_customers_leave_what_time_does() -> None:
    found = draws(1e5, count=2000)
    # Their sum is then known; how much of it is the set's isn't.
    assert found[:, :2].sum(axis=1).std() < 0.05
    total = np.linspace(-12, 12, 20_001)
    level = found[:, :2].sum(axis=1).mean()
    weight = stats.t.pdf(total, DEGREES, 0, SD[0]) * stats.norm.pdf(level - total, 0, SD[1])
    weight /= weight.sum()
    mean = weight @ total
    sd = np.sqrt(weight @ (total - mean) ** 2)
    assert found[:, 0].mean() == pytest.approx(mean, abs=4 * sd / 2000**0.5)
    assert found[:, 0].std() == pytest.approx(sd, rel=0.07)


def test_a_level_far_from_its_prior_is_found() -> None:
    """Nearly all buy, where next to none was expected: the climb to the mode has to get there."""
    seen = Seen(np.full((50, 3), -9.0), DESIGN, 1e4 * np.ones(3), 9e3 * np.ones(3))
    found = drawn_effects(seen, np.full((50, 3), 3.0), np.random.default_rng(1))
    chance = expit(-9.0 + found @ DESIGN.T)
    np.testing.assert_allclose(chance, 0.9, atol=0.02)


def test_a_set_unlike_the_catalogue_keeps_what_sets_it_apart() -> None:
    """Ten SDs from its likes: the window's effect, of the same SD, mustn't take half of it."""
    seen = Seen(np.full((500, 3), -1.0), DESIGN, 1e4 * np.ones(3), 1e4 * expit(0.0) * np.ones(3))
    found = drawn_effects(seen, np.full((500, 3), 0.1), np.random.default_rng(1))
    assert found[:, 0].mean() > 0.9
    assert abs(found[:, 1].mean()) < 0.1


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
    monkeypatch.setattr(scoring, "recent_effects", lambda *given: None)
    blind = bm.propensity(fit, best)
    wide, narrow = (
        float(v.mean("customer").quantile([0.05, 0.95]).diff("quantile").item())
        for v in (blind, found)
    )
    assert narrow < 0.8 * wide
    assert abs(float(found.mean()) - actual) < 0.25 * actual


def test_a_set_of_everything_is_calibrated(
    shop: bm.simulate.SimulatedLog, fit: bm.Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All products as one set, far from any of training in level and in what tells buyers apart."""
    frame = shop.frame
    every = frame["product"].unique().tolist()
    late = frame[(frame["date"] > END) & (frame["date"] <= "2024-08-27")]
    found = bm.propensity(fit, every)
    monkeypatch.setattr(scoring, "recent_effects", lambda *given: None)
    blind = bm.propensity(fit, every)
    errors = []
    for chance in (found, blind):
        mean = chance.mean(("chain", "draw"))
        bought = np.isin(chance["customer"].to_numpy(), late["customer"].unique())
        parts = np.array_split(np.argsort(mean.to_numpy()), 4)
        gaps = [float(mean[part].mean()) - bought[part].mean() for part in parts]
        errors.append(float(np.mean(np.abs(gaps))))
    assert errors[0] < 0.05
    assert errors[0] < errors[1]


def test_what_was_not_on_offer_is_no_zero(shop: bm.simulate.SimulatedLog, fit: bm.Fit) -> None:
    """A product first sold within the last days keeps the level of its likes."""
    new, frame = str(shop.catalogue["product"].iloc[0]), shop.frame
    late = frame["date"] > "2024-08-08"
    short = frame[(frame["product"] != new) | late]
    log = bm.PurchaseLog.from_frame(short, **shop.columns).until(END)
    _, at = scoring.standing(fit, log)
    trained = scoring.windows(fit.spec, fit.data)
    level = scoring.about_parent(fit.posterior, 0)
    given = (fit, trained, log, at, log.positions([new]), fit.posterior, level, {}, 1)
    assert scoring.recent_effects(*given) is None
