"""Media plans: what is repeated, what is read, what is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from tests.media_mix.cases import panel


def rows(data: bm.MediaPanel, dates: list[str], **columns: float) -> pd.DataFrame:
    """One row for each region and date."""
    index = pd.MultiIndex.from_product([data.regions, dates], names=["region", "week"])
    return pd.DataFrame(columns, index=index).reset_index()


def test_a_short_panel_repeats_its_last_periods() -> None:
    data = panel("paid")
    plan = bm.MediaPlan.repeat(data, 4)
    assert (plan.dates - data.dates[-4:]).unique() == pd.Timedelta(days=28)
    for name in ("exposure", "spend", "controls", "revenue_per_sale"):
        np.testing.assert_array_equal(plan.data[name], data.data[name][:, -4:])
    assert not np.isfinite(plan.data["sales"]).any()


def test_a_long_panel_repeats_the_year_before() -> None:
    world = bm.simulate.media_mix(regions=2, weeks=60, channels=1, seed=3)
    data = bm.MediaPanel.from_frame(world.frame, **world.columns)
    plan = bm.MediaPlan.repeat(data, 3)
    np.testing.assert_array_equal(plan.data["spend"], data.data["spend"][:, 8:11])
    again = bm.MediaPlan.repeat(data, 5, back=2)
    np.testing.assert_array_equal(again.data["spend"], data.data["spend"][:, [58, 59, 58, 59, 58]])


def test_spend_alone_buys_exposure_at_the_panels_price() -> None:
    data = panel("paid")
    dates = [str(d.date()) for d in bm.MediaPlan.repeat(data, 2).dates]
    frame = rows(data, dates, tv=100.0)
    plan = bm.MediaPlan.from_frame(frame, data, date="week", region="region", spend={"tv": "tv"})
    assert plan.spend.sel(channel="tv").to_numpy().tolist() == [[100.0, 100.0]] * 3
    assert float(plan.spend.sum()) == 600.0
    own = data.data.sel(channel="tv").sum("date")
    price = own["spend"] / own["exposure"]
    np.testing.assert_allclose(
        plan.data["exposure"].sel(channel="tv"), [[100.0] * 2] * 3 / price.to_numpy()[:, None]
    )
    np.testing.assert_array_equal(
        plan.data["controls"], bm.MediaPlan.repeat(data, 2).data["controls"]
    )


def test_exposure_alone_costs_the_panels_price() -> None:
    data = panel("mixed")
    dates = [str(d.date()) for d in data.dates[-2:]]
    frame = rows(data, dates, tv=1000.0, search=7.0)
    plan = bm.MediaPlan.from_frame(
        frame, data, date="week", region="region", exposure={"tv": "tv", "search": "search"}
    )
    assert np.isnan(plan.spend.sel(channel="search")).all()
    assert (plan.data["exposure"].sel(channel="search") == 7.0).all()
    own = data.data.sel(channel="tv").sum("date")
    expected = 1000.0 * (own["spend"] / own["exposure"])
    np.testing.assert_allclose(plan.spend.sel(channel="tv")[:, 0], expected)
    assert (plan.spend.sel(channel="social") == 0).all()


def test_media_are_multiplied_and_switched_off() -> None:
    plan = bm.MediaPlan.observed(panel("paid"))
    twice = plan.times({"tv": 2.0})
    np.testing.assert_array_equal(twice.spend.sel(channel="tv"), 2 * plan.spend.sel(channel="tv"))
    np.testing.assert_array_equal(
        twice.data["exposure"].sel(channel="social"), plan.data["exposure"].sel(channel="social")
    )
    assert float(plan.without().data["exposure"].sum()) == 0.0
    assert float(plan.without("tv").spend.sel(channel="tv").sum()) == 0.0
    with pytest.raises(bm.SpecError, match=r"no channel 'radio'; it has \['tv'"):
        plan.times({"radio": 1.0})
    with pytest.raises(bm.SpecError, match="factors must be numbers >= 0"):
        plan.times(-1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.assign(region=f["region"].replace("region_01", "mars")), "region 'mars'"),
        (lambda f: f[f["region"] != "region_02"], "no row of region 'region_02'"),
        (lambda f: f.drop(index=1), "no row of region 'region_01' on 2022-05-30"),
        (
            lambda f: f.assign(week=f["week"] + pd.Timedelta(days=1)),
            "isn't on the panel's calendar",
        ),
        (lambda f: f.assign(tv=-1.0), "tv"),
    ],
)
def test_a_plan_that_does_not_fit_the_panel_is_refused(change: object, message: str) -> None:
    data = panel("paid")
    frame = rows(data, ["2022-05-23", "2022-05-30"], tv=1.0)
    frame["week"] = pd.to_datetime(frame["week"])
    with pytest.raises(bm.DataError, match=message):
        bm.MediaPlan.from_frame(
            change(frame),  # type: ignore[operator]
            data,
            date="week",
            region="region",
            spend={"tv": "tv"},
        )


@pytest.mark.parametrize("horizon", [0, 1.5, True])
def test_a_horizon_is_a_whole_number(horizon: object) -> None:
    with pytest.raises(bm.SpecError, match=r"horizon=.* must be an integer >= 1"):
        bm.MediaPlan.repeat(panel("paid"), horizon)  # type: ignore[arg-type]
