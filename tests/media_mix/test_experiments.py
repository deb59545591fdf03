"""Lift tests: what they are, what they do to a posterior, and where they don't fit it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.media_mix.experiments import known_tests
from tests.media_mix.cases import panel


def with_posterior(fit: bm.Fit, posterior: xr.Dataset, spec: bm.MediaMix) -> bm.Fit:
    """Return a fit with other draws."""
    tree = fit.draws.copy()
    tree["posterior"] = xr.DataTree(posterior)
    return bm.Fit(spec, fit.data, tree, fit.diagnostics)


@pytest.fixture(scope="module")
def lift_test(fitted: bm.Fit) -> bm.LiftTest:
    """A test that found two SDs more than the model thinks, four times as sure as it."""
    dates = [str(d.date()) for d in fitted.data.dates[[30, 33]]]
    channel = fitted.data.channels[0]
    ran = fitted.data.data["spend"].sel(channel=channel, date=slice(*dates))
    empty = bm.LiftTest(
        channel=channel, start=dates[0], end=dates[1], spend_change=float(ran.sum()), lift=0, se=1
    )
    found = bm.incremental_sales(fitted, empty.estimand, by=())
    mean, sd = float(found.mean()), float(found.std())
    return dataclasses.replace(empty, lift=mean + 2 * sd, se=sd / 4)


@pytest.fixture(scope="module")
def tested(fitted: bm.Fit, lift_test: bm.LiftTest) -> bm.Fit:
    spec = dataclasses.replace(fitted.spec, lift_tests=[lift_test])
    return bm.fit(spec, fitted.data, seed=1, progress=False)


def test_a_test_moves_the_posterior_as_one_more_measurement(
    fitted: bm.Fit, tested: bm.Fit, lift_test: bm.LiftTest
) -> None:
    """Precisions 1 and 16 combine: the mean goes 32/17 SDs, the SD shrinks by sqrt(17)."""
    before = bm.incremental_sales(fitted, lift_test.estimand, by=())
    after = bm.incremental_sales(tested, lift_test.estimand, by=())
    mean, sd = float(before.mean()), float(before.std())
    assert float(after.mean() - mean) / sd == pytest.approx(32 / 17, abs=0.25)
    assert float(after.std()) / sd == pytest.approx(1 / np.sqrt(17), rel=0.25)
    np.testing.assert_allclose(tested.posterior["modelled_lift"][..., 0], after, rtol=1e-9)


def test_the_check_tells_what_the_test_changed(
    fitted: bm.Fit, tested: bm.Fit, lift_test: bm.LiftTest
) -> None:
    found = bm.check_lift_tests(tested).loc[lift_test.label]
    assert found["channel"] == lift_test.channel
    with_test = bm.roi(tested).sel(channel=lift_test.channel)
    assert found["with"] == pytest.approx(float(with_test.median()))
    # So strong a test can't be weighted out of the draws again, and the table says so.
    assert found["verdict"] in ("refit to see", "agree")
    assert np.isnan(found["without"]) == (found["khat"] > 0.7)


def test_a_model_with_a_test_answers_for_dates_and_regions_without_it(
    tested: bm.Fit, lift_test: bm.LiftTest
) -> None:
    """The test lies before the dates that a plan needs; a budget and a forecast don't mind."""
    plan = bm.MediaPlan.repeat(tested.data, 2)
    found = bm.allocate_budget(tested, plan, draws=20, starts=1)
    assert float(found.plan.spend.sum()) == pytest.approx(float(plan.spend.sum()), rel=1e-6)
    assert np.isfinite(bm.forecast(tested, plan, by=(), seed=1)["sales"]).all()
    data = tested.data
    early = data.between(end=str(data.dates[32].date()))
    late = data.between(start=str(data.dates[30].date()))
    some = bm.MediaPanel(data.data.isel(region=slice(1, None)), data.currency)
    own = dataclasses.replace(lift_test, regions=data.regions[1:], name="own")
    tests = (lift_test, own)
    assert known_tests(tests, data, data) == [lift_test, own]
    assert known_tests(tests, late, data) == [lift_test, own]
    assert known_tests(tests, early, data) == []
    assert known_tests(tests, some, data) == [own]


