"""Priors on what treatments and unpaid media contribute, and effects of either sign."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.media_mix.prior_weight import contraction
from tests.media_mix import by_hand
from tests.media_mix.cases import MODELS, SHORT, panel

SIGNED = bm.Prior("Normal", mu=1.0, sigma=1.0)
Loose = Callable[[str], bm.Fit]


def revenue(data: bm.MediaPanel) -> float:
    return float(np.nansum(data.data["sales"].to_numpy() * by_hand.price(data)))


def valued(cells: xr.DataArray, data: bm.MediaPanel) -> xr.DataArray:
    """Return what cells by region and date are worth together."""
    return (cells * xr.DataArray(by_hand.price(data), dims=("region", "date"))).sum(
        ("region", "date")
    )


@pytest.mark.parametrize(
    "name", ["meridian, all roles", "treated", "many, treated", "national, treated"]
)
def test_a_treatment_earns_its_share(loose: Loose, name: str) -> None:
    fit = loose(name)
    cells = bm.control_contributions(fit, ("region", "date", "control"), allow_unconverged=True)
    share = valued(cells, fit.data) / revenue(fit.data)
    given = fit.posterior["treatment_share"]
    assert given["treatment"].to_numpy().tolist() == list(fit.spec.treatments)
    for treatment in fit.spec.treatments:
        found = share.sel(control=treatment)
        np.testing.assert_allclose(found, given.sel(treatment=treatment), rtol=1e-8)


def test_priors_by_treatment_are_in_the_order_of_the_treatments(loose: Loose) -> None:
    share = loose("treated").posterior["treatment_share"].mean(("chain", "draw"))
    assert float(share.sel(treatment="consumer_sentiment")) > 0
    assert float(share.sel(treatment="competitor_activity")) < 0


def test_unpaid_media_earn_their_share(loose: Loose) -> None:
    fit = loose("meridian, all roles")
    (organic,) = set(fit.data.channels) - set(fit.data.paid_channels)
    cells = bm.contributions(fit, ("region", "date", "channel"), allow_unconverged=True)
    found = valued(cells, fit.data).sel(channel=organic) / revenue(fit.data)
    given = fit.posterior["unpaid_share"].sel(unpaid_channel=organic)
    np.testing.assert_allclose(found, given, rtol=1e-8)
    np.testing.assert_allclose(bm.roi(fit, allow_unconverged=True), fit.posterior["roi"], rtol=1e-8)


def test_effects_that_may_hurt_do_in_some_regions(loose: Loose) -> None:
    fit = loose("treated")
    effect = fit.posterior["effect"]
    assert 0 < float((effect < 0).mean()) < 1
    found = bm.roi(fit, allow_unconverged=True)
    np.testing.assert_allclose(found, fit.posterior["roi"], rtol=1e-6)
    scattered = fit.posterior["effect_sd"] * fit.posterior["effect_offset"]
    gap = effect - scattered  # the same in all regions
    np.testing.assert_allclose(gap - gap.isel(region=0), 0.0, atol=1e-10)


def test_what_a_prior_weighs_is_told_for_priors_of_either_sign(loose: Loose) -> None:
    fit = loose("treated")
    told = {(name, label): value for name, label, value in contraction(fit)}
    draws = fit.posterior["roi"].isel(channel=0)
    label = ("roi", fit.data.channels[0])
    assert told[label] == pytest.approx(1 - float(draws.var()) / SIGNED.variance(), rel=1e-6)
    assert {name for name, _ in told} == {"roi", "treatment_share"}
    assert SIGNED.variance() == pytest.approx(1.0, rel=1e-2)


def test_weeks_ahead_have_the_effects_of_the_weeks_that_were_fitted() -> None:
    """A treatment's prior is on its share in the panel that was fitted, not in later weeks."""
    spec, kind = MODELS["meridian, all roles"]
    data = panel(kind)
    ahead = data.data.isel(date=slice(10, None))
    later = ahead.assign_coords(date=ahead["date"] + np.timedelta64(28, "D"))
    later = bm.MediaPanel(later.assign(controls=later["controls"] * 1.5), data.currency)
    found = [_effects_at(m) for m in (spec.build(data), spec.build(later, data))]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-12)
    assert not np.allclose(found[0], _effects_at(spec.build(later)))


