"""Curves, areas and policy values against brute force, and what they refuse."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.targeting.heldout import bootstrap_weights, ranked, robust_scores
from bayes_mkt.targeting.policy import Question
from bayes_mkt.targeting.qini import curve_of


def tiny(n: int = 12, seed: int = 1) -> bm.Campaign:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"arm": np.resize([0, 1], n), "y": rng.integers(0, 2, n), "g": np.resize(list("abc"), n)}
    )
    return bm.Campaign.from_frame(frame, treated="arm", outcome="y", segment="g")


def scores(camp: bm.Campaign, values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(
        values[None],
        dims=("arm", "customer"),
        coords={"arm": ["1"], "customer": camp.data["customer"].to_numpy()},
        attrs={"seed": 1, "outcome": "y"},
    )


def test_qini_by_brute_force() -> None:
    camp = tiny()
    score = np.random.default_rng(2).permutation(12).astype(float)
    y, treated = camp.values("y"), camp.data["assignment"].to_numpy() == 1
    order = ranked(score, 1)
    assert (np.diff(score[order]) < 0).all()
    found = curve_of(np.ones((1, 12)), y, treated, ~treated, order, 3)[0]
    expected = [0.0]
    for count in (4, 8, 12):
        first = order[:count]
        t, c = [i for i in first if treated[i]], [i for i in first if not treated[i]]
        expected.append(count / 12 * (sum(y[t]) / len(t) - sum(y[c]) / len(c)))
    assert np.allclose(found, expected)
    curve = xr.DataArray(found[None, None], dims=("chain", "draw", "depth"),
                         coords={"depth": [0, 1 / 3, 2 / 3, 1]})  # fmt: skip
    area = sum((a + b) / 2 / 3 for a, b in pairwise(expected))
    assert np.isclose(bm.auuc(curve).item(), area)
    assert np.isclose(bm.qini_coefficient(curve).item(), area - expected[-1] / 2)


def test_end_of_the_curve_is_the_effect_whatever_the_order() -> None:
    camp = tiny(400)
    curve = bm.qini_curve(scores(camp, np.arange(400.0)), camp, points=10)
    other = bm.qini_curve(scores(camp, -np.arange(400.0)), camp, points=10)
    y, treated = camp.values("y"), camp.data["assignment"].to_numpy() == 1
    assert curve.dims == ("chain", "draw", "arm", "depth")
    assert np.allclose(curve.isel(depth=-1), other.isel(depth=-1))
    welch = np.sqrt(y[treated].var() / treated.sum() + y[~treated].var() / (~treated).sum())
    last = curve.isel(depth=-1)
    assert abs(float(last.mean()) - (y[treated].mean() - y[~treated].mean())) < 0.15 * welch
    assert 0.9 < float(last.std()) / welch < 1.1


def test_bootstrap_weights_are_of_mean_one() -> None:
    (_, first), *_ = bootstrap_weights(50, 8, 1, "x")
    assert first.shape == (8, 50)
    assert np.allclose(first.mean(axis=1), 1)


def test_robust_scores_are_unbiased_whatever_the_means() -> None:
    """Averaged over every assignment of four customers to arms, they give the true outcomes."""
    potential = np.array([[0, 1], [1, 1], [0, 0], [1, 0]], dtype=float)
    guess = np.random.default_rng(1).random((4, 2))
    found = []
    for code in range(16):
        assignment = np.array([code >> i & 1 for i in range(4)])
        seen = potential[np.arange(4), assignment]
        if len(set(assignment)) < 2:  # a campaign needs both arms: built by hand
            given = assignment[:, None] == np.arange(2)
            found.append(guess + given * (seen[:, None] - guess) / 0.5)
            continue
        frame = pd.DataFrame({"arm": assignment, "y": seen})
        camp = bm.Campaign.from_frame(
            frame, treated="arm", outcome="y", shares={"0": 0.5, "1": 0.5}
        )
        found.append(robust_scores(camp, "y", guess))
    assert np.allclose(np.mean(found, axis=0), potential)


def test_budget_is_kept_and_spent_from_the_top() -> None:
    camp = tiny()
    gain = np.zeros((12, 2))
    gain[:, 1] = np.arange(12) - 3.0
    asked = Question(1.0, 2.0, 9.0, None, 10)
    arm = asked.best(gain, camp, seed=1)
    assert np.flatnonzero(arm).tolist() == [8, 9, 10, 11]
    assert asked.about(arm, camp)["spent"] == 8.0
    unbounded = Question(1.0, 2.0, None, None, 10).best(gain, camp, seed=1)
    assert np.flatnonzero(unbounded).tolist() == list(range(4, 12))


def test_policy_of_names_is_worth_the_difference_in_means() -> None:
    camp = tiny(400)
    everyone = xr.DataArray(
        np.full(400, "1", dtype=object),
        dims="customer",
        coords={"customer": camp.data["customer"].to_numpy()},
        attrs={"seed": 1},
    )
    worth = bm.policy_value(everyone, camp, outcome="y", value=3.0, cost=0.25)
    y, treated = camp.values("y"), camp.data["assignment"].to_numpy() == 1
    point = 400 * (3.0 * (y[treated].mean() - y[~treated].mean()) - 0.25)
    assert abs(float(worth.mean()) - point) < 0.15 * float(worth.std())
    assert worth.attrs["contacted"] == 400
    with pytest.raises(bm.SpecError, match="names none"):
        bm.policy_value(everyone.drop_attrs(), camp, outcome="y")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 0.0}, "share"),
        ({"budget": 5.0}, "needs a cost"),
        ({"cost": -1.0}, "must be >= 0"),
        ({"outcome": "z"}, "the campaign has"),
    ],
)
def test_impossible_questions_are_refused(options: dict[str, Any], message: str) -> None:
    camp = tiny()
    asked: dict[str, Any] = {"outcome": "y"} | options
    with pytest.raises(bm.SpecError, match=message):
        bm.policy_value(scores(camp, np.arange(12.0)), camp, **asked)


def test_scores_of_others_are_refused() -> None:
    camp, other = tiny(), tiny(24)
    with pytest.raises(bm.SpecError, match="other customers"):
        bm.qini_curve(scores(other, np.arange(24.0)), camp)
