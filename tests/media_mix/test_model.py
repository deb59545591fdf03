"""The PyMC model against its equations in NumPy, and what a specification refuses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference.prepared import prepared
from tests.media_mix import by_hand
from tests.media_mix.cases import MODELS, SHORT, panel

COMMON = {"adstock_alpha", "half_saturation", "sigma", "knot_value"}
PARTIAL = COMMON | {"effect_sd", "effect_offset", "intercept_sd", "region_intercept"}
CONTROLS = {"control_effect", "control_sd", "region_control_effect"}
REPLACED = {
    "roi": bm.Prior("Gamma", alpha=[2.0, 3.0, 4.0], beta=2.0),
    "adstock_alpha": bm.Prior("Beta", alpha=2.0, beta=3.0),
    "half_saturation": bm.Prior("LogNormal", mu=0.0, sigma=[0.1, 0.2, 0.3]),
    "effect_sd": bm.Prior("Exponential", lam=2.0),
    "control_effect": bm.Prior("StudentT", nu=3.0, mu=[0.0, 0.1], sigma=0.5),
    "control_sd": bm.Prior("HalfStudentT", nu=3.0, sigma=0.5),
    "knot_value": bm.Prior("Normal", mu=1.0, sigma=0.3),
    "intercept_sd": bm.Prior("HalfCauchy", beta=0.3),
    "sigma": bm.Prior("Uniform", lower=0.0, upper=2.0),
}


def draws(model: pm.Model, count: int = 3) -> list[dict[str, np.ndarray]]:
    """Return random values of the free variables."""
    values = pm.draw(model.free_RVs, draws=count, random_seed=1, mode="FAST_COMPILE")
    names = [rv.name for rv in model.free_RVs]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def unconstrained(model: pm.Model, spec: bm.MediaMix, values: Any) -> dict[str, np.ndarray]:
    """Return the values that PyMC's log-density takes."""
    out = {}
    for name, value in values.items():
        variable = model.rvs_to_values[model[name]].name
        out[variable] = np.asarray(value)
        if variable.endswith("_log__"):
            out[variable] = np.log(value)
        elif variable.endswith("_interval__"):
            low, high = spec.prior(name).bounds
            out[variable] = np.log(value - low) - np.log(high - value)
        elif variable.endswith("_logodds__"):
            out[variable] = np.log(value / (1 - value))
        else:
            assert variable == name
    return out


def log_density(model: pm.Model) -> Callable[[dict[str, np.ndarray]], float]:
    """Return the model's log-density without Jacobians."""
    compiled = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    return lambda point: float(compiled(point))


@pytest.mark.parametrize("name", MODELS)
def test_the_log_density_is_that_of_the_equations(name: str) -> None:
    spec, kind = MODELS[name]
    data = panel(kind)
    model = spec.build(data)
    density = log_density(model)
    for values in draws(model):
        found = density(unconstrained(model, spec, values))
        assert found == pytest.approx(by_hand.log_density(spec, data, values), rel=1e-10)


def test_replaced_priors_are_used() -> None:
    spec = bm.MediaMix(adstock=SHORT, priors=REPLACED)
    data = panel("paid")
    model = spec.build(data)
    density = log_density(model)
    for values in draws(model):
        found = density(unconstrained(model, spec, values))
        assert found == pytest.approx(by_hand.log_density(spec, data, values), rel=1e-10)
    assert spec.prior("roi") == REPLACED["roi"]
    assert spec.prior("effect_sd") != bm.MediaMix().prior("effect_sd")


