"""Channels with reach and frequency: plans, budgets, and the best frequency."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from tests.media_mix import by_hand, curves_by_hand
from tests.media_mix.cases import panel

Models = Callable[[str], bm.Fit]
OWN = "social"  # the channel of the panel "reach" that has them


def rows(data: bm.MediaPanel, **columns: float) -> pd.DataFrame:
    """Two weeks after the panel, in every region."""
    dates = bm.MediaPlan.repeat(data, 2).dates
    index = pd.MultiIndex.from_product([data.regions, dates], names=["region", "week"])
    return pd.DataFrame(columns, index=index).reset_index()


def read(data: bm.MediaPanel, frame: pd.DataFrame, **roles: dict[str, str]) -> bm.MediaPlan:
    return bm.MediaPlan.from_frame(frame, data, date="week", region="region", **roles)


def test_spend_buys_reach_at_the_usual_frequency() -> None:
    data = panel("reach")
    plan = read(data, rows(data, money=500.0), spend={OWN: "money"}).data.sel(channel=OWN)
    past = data.data.sel(channel=OWN)
    seen = (past["exposure"] * past["frequency"]).sum("date")
    often = seen / past["exposure"].sum("date")
    np.testing.assert_allclose(plan["frequency"], np.repeat(often.to_numpy()[:, None], 2, axis=1))
    bought = plan["exposure"] * plan["frequency"]
    np.testing.assert_allclose(bought[:, 0], 500.0 * seen / past["spend"].sum("date"))


def test_reach_and_frequency_cost_what_impressions_do() -> None:
    data = panel("reach")
    frame = rows(data, people=40.0, often=2.5)
    roles = {"reach": {OWN: "people"}, "frequency": {OWN: "often"}}
    plan = read(data, frame, **roles).data.sel(channel=OWN)
    past = data.data.sel(channel=OWN).sum("date")
    seen = (data.data["exposure"] * data.data["frequency"]).sel(channel=OWN).sum("date")
    np.testing.assert_allclose(plan["spend"][:, 0], 100.0 * past["spend"] / seen)
    assert (plan["frequency"] == 2.5).all()
    assert np.isnan(read(data, frame, **roles).data["frequency"].sel(channel="tv")).all()


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"exposure": {OWN: "people"}}, "has reach and frequency in the panel"),
        ({"reach": {"tv": "people"}, "frequency": {"tv": "often"}}, "has no reach and frequency"),
        ({"reach": {OWN: "people"}}, "reach but no frequency"),
        ({"reach": {OWN: "many"}, "frequency": {OWN: "often"}}, "above the population"),
        ({"reach": {OWN: "people"}, "frequency": {OWN: "seldom"}}, "below 1"),
    ],
)
def test_plans_that_make_no_sense(roles: dict[str, dict[str, str]], message: str) -> None:
    data = panel("reach")
    frame = rows(data, people=40.0, often=2.5, many=1e9, seldom=0.2)
    with pytest.raises(bm.DataError, match=message):
        read(data, frame, **roles)


def test_a_plan_has_a_frequency_of_its_own(loose: Models) -> None:
    """Hindcasts of two plans that differ in frequency alone, from the equations."""
    fit = loose("reach")
    plan = bm.MediaPlan.observed(fit.data)
    twice = bm.MediaPlan(plan.data.assign(frequency=plan.data["frequency"] * 2.0))
    sold = [
        bm.forecast(fit, p, "region", seed=1, allow_unconverged=True)["expected_sales"]
        for p in (twice, plan)
    ]
    found = sold[0] - sold[1]
    more = bm.MediaPanel(fit.data.data.assign(frequency=twice.data["frequency"]), "EUR")
    for place, draw in by_hand.each_draw(fit):
        now = by_hand.contribution(fit.spec, fit.data, draw)
        # The coefficient is that of the panel that was fitted.
        before, after = (by_hand.response(fit.spec, d, draw) for d in (fit.data, more))
        ratio = after / np.where(before > 0, before, 1.0)
        change = (now * (ratio - 1.0)).sum(axis=(1, 2))
        np.testing.assert_allclose(found.isel(place), change, rtol=1e-6)


def test_a_forecast_goes_on_with_reach(loose: Models) -> None:
    fit = loose("reach")
    plan = bm.MediaPlan.repeat(fit.data, 3)
    ask = {"by": "date", "seed": 1, "allow_unconverged": True}
    with_media = bm.forecast(fit, plan, **ask)["expected_sales"]
    without = bm.forecast(fit, plan.without(OWN), **ask)["expected_sales"]
    assert (with_media > without).all()


def test_no_plan_reaches_more_people_than_there_are(loose: Models) -> None:
    fit = loose("reach")
    plan = bm.MediaPlan.repeat(fit.data, 3)
    people = float(fit.data.data["population"].min())
    reach = float(plan.data["exposure"].sel(channel=OWN).max())
    many = plan.times({OWN: 2.0 * float(fit.data.data["population"].max()) / reach})
    assert people < float(many.data["exposure"].sel(channel=OWN).max())
    with pytest.raises(bm.SpecError, match=r"where .* live.*higher frequency"):
        bm.forecast(fit, many, seed=1, allow_unconverged=True)


def test_a_budget_stops_where_everyone_is_reached(loose: Models) -> None:
    fit = loose("reach")
    plan = bm.MediaPlan.repeat(fit.data, 3)
    dear = plan.times({"tv": 50.0, "search": 50.0, OWN: 1.0})
    found = bm.allocate_budget(fit, dear, starts=1, seed=1, allow_unconverged=True)
    reach = found.plan.data["exposure"].sel(channel=OWN)
    np.testing.assert_array_equal(
        found.plan.data["frequency"].sel(channel=OWN), dear.data["frequency"].sel(channel=OWN)
    )
    assert float((reach / fit.data.data["population"]).max()) <= 1.0 + 1e-6
    assert float(found.plan.spend.sum()) == pytest.approx(float(dear.spend.sum()), rel=1e-6)
    low = {OWN: (float(dear.spend.sum()) * 0.9, float(dear.spend.sum()))}
    with pytest.raises(bm.SpecError, match="reaches everyone in a region already"):
        bm.allocate_budget(fit, dear, bounds=low, allow_unconverged=True)


def at_frequency(fit: bm.Fit, often: float | None) -> list[np.ndarray]:
    """ROI of each draw by brute force: a panel at that frequency, the coefficient held."""
    data = fit.data.data
    own = data["channel"] == OWN
    panel_then = fit.data
    if often is not None:
        seen = data["exposure"] * data["frequency"]
        then = data.assign(
            exposure=data["exposure"].where(~own, seen / often),
            frequency=data["frequency"].where(~(own & (data["exposure"] > 0)), often),
        ).drop_vars("population")
        panel_then = bm.MediaPanel(then.assign(population=data["population"] * 1e6), "EUR")
    m = fit.data.channels.index(OWN)
    out = []
    for _, draw in by_hand.each_draw(fit):
        beta = by_hand.effect(fit.spec, fit.data, draw)[:, None, m]
        # Heads scale reach by their number and the median of what was fitted alike.
        x = by_hand.scaled_exposure(fit.data, panel_then.data["exposure"].to_numpy())
        x = x * curves_by_hand.contacts(fit.spec, panel_then, draw)
        h = curves_by_hand.carry(x, fit.spec, draw)[:, :, m]
        unit = by_hand.heads(fit.data)[:, None] * by_hand.sales_scale(fit.data)[1]
        worth = (beta * h * unit * by_hand.price(fit.data)).sum()
        out.append(worth / float(data["spend"].sel(channel=OWN).sum()))
    return out


def test_roi_by_frequency_is_that_of_brute_force(loose: Models) -> None:
    fit = loose("reach")
    found = bm.optimal_frequency(fit, frequencies=[1.0, 2.0, 4.5], allow_unconverged=True)
    assert list(found["channel"].values) == [OWN]
    for often in (1.0, 2.0, 4.5):
        values = found["roi"].sel(channel=OWN, frequency=often).to_numpy().ravel()
        np.testing.assert_allclose(values, at_frequency(fit, often), rtol=1e-8)
    now = found["roi_now"].sel(channel=OWN).to_numpy().ravel()
    np.testing.assert_allclose(now, at_frequency(fit, None), rtol=1e-8)
    np.testing.assert_allclose(
        found["roi_now"], bm.roi(fit, allow_unconverged=True).sel(channel=[OWN]), rtol=1e-8
    )


def test_the_optimum_is_that_of_the_mean(loose: Models) -> None:
    fit = loose("reach")
    found = bm.optimal_frequency(fit, allow_unconverged=True)
    grid = found["frequency"].to_numpy()
    mean = found["roi"].mean(("chain", "draw")).sel(channel=OWN)
    best = float(found["optimal_frequency"].sel(channel=OWN))
    assert best == grid[int(mean.to_numpy().argmax())]
    gain = found["roi"].sel(channel=OWN, frequency=best) - found["roi_now"].sel(channel=OWN)
    np.testing.assert_allclose(found["gain"].sel(channel=OWN), gain)
    each = found["roi"].sel(channel=OWN).to_numpy()
    np.testing.assert_array_equal(found["best"].sel(channel=OWN), grid[each.argmax(axis=-1)])
    seen = fit.data.data["frequency"].sel(channel=OWN)
    assert grid[-1] >= float(seen.max()) > grid[-2]
    assert float(found["observed_max"].sel(channel=OWN)) == float(seen.max())
    assert float(found["feasible"].sel(channel=OWN)) >= 1.0


def test_without_spend_sales_take_the_place_of_roi(loose: Models) -> None:
    fit = loose("organic reach")
    ask = {"frequencies": [1.0, 1.5, 3.0], "allow_unconverged": True}
    found = bm.optimal_frequency(fit, bm.Estimand(channels=["search"]), **ask)
    assert np.isnan(found["roi"]).all()
    mean = found["incremental_sales"].mean(("chain", "draw")).sel(channel="search")
    best = float(found["optimal_frequency"].sel(channel="search"))
    assert best == float(mean["frequency"][int(mean.to_numpy().argmax())])


@pytest.mark.parametrize("grid", [[0.5, 2.0], [2.0], [1.0, np.nan]])
def test_frequencies_that_make_no_sense(loose: Models, grid: list[float]) -> None:
    with pytest.raises(bm.SpecError, match="two or more numbers >= 1"):
        bm.optimal_frequency(loose("reach"), frequencies=grid, allow_unconverged=True)


def test_a_panel_without_reach_has_no_best_frequency(fitted: bm.Fit) -> None:
    with pytest.raises(bm.SpecError, match="load the panel with reach= and frequency="):
        bm.optimal_frequency(fitted)


def test_pooling_factors_name_channels_that_lack_a_parameter(loose: Models) -> None:
    found = bm.pooling_factors(loose("organic reach"), allow_unconverged=True)
    assert np.isnan(found["half_saturation"].sel(channel=["search", "social"])).all()
    assert np.isfinite(found["frequency_slope"].sel(channel="search")).all()
    assert np.isnan(found["frequency_slope"].sel(channel="tv")).all()
