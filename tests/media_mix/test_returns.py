"""ROI, marginal ROI and response curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm
from tests.media_mix import by_hand
from tests.media_mix.cases import MODELS, SHORT, panel

Fitter = Callable[..., bm.Fit]
Models = Callable[[str], bm.Fit]
# Of the registry, those whose panel has spend and whose prior is on ROI.
WITH_ROI = [name for name, (spec, _) in MODELS.items() if spec.media_prior == "roi"]
LOOSE = {"allow_unconverged": True}


def inside(fit: bm.Fit) -> bm.Estimand:
    """Ask about the spend of some weeks in the middle."""
    dates = fit.data.dates
    return bm.Estimand(spend_window=(str(dates[6].date()), str(dates[10].date())))


def revenue(fit: bm.Fit, draw: dict[str, np.ndarray], factor: float, until: int) -> np.ndarray:
    """Return what media earned (region, channel), less what they had earned under another plan.

    That plan multiplies the media of periods 6 to 10; sales count from period 6 to `until`.
    """
    exposure = fit.data.data["exposure"].to_numpy().copy()
    exposure[:, 6:11] *= factor
    now = by_hand.contribution(fit.spec, fit.data, draw)
    then = by_hand.contribution(fit.spec, fit.data, draw, exposure)
    worth = by_hand.price(fit.data)[:, :, None]
    return np.asarray(((now - then) * worth)[:, 6 : until + 1].sum(axis=1))


def spend(fit: bm.Fit) -> np.ndarray:
    """Return what was spent in periods 6 to 10 where sales are observed (region, channel)."""
    paid = np.where(fit.data.observed.to_numpy()[:, :, None], fit.data.data["spend"], 0.0)
    return np.asarray(paid[:, 6:11].sum(axis=1))


def ratio(earned: np.ndarray, spent: np.ndarray) -> np.ndarray:
    """Return revenue by spend, NaN where nothing was spent."""
    return np.where(spent > 0, earned, np.nan) / np.where(spent > 0, spent, 1.0)


@pytest.mark.parametrize("name", WITH_ROI)
def test_roi_of_the_whole_panel_is_the_parameter(loose: Models, name: str) -> None:
    fit = loose(name)
    parameter = fit.posterior["roi"]
    if "paid_channel" in parameter.dims:
        parameter = parameter.rename(paid_channel="channel")
    by = ("region", "channel") if "region" in parameter.dims else ("channel",)
    found = bm.roi(fit, by=by, **LOOSE)
    np.testing.assert_allclose(found, parameter, rtol=1e-10)
    assert found["channel"].to_numpy().tolist() == list(fit.data.paid_channels)


def test_roi_of_a_fit_is_its_parameter(fitted: bm.Fit) -> None:
    np.testing.assert_allclose(bm.roi(fitted), fitted.posterior["roi"], rtol=1e-9)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("by", [(), "channel", "region", ("region", "channel")])
def test_roi_of_a_window_is_revenue_by_spend(loose: Models, name: str, by: Any) -> None:
    fit = loose(name)
    found = bm.roi(fit, inside(fit), by, **LOOSE)
    paid = np.array([c in fit.data.paid_channels for c in fit.data.channels])
    kept = (by,) if isinstance(by, str) else by
    axes = tuple(i for i, dim in enumerate(("region", "channel")) if dim not in kept)
    for place, draw in by_hand.each_draw(fit):
        earned = revenue(fit, draw, 0.0, until=10 + fit.spec.adstock.max_lag)[:, paid]
        expected = ratio(earned.sum(axis=axes), spend(fit)[:, paid].sum(axis=axes))
        np.testing.assert_allclose(found.isel(place), expected, rtol=1e-8)


@pytest.mark.parametrize("name", ["baseline", "saturation first", "masked", "no pooling"])
@pytest.mark.parametrize("step", [0.01, 0.5])
def test_marginal_roi_is_revenue_by_spend_of_a_step(loose: Models, name: str, step: float) -> None:
    fit = loose(name)
    found = bm.marginal_roi(fit, inside(fit), ("region", "channel"), step=step, **LOOSE)
    paid = np.array([c in fit.data.paid_channels for c in fit.data.channels])
    for place, draw in by_hand.each_draw(fit):
        earned = -revenue(fit, draw, 1.0 + step, until=10 + fit.spec.adstock.max_lag)
        expected = ratio(earned, step * spend(fit))[:, paid]
        np.testing.assert_allclose(found.isel(place), expected, rtol=1e-6)


def test_roi_of_several_channels_is_their_mean_weighted_by_spend(fitted: bm.Fit) -> None:
    spent = fitted.data.data["spend"].sum(("region", "date"))
    for function in (bm.roi, bm.marginal_roi):
        by_channel = function(fitted)
        total = (by_channel * spent).sum("channel") / spent.sum()
        np.testing.assert_allclose(function(fitted, by=()), total, rtol=1e-10)
    one = bm.roi(fitted, bm.Estimand(channels=["search"]), by=())
    np.testing.assert_allclose(one, bm.roi(fitted).sel(channel="search"), rtol=1e-10)


def test_regions_asked_about_have_the_roi_of_their_own(fitted: bm.Fit) -> None:
    asked = fitted.data.regions[2]
    found = bm.roi(fitted, bm.Estimand(regions=[asked]), ("region", "channel"))
    assert found["region"].to_numpy().tolist() == [asked]
    whole = bm.roi(fitted, by=("region", "channel"))
    np.testing.assert_allclose(found, whole.sel(region=[asked]), rtol=1e-10)


def test_the_next_unit_earns_less_than_the_average_one(fitted: bm.Fit) -> None:
    """With a concave curve, and by as much as the curve says."""
    for question in (bm.Estimand(), inside(fitted)):
        average, next_one = bm.roi(fitted, question), bm.marginal_roi(fitted, question)
        assert (next_one < average).all()
        assert (next_one > 0).all()
    smaller = bm.marginal_roi(fitted, step=1e-5)
    assert (smaller > bm.marginal_roi(fitted)).all()


def test_the_next_unit_earns_as_much_where_nothing_saturates(loose: Models) -> None:
    fit = loose("straight")
    for step in (0.01, 1.0):
        marginal = bm.marginal_roi(fit, inside(fit), step=step, **LOOSE)
        np.testing.assert_allclose(marginal, bm.roi(fit, inside(fit), **LOOSE), rtol=1e-8)


@pytest.mark.parametrize("question", [None, "inside"])
def test_marginal_roi_is_the_slope_of_the_response_curve(loose: Models, question: Any) -> None:
    """On a panel of revenue, where a sale is worth one."""
    spec = bm.MediaMix(adstock=SHORT)
    fit = loose("straight")
    fit = bm.Fit(spec, fit.data, _curved(fit, spec), fit.diagnostics)
    asked = inside(fit) if question else None
    curves = bm.response_curves(fit, asked, multipliers=(1.0, 1.02), **LOOSE)
    rise = curves["incremental_sales"].diff("multiplier") / curves["spend"].diff("multiplier")
    marginal = bm.marginal_roi(fit, asked, step=0.02, **LOOSE)
    np.testing.assert_allclose(rise.isel(multiplier=0), marginal, rtol=1e-7)


def _curved(fit: bm.Fit, spec: bm.MediaMix) -> xr.DataTree:
    """Return draws of a model with curves, from those of one without."""
    posterior = fit.posterior
    for name in ("adstock_alpha", "half_saturation"):
        posterior[name] = 0.5 + 0.0 * posterior["roi"]
    posterior["intercept_sd"] = posterior["sigma"]
    tree = xr.DataTree.from_dict({"/posterior": posterior})
    tree.attrs = fit.draws.attrs
    return tree


def test_response_curves_pass_through_nothing_and_today(fitted: bm.Fit) -> None:
    for question in (None, inside(fitted), bm.Estimand.meridian()):
        curves = bm.response_curves(fitted, question)["incremental_sales"]
        assert curves.dims == ("chain", "draw", "channel", "multiplier")
        assert (curves.sel(multiplier=0.0) == 0).all()
        today = bm.incremental_sales(fitted, question)
        np.testing.assert_allclose(curves.sel(multiplier=1.0), today, rtol=1e-10)
        rises = curves.diff("multiplier")
        assert (rises > 0).all()
        assert (rises.diff("multiplier") < 0).all()


def test_response_curves_say_what_the_data_have_seen(fitted: bm.Fit) -> None:
    curves = bm.response_curves(fitted, inside(fitted), multipliers=[0, 0.5, 2])
    paid = fitted.data.data["spend"]
    level = paid.isel(date=slice(6, 11)).sum(("region", "date"))
    np.testing.assert_allclose(curves["spend"], level.to_numpy()[:, None] * [0, 0.5, 2])
    by_date = paid.sum("region")
    mean = by_date.isel(date=slice(6, 11)).mean("date")
    np.testing.assert_allclose(curves["observed_min"], by_date.min("date") / mean)
    np.testing.assert_allclose(curves["observed_max"], by_date.max("date") / mean)
    assert curves["paid"].all()
    assert curves["incremental_sales"].attrs["units"] == "sales"
    assert curves["spend"].attrs["units"] == "EUR"


def test_a_channel_without_spend_has_a_curve_over_its_exposure(loose: Models) -> None:
    fit = loose("no pooling")
    curves = bm.response_curves(fit, multipliers=[1.0], **LOOSE)
    assert curves["paid"].to_numpy().tolist() == [True, False, True]
    exposure = fit.data.data["exposure"].sel(channel="search").sum()
    assert float(curves["spend"].sel(channel="search").item()) == pytest.approx(float(exposure))
    asked = bm.response_curves(fit, bm.Estimand(channels=["search"]), multipliers=[1.0], **LOOSE)
    assert asked["channel"].to_numpy().tolist() == ["search"]


def test_answers_say_what_they_are(fitted: bm.Fit) -> None:
    for function, name, label in (
        (bm.roi, "roi", "ROI"),
        (bm.marginal_roi, "marginal_roi", "Marginal ROI"),
    ):
        found = function(fitted, by=("channel", "region"))
        assert found.name == name
        assert found.dims == ("chain", "draw", "region", "channel")
        assert found.attrs == {"units": "revenue per unit of spend", "long_name": label}


def test_roi_is_unknown_where_nothing_was_spent(prior_fit: Fitter) -> None:
    data = panel("paid").data
    idle = (data["region"] == data["region"][1]) & (data["channel"] == "tv")
    partly = bm.MediaPanel(data.assign(spend=data["spend"].where(~idle, 0.0)), "EUR")
    fit = prior_fit(bm.MediaMix(adstock=SHORT), partly)
    found = bm.roi(fit, by=("region", "channel"), **LOOSE)
    assert np.isnan(found.isel(region=1).sel(channel="tv")).all()
    assert int(np.isnan(found).sum()) == found.sizes["chain"] * found.sizes["draw"]
    np.testing.assert_allclose(bm.roi(fit, **LOOSE), fit.posterior["roi"], rtol=1e-10)


def test_a_panel_without_spend_has_no_roi(prior_fit: Fitter) -> None:
    data = panel("paid").data
    unpaid = bm.MediaPanel(data.assign(spend=data["spend"] * np.nan), "EUR")
    fit = prior_fit(bm.MediaMix(adstock=SHORT), unpaid)
    for function, name in ((bm.roi, "ROI"), (bm.marginal_roi, "Marginal ROI")):
        with pytest.raises(
            bm.SpecError,
            match=f"{name} needs spend, and the panel has no spend: tv, search, social came as "
            r"exposure only\. Ask for incremental_sales\(\), or load the panel with spend=",
        ):
            function(fit, **LOOSE)
    assert not bm.response_curves(fit, **LOOSE)["paid"].any()


def test_roi_needs_spend_that_is_asked_about(loose: Models) -> None:
    fit = loose("no pooling")
    for function in (bm.roi, bm.marginal_roi):
        with pytest.raises(
            bm.SpecError, match=r"none of the channels asked about, \['search'\], has spend\."
        ):
            function(fit, bm.Estimand(channels=["search"]), **LOOSE)
    data = panel("paid").data
    late = data.assign(spend=data["spend"].where(data["date"] >= data["date"][10], 0.0))
    early = inside(fit).spend_window
    fit = bm.Fit(fit.spec, bm.MediaPanel(late, "EUR"), fit.draws, fit.diagnostics)
    with pytest.raises(bm.SpecError, match=r"nothing was spent in the spend window of Estimand\("):
        bm.roi(fit, bm.Estimand(spend_window=(early[0], early[0])), **LOOSE)


@pytest.mark.parametrize("step", [0, -0.01, float("nan")])
def test_a_step_is_positive(loose: Models, step: float) -> None:
    with pytest.raises(bm.SpecError, match=r"step=.* must be > 0, as 0\.01 for one per cent\."):
        bm.marginal_roi(loose("baseline"), step=step, **LOOSE)


@pytest.mark.parametrize("multipliers", [(), (-1.0,), (1.0, float("nan")), ((1.0,),)])
def test_multipliers_are_numbers(loose: Models, multipliers: Sequence[Any]) -> None:
    with pytest.raises(bm.SpecError, match=r"multipliers=.* must be numbers >= 0\."):
        bm.response_curves(loose("baseline"), multipliers=multipliers, **LOOSE)


def test_roi_has_no_dates(loose: Models) -> None:
    for function, name in ((bm.roi, "roi"), (bm.marginal_roi, "marginal_roi")):
        with pytest.raises(bm.SpecError, match=f"{name} has no dimension 'date'"):
            function(loose("baseline"), by=("date",), **LOOSE)
