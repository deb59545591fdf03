"""Sales under other media: against NumPy draw by draw, and the identities that must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm
from tests.media_mix import by_hand
from tests.media_mix.cases import MODELS, panel

Fitter = Callable[..., bm.Fit]
Models = Callable[[str], bm.Fit]
CELLS = ("region", "date", "channel")


def ask(function: Any, *arguments: Any, **options: Any) -> xr.DataArray:
    """Ask a fit of too few draws."""
    return function(*arguments, allow_unconverged=True, **options)


def window(fit: bm.Fit, first: int, last: int) -> tuple[str, str]:
    return str(fit.data.dates[first].date()), str(fit.data.dates[last].date())


def switched_off(fit: bm.Fit, first: int, last: int) -> np.ndarray:
    exposure = fit.data.data["exposure"].to_numpy().copy()
    exposure[:, first : last + 1] = 0.0
    return exposure


def close(found: Any, expected: Any, rtol: float = 1e-10) -> None:
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * np.nanmax(abs(expected)))


@pytest.mark.parametrize("name", MODELS)
def test_contributions_and_expected_sales_are_those_of_the_equations(
    loose: Models, name: str
) -> None:
    fit = loose(name)
    spec, data = fit.spec, fit.data
    seen = data.observed.to_numpy()
    contributions = ask(bm.contributions, fit, CELLS)
    expected = ask(bm.expected_sales, fit)
    baseline = ask(bm.baseline_sales, fit)
    for place, draw in by_hand.each_draw(fit):
        cells = np.where(seen[:, :, None], by_hand.contribution(spec, data, draw), 0.0)
        close(contributions.isel(place), cells)
        total = by_hand.expected_sales(spec, data, draw)
        close(expected.isel(place), np.where(seen, total, np.nan))
        none = by_hand.expected_sales(spec, data, draw, np.zeros_like(data.data["exposure"]))
        close(baseline.isel(place), np.where(seen, none, np.nan))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("estimand", "changed", "counted"),
    [
        ({}, (6, 10), (6, 10)),
        ({"carryover": False}, (6, 10), (6, 10)),
        ({"carry_in": True, "carryover": False}, (0, 10), (6, 10)),
        ({"outcome_window": (9, 12)}, (6, 10), (9, 12)),
    ],
)
def test_incremental_sales_are_those_of_the_equations(
    loose: Models,
    name: str,
    estimand: dict[str, Any],
    changed: tuple[int, int],
    counted: tuple[int, int],
) -> None:
    fit = loose(name)
    spec, data = fit.spec, fit.data
    first, last = counted
    if not estimand:
        last += spec.adstock.max_lag
    if "outcome_window" in estimand:
        estimand = {"outcome_window": window(fit, *estimand["outcome_window"])}
    question = bm.Estimand(spend_window=window(fit, 6, 10), **estimand)
    found = ask(bm.incremental_sales, fit, question, ("region", "channel"))
    seen = data.observed.to_numpy()[:, :, None]
    for place, draw in by_hand.each_draw(fit):
        now = by_hand.contribution(spec, data, draw)
        off = by_hand.contribution(spec, data, draw, switched_off(fit, *changed))
        cells = np.where(seen, now - off, 0.0)[:, first : last + 1]
        # A difference of sums of this size keeps fewer digits than each of them.
        np.testing.assert_allclose(
            found.isel(place), cells.sum(axis=1), rtol=1e-9, atol=1e-12 * now.sum()
        )


@pytest.mark.parametrize("name", MODELS)
def test_media_and_baseline_make_up_expected_sales(loose: Models, name: str) -> None:
    fit = loose(name)
    media = ask(bm.expected_sales, fit, ()) - ask(bm.baseline_sales, fit, ())
    close(media, ask(bm.contributions, fit, ()), rtol=1e-9)
    by_date = ask(bm.expected_sales, fit, "date") - ask(bm.baseline_sales, fit, "date")
    close(by_date, ask(bm.contributions, fit, "date"), rtol=1e-9)


@pytest.mark.parametrize("name", ["baseline", "masked", "national"])
@pytest.mark.parametrize(
    ("function", "dims"),
    [
        (bm.contributions, CELLS),
        (bm.incremental_sales, CELLS),
        (bm.expected_sales, CELLS[:2]),
        (bm.baseline_sales, CELLS[:2]),
    ],
)
def test_what_is_not_kept_is_summed(
    loose: Models, name: str, function: Any, dims: tuple[str, ...]
) -> None:
    fit = loose(name)
    whole = ask(function, fit, by=dims)
    assert whole.dims == ("chain", "draw", *dims)
    for kept in ((), *dims, dims[::-1], dims[1:]):
        part = ask(function, fit, by=kept)
        names = (kept,) if isinstance(kept, str) else kept
        assert set(part.dims) == {"chain", "draw", *names}
        close(part, whole.sum([d for d in dims if d not in names]).transpose(*part.dims))
        for dim in names:
            assert part[dim].equals(fit.data.data[dim])


def test_answers_say_what_they_are(loose: Models) -> None:
    fit = loose("baseline")
    sales = {"units": "sales"}
    answers = {
        "incremental_sales": (bm.incremental_sales, sales | {"long_name": "Incremental sales"}),
        "contribution": (bm.contributions, sales | {"long_name": "Contribution to sales"}),
        "expected_sales": (bm.expected_sales, sales | {"long_name": "Expected sales"}),
        "baseline_sales": (
            bm.baseline_sales,
            sales | {"long_name": "Expected sales without media"},
        ),
        "adstock_weight": (bm.adstock_weights, {"units": "1", "long_name": "Adstock weight"}),
    }
    for name, (function, attrs) in answers.items():
        found = ask(function, fit)
        assert found.name == name
        assert attrs.items() <= found.attrs.items()
        assert found.sizes["chain"] == 2
        assert found.sizes["draw"] == 4
    assert ask(bm.contributions, loose("straight")).attrs["units"] == "EUR"


def test_a_dimension_that_sales_do_not_have(loose: Models) -> None:
    with pytest.raises(bm.SpecError, match="incremental_sales has no dimension 'week'"):
        ask(bm.incremental_sales, loose("baseline"), by=("week",))
    with pytest.raises(bm.SpecError, match="expected_sales has no dimension 'channel'"):
        ask(bm.expected_sales, loose("baseline"), by=("channel",))


def test_all_media_of_the_panel_earn_what_they_contribute(fitted: bm.Fit) -> None:
    for by in ((), CELLS):
        np.testing.assert_array_equal(
            bm.incremental_sales(fitted, by=by), bm.contributions(fitted, by)
        )


def test_meridian_counts_the_contributions_of_the_window(fitted: bm.Fit) -> None:
    inside = window(fitted, 20, 29)
    found = bm.incremental_sales(fitted, bm.Estimand.meridian(inside))
    by_date = bm.contributions(fitted, ("date", "channel"))
    close(found, by_date.isel(date=slice(20, 30)).sum("date"))


def test_windows_of_sales_add_up(fitted: bm.Fit) -> None:
    spend = window(fitted, 10, 19)
    parts = [(10, 14), (15, 20), (21, 23)]
    found = sum(
        bm.incremental_sales(
            fitted, bm.Estimand(spend_window=spend, outcome_window=window(fitted, *part))
        )
        for part in parts
    )
    close(found, bm.incremental_sales(fitted, bm.Estimand(spend_window=spend)))
    before = bm.Estimand(spend_window=spend, outcome_window=window(fitted, 0, 9))
    assert (bm.incremental_sales(fitted, before) == 0).all()
    after = bm.Estimand(spend_window=spend, outcome_window=window(fitted, 24, 59))
    assert (bm.incremental_sales(fitted, after) == 0).all()


def test_carry_over_and_carry_in_add_to_what_a_window_earns(fitted: bm.Fit) -> None:
    spend = window(fitted, 10, 19)

    def earned(**options: bool) -> xr.DataArray:
        return bm.incremental_sales(fitted, bm.Estimand(spend_window=spend, **options))

    assert (earned(carryover=False) < earned(carryover=True)).all()
    assert (earned(carryover=False) < earned(carry_in=True, carryover=False)).all()
    assert (earned(carryover=False) > 0).all()


def test_windows_of_spend_earn_less_apart_than_together(fitted: bm.Fit) -> None:
    """With returns that diminish, what each window adds to the others is less than its share."""
    parts = [window(fitted, 10 * i, 10 * i + 9) for i in range(6)]
    apart = sum(bm.incremental_sales(fitted, bm.Estimand(spend_window=part)) for part in parts)
    together = bm.incremental_sales(fitted)
    assert (apart < together).all()
    assert (apart > 0.5 * together).all()


def test_windows_of_spend_add_up_where_nothing_saturates(prior_fit: Fitter) -> None:
    spec = bm.MediaMix(adstock=bm.GeometricAdstock(3), saturation=bm.NoSaturation())
    fit = prior_fit(spec, panel("paid"))
    parts = [window(fit, 0, 6), window(fit, 7, 12), window(fit, 13, 19)]
    apart = sum(ask(bm.incremental_sales, fit, bm.Estimand(spend_window=p)) for p in parts)
    close(apart, ask(bm.incremental_sales, fit))


def test_without_adstock_nothing_carries_over(loose: Models) -> None:
    fit = loose("straight")
    spend = window(fit, 5, 9)
    by_date = ask(bm.contributions, fit, ("date", "channel"))
    for options in ({}, {"carryover": False}, {"carry_in": True}):
        found = ask(bm.incremental_sales, fit, bm.Estimand(spend_window=spend, **options))
        close(found, by_date.isel(date=slice(5, 10)).sum("date"))


@pytest.mark.parametrize("by", [(), "date", "region", "channel", ("region", "channel"), CELLS])
def test_regions_and_channels_asked_about_add_up(fitted: bm.Fit, by: Any) -> None:
    spend = window(fitted, 10, 19)
    names = (by,) if isinstance(by, str) else by
    whole = bm.incremental_sales(fitted, bm.Estimand(spend_window=spend), by)
    for dim, asked in (("regions", fitted.data.regions), ("channels", fitted.data.channels)):
        parts = [
            bm.incremental_sales(fitted, bm.Estimand(spend_window=spend, **{dim: [name]}), by)
            for name in asked
        ]
        if dim[:-1] in names:
            assert [p[dim[:-1]].to_numpy().tolist() for p in parts] == [[n] for n in asked]
            close(xr.concat(parts, dim=dim[:-1]).transpose(*whole.dims), whole)
        else:
            close(sum(parts), whole)


def test_nothing_is_counted_where_sales_are_not_observed(loose: Models) -> None:
    fit = loose("masked")
    seen = fit.data.observed
    assert (ask(bm.contributions, fit, CELLS).where(~seen) == 0).sum() > 0
    assert (ask(bm.contributions, fit, CELLS).where(~seen, 0.0) == 0).all()
    assert np.isnan(ask(bm.expected_sales, fit)).equals(
        (~seen).broadcast_like(ask(bm.expected_sales, fit))
    )
    assert np.isfinite(ask(bm.expected_sales, fit, "date")).all()


def test_adstock_weights_are_those_of_the_draws(fitted: bm.Fit) -> None:
    found = bm.adstock_weights(fitted)
    assert found.dims == ("chain", "draw", "channel", "lag")
    powers = fitted.posterior["adstock_alpha"] ** found["lag"]
    close(found, (powers / powers.sum("lag")).transpose(*found.dims))


def test_effects_are_what_was_fitted_whatever_the_plan(fitted: bm.Fit) -> None:
    """The prior on ROI divides by what media earned; a plan must not change what it divides by."""
    half = bm.response_curves(fitted, multipliers=[0.5])["incremental_sales"]
    at = fitted.posterior.isel(chain=0, draw=0)
    draw = {name: at[name].to_numpy() for name in at.data_vars}
    data = fitted.data
    exposure = data.data["exposure"].to_numpy() * 0.5
    expected = by_hand.contribution(fitted.spec, data, draw, exposure).sum(axis=(0, 1))
    close(half.isel(chain=0, draw=0, multiplier=0), expected)


def test_controls_and_media_and_the_rest_add_up(fitted: bm.Fit) -> None:
    """Setting a control to its reference lowers expected sales by its contribution."""
    panel = fitted.data
    zero = dict.fromkeys(panel.controls, 0.0)
    cells = bm.control_contributions(fitted, ("region", "date", "control"), reference=zero)
    assert cells.dims == ("chain", "draw", "region", "date", "control")
    plan = bm.MediaPlan.repeat(panel, 6)
    ahead = bm.forecast(fitted, plan, seed=1)["expected_sales"]
    off = bm.MediaPlan(plan.data.assign(controls=plan.data["controls"] * 0.0))
    without = bm.forecast(fitted, off, seed=1)["expected_sales"]
    change = plan.data["controls"] / panel.data["controls"].std(("region", "date"))
    heads = by_hand.heads(panel) * by_hand.sales_scale(panel)[1]
    effect = fitted.posterior["region_control_effect"]
    unit = xr.DataArray(heads, coords={"region": panel.data["region"]})
    expected = (effect * change * unit).sum("control").transpose(*ahead.dims)
    np.testing.assert_allclose(ahead - without, expected, rtol=1e-6, atol=1e-6 * float(ahead.max()))
    own = panel.data["controls"] / panel.data["controls"].std(("region", "date"))
    inside = (effect * own * unit).transpose(*cells.dims)
    np.testing.assert_allclose(cells, inside, rtol=1e-9, atol=1e-9 * float(abs(cells).max()))
    total = bm.control_contributions(fitted, (), reference=zero)
    np.testing.assert_allclose(total, cells.sum(("region", "date", "control")), rtol=1e-9)
    mean = bm.control_contributions(fitted, "control")
    least = bm.control_contributions(fitted, "control", reference="min")
    assert not np.allclose(mean, least)
    with pytest.raises(bm.SpecError, match=r"no control 'price' in the panel"):
        bm.control_contributions(fitted, reference={"price": 1.0})
