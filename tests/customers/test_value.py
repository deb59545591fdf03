"""Answers on customers from given hyperparameters, by hand; and what is refused."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import bayes_mkt as bm
from tests.customers.cases import HYPER, SPECS, fixed, history

SPEND = {"p": 6.0, "q": 4.0, "v": 15.0}


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    spec = bm.Lifetime(bm.MBGNBD(), bm.GammaGamma())
    return fixed(spec, history(currency="EUR"), draws=300, **HYPER["MBGNBD"], **SPEND)


def one(array: Any) -> np.ndarray:
    return array.isel(chain=0, draw=0).to_numpy()


@pytest.mark.parametrize("by", ["state", "market", "total"])
def test_groups_are_sums_over_customers(fit: bm.Fit, by: Any) -> None:
    each = one(bm.expected_purchases(fit, 60.0))
    weight = fit.data.data["weight"].to_numpy()
    found = one(bm.expected_purchases(fit, 60.0, by=by))
    total = (found * weight).sum() if by == "state" else found.sum()
    assert total == pytest.approx(each.sum())
    share = one(bm.p_alive(fit, by="total"))
    assert share == pytest.approx(one(bm.p_alive(fit)).mean())


def test_segments_are_those_given(fit: bm.Fit) -> None:
    each = one(bm.clv(fit, 90.0))
    names = fit.data.data["customer"].to_numpy()
    assert names.tolist() == ["ann", "bob", "cat", "dan"]
    found = bm.clv(fit, 90.0, by="segment", segments=["new", "new", "old", "new"])
    assert found["segment"].to_numpy().tolist() == ["new", "old"]
    assert one(found) == pytest.approx([each[[0, 1, 3]].sum(), each[2]])


def test_segment_value_is_the_sum_of_its_customers(fit: bm.Fit) -> None:
    each = one(bm.clv(fit, 90.0))
    labels = {"ann": "new", "bob": "new", "cat": "old", "dan": "new"}
    total = bm.segment_value(fit, labels, 90.0)
    assert one(total) == pytest.approx([each[[0, 1, 3]].sum(), each[2]])
    assert total["customers"].to_numpy().tolist() == [3, 1]
    mean = bm.segment_value(fit, list(labels.values()), 90.0, per="customer")
    assert one(mean) == pytest.approx([each[[0, 1, 3]].mean(), each[2]])
    assert mean.attrs["units"] == "EUR a customer"
    with pytest.raises(bm.SpecError, match=r"names 2 of 4 customers; .*'cat'"):
        bm.segment_value(fit, {"ann": 1, "bob": 1})
    with pytest.raises(bm.SpecError, match="per='head': choose from"):
        bm.segment_value(fit, labels, per="head")


@pytest.mark.parametrize("name", SPECS)
def test_counts_have_a_distribution(name: str) -> None:
    given = fixed(SPECS[name](), history(), draws=4, **HYPER[name])
    chances = bm.purchase_distribution(given, 45.0, most=60)
    assert chances["purchases"].to_numpy()[[0, -1]].tolist() == ["0", "60+"]
    np.testing.assert_allclose(chances.sum("purchases"), 1.0)
    mean = one(chances) @ np.arange(61)
    np.testing.assert_allclose(mean, one(bm.expected_purchases(given, 45.0)), rtol=1e-5)
    active = bm.customer_states(given, 45.0).sel(status="active")
    np.testing.assert_allclose(1 - one(chances.sel(purchases="0")), one(active), atol=1e-6)
    shares = one(bm.purchase_distribution(given, 45.0, by="market", most=2))
    assert shares[1] == pytest.approx(one(bm.purchase_distribution(given, 45.0, most=2))[2])
    with pytest.raises(bm.SpecError, match="most=0 must be an integer"):
        bm.purchase_distribution(given, 45.0, most=0)


def test_baskets_are_posterior_means(fit: bm.Fit) -> None:
    p, q, v = SPEND.values()
    found = one(bm.next_basket(fit))  # ann spent 18 in 2 repeat purchases, cat 9 in 1
    prior = p * v / (q - 1)
    expected = [p * (18 + v) / (2 * p + q - 1), prior, p * (9 + v) / (p + q - 1), prior]
    assert found == pytest.approx(expected)
    assert bm.next_basket(fit).attrs["units"] == "EUR"


def test_value_is_purchases_times_basket(fit: bm.Fit) -> None:
    plain = one(bm.clv(fit, 90.0, annual_discount=0.0, margin=0.3))
    product = one(bm.expected_purchases(fit, 90.0)) * one(bm.next_basket(fit))
    assert plain == pytest.approx(0.3 * product)
    ever = one(bm.clv(fit))
    assert (ever > one(bm.clv(fit, 365.0))).all()
    assert (one(bm.clv(fit, 365.0)) < one(bm.clv(fit, 365.0, annual_discount=0.0))).all()


@pytest.mark.parametrize("name", SPECS)
def test_states_are_probabilities_that_agree_with_drawn_futures(name: str) -> None:
    given = fixed(SPECS[name](), history(), draws=2000, **HYPER[name])
    shares = bm.customer_states(given, 45.0)
    assert shares["status"].to_numpy().tolist() == ["active", "cold", "lost"]
    np.testing.assert_allclose(shares.sum("status"), 1.0)
    np.testing.assert_allclose(one(shares.sel(status="lost")), 1 - one(bm.p_alive(given)))
    drawn = bm.future_purchases(
        given, [("2024-03-01", "2024-04-14")], "customer", seed=1, draws=4000
    )
    active = (drawn > 0).mean(("chain", "draw", "period"))
    np.testing.assert_allclose(active, one(shares.sel(status="active")), atol=0.04)
    bought = drawn.mean(("chain", "draw", "period"))
    np.testing.assert_allclose(bought, one(bm.expected_purchases(given, 45.0)), atol=0.08)


def test_revenue_is_drawn_around_its_expectation(fit: bm.Fit) -> None:
    periods = [("2024-03-01", "2024-03-31"), "2024-04"]
    drawn = bm.revenue(fit, periods, by="customer", seed=1, draws=600)
    assert drawn["period"].to_numpy().tolist() == ["2024-03-01 to 2024-03-31", "2024-04"]
    expected = one(bm.clv(fit, 61.0, annual_discount=0.0))
    total = drawn.sum("period")
    error = 4 * total.std(("chain", "draw")) / 600**0.5
    assert (abs(total.mean(("chain", "draw")) - expected) < error).all()
    again = bm.revenue(fit, periods, by="customer", seed=1, draws=600)
    assert again.equals(drawn)
    markets = bm.revenue(fit, periods, seed=1, draws=600)
    assert markets.dims == ("chain", "draw", "market", "period")


def test_periods_of_any_order_share_one_future(fit: bm.Fit) -> None:
    quarter, march = ("2024-03-01", "2024-05-31"), "2024-03"
    drawn = bm.future_purchases(fit, [quarter, march], seed=2)
    assert (drawn.isel(period=0) >= drawn.isel(period=1)).all()


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda f: bm.expected_purchases(f, -1.0), "horizon=-1.0 must be > 0"),
        (lambda f: bm.customer_states(f, True), "horizon=True is not a number"),
        (lambda f: bm.clv(f, annual_discount=0.0), "horizon=None needs annual_discount > 0"),
        (lambda f: bm.clv(f, 9.0, annual_discount=-0.1), "must be a number >= 0"),
        (lambda f: bm.p_alive(f, by="country"), "choose from customer, state, market"),
        (lambda f: bm.p_alive(f, by="segment"), "go together"),
        (lambda f: bm.p_alive(f, by="segment", segments=["a"]), "segments has 1 labels for 4"),
        (lambda f: bm.revenue(f, "2024Q2", seed=1), "must be a list"),
        (lambda f: bm.revenue(f, ["soon"], seed=1), "period 'soon' is none"),
        (lambda f: bm.revenue(f, ["2024-02"], seed=1), "must start after the history's end"),
        (lambda f: bm.revenue(f, ["2024Q2"], by="region", seed=1), "choose from market, segment"),
        (lambda f: bm.revenue(f, ["2024Q2"], seed=1, draws=0), "draws=0 must be an integer"),
    ],
)
def test_bad_questions_are_refused(fit: bm.Fit, ask: Any, says: str) -> None:
    with pytest.raises(bm.SpecError, match=re.escape(says)):
        ask(fit)


def test_what_was_not_modelled_is_refused() -> None:
    alone = fixed(bm.BGNBD(), history(), **HYPER["BGNBD"])
    for ask in (bm.next_basket, bm.clv):
        with pytest.raises(bm.SpecError, match=r"fit Lifetime\(.*spend=GammaGamma"):
            ask(alone)
    with pytest.raises(bm.SpecError, match="revenue needs a model of spend"):
        bm.revenue(alone, ["2024Q2"], seed=1)
    spend = fixed(bm.GammaGamma(), history(), **SPEND)
    with pytest.raises(bm.SpecError, match="GammaGamma models no purchases"):
        bm.p_alive(spend)


def test_customers_left_on_their_engine_are_asked_for_by_state() -> None:
    alone = fixed(bm.BGNBD(), history(keep_customers=False), **HYPER["BGNBD"])
    assert bm.p_alive(alone, by="state").sizes["state"] == 3
    with pytest.raises(bm.SpecError, match="keep_customers=True"):
        bm.p_alive(alone)
