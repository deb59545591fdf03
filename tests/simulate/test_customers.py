from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm


def test_equal_seeds_give_equal_customers() -> None:
    first, second, third = (bm.simulate.customers((40, 20), seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(first.frame, second.frame)
    assert first.truth.identical(second.truth)
    assert not first.frame.equals(third.frame)


@pytest.mark.parametrize("model", ["bgnbd", "mbgnbd"])
def test_log_is_what_the_truth_says(model: str) -> None:
    made = bm.simulate.customers((3000,), seed=4, model=model, after=0)  # type: ignore[arg-type]
    frame, truth = made.frame, made.truth
    assert set(frame["customer"]) == set(truth["customer"].to_numpy())
    counts = frame.groupby("customer").size()
    # Who left after the first purchase never came back; under BG/NBD nobody did.
    first = float(((counts == 1).to_numpy() & ~truth["alive"].to_numpy()).mean())
    chance = float((truth["a"] / (truth["a"] + truth["b"])).item())
    if model == "bgnbd":
        assert first == 0.0
    else:
        assert first == pytest.approx(chance, abs=0.03)
    paid = frame.groupby("customer")["amount"].mean()
    many = (counts >= 8).to_numpy()
    ratio = paid.to_numpy()[many] / truth["mean_spend"].to_numpy()[many]
    assert ratio.mean() == pytest.approx(1.0, abs=0.03)


def test_rates_are_those_of_active_customers() -> None:
    made = bm.simulate.customers((4000,), seed=5, joining=1, days=200, after=0)
    stayed = made.truth["alive"].to_numpy()
    counts = made.frame.groupby("customer").size().to_numpy() - 1
    never_leaves = stayed & (made.truth["dropout"].to_numpy() < 0.01)
    expected = made.truth["rate"].to_numpy()[never_leaves] * 200
    error = 4 * np.sqrt(expected.sum())
    assert counts[never_leaves].sum() == pytest.approx(expected.sum(), abs=error)


def test_a_low_rate_over_many_days_leaves_few_purchases_of_one_day() -> None:
    """Of what a customer with rate l buys, l / 2 falls on a day with a purchase already."""
    lost = []
    for days, rate in ((200, 1 / 50), (2000, 1 / 500)):
        made = bm.simulate.customers(
            (4000,),
            seed=6,
            joining=1,
            days=days,
            after=0,
            rate=rate,
            spread=0.0,
            start="2015-01-01",
        )
        assert float((made.truth["r"] / made.truth["alpha"])[0]) == pytest.approx(rate, rel=1e-12)
        seen = len(made.frame[["customer", "date"]].drop_duplicates())
        lost.append(1 - seen / len(made.frame))
    # Weighted by purchases the mean rate is (r + 1) / r times the plain one, less who left early.
    assert 0.01 < lost[0] < 0.5 * 1.6 / 0.6 / 50
    assert lost[1] == pytest.approx(lost[0] / 10, rel=0.3)


@pytest.mark.parametrize(
    "options", [{"sizes": ()}, {"joining": 0}, {"model": "nbd"}, {"rate": 0.0}]
)
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(bm.SpecError):
        bm.simulate.customers(**{"sizes": (5,), "seed": 1, **options})  # type: ignore[arg-type]