@pytest.mark.parametrize("name", MODELS)
def test_the_named_quantities_are_those_of_the_equations(name: str) -> None:
    spec, kind = MODELS[name]
    data = panel(kind)
    model = spec.build(data)
    names = ["effect", "media_contribution", "expected_sales"]
    function = model.compile_fn(
        model.replace_rvs_by_values([model[n] for n in names]),
        inputs=model.value_vars,
        mode="FAST_COMPILE",
        on_unused_input="ignore",
    )
    for values in draws(model, 2):
        effect, media, expected = function(unconstrained(model, spec, values))
        np.testing.assert_allclose(effect, by_hand.effect(spec, data, values), rtol=1e-10)
        by_cell = by_hand.contribution(spec, data, values)
        np.testing.assert_allclose(media, by_cell, rtol=1e-10, atol=1e-12 * by_cell.max())
        np.testing.assert_allclose(expected, by_hand.expected_sales(spec, data, values), rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "free"),
    {
        "meridian": COMMON
        | CONTROLS
        | {"roi", "effect_sd", "effect_offset", "intercept_difference"},
        "baseline": PARTIAL | CONTROLS | {"roi", "season_effect"},
        "full pooling": COMMON | CONTROLS | {"roi", "intercept_sd", "region_intercept"},
        "no pooling": COMMON
        | CONTROLS
        | {"roi", "coefficient", "intercept_sd", "region_intercept"},
        "coefficients": PARTIAL | CONTROLS | {"coefficient"},
        "saturation first": COMMON
        | CONTROLS
        | {"roi", "coefficient", "slope", "effect_sd", "effect_offset", "intercept_difference"},
        "masked": PARTIAL | CONTROLS | {"roi"},
        "dates": PARTIAL | CONTROLS | {"roi", "date_effect", "date_sd"},
        "national": COMMON | {"roi", "control_effect"},
        "meridian, all roles": COMMON
        | {"roi", "unpaid_share", "effect_sd", "effect_offset", "intercept_difference"}
        | {"treatment_share", "treatment_sd", "treatment_deviation"}
        | {"control_effect", "control_sd", "region_other_control_effect"},
        "national, treated": COMMON | {"roi", "control_effect", "treatment_share"},
        "many, treated": PARTIAL
        | {"roi", "treatment_share", "treatment_sd", "treatment_offset"}
        | {"control_effect", "control_sd", "region_other_control_effect"},
        "straight": {"roi", "effect_sd", "effect_offset", "intercept_difference"}
        | {"knot_value", "sigma"},
    }.items(),
)
def test_variables_have_the_names_of_the_field(name: str, free: set[str]) -> None:
    spec, kind = MODELS[name]
    model = spec.build(panel(kind))
    assert {rv.name for rv in model.free_RVs} == free
    assert spec.on_demand | {"effect"} <= {v.name for v in model.deterministics}
    assert [rv.name for rv in model.observed_RVs] == ["sales"]


def test_variables_have_the_dimensions_of_the_field() -> None:
    model = bm.MediaMix(adstock=SHORT, seasonality=bm.Fourier(1)).build(panel("mixed"))
    assert model.named_vars_to_dims["roi"] == ("paid_channel",)
    assert model.named_vars_to_dims["coefficient"] == ("unpaid_channel",)
    assert model.named_vars_to_dims["effect"] == ("region", "channel")
    assert model.named_vars_to_dims["media_contribution"] == ("region", "date", "channel")
    assert model.coords["paid_channel"] == ("tv", "social")
    assert model.coords["unpaid_channel"] == ("search",)
    assert model.coords["season_term"] == ("sin1", "cos1")
    by_region = bm.MediaMix(adstock=SHORT, pooling="none").build(panel("mixed"))
    assert by_region.named_vars_to_dims["roi"] == ("region", "paid_channel")
    assert bm.MediaMix().build(panel("paid")).named_vars_to_dims["roi"] == ("channel",)


