"""Answers are what the draws say, computed by hand from the model's equations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.customers.effects import Coding
from bayes_mkt.inference.diagnostics import Finding
from tests.customers.hazards import small, stand_in

PRIORS = {"baseline_level": bm.Prior("Normal", mu=0, sigma=0.3)}


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    """Draws of the prior: three markets, two covariates, never-returners."""
    spec = bm.SecondPurchase(effects="normal", markets="level", priors=PRIORS)
    return stand_in(spec, small())


def by_hand(fit: bm.Fit) -> np.ndarray:
    """Return survival (chain, draw, cell, interval) from the posterior alone."""
    p, data = fit.posterior, fit.data
    basis = fit.target.data["walk_basis"]
    walk = p["baseline_level"] + xr.DataArray(
        p["baseline_step"].values @ basis.T, dims=("chain", "draw", "interval")
    )
    lengths = np.diff(np.concatenate([[0.0], data.cuts]))
    rows = data.data
    stayed = (rows["count"] * (rows["duration"] - rows["entry"])).sum().item()
    log = walk + np.log(data.events() / stayed * lengths)
    log = log + p["market_effect"]
    total = np.exp(log).transpose("chain", "draw", "market", "interval").cumsum("interval")
    coding = Coding.of(data)
    design = xr.DataArray(coding.apply(data), dims=("cell", "feature"))
    effect = p["effect"].drop_vars("feature")
    logit = p["never_level"] + (design * p["never_effect"].drop_vars("feature")).sum("feature")
    of = rows["market_of_cell"].values
    logit = logit + p["never_market_effect"].values[:, :, of]
    never = 1 / (1 + np.exp(-logit))
    rate = np.exp((design * effect).sum("feature"))
    hazard = xr.DataArray(total.values[:, :, of], dims=("chain", "draw", "cell", "interval"))
    out = never + (1 - never) * np.exp(-rate * hazard)
    return np.asarray(out.transpose("chain", "draw", "cell", "interval").values)


def test_survival_by_cell_and_market(fit: bm.Fit) -> None:
    expected = by_hand(fit)
    found = bm.survival_function(fit, by="cell")
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    rows = fit.data.data
    weight = np.bincount(rows["cell_of_row"], rows["count"], minlength=rows.sizes["cell"])
    own = rows["market_of_cell"].values == 1
    mean = np.average(expected[:, :, own], axis=2, weights=weight[own])
    by_market = bm.survival_function(fit)
    np.testing.assert_allclose(by_market.isel(market=1), mean, rtol=1e-10)
    assert by_market.dims == ("chain", "draw", "market", "time")
    assert by_market.attrs["units"] == "1"


def test_within_an_interval_the_hazard_is_spread_evenly(fit: bm.Fit) -> None:
    spec = bm.Churn(effects="normal", markets="level", priors=PRIORS)
    plain = stand_in(spec, small())
    alive = bm.survival_function(plain, [3, 4.5, 6], by="cell")
    middle = np.sqrt(alive[..., 0] * alive[..., 2])
    np.testing.assert_allclose(alive[..., 1], middle, rtol=1e-9, atol=1e-12)


def test_hazard_and_incidence_follow_from_survival(fit: bm.Fit) -> None:
    survival = bm.survival_function(fit)
    np.testing.assert_allclose(bm.cumulative_incidence(fit), 1 - survival)
    product = (1 - bm.hazard(fit)).cumprod("interval")
    np.testing.assert_allclose(product, survival, rtol=1e-10)


def test_median_time(fit: bm.Fit) -> None:
    found = bm.median_time(fit, share=0.2)
    values = found.values[0, :, 0]
    assert np.isfinite(values).any()
    ends = np.concatenate([[0.0], fit.data.cuts])
    curve = bm.survival_function(fit)[0, :, 0].to_numpy()
    for draw in np.flatnonzero(np.isfinite(values))[:20]:
        log = -np.log(np.concatenate([[1.0], curve[draw]]))
        assert values[draw] == pytest.approx(np.interp(-np.log(0.8), log, ends), rel=1e-9)
    one = bm.survival_function(fit, [values[np.isfinite(values)][0]])
    # The curve of a market is a mean of cells', and nearly log-linear within an interval.
    assert float(one[0, np.flatnonzero(np.isfinite(values))[0], 0, 0]) == pytest.approx(
        0.8, abs=0.03
    )
    lasting = bm.survival_function(fit)[..., -1] > 0.8
    np.testing.assert_array_equal(np.isinf(found), lasting)


def test_a_customer_has_the_survival_of_the_cell(fit: bm.Fit) -> None:
    found = bm.survival_function(fit, by="customer")
    cells = fit.data.data["cell_of_customer"].values
    np.testing.assert_allclose(found, by_hand(fit)[:, :, cells], rtol=1e-10)


def test_a_new_market_is_drawn_from_the_population(fit: bm.Fit) -> None:
    frame = pd.DataFrame(
        {"stop": [5, 5], "left": [0, 1], "land": ["n", "new"], "age": [40, 40], "kind": ["x", "x"]}
    )
    other = bm.Subscriptions.from_frame(
        frame, duration="stop", event="left", market="land", features=["age", "kind"],
        unit="week", like=fit.data,
    )  # fmt: skip
    found = bm.survival_function(fit, [12], other)
    assert list(found["market"].values) == ["n", "new"]
    known = float(found.sel(market="n").std())
    assert 0.5 * known < float(found.sel(market="new").std()) < 2 * known
    difference = found.sel(market="n") - found.sel(market="new")
    assert float(abs(difference).max()) > 0.05


def test_frailty_of_a_known_cell_is_its_own() -> None:
    spec = bm.Churn(effects="normal", markets="none", frailty=True)
    fit = stand_in(spec, small())
    own = bm.survival_function(fit, [6], by="cell")
    again = bm.survival_function(fit, [6], small(), by="cell")
    np.testing.assert_allclose(own, again)
    moved = small().to_dataset()
    moved["features"] = moved["features"] + 0.5
    fresh = bm.survival_function(fit, [6], bm.Subscriptions.from_dataset(moved), by="cell")
    assert not np.allclose(own, fresh)


def test_the_share_that_never_returns_and_its_label(fit: bm.Fit) -> None:
    share = bm.never_return(fit)
    assert share.dims == ("chain", "draw", "market")
    assert bool(share["prior_driven"].all())  # these draws are the prior
    assert float(abs(share["contraction"]).max()) < 0.3
    sure = fit.posterior.copy()
    for name in ("typical_never", "never_effect", "never_market_effect"):
        sure[name] = sure[name] * 0.1
    informed = bm.Fit(
        fit.spec, fit.data, xr.DataTree.from_dict({"/posterior": sure}), fit.diagnostics
    )
    assert not bool(bm.never_return(informed)["prior_driven"].any())
    with pytest.raises(bm.SpecError, match="nobody never comes"):
        bm.never_return(stand_in(bm.Churn(effects="normal"), small()))


def test_ratios_and_differences(fit: bm.Fit) -> None:
    effect = fit.posterior["effect"]
    scale = Coding.of(fit.data).scale
    ratio = bm.hazard_ratio(fit, {"age": 10})
    np.testing.assert_allclose(ratio.sel(feature="age"), np.exp(effect[..., 0] * 10 / scale[0]))
    np.testing.assert_allclose(ratio.isel(feature=1), np.exp(effect[..., 1]))
    name = fit.data.features[1]
    found = bm.probability_difference(fit, name, 12)
    data = fit.data.to_dataset()
    sides = []
    for value in (0.0, 1.0):
        features = data["features"].copy()
        features[:, 1] = value
        other = bm.Subscriptions.from_dataset(data.assign(features=features))
        sides.append(bm.cumulative_incidence(fit, [12], other)[..., 0])
    np.testing.assert_allclose(found, sides[1] - sides[0], atol=1e-12)
    with pytest.raises(bm.SpecError, match="feature='height'"):
        bm.probability_difference(fit, "height", 12)


@pytest.mark.parametrize("distribution", ["weibull", "log_normal"])
def test_times_are_stretched(distribution: Any) -> None:
    fit = stand_in(bm.ParametricSurvival(distribution=distribution), small())
    ratio = bm.time_ratio(fit)
    np.testing.assert_allclose(ratio, np.exp(fit.posterior["effect"] * ratio["change"] /
                                             Coding.of(fit.data).scale))  # fmt: skip
    if distribution == "weibull":
        power = -fit.posterior["shape"] * np.log(ratio)
        np.testing.assert_allclose(bm.hazard_ratio(fit), np.exp(power))
    else:
        with pytest.raises(bm.SpecError, match="aren't proportional"):
            bm.hazard_ratio(fit)
    survival = bm.survival_function(fit, [0, 5, 24])
    assert float(abs(survival[..., 0] - 1).max()) < 1e-12
    assert bool((survival.diff("time") <= 0).all())


def test_a_saved_fit_answers_with_equal_numbers(fit: bm.Fit, tmp_path: Path) -> None:
    again = bm.Fit.load(fit.save(tmp_path / "fit"))
    assert again.data == fit.data
    xr.testing.assert_identical(bm.survival_function(again), bm.survival_function(fit))


@pytest.mark.parametrize("times", [[25.0], [-1.0], [5.0, 5.0], [6.0, 3.0]])
def test_times_outside_the_intervals_are_refused(fit: bm.Fit, times: list[float]) -> None:
    with pytest.raises(bm.SpecError, match="times="):
        bm.survival_function(fit, times)


def test_unconverged_draws_are_refused(fit: bm.Fit) -> None:
    few = stand_in(fit.spec, fit.data, draws=4)
    with pytest.raises(bm.SamplingError):
        bm.median_time(few)
    assert "unconverged" in bm.median_time(few, allow_unconverged=True).attrs


# Windows.


def windows(fit: bm.Fit, **more: Any) -> xr.Dataset:
    return bm.contact_windows(fit, **{"length": 2, "horizon": 8, **more})


def test_windows_are_what_survival_says(fit: bm.Fit) -> None:
    found = windows(fit, value=10.0, cost=0.5)
    times = np.arange(25.0)
    curves = bm.survival_function(fit, times, by="customer")
    who = found["customer"].values[0]
    row = int(np.flatnonzero(curves["customer"].values == who)[0])
    waited = int(fit.data.data["elapsed"].values[row])
    curve = curves.values[:, :, row]
    each = np.stack(
        [
            (curve[..., waited + a] - curve[..., waited + a + 2]) / curve[..., waited]
            for a in np.flatnonzero(waited + np.arange(7) + 2 <= 24)
        ],
        axis=-1,
    )
    inside = waited + np.arange(7) + 2 <= 24
    mean = each.mean((0, 1))
    np.testing.assert_allclose(found["probability"].values[0][inside], mean, rtol=1e-9)
    best = each.argmax(axis=-1)
    share = [np.mean(best == a) for a in range(inside.sum())]
    np.testing.assert_allclose(found["p_best"].values[0][inside], share)
    assert int(found["best_window"][0]) == int(mean.argmax())
    at_best = each[..., mean.argmax()]
    np.testing.assert_allclose(found["best_probability"][..., 0], at_best, rtol=1e-9)
    regret = each.max(axis=-1).mean() - mean.max()
    assert float(found["regret"][0]) == pytest.approx(regret)
    np.testing.assert_allclose(found["net_value"], 10 * found["best_probability"] - 0.5)
    assert "not causal" in found.attrs["claim"]


def daily(fit: bm.Fit) -> bm.Fit:
    """Return the fit as if its unit were days, which have dates."""
    data = bm.Subscriptions.from_dataset(fit.data.to_dataset().assign_attrs(unit="day"))
    return bm.Fit(fit.spec, data, fit.draws, fit.diagnostics)


def test_the_calendar_closes_days(fit: bm.Fit) -> None:
    # 2024-01-06 is a Saturday: windows begin on Sunday the 7th and the six days after it.
    found = windows(
        daily(fit), today="2024-01-06", not_on=["Sunday", "Tuesday"], blackout=["2024-01-08"]
    )
    assert found["allowed"].values.tolist() == [False, False, False, True, True, True, True]
    assert str(found["contact_date"].values[0])[:10] == "2024-01-07"
    assert int(found["best_window"].min()) >= 3
    assert float(found["p_best"].values[:, :3].sum()) == 0
    np.testing.assert_allclose(found["p_best"].sum("window"), 1.0)
    table = bm.contact_list(found)
    assert (table["contact_date"].dt.day_name() != "Sunday").all()
    assert ((table["window_end"] - table["contact_date"]).dt.days == 1).all()
    assert table["net_value"].is_monotonic_decreasing
    assert (table["low"] <= table["probability"]).all()


def test_a_list_from_draws_that_failed_says_so(fit: bm.Fit) -> None:
    failed = replace(fit.diagnostics, findings=(Finding("rhat", "x", "1.2", "Run longer."),))
    doubtful = bm.Fit(fit.spec, fit.data, fit.draws, failed)
    table = bm.contact_list(windows(doubtful, allow_unconverged=True))
    assert table["unconverged"].str.startswith("Not converged").all()
    assert "unconverged" not in bm.contact_list(windows(fit))


def test_a_contact_that_costs_more_than_it_can_earn_is_left_out(fit: bm.Fit) -> None:
    assert len(bm.contact_list(windows(fit, cost=0.0))) > 0
    assert len(bm.contact_list(windows(fit, cost=1.0))) == 0


def test_only_customers_asked_about(fit: bm.Fit) -> None:
    some = windows(fit)["customer"].values[:2]
    found = windows(fit, ids=some)
    assert list(found["customer"].values) == list(some)
    with pytest.raises(bm.DataError, match="'nobody' are not among"):
        windows(fit, ids=["nobody"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"length": 0}, "length=0 must be a whole number"),
        ({"length": 9}, "longer than horizon"),
        ({"not_on": ["Sunday"]}, "need today="),
        ({"not_on": ["Sonntag"], "today": "2024-01-06"}, "choose from Monday"),
        ({"today": "2024-01-06"}, "these are in weeks"),
    ],
)
def test_bad_windows_are_named(fit: bm.Fit, change: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        windows(fit, **change)


# Validation.


def whole(seed: int) -> bm.Subscriptions:
    """Return spells that were followed from their origin."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "stop": rng.integers(1, 24, 200),
            "left": rng.integers(0, 2, 200),
            "land": rng.choice(["n", "s"], 200),
        }
    )
    return bm.Subscriptions.from_frame(
        frame, duration="stop", event="left", market="land", unit="week", intervals=4
    )


