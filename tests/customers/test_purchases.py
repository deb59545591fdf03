"""The likelihoods against integrals over a customer's rates, and what they don't depend on."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytensor
import pytest
from pytensor.graph.replace import clone_replace

import bayes_mkt as bm
from bayes_mkt.specs import from_table, to_table
from tests.customers.cases import (
    HYPER,
    ROLES,
    SPECS,
    brute_likelihood,
    fixed,
    history,
    toy,
)


def log_likelihood(spec: Any, data: bm.CustomerHistory, hyper: dict[str, float]) -> float:
    model = spec.build(data)
    profiles = len(np.unique(data.data["cell"]))
    given = {model[n]: pytensor.shared(np.full(profiles, v)) for n, v in hyper.items()}
    graph = clone_replace(model["purchase_log_likelihood"], replace=given)
    return float(graph.eval(mode="FAST_COMPILE"))


@pytest.mark.parametrize("name", SPECS)
def test_likelihood_is_the_integral_over_rates(name: str) -> None:
    data = history()
    expected = sum(
        weight * np.log(brute_likelihood(name, HYPER[name], int(x), t, age))
        for weight, x, t, age in zip(
            *(data.data[n].to_numpy() for n in ("weight", "frequency", "recency", "age")),
            strict=True,
        )
    )
    assert log_likelihood(SPECS[name](), data, HYPER[name]) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", SPECS)
def test_density_is_finite_far_out(name: str) -> None:
    data = history(end="2024-01-31")  # ann bought on the 31st: recency equals age
    for r, alpha in ((1e-3, 1e4), (50.0, 1e-2), (1e3, 1e3)):
        assert np.isfinite(
            log_likelihood(SPECS[name](), data, {**HYPER[name], "r": r, "alpha": alpha})
        )


@pytest.mark.parametrize("name", SPECS)
def test_unit_of_time_does_not_matter(name: str) -> None:
    """The same point of the parameters has the same density in days and in weeks."""
    spec = SPECS[name]()
    days, weeks = spec.build(history()), spec.build(history(unit="W"))
    point = days.initial_point(random_seed=1)
    rng = np.random.default_rng(1)
    point = {k: v + rng.normal(0.0, 0.3, np.shape(v)) for k, v in point.items()}
    # A density over dates changes by a constant with the unit: one factor for each purchase.
    x = history().data
    constant = float((x["frequency"] * x["weight"]).sum()) * np.log(7.0)
    compiled = [m.compile_logp(mode="FAST_COMPILE") for m in (days, weeks)]
    first, second = (float(f(point)) for f in compiled)
    assert second - first == pytest.approx(constant, rel=1e-10)
    again = {k: v + 0.1 for k, v in point.items()}
    assert float(compiled[1](again)) - second == pytest.approx(
        float(compiled[0](again)) - first, rel=1e-8
    )


@pytest.mark.parametrize("name", SPECS)
def test_p_alive_is_the_share_of_those_who_stayed(name: str) -> None:
    data = history()
    fit = fixed(SPECS[name](), data, **HYPER[name])
    found = bm.p_alive(fit, by="state").isel(chain=0, draw=0).to_numpy()
    h = HYPER[name]
    for value, x, t, age in zip(
        found,
        *(data.data[n].to_numpy() for n in ("frequency", "recency", "age")),
        strict=True,
    ):
        total = brute_likelihood(name, h, int(x), t, age)
        buys = np.exp(
            np.log(h["alpha"]) * h["r"] - (h["r"] + x) * np.log(h["alpha"] + age)
        ) * np.prod(h["r"] + np.arange(x))
        if name == "ParetoNBD":
            stays = (h["beta"] / (h["beta"] + age)) ** h["s"]
        else:
            chances = int(x) + (name == "MBGNBD")
            k = np.arange(chances)
            stays = np.prod((h["b"] + k) / (h["a"] + h["b"] + k))
        assert value == pytest.approx(buys * stays / total, rel=1e-6)


def test_covariates_move_rates_of_their_profiles() -> None:
    frame = toy().assign(channel=["web"] * 4 + ["shop"] * 6)
    data = bm.CustomerHistory.from_transactions(frame, **ROLES, covariates=["channel"])
    model = bm.BGNBD().build(data)
    assert model.coords["level"] == ("channel=web",)
    point = model.initial_point(random_seed=1)
    point["purchase_rate_effect"] = np.array([0.7])
    outputs = model.replace_rvs_by_values([model["alpha"], model["r"]])
    inputs = model.value_vars
    compiled = pytensor.function(inputs, outputs, mode="FAST_COMPILE", on_unused_input="ignore")
    alpha, r = compiled(*(point[v.name] for v in inputs))
    profiles = list(model.coords["profile"])
    ratio = (r / alpha)[profiles.index("de, web")] / (r / alpha)[profiles.index("de, shop")]
    assert ratio == pytest.approx(np.exp(0.7))


@pytest.mark.parametrize(
    ("priors", "says"),
    [
        ({"rate": bm.Prior("HalfNormal", sigma=1.0)}, "no such variable"),
        ({"purchase_rate": bm.Prior("Normal", mu=0.0, sigma=1.0)}, "reaches below 0"),
        ({"dropout": bm.Prior("HalfNormal", sigma=1.0)}, "give a Beta or a Uniform"),
    ],
)
def test_priors_that_cannot_be_are_refused(priors: Any, says: str) -> None:
    with pytest.raises(bm.SpecError, match=says):
        bm.BGNBD(priors=priors)


def test_specs_survive_copies_and_tables() -> None:
    spec = bm.Lifetime(
        bm.ParetoNBD(priors={"dropout_rate": bm.Prior("LogNormal", mu=0.0, sigma=0.5)}),
        bm.GammaGamma(),
    )
    assert copy.deepcopy(spec) == spec
    assert from_table(to_table(spec)) == spec


def test_spend_needs_amounts_and_repeat_purchases() -> None:
    with pytest.raises(bm.DataError, match="no amounts"):
        bm.Lifetime(spend=bm.GammaGamma()).build(history(amount=None))
    with pytest.raises(bm.DataError, match="Nobody bought again"):
        bm.GammaGamma().build(history(end="2024-01-05"))


EXTREMES = {
    "one customer": [("ann", "2024-01-01"), ("ann", "2024-01-09")],
    "one purchase": [("ann", "2024-01-01")],
    "nobody came back": [("ann", "2024-01-01"), ("bob", "2024-01-09"), ("cat", "2024-01-09")],
    "all on the last day": [("ann", "2024-01-31"), ("bob", "2024-01-31")],
}


@pytest.mark.parametrize("name", SPECS)
def test_small_histories_have_a_density(name: str) -> None:
    for rows in EXTREMES.values():
        assert np.isfinite(log_likelihood(SPECS[name](), small(rows), HYPER[name]))


def test_one_purchase_has_an_answer() -> None:
    fit = fixed(bm.MBGNBD(), small(EXTREMES["one purchase"]), **HYPER["MBGNBD"])
    alive = bm.p_alive(fit)
    assert ((alive > 0) & (alive < 1)).all()


@pytest.mark.parametrize("name", ["BGNBD", "ParetoNBD"])
def test_gradients_stay_finite_where_age_equals_recency(name: str) -> None:
    model = SPECS[name]().build(history(end="2024-01-31", market=None))
    gradient = model.compile_dlogp(mode="FAST_COMPILE")
    assert np.isfinite(gradient(model.initial_point(random_seed=1))).all()


def small(rows: list[tuple[str, str]]) -> bm.CustomerHistory:
    frame = pd.DataFrame(rows, columns=["who", "on"])
    return bm.CustomerHistory.from_transactions(frame, customer="who", date="on", end="2024-01-31")
