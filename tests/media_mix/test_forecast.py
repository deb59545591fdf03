"""Sales ahead, and the difference between plans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.media_mix.alike import alike, scatter_alike
from bayes_mkt.media_mix.future import Twin
from tests.media_mix import by_hand, curves_by_hand
from tests.media_mix.cases import MODELS, panel

Models = Callable[[str], bm.Fit]
AHEAD = ["curves by region", "varying", "no pooling", "masked", "dates", "national", "straight"]


def further(data: bm.MediaPanel, plan: bm.MediaPlan) -> tuple[np.ndarray, np.ndarray]:
    """Exposure and controls of the panel and the plan after it."""
    out = [
        np.concatenate([data.data[n].to_numpy(), plan.data[n].to_numpy()], axis=1)
        for n in ("exposure", "controls")
    ]
    return out[0], out[1]


@pytest.mark.parametrize("name", AHEAD)
def test_media_ahead_do_what_the_equations_say(loose: Models, name: str) -> None:
    fit = loose(name)
    plan = bm.MediaPlan.repeat(fit.data, 3).times(1.5)
    twin = Twin.of(fit, [plan], seed=1, after=2)
    assert twin.panel.n_dates == fit.data.n_dates + 5
    exposure, _ = further(fit.data, plan)
    after = np.zeros((exposure.shape[0], 2, exposure.shape[2]))
    exposure = np.concatenate([exposure, after], axis=1)
    (where, (result,)), *_ = twin.evaluate(["media_contribution"], [plan])
    found = result["media_contribution"]
    for i, (_, values) in enumerate(by_hand.each_draw(fit)):
        expected = ahead_by_hand(fit, values, exposure)
        if i < found.shape[0]:
            np.testing.assert_allclose(found[i], expected, rtol=1e-9, atol=1e-9 * expected.max())
    assert where.start == 0


def ahead_by_hand(fit: bm.Fit, values: curves_by_hand.Values, exposure: np.ndarray) -> np.ndarray:
    """Return contributions on more dates than the panel has, from the equations."""
    spec, data = fit.spec, fit.data
    x = by_hand.scaled_exposure(data, exposure)
    carry, saturate = curves_by_hand.carry, curves_by_hand.saturate
    first, second = (carry, saturate) if spec.order == "adstock_first" else (saturate, carry)
    h = second(first(x, spec, values), spec, values)
    if spec.time_varying is not None:
        times = -1 + 2 * np.arange(exposure.shape[1]) / (data.n_dates - 1)
        _, waves = by_hand.smooth(spec.time_varying, data.n_dates)
        edge = spec.time_varying.boundary
        basis = np.sin(waves * (times[:, None] + edge)) / np.sqrt(edge)
        h = h * np.exp(basis @ values["effect_weight"].T)
    unit = by_hand.heads(data)[:, None, None] * by_hand.sales_scale(data)[1]
    return by_hand.effect(spec, data, values)[:, None, :] * h * unit


def test_looking_back_gives_the_models_own_expectation(fitted: bm.Fit) -> None:
    dates = [str(d.date()) for d in fitted.data.dates[[20, 29]]]
    plan = bm.MediaPlan.observed(fitted.data, *dates)
    found = bm.forecast(fitted, plan, seed=1)
    expected = bm.expected_sales(fitted).sel(date=slice(*dates))
    np.testing.assert_allclose(found["expected_sales"], expected, rtol=1e-9)
    assert found["sales"].dims == ("chain", "draw", "region", "date")
    assert found["sales"].attrs["units"] == fitted.data.data["sales"].attrs["units"]


def test_noise_is_the_models_and_sums_are_of_joint_draws(fitted: bm.Fit) -> None:
    plan = bm.MediaPlan.repeat(fitted.data, 6)
    cells = bm.forecast(fitted, plan, seed=1)
    total = bm.forecast(fitted, plan, by=(), seed=1)
    np.testing.assert_allclose(total["sales"], cells["sales"].sum(("region", "date")))
    unit = by_hand.heads(fitted.data)[:, None] * by_hand.sales_scale(fitted.data)[1]
    noise = (cells["sales"] - cells["expected_sales"]) / unit / fitted.posterior["sigma"]
    assert float(noise.std()) == pytest.approx(1.0, abs=0.02)
    apart = np.sqrt(float(cells["sales"].var(("chain", "draw")).sum()))
    assert float(total["sales"].std()) > 1.2 * apart
    assert bm.forecast(fitted, plan, seed=1).identical(cells)


def test_a_line_goes_on(fitted: bm.Fit) -> None:
    """A trend of two knots rises ahead by its slope."""
    plan = bm.MediaPlan.repeat(fitted.data, 8).without()
    twin = Twin.of(fitted, [plan], seed=1)
    basis = twin.target.model["knot_basis"].get_value()
    assert basis.shape == (fitted.data.n_dates + 8, 2)
    np.testing.assert_allclose(np.diff(basis[:, 1]), 1.0 / (fitted.data.n_dates - 1))


def test_more_knots_go_on_as_a_walk_with_the_steps_of_the_past(
    prior_fit: Callable[..., bm.Fit],
) -> None:
    spec, kind = MODELS["baseline"]
    fit = prior_fit(spec, panel(kind), chains=2, draws=300)
    plan = bm.MediaPlan.repeat(fit.data, 19)
    twin = Twin.of(fit, [plan], seed=1)
    knots = twin.posterior["knot_value"]
    assert knots.sizes["knot"] == 5
    past = np.diff(knots[..., :3].to_numpy())
    step = np.sqrt((past**2).mean(axis=-1, keepdims=True))
    z = np.diff(knots[..., 2:].to_numpy()) / step
    assert z.mean() == pytest.approx(0.0, abs=4 / np.sqrt(z.size))
    assert z.std() == pytest.approx(1.0, abs=0.1)
    other = Twin.of(fit, [plan], seed=2).posterior["knot_value"]
    assert not np.array_equal(other, knots)


def test_effects_of_dates_to_come_are_drawn_for_all_regions_together(
    prior_fit: Callable[..., bm.Fit],
) -> None:
    spec, kind = MODELS["dates"]
    fit = prior_fit(spec, panel(kind), chains=2, draws=300)
    plan = bm.MediaPlan.repeat(fit.data, 5)
    twin = Twin.of(fit, [plan], seed=1, after=2)
    known, every = fit.posterior["date_effect"], twin.posterior["date_effect"].to_numpy()
    assert every.shape[-1] == fit.data.n_dates + 7
    np.testing.assert_array_equal(every[..., :-7], known)
    z = every[..., -7:] / fit.posterior["date_sd"].to_numpy()[..., None]
    assert z.mean() == pytest.approx(0.0, abs=4 / np.sqrt(z.size))
    assert z.std() == pytest.approx(1.0, abs=0.05)
    short = Twin.of(fit, [plan], seed=1, after=2, short=True)
    left = short.panel.n_dates
    assert left < twin.panel.n_dates
    np.testing.assert_array_equal(short.posterior["date_effect"], every[..., -left:])
    unit = by_hand.heads(fit.data)[:, None] * by_hand.sales_scale(fit.data)[1]
    (where, (found,)), *_ = twin.evaluate(["expected_sales"], [plan])
    calm = replace(
        twin, posterior=twin.posterior.assign(date_effect=0.0 * twin.posterior["date_effect"])
    )
    (_, (without,)), *_ = calm.evaluate(["expected_sales"], [plan])
    moved = (found["expected_sales"] - without["expected_sales"]) / unit
    flat = every.reshape(-1, 1, every.shape[-1])[where]
    np.testing.assert_allclose(moved, np.broadcast_to(flat, moved.shape), rtol=1e-6, atol=1e-6)


def test_what_comes_of_dates_doesnt_change_the_difference_of_plans(
    prior_fit: Callable[..., bm.Fit],
) -> None:
    spec, kind = MODELS["dates"]
    fit = prior_fit(spec, panel(kind), chains=2, draws=50)
    plan = bm.MediaPlan.repeat(fit.data, 5)
    some, others = (
        bm.compare_plans(fit, plan, plan.without(), seed=seed, allow_unconverged=True)["difference"]
        for seed in (1, 2)
    )
    np.testing.assert_allclose(some, others, rtol=1e-6)


def test_a_plan_must_go_on_from_the_panel(fitted: bm.Fit) -> None:
    late = bm.MediaPlan.repeat(fitted.data, 4).data.isel(date=slice(1, None))
    with pytest.raises(bm.SpecError, match="doesn't go on from the panel"):
        bm.forecast(fitted, bm.MediaPlan(late), seed=1)


def test_plans_differ_by_what_media_do(fitted: bm.Fit) -> None:
    dates = [str(d.date()) for d in fitted.data.dates[[20, 29]]]
    plan = bm.MediaPlan.observed(fitted.data, *dates)
    found = bm.compare_plans(fitted, plan, plan.without())
    question = bm.Estimand(spend_window=(dates[0], dates[1]))
    expected = bm.incremental_sales(fitted, question, by=())
    np.testing.assert_allclose(found["difference"], expected, rtol=1e-8)
    roi = bm.roi(fitted, question, by=())
    spent = float(found["spend_difference"])
    revenue = found["net"] + spent
    np.testing.assert_allclose(revenue, roi * spent, rtol=1e-8)


def test_probability_and_regret_are_those_of_the_draws(fitted: bm.Fit) -> None:
    plan = bm.MediaPlan.repeat(fitted.data, 5)
    found = bm.compare_plans(fitted, plan.times({"tv": 1.3}), plan, by="region")
    net = found["net"]
    assert found["probability"].dims == ("region",)
    sample = ("chain", "draw")
    xr.testing.assert_allclose(found["probability"], (net > 0).mean(sample))
    np.testing.assert_allclose(found["regret_b"] - found["regret_a"], net.mean(sample))
    back = bm.compare_plans(fitted, plan, plan.times({"tv": 1.3}), by="region")
    np.testing.assert_allclose(back["net"], -net, rtol=1e-9)
    whole = bm.compare_plans(fitted, plan.times({"tv": 1.3}), plan)
    np.testing.assert_allclose(whole["net"], net.sum("region"), rtol=1e-9)


def test_carry_over_after_the_plan_counts(fitted: bm.Fit) -> None:
    """A burst in the last week sells in the weeks after it too."""
    plan = bm.MediaPlan.repeat(fitted.data, 2)
    lifted = plan.times(1.2)
    found = bm.compare_plans(fitted, lifted, plan)["difference"]
    inside = bm.forecast(fitted, lifted, by=(), seed=0)["expected_sales"]
    inside = inside - bm.forecast(fitted, plan, by=(), seed=0)["expected_sales"]
    assert bool((found > inside).all())


def test_plans_must_be_comparable(fitted: bm.Fit) -> None:
    plan = bm.MediaPlan.repeat(fitted.data, 4)
    with pytest.raises(bm.SpecError, match="different dates"):
        bm.compare_plans(fitted, plan, bm.MediaPlan.repeat(fitted.data, 5))
    dearer = bm.MediaPlan(plan.data.assign(revenue_per_sale=plan.data["revenue_per_sale"] * 2))
    with pytest.raises(bm.SpecError, match="differ in revenue_per_sale, not in media alone"):
        bm.compare_plans(fitted, dearer, plan)


def test_regions_that_scattered_together_are_forecast_together(fitted: bm.Fit) -> None:
    """A shock to all regions of a week is found in the residuals, and widens sums alone."""
    data = fitted.data.data
    rng = np.random.default_rng(3)
    unit = by_hand.heads(fitted.data)[:, None] * by_hand.sales_scale(fitted.data)[1]
    expected = bm.expected_sales(fitted).mean(("chain", "draw")).to_numpy()
    sigma = float(fitted.posterior["sigma"].mean())
    plan = bm.MediaPlan.repeat(fitted.data, 6)
    apart = bm.forecast(fitted, plan, seed=1)
    shape = expected.shape
    for share in (0.0, 0.6):
        own, common = rng.standard_normal(shape), rng.standard_normal((1, shape[1]))
        noise = np.sqrt(1 - share) * own + np.sqrt(share) * common
        sales = data["sales"].copy(data=expected + sigma * unit * noise)
        fit = replace(fitted, data=replace(fitted.data, data=data.assign(sales=sales)))
        assert scatter_alike(fit) == pytest.approx(share, abs=0.12)
    together = bm.forecast(fit, plan, seed=1)
    for found, share in ((apart, scatter_alike(fitted)), (together, scatter_alike(fit))):
        noise = (found["sales"] - found["expected_sales"]) / unit / fitted.posterior["sigma"]
        assert float(noise.std()) == pytest.approx(1.0, abs=0.04)
        regions = noise.sizes["region"]
        assert float(noise.sum("region").var()) == pytest.approx(
            regions * (1 + (regions - 1) * share), rel=0.15
        )


def test_residuals_are_alike_as_their_pairs_are() -> None:
    rng = np.random.default_rng(5)
    own, common = rng.standard_normal((6, 4000)), rng.standard_normal((1, 4000))
    residual = (np.sqrt(0.7) * own + np.sqrt(0.3) * common) * np.arange(1, 7)[:, None]
    pairs = np.corrcoef(residual)[np.triu_indices(6, 1)].mean()
    assert alike(residual) == pytest.approx(pairs, abs=0.003)
    residual[rng.random(residual.shape) < 0.3] = np.nan
    assert alike(residual) == pytest.approx(0.3, abs=0.03)
    assert alike(residual[:1]) == 0.0