def test_validation_compares_with_what_happened() -> None:
    fit, test = stand_in(bm.Churn(markets="level"), whole(1)), whole(2)
    found = bm.survival_calibration(fit, test, [4, 12])
    assert found["customers"].sum() == 200
    data = test.data
    own = data["market_of_cell"].values[data["cell_of_row"].values] == 0
    n = data["count"].values[own]
    early = (data["duration"].values[own] <= 4) & (data["event"].values[own] == 1)
    least = (n * early).sum() / n.sum()  # censoring can only raise it
    assert least <= float(found["observed"][0, 0]) < least + 0.1
    scores = bm.survival_scores(fit, test, [4, 8, 12])
    assert scores["brier"].dims == ("forecast", "time")
    km = scores["brier"].sel(forecast="kaplan-meier")
    assert bool((km > 0).all() & (km < 0.26).all())
    assert bool((scores["brier"].sel(forecast="model") > km).all())  # the prior knows nothing
    weights = found["customers"] / 200
    mean = (scores["brier_by_market"] * weights).sum("market")
    np.testing.assert_allclose(mean, scores["brier"])
    middle = scores["brier"].values
    trapezoid = 0.25 * middle[:, 0] + 0.5 * middle[:, 1] + 0.25 * middle[:, 2]
    np.testing.assert_allclose(scores["integrated_brier"], trapezoid)
    with pytest.raises(bm.SpecError, match="followed from their origin"):
        bm.survival_scores(stand_in(bm.Churn(), small()), small(), [3])