def test_meridian_has_the_priors_of_meridian() -> None:
    spec = bm.MediaMix.meridian(knots=4)
    assert spec.adstock == bm.GeometricAdstock(max_lag=8)
    assert spec.saturation == bm.HillSaturation(slope=1.0)
    assert (spec.pooling, spec.media_prior, spec.intercept) == ("partial", "roi", "reference")
    assert (spec.knots, spec.seasonality, spec.order) == (4, None, "adstock_first")
    expected = {
        "roi": bm.Prior("LogNormal", mu=0.2, sigma=0.9),
        "adstock_alpha": bm.Prior("Uniform", lower=0, upper=1),
        "half_saturation": bm.Prior("TruncatedNormal", mu=0.8, sigma=0.8, lower=0.1, upper=10),
        "effect_sd": bm.Prior("HalfNormal", sigma=1),
        "control_effect": bm.Prior("Normal", mu=0, sigma=5),
        "control_sd": bm.Prior("HalfNormal", sigma=5),
        "knot_value": bm.Prior("Normal", mu=0, sigma=5),
        "region_intercept": bm.Prior("Normal", mu=0, sigma=5),
        "sigma": bm.Prior("HalfNormal", sigma=5),
        "unpaid_share": bm.Prior("Beta", alpha=1, beta=99),
        "treatment_share": bm.Prior("Normal", mu=0, sigma=0.1),
        "treatment_sd": bm.Prior("HalfNormal", sigma=5),
    }
    assert {name: spec.prior(name) for name in expected} == expected
    assert spec.unpaid_prior == "unpaid_share"
    changed = bm.MediaMix.meridian(
        priors={"sigma": bm.Prior("HalfNormal", sigma=2)}, order="saturation_first"
    )
    assert changed.prior("sigma") == bm.Prior("HalfNormal", sigma=2)
    assert changed.prior("effect_sd") == expected["effect_sd"]
    assert changed.order == "saturation_first"


def test_the_most_populous_region_is_the_reference() -> None:
    data = panel("paid")
    model = bm.MediaMix.meridian().build(data)
    largest = data.regions[int(np.argmax(data.data["population"].to_numpy()))]
    assert set(model.coords["other_region"]) == set(data.regions) - {largest}


def test_rows_without_sales_say_nothing_about_their_own_weeks() -> None:
    """What stands in a masked cell reaches the density only through media carried out of it."""
    data = panel("masked")
    hidden = ~data.observed
    controls = data.data["controls"].where(~hidden, 99.0)
    price = data.data["revenue_per_sale"].where(~hidden, 99.0)
    spend = data.data["spend"].where(~hidden, 7.0)
    changed = bm.MediaPanel(
        data.data.assign(controls=controls, revenue_per_sale=price, spend=spend), "EUR"
    )
    spec = MODELS["masked"][0]
    models = [spec.build(p) for p in (data, changed)]
    for values in draws(models[0], 2):
        point = unconstrained(models[0], spec, values)
        assert log_density(models[0])(point) == pytest.approx(log_density(models[1])(point))


@pytest.mark.parametrize("adstock", [SHORT, bm.NoAdstock()])
def test_media_of_a_masked_week_carry_into_the_weeks_after_it(adstock: Any) -> None:
    data = panel("paid").data
    a_head = (data["exposure"] / data["population"]).sel(channel="tv")
    region, date = np.unravel_index(int(a_head.to_numpy()[:, :-4].argmax()), (3, 16))
    sales, exposure = data["sales"].copy(), data["exposure"].copy()
    sales[region, date] = np.nan
    exposure.loc[{"channel": "tv"}][region, date] *= 2  # the largest: no median moves
    masked = data.assign(sales=sales)
    spec = bm.MediaMix(adstock=adstock, media_prior="coefficient")
    models = [
        spec.build(bm.MediaPanel(d, "EUR")) for d in (masked, masked.assign(exposure=exposure))
    ]
    point = unconstrained(models[0], spec, draws(models[0], 2)[0])
    same = log_density(models[0])(point) == pytest.approx(log_density(models[1])(point))
    assert same is (adstock == bm.NoAdstock())


