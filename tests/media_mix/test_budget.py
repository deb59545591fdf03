"""Budgets: against brute force, within their limits, and honest about their gain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bayes_mkt as bm
from bayes_mkt.media_mix.risk import weights_of


@pytest.fixture(scope="module")
def plan(fitted: bm.Fit) -> bm.MediaPlan:
    return bm.MediaPlan.repeat(fitted.data, 6)


def gain(fit: bm.Fit, plan: bm.MediaPlan, tv: float) -> Any:
    """Net gain of spending so much on the first channel and the rest of today's on the other."""
    spend = plan.spend.sum(("region", "date"))
    names = [str(n) for n in spend["channel"].values]
    rest = float(spend.sum()) - tv
    factors = {names[0]: tv / float(spend[0]), names[1]: rest / float(spend[1])}
    return bm.compare_plans(fit, plan.times(factors), plan)["net"]


MEASURES: dict[str, Callable[[Any], float]] = {
    "mean": lambda g: float(g.mean()),
    "cvar": lambda g: float(np.sort(g.to_numpy().ravel())[: g.size // 10].mean()),
}
SHARES = np.linspace(0.1, 0.9, 9)


@pytest.fixture(scope="module")
def tried(fitted: bm.Fit, plan: bm.MediaPlan) -> list[Any]:
    """Gains of a grid of budgets."""
    total = float(plan.spend.sum())
    return [gain(fitted, plan, share * total) for share in SHARES]


@pytest.mark.parametrize("risk", MEASURES)
def test_the_optimum_is_that_of_brute_force(
    fitted: bm.Fit, plan: bm.MediaPlan, tried: list[Any], risk: Any
) -> None:
    found = bm.allocate_budget(fitted, plan, risk=risk, draws=None, starts=2)
    total = float(plan.spend.sum())
    assert float(found.plan.spend.sum()) == pytest.approx(total, rel=1e-6)
    values = [MEASURES[risk](gains) for gains in tried]
    assert MEASURES[risk](found.gain) >= max(values) - 1e-3 * (max(values) - min(values))
    share = float(found.table["spend"][0]) / total
    assert abs(share - SHARES[int(np.argmax(values))]) <= 0.1


def test_the_gain_is_the_posterior_of_the_difference_of_plans(
    fitted: bm.Fit, plan: bm.MediaPlan
) -> None:
    found = bm.allocate_budget(fitted, plan, draws=50)
    again = bm.compare_plans(fitted, found.plan, plan)
    np.testing.assert_array_equal(found.gain, again["net"])
    assert found.probability == float(again["probability"])
    assert found.regret == pytest.approx(float(again["regret_a"]))
    assert found.gain.sizes["draw"] == fitted.posterior.sizes["draw"]
    assert max(found.starts) - min(found.starts) < 0.01 * max(found.starts)


def test_at_the_optimum_the_next_unit_earns_the_same_everywhere(
    fitted: bm.Fit, plan: bm.MediaPlan
) -> None:
    free = bm.allocate_budget(fitted, plan, draws=100, starts=1).table
    assert (free["limit"] == "").all()
    assert float(free["marginal"].max() / free["marginal"].min()) == pytest.approx(1.0, abs=0.01)
    cells = bm.allocate_budget(fitted, plan, by=("region", "channel"), draws=100, starts=1)
    assert cells.objective > 0
    spread = cells.table["marginal"].where(cells.table["limit"] == "")
    assert float(spread.max() / spread.min()) == pytest.approx(1.0, abs=0.05)


def test_bounds_bind_and_are_named(fitted: bm.Fit, plan: bm.MediaPlan) -> None:
    free = bm.allocate_budget(fitted, plan, draws=100)
    first = str(free.table["channel"].values[0])
    today, best = float(free.table["spend_today"][0]), float(free.table["spend"][0])
    half = 0.5 * (today + best)
    bounds = {first: (min(today, half), max(today, half))}
    held = bm.allocate_budget(fitted, plan, bounds=bounds, draws=100)
    assert float(held.table["spend"][0]) == pytest.approx(half, rel=1e-4)
    word = "highest" if best > today else "lowest"
    assert held.table["limit"].values[0] == f"{word} of {first}"
    assert held.objective < free.objective


def test_a_region_and_a_cell_can_be_bounded(fitted: bm.Fit, plan: bm.MediaPlan) -> None:
    by = ("region", "channel")
    free = bm.allocate_budget(fitted, plan, by=by, draws=50, starts=1).table["spend"]
    region, channel = (str(free[d].values[0]) for d in by)
    cell = 0.5 * float(free.sel(region=region, channel=channel))
    whole = 0.8 * (float(free.sel(region=region).sum()) - cell)
    bounds = {(region, channel): (0.0, cell), (region,): (0.0, whole)}
    held = bm.allocate_budget(fitted, plan, by=by, bounds=bounds, draws=50, starts=1)
    spend = held.table["spend"].sel(region=region)
    assert float(spend.sel(channel=channel)) <= cell * (1 + 1e-6)
    assert float(spend.sum()) == pytest.approx(whole, rel=1e-4)
    assert f"highest of {region}" in str(held.table["limit"].sel(region=region).values)
    assert float(held.table["spend"].sum()) == pytest.approx(float(plan.spend.sum()), rel=1e-6)


def test_a_bound_may_have_no_end(fitted: bm.Fit, plan: bm.MediaPlan) -> None:
    free = bm.allocate_budget(fitted, plan, draws=50, starts=1)
    first = str(free.table["channel"].values[0])
    least = 1.2 * float(free.table["spend"][0])
    found = bm.allocate_budget(fitted, plan, bounds={first: (least, np.inf)}, draws=50, starts=1)
    assert float(found.table["spend"][0]) == pytest.approx(least, rel=1e-4)


def test_an_end_of_a_range_of_totals_is_named(fitted: bm.Fit, plan: bm.MediaPlan) -> None:
    total = float(plan.spend.sum())
    few = bm.allocate_budget(fitted, plan, total=(0.01 * total, 0.02 * total), draws=50, starts=1)
    assert few.table["marginal"].min() > 1.0
    assert any("highest total" in note for note in few.notes)


def test_a_range_of_totals_is_spent_as_far_as_it_pays(fitted: bm.Fit, plan: bm.MediaPlan) -> None:
    total = float(plan.spend.sum())
    found = bm.allocate_budget(fitted, plan, total=(0.2 * total, 5.0 * total), draws=100)
    spent = float(found.plan.spend.sum())
    inside = 0.21 * total < spent < 4.9 * total
    if inside:
        np.testing.assert_allclose(found.table["marginal"], 1.0, atol=0.02)
    assert found.objective >= bm.allocate_budget(fitted, plan, draws=100).objective


def test_small_moves_are_not_made(fitted: bm.Fit, plan: bm.MediaPlan) -> None:
    free = bm.allocate_budget(fitted, plan, by=("region", "channel"), draws=50, starts=1)
    move = np.abs(free.table["spend"] - free.table["spend_today"])
    least = float(np.median(move))
    few = bm.allocate_budget(fitted, plan, by=("region", "channel"), minimum_move=least, draws=100)
    same = np.isclose(few.table["spend"], few.table["spend_today"])
    assert same.sum() >= move.size // 2
    assert float(few.table["spend"].sum()) == pytest.approx(float(plan.spend.sum()), rel=1e-5)


def test_dearer_media_buy_less(fitted: bm.Fit, plan: bm.MediaPlan) -> None:
    name = fitted.data.channels[0]
    dear = bm.allocate_budget(fitted, plan, price_change={name: 2.0}, draws=100)
    first = {"channel": name}
    ratio = dear.plan.data["exposure"].sel(first).sum() / dear.plan.spend.sel(first).sum()
    before = plan.data["exposure"].sel(first).sum() / plan.spend.sel(first).sum()
    assert float(ratio) == pytest.approx(float(before) / 2.0)


def test_a_plan_beyond_what_was_seen_is_marked(fitted: bm.Fit, plan: bm.MediaPlan) -> None:
    total = 20.0 * float(plan.spend.sum())
    far = bm.allocate_budget(fitted, plan, total=total, draws=50)
    assert bool(far.table["extrapolates"].all())
    assert any("than the panel has seen" in note for note in far.notes)


def test_an_uncertain_gain_is_reported_as_uncertain(
    prior_fit: Callable[..., bm.Fit], fitted: bm.Fit
) -> None:
    """Under the prior no channel is better than another: the gain's interval holds zero."""
    fit = prior_fit(fitted.spec, fitted.data, chains=4, draws=300)
    found = bm.allocate_budget(fit, horizon=6, allow_unconverged=True)
    low, high = found.gain.quantile([0.05, 0.95])
    assert low < 0 < high
    assert 0.05 < found.probability < 0.95
    assert "P(gain > 0) = 0." in repr(found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bounds": {"radio": (0, 1)}}, "bounds: no channel 'radio'"),
        ({"bounds": {"tv": (2, 1)}}, r"bounds\['tv'\]=\(2, 1\) must be 0 <= lowest <= highest"),
        ({"bounds": {"tv": (1e12, 2e12)}}, "can't be met: bounds add up to 1e\\+12 at least"),
        ({"bounds": {("tv", "tv"): (0, 1)}}, "name each of channel once at most"),
        ({"bounds": {("north",): (0, 1)}}, "no channel 'north' is decided"),
        (
            {"bounds": {"tv": (0, 1), ("tv",): (2, 3)}},
            "no budget keeps to all of them; some contradict each other",
        ),
        ({"total": 0.0}, "total=0.0 must be > 0"),
        ({"by": "region"}, "must hold 'channel'"),
        ({"risk": "hope"}, "risk='hope': choose from 'mean'"),
        ({"level": 1.0, "risk": "cvar"}, "level=1.0 must lie between 0 and 1"),
        ({"price_change": {"tv": 0.0}}, r"price_change\['tv'\]=0.0 must be > 0"),
        ({"starts": 0}, "starts=0 must be an integer >= 1"),
    ],
)
def test_limits_that_make_no_sense(
    fitted: bm.Fit, plan: bm.MediaPlan, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(bm.SpecError, match=message):
        bm.allocate_budget(fitted, plan, **options)


@pytest.mark.parametrize("risk", ["mean", "quantile", "cvar", "probability"])
def test_weights_are_the_gradient_of_the_measure(risk: str) -> None:
    rng = np.random.default_rng(1)
    gains = rng.standard_normal(400) + 0.3
    value, weights = weights_of(gains, risk, 0.2)
    along = rng.standard_normal(400)
    step = 1e-6
    other, _ = weights_of(gains + step * along, risk, 0.2)
    if risk != "probability":  # its width follows the spread of the gains
        assert (other - value) / step == pytest.approx(weights @ along, rel=1e-3, abs=1e-6)
    assert weights.min() >= 0
    exact = {
        "mean": gains.mean(),
        "quantile": np.quantile(gains, 0.2),
        "cvar": np.sort(gains)[:80].mean(),
        "probability": (gains > 0).mean(),
    }
    assert value == pytest.approx(exact[risk], abs=0.03)