def _effects_at(model: pm.Model) -> np.ndarray:
    """Return the effects of controls where every unconstrained variable is 0.1."""
    function = model.compile_fn(
        model.replace_rvs_by_values([model["region_control_effect"]]),
        inputs=model.value_vars,
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    start = model.initial_point()
    (effects,) = function({v.name: np.full(start[v.name].shape, 0.1) for v in model.value_vars})
    return np.asarray(effects)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"treatments": {"price": "mean"}},
            r"treatments\['price'\] = 'mean' must be 'min', 'max' or a number, the level at which",
        ),
        ({"treatments": {"price": float("nan")}}, r"treatments\['price'\] = nan must be"),
        ({"treatments": {"price": True}}, r"treatments\['price'\] = True must be"),
        ({"treatments": {"price": np.float32("nan")}}, r"treatments\['price'\] = .*nan.* must be"),
        ({"effects": "signed"}, "effects='signed': choose from 'lognormal', 'normal'"),
        ({"unpaid_prior": "roi"}, "unpaid_prior='roi': choose from 'coefficient', 'unpaid_share'"),
        (
            {"priors": {"roi": SIGNED}},
            r"priors\['roi'\]: .* reaches below 0, roi can't\.",
        ),
        (
            {"effects": "normal", "priors": {"effect_sd": SIGNED}},
            r"priors\['effect_sd'\]: .* reaches below 0",
        ),
    ],
)
def test_what_a_specification_refuses(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        bm.MediaMix(**arguments)


def test_what_a_panel_refuses() -> None:
    with pytest.raises(
        bm.SpecError,
        match=r"treatments: no control 'price' in the panel; it has 'competitor_activity', "
        r"'consumer_sentiment'\.",
    ):
        bm.MediaMix(adstock=SHORT, treatments={"price": "min"}).build(panel("paid"))
    middle = float(panel("paid").data["controls"].sel(control="consumer_sentiment").mean())
    with pytest.raises(bm.SpecError, match=r"'consumer_sentiment' lies about .* cancels"):
        bm.MediaMix(adstock=SHORT, treatments={"consumer_sentiment": middle}).build(panel("paid"))


def test_levels_may_be_numbers_of_numpy() -> None:
    spec = bm.MediaMix(treatments={"price": np.int64(3), "cut": np.float32(0.5)})
    assert spec.treatments == {"price": 3.0, "cut": 0.5}


def test_a_prior_on_a_share_needs_media_where_sales_are_known() -> None:
    """Exposure of the last week alone, whose sales are missing, earns nothing that is seen."""
    data = panel("mixed")
    (organic,) = set(data.channels) - set(data.paid_channels)
    last = data.data["date"] == data.data["date"][-1]
    idle = (data.data["channel"] == organic) & ~last
    partly = data.data.assign(
        exposure=data.data["exposure"].where(~idle, 0.0), sales=data.data["sales"].where(~last)
    )
    spec = bm.MediaMix(adstock=SHORT, unpaid_prior="unpaid_share")
    with pytest.raises(
        bm.SpecError,
        match=rf"unpaid_prior='unpaid_share': there is a prior on the share of revenue, but the "
        rf"panel had nothing of '{organic}' where sales are known\. "
        r"Use unpaid_prior='coefficient'\.",
    ):
        spec.build(bm.MediaPanel(partly))
    # Carried over into a week whose sales are known, it does.
    early = partly["exposure"].shift(date=-1, fill_value=0.0)
    spec.build(bm.MediaPanel(partly.assign(exposure=early)))


def test_without_pooling_every_region_needs_media_for_a_prior_on_their_share() -> None:
    data = panel("mixed")
    (organic,) = set(data.channels) - set(data.paid_channels)
    idle = (data.data["region"] == data.regions[1]) & (data.data["channel"] == organic)
    partly = bm.MediaPanel(data.data.assign(exposure=data.data["exposure"].where(~idle, 0.0)))
    spec = bm.MediaMix(adstock=SHORT, pooling="none", unpaid_prior="unpaid_share")
    with pytest.raises(
        bm.SpecError,
        match=rf"share of revenue, but region '{data.regions[1]}' had nothing of '{organic}' "
        r"where sales are known\. Use pooling='partial', or unpaid_prior='coefficient'\.",
    ):
        spec.build(partly)
    dataclasses.replace(spec, unpaid_prior="coefficient").build(partly)