def test_a_specification_is_a_value() -> None:
    spec = bm.MediaMix.meridian(knots=2)
    assert spec == bm.MediaMix.meridian(knots=2)
    assert hash(spec) == hash(bm.MediaMix.meridian(knots=2))
    assert spec != bm.MediaMix(knots=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.knots = 3
    with pytest.raises(TypeError):
        spec.priors["sigma"] = bm.Prior("HalfNormal", sigma=1)
    given = {"sigma": bm.Prior("HalfNormal", sigma=1)}
    kept = bm.MediaMix(priors=given)
    given.clear()
    assert list(kept.priors) == ["sigma"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": "both"}, r"order='both': choose from 'adstock_first', 'saturation_first'\."),
        ({"pooling": "some"}, r"pooling='some': choose from 'partial', 'full', 'none'\."),
        (
            {"media_prior": "beta"},
            r"media_prior='beta': choose from 'roi', 'mroi', 'contribution_share', 'coefficient'\.",
        ),
        ({"date_effects": 1}, "date_effects=1 must be True or False"),
        ({"intercept": "no"}, r"intercept='no': choose from 'partial', 'reference'\."),
        (
            {"priors": {"rho": bm.Prior("HalfNormal", sigma=1)}},
            r"priors\['rho'\]: no such variable; choose from \['adstock_alpha', ",
        ),
        (
            {"priors": {"slope": bm.Prior("LogNormal", mu=0, sigma=1)}},
            r"priors\['slope'\]: no such variable",
        ),
        (
            {"priors": {"roi": bm.Prior("Normal", mu=1, sigma=1)}},
            r"priors\['roi'\]: Prior\('Normal', mu=1.0, sigma=1.0\) reaches below 0, roi can't\.",
        ),
        (
            {"priors": {"sigma": bm.Prior("Uniform", lower=-1, upper=1)}},
            r"reaches below 0, sigma can't\.",
        ),
    ],
)
def test_specifications_that_make_no_sense(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        bm.MediaMix(**arguments)


def _prior(name: str, prior: bm.Prior) -> bm.MediaMix:
    return bm.MediaMix(adstock=SHORT, priors={name: prior})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (bm.MediaMix(knots=21), r"knots=21 must be an integer from 1 to the 20 dates\."),
        (bm.MediaMix(knots=0), r"knots=0 must be an integer from 1"),
        (
            bm.MediaMix(adstock=bm.GeometricAdstock(max_lag=20)),
            r"max_lag=20 reaches beyond the 20 dates of the panel\. Use a shorter max_lag\.",
        ),
        (
            _prior("roi", bm.Prior("LogNormal", mu=[0.1, 0.2], sigma=0.9)),
            r"Prior of 'roi': mu has 2 numbers, but roi has 3 \(channel\)\. Give one number for",
        ),
        (
            _prior("control_effect", bm.Prior("Normal", mu=0, sigma=[1, 1, 1])),
            r"Prior of 'control_effect': sigma has 3 numbers, but control_effect has 2 \(control",
        ),
        (
            _prior("sigma", bm.Prior("HalfNormal", sigma=[1, 2])),
            r"Prior of 'sigma': sigma has 2 numbers, but sigma has one\.",
        ),
    ],
)
def test_specifications_that_do_not_fit_the_panel(spec: bm.MediaMix, message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        spec.build(panel("paid"))


def test_effects_of_dates_need_several_regions() -> None:
    with pytest.raises(bm.SpecError, match="date_effects=True needs several regions"):
        bm.MediaMix(adstock=SHORT, date_effects=True).build(panel("national"))


def test_without_pooling_every_region_needs_spend_for_a_prior_on_its_roi() -> None:
    data = panel("paid")
    idle = (data.data["region"] == data.regions[1]) & (data.data["channel"] == "tv")
    spend = data.data["spend"].where(~idle, 0.0)
    partly = bm.MediaPanel(data.data.assign(spend=spend), "EUR")
    spec = bm.MediaMix(adstock=SHORT, pooling="none")
    with pytest.raises(
        bm.SpecError,
        match=rf"region '{data.regions[1]}' spent nothing on 'tv' where sales are known\. "
        r"Use pooling='partial', or media_prior='coefficient'\.",
    ):
        spec.build(partly)
    dataclasses.replace(spec, media_prior="coefficient").build(partly)
    dataclasses.replace(spec, pooling="partial").build(partly)


@pytest.mark.parametrize("name", ["national", "varying"])
def test_a_sampler_gets_a_density_with_its_linear_part_taken_out(name: str) -> None:
    spec, kind = MODELS[name]
    made = prepared(spec.build(panel(kind)))
    posterior, density = made.target, made.density
    assert density.layout.size < posterior.layout.size
    assert np.isfinite(density.log_density(density.start, density.arguments))
