"""A model's density is made once, and again when anything of the model has changed."""

from __future__ import annotations

import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference import programs
from bayes_mkt.inference.prepared import KEPT, prepared


@pytest.fixture
def model() -> pm.Model:
    with pm.Model() as model:
        seen = pm.Data("seen", [1.0, 2.0, 4.0])
        pm.Normal("y", pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("s"), observed=seen)
    return model


def test_the_same_model_is_prepared_once(model: pm.Model) -> None:
    assert prepared(model) is prepared(model)
    assert prepared(model, None) is not prepared(model)


def test_new_data_give_new_draws(model: pm.Model) -> None:
    first = bm.sample(model, seed=1, progress=False)["posterior"]["mu"].mean()
    with model:
        pm.set_data({"seen": [101.0, 102.0, 104.0]})
    second = bm.sample(model, seed=1, progress=False)["posterior"]["mu"].mean()
    assert float(second) > float(first) + 50


def test_a_model_that_has_grown_is_prepared_anew(model: pm.Model) -> None:
    before = prepared(model)
    with model:
        pm.Deterministic("double", 2.0 * model["mu"])
    assert prepared(model) is not before
    assert "double" in bm.sample(model, seed=1, progress=False)["posterior"]


def test_only_the_latest_models_are_held(model: pm.Model) -> None:
    before = prepared(model)
    for size in range(KEPT):
        with pm.Model() as other:
            pm.Normal("x", shape=size + 1)
        prepared(other)
    assert prepared(model) is not before


def test_what_the_model_is_looked_at_by_is_begun_before_it_is_looked_at(
    model: pm.Model,
) -> None:
    made = prepared(model)
    made.begin()
    begun = programs._submitted.cache_info().misses
    density = made.marginal
    assert density is made.marginal
    assert density.layout.names == ("s_log__",)
    assert programs._submitted.cache_info().misses == begun


@pytest.mark.parametrize("collapsing", [None, ["mu"]])
def test_a_choice_of_what_is_integrated_out_is_begun_as_well(
    model: pm.Model, collapsing: list[str] | None
) -> None:
    made = prepared(model, collapsing)
    made.begin()
    begun = programs._submitted.cache_info().misses
    names = ("mu", "s_log__") if collapsing is None else ("s_log__",)
    assert made.marginal.layout.names == names
    assert programs._submitted.cache_info().misses == begun
