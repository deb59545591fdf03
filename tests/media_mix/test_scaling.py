"""From the panel's units to the model's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.media_mix.scaling import Scaling, lags
from tests.media_mix import by_hand
from tests.media_mix.cases import panel

KINDS = ["paid", "mixed", "masked", "national", "revenue"]


@pytest.mark.parametrize("kind", KINDS)
def test_scales_are_those_of_the_equations(kind: str) -> None:
    data = panel(kind)
    scaling = Scaling.of(data)
    np.testing.assert_array_equal(scaling.population, by_hand.heads(data))
    assert (scaling.sales_center, scaling.sales_sd) == pytest.approx(by_hand.sales_scale(data))
    exposure = data.data["exposure"].to_numpy()
    np.testing.assert_allclose(
        scaling.scale_exposure(exposure), by_hand.scaled_exposure(data, exposure)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_typical_exposure_is_one(kind: str) -> None:
    data = panel(kind)
    scaled = Scaling.of(data).scale_exposure(data.data["exposure"].to_numpy())
    for channel in np.moveaxis(scaled, -1, 0):
        assert np.median(channel[channel > 0]) == pytest.approx(1.0)


@pytest.mark.parametrize("kind", ["paid", "masked", "national"])
def test_controls_are_standardised_over_observed_rows(kind: str) -> None:
    data = panel(kind)
    scaled = Scaling.of(data).scale_controls(data.data["controls"].to_numpy())
    seen = scaled[data.observed.to_numpy()]
    np.testing.assert_allclose(seen.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(seen.std(axis=0), 1.0)
    absent = np.isnan(data.data["controls"].to_numpy())
    assert (scaled[absent] == 0).all()


def test_another_unit_of_anything_gives_the_same_scaled_data() -> None:
    data = panel("paid")
    other = data.data.assign(
        {name: data.data[name] * 7.0 for name in ("sales", "population")}
        | {"exposure": data.data["exposure"] * xr.DataArray([2.0, 3.0, 5.0], dims="channel")}
        | {"controls": data.data["controls"] * -2.0 + 1.0}
    )
    changed = bm.MediaPanel(other, "EUR")
    ours, theirs = Scaling.of(data), Scaling.of(changed)
    np.testing.assert_allclose(
        ours.scale_exposure(data.data["exposure"].to_numpy()),
        theirs.scale_exposure(changed.data["exposure"].to_numpy()),
    )
    np.testing.assert_allclose(
        ours.scale_controls(data.data["controls"].to_numpy()),
        -theirs.scale_controls(changed.data["controls"].to_numpy()),
        atol=1e-12,
    )
    assert ours.sales_sd == pytest.approx(theirs.sales_sd)


def _no_exposure(data: xr.Dataset) -> xr.Dataset:
    return data.assign(exposure=data["exposure"].where(data["channel"] != "search", 0.0))


def _constant_control(data: xr.Dataset) -> xr.Dataset:
    second = data["control"] == data["control"][1]
    return data.assign(controls=data["controls"].where(~second, 4.0))


def _constant_sales(data: xr.Dataset) -> xr.Dataset:
    sales = 3.0 * data["population"] + 0.0 * data["sales"]
    return data.assign(sales=sales.transpose("region", "date"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_no_exposure, r"Channel 'search' has no exposure in the panel; drop it\."),
        (_constant_control, r"Control '\w+': the same value, 4, throughout the panel\."),
        (_constant_sales, r"Sales per head: the same value, 3, throughout the panel\."),
    ],
)
def test_what_has_no_scale_is_refused(
    change: Callable[[xr.Dataset], xr.Dataset], message: str
) -> None:
    data = bm.MediaPanel(change(panel("paid").data), "EUR")
    with pytest.raises(bm.SpecError, match=message):
        bm.MediaMix().build(data)


@pytest.mark.parametrize("max_lag", [0, 1, 5, 7, 12])
def test_lags_look_back(max_lag: int) -> None:
    exposure = np.random.default_rng(1).uniform(1, 2, size=(2, 7, 3))
    found = lags(exposure, max_lag)
    assert found.shape == (3, 2, 7, max_lag + 1)
    for region, date, channel in np.ndindex(exposure.shape):
        for lag in range(max_lag + 1):
            expected = exposure[region, date - lag, channel] if lag <= date else 0.0
            assert found[channel, region, date, lag] == expected
