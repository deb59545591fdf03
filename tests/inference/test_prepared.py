"""A model's density is made once, and again when anything of the model has changed."""

from __future__ import annotations

import numpy as np
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


def began() -> int:
    return programs._submitted.cache_info().misses


@pytest.mark.parametrize(
    ("collapsing", "size", "looks", "sampled"),
    [
        ("auto", 5, 1, ["s_log__"]),
        (["mu"], 6, 1, ["s_log__"]),
        (None, 7, 0, ["mu", "s_log__"]),
    ],
)
def test_what_the_model_is_looked_at_by_is_begun_before_it_is_looked_at(
    collapsing: str | list[str] | None, size: int, looks: int, sampled: list[str]
) -> None:
    # Each of a shape of its own, so that no program is known already.
    with pm.Model() as model:
        seen = np.linspace(1.0, 2.0, size)
        pm.Normal("y", pm.Normal("mu", 0.0, 10.0), pm.HalfNormal("s"), observed=seen)
    before = began()
    made = prepared(model, collapsing)
    assert began() == before
    made.begin()
    assert began() == before + looks
    assert list(made.marginal.layout.names) == sampled
    assert made.marginal is made.marginal
    assert began() == before + looks


def test_a_list_of_variables_may_change_afterwards() -> None:
    with pm.Model() as model:
        sums = pm.Normal("a") + pm.Normal("b")
        pm.Normal("y", sums, pm.HalfNormal("s"), observed=[1.0, 2.0, 4.0])
    names = ["a", "b"]
    made = prepared(model, names)
    names.remove("a")
    assert made.marginal.layout.names == ("s_log__",)
