"""Expectations computed at few ages against those computed for every state."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import bayes_mkt as bm
from bayes_mkt.customers.ages import shared_ages
from bayes_mkt.customers.futures import discounted
from bayes_mkt.customers.states import purchase_rows
from tests.customers.cases import HYPER, SPECS


@pytest.fixture(scope="module")
def many() -> bm.CustomerHistory:
    made = bm.simulate.customers((2500, 1500), seed=4, days=700, joining=690)
    return bm.CustomerHistory.from_transactions(made.frame, **made.columns)


@pytest.mark.parametrize("name", SPECS)
def test_states_share_ages_without_loss(name: str, many: bm.CustomerHistory) -> None:
    rows = purchase_rows(many)
    hyper = {n: np.array([[v, 1.3 * v], [1.2 * v, v]]) for n, v in HYPER[name].items()}
    shared = shared_ages(rows, hyper["alpha"].min(axis=0))
    assert shared.key is not None
    model = SPECS[name]()

    def ask(profile, x, age, question):  # type: ignore[no-untyped-def]
        return question(model.future({n: v[:, profile] for n, v in hyper.items()}, x, age))

    every = (rows.profile, rows.columns["frequency"], rows.columns["age"])
    for question in (
        lambda f: f.expected(90.0),
        lambda f: f.silent(90.0),
        lambda f: f.chances(90.0, 4),
        partial(discounted, horizon=400.0, rate=3e-4),
    ):
        exact = ask(*every, question)[:, rows.index]
        np.testing.assert_allclose(
            shared.spread(ask(*shared.points, question)), exact, rtol=1e-6, atol=1e-6
        )


def test_few_states_are_computed_one_by_one(many: bm.CustomerHistory) -> None:
    rows = purchase_rows(many)
    shared = shared_ages(rows, np.array([20.0, 20.0]), nodes=10_000)
    assert shared.key is None
    values = shared.points[2][None, :]
    np.testing.assert_array_equal(
        shared.spread(values)[0], many.per_unit(many.data["age"].to_numpy())
    )