def test_a_weak_test_is_weighted_out_again(fitted: bm.Fit, lift_test: bm.LiftTest) -> None:
    """With nearly no say, a test leaves the model as it was; far off, it disagrees."""
    sd = 4 * lift_test.se
    far = dataclasses.replace(lift_test, lift=lift_test.lift + 40 * sd, se=20 * sd)
    spec = dataclasses.replace(fitted.spec, lift_tests=[far])
    lift = bm.incremental_sales(fitted, far.estimand, by=())
    modelled = lift.expand_dims(lift_test=[far.label], axis=2)
    fit = with_posterior(fitted, fitted.posterior.assign(modelled_lift=modelled), spec)
    found = bm.check_lift_tests(fit).loc[far.label]
    assert found["khat"] < 0.7
    assert found["verdict"] == "disagree"
    mean = float(lift.mean())
    assert found["expected"] == pytest.approx(mean, abs=0.2 * sd)
    assert found["z"] == pytest.approx((far.lift - mean) / (20 * sd), rel=0.02)


def test_a_cut_spreads_over_regions_where_nothing_ran() -> None:
    data = panel("paid")
    exposure = data.data["exposure"].to_numpy()
    off = np.argwhere(exposure[:, :, 0].sum(axis=0) == 0)
    dates = data.dates
    if not len(off):
        spend = data.data["spend"].copy()
        spend[:, 5:7, 0] = 0.0
        units = data.data["exposure"].copy()
        units[:, 5:7, 0] = 0.0
        data = bm.MediaPanel(data.data.assign(spend=spend, exposure=units), data.currency)
    held = bm.LiftTest(
        channel="tv",
        start=str(dates[5].date()),
        end=str(dates[6].date()),
        spend_change=-1000.0,
        lift=-10.0,
        se=5.0,
    )
    other, counted = held.otherwise(data)
    heads = data.data["population"].to_numpy()
    np.testing.assert_allclose(other[:, 5] / heads, other[0, 5] / heads[0])
    cost = float(data.data["spend"][:, :, 0].sum() / data.data["exposure"][:, :, 0].sum())
    assert other[:, 5:7].sum() * cost == pytest.approx(1000.0)
    assert counted.sum() == 2 * data.n_regions


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channel": "radio"}, "LiftTest t: Estimand: no channel 'radio'"),
        ({"regions": ["mars"]}, "LiftTest t: Estimand: no region 'mars'"),
        ({"start": "2030-01-01", "end": "2030-02-01"}, "holds no date of the panel"),
        ({"spend_change": 1e12}, r"spend_change=1e\+12 is more than the .* that ran there"),
    ],
)
def test_a_test_must_lie_in_the_panel(change: dict[str, Any], message: str) -> None:
    good = {"channel": "tv", "start": "2022-02-07", "end": "2022-02-28", "spend_change": 100.0}
    test = bm.LiftTest(name="t", lift=1.0, se=1.0, **(good | change))
    spec = bm.MediaMix(lift_tests=[test], adstock=bm.GeometricAdstock(3))
    with pytest.raises(bm.SpecError, match=message):
        spec.build(panel("paid"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"se": 0.0}, "se=0.0 must be > 0"),
        ({"lift": float("nan")}, "lift=nan must be a number"),
        ({"spend_change": 0.0}, "spend_change=0 tests nothing"),
    ],
)
def test_a_measurement_is_a_number_with_an_error(change: dict[str, Any], message: str) -> None:
    good = {"spend_change": 1.0, "lift": 1.0, "se": 1.0}
    with pytest.raises(bm.SpecError, match=message):
        bm.LiftTest(channel="tv", start="2024-01-01", end="2024-02-01", **(good | change))


def test_tests_have_names_of_their_own() -> None:
    test = bm.LiftTest(
        channel="tv", start="2024-01-01", end="2024-02-01", spend_change=1.0, lift=1.0, se=1.0
    )
    with pytest.raises(bm.SpecError, match="'tv 2024-01-01' stands for two tests"):
        bm.MediaMix(lift_tests=[test, test])


def test_pooling_factors_say_where_regions_speak_for_themselves(fitted: bm.Fit) -> None:
    found = bm.pooling_factors(fitted)["effect"]
    assert found.dims == ("region", "channel")
    sd, z = fitted.posterior["effect_sd"], fitted.posterior["effect_offset"]
    own = (sd * z).var(("chain", "draw")) / (sd**2).mean(("chain", "draw"))
    np.testing.assert_allclose(found, np.minimum(own, 1.0).transpose("region", "channel"))
    assert 0 < float(found.min()) < float(found.max()) <= 1
    apart = with_posterior(fitted, fitted.posterior.drop_vars("effect_offset"), fitted.spec)
    with pytest.raises(bm.SpecError, match="nothing is partially pooled"):
        bm.pooling_factors(apart)
