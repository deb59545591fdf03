"""Competing events: the incidence of each against the integral and against a simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from bayes_mkt.specs import from_table, to_table
from tests.customers.hazards import at_a_point, small, stand_in


@pytest.fixture(scope="module")
def data() -> bm.FirstPurchases:
    """Sixty buyers of whom some buy again and some opt out."""
    rng = np.random.default_rng(3)
    people = [f"c{i:02d}" for i in range(60)]
    start = pd.Timestamp("2024-01-01")
    back, left = rng.integers(1, 60, 60), rng.integers(1, 90, 60)
    first = pd.DataFrame({"id": people, "on": start})
    again = pd.DataFrame({"id": people, "on": start + pd.to_timedelta(back, unit="D")})
    outs = pd.DataFrame({"id": people, "on": start + pd.to_timedelta(left, unit="D")})
    return bm.FirstPurchases.from_transactions(
        pd.concat([first, again]), customer="id", date="on", end="2024-02-10", opt_outs=outs,
        intervals=[40],
    )  # fmt: skip


def fits(data: bm.FirstPurchases) -> dict[str, bm.Fit]:
    """Return draws of the prior of constant hazards."""
    tight = {"baseline_level": bm.Prior("Normal", mu=0, sigma=0.4)}
    spec = bm.Churn(priors=tight, effects="normal")
    return {cause: stand_in(spec, data.only(cause)) for cause in data.causes}


def test_incidence_of_constant_hazards(data: bm.FirstPurchases) -> None:
    both = fits(data)
    found = bm.competing_incidence(both, [10, 40])
    assert found.dims == ("chain", "draw", "market", "cause", "time")
    rates = []
    for cause, fit in both.items():
        own = data.only(cause).data
        stayed = float((own["count"] * (own["duration"] - own["entry"])).sum())
        level = fit.posterior["baseline_level"].values
        rates.append(np.exp(level) * fit.data.events() / stayed)
    total = rates[0] + rates[1]
    for k in range(2):
        for i, t in enumerate((10.0, 40.0)):
            exact = rates[k] / total * -np.expm1(-total * t)
            np.testing.assert_allclose(found.values[:, :, 0, k, i], exact, rtol=1e-9)


def test_nobody_is_counted_twice(data: bm.FirstPurchases) -> None:
    both = fits(data)
    found = bm.competing_incidence(both)
    alone = [bm.survival_function(fit) for fit in both.values()]
    none = alone[0].values * alone[1].values
    np.testing.assert_allclose(found.sum("cause"), 1 - none, rtol=1e-9)
    for cause, survival in zip(both, alone, strict=True):
        assert bool((found.sel(cause=cause) <= 1 - survival.values + 1e-12).all())


def test_fits_must_be_of_the_causes_named(data: bm.FirstPurchases) -> None:
    both = fits(data)
    swapped = dict(zip(both, reversed(list(both.values())), strict=True))
    with pytest.raises(bm.SpecError, match="is a fit of opt-out"):
        bm.competing_incidence(swapped)
    with pytest.raises(bm.SpecError, match="two or more causes"):
        bm.competing_incidence({"opt-out": both["opt-out"]})


# One specification of all causes.


@pytest.fixture(scope="module")
def joint(data: bm.FirstPurchases) -> bm.Fit:
    """Draws of the prior of constant hazards of both causes."""
    tight = {"baseline_level": bm.Prior("Normal", mu=0, sigma=0.4)}
    spec = bm.CompetingRisks(other=bm.Churn(priors=tight, effects="normal"))
    return stand_in(spec, data)


def test_the_likelihood_is_the_sum_over_causes(data: bm.FirstPurchases) -> None:
    spec = bm.CompetingRisks(models={"opt-out": bm.ParametricSurvival()})
    model = spec.build(data)
    assert {v.name for v in model.free_RVs} == {
        "second purchase::baseline_level", "opt-out::intercept", "opt-out::shape",
    }  # fmt: skip
    names = [f"{c}::{k}_log_likelihood" for c in data.causes for k in ("ended", "open")]
    found = at_a_point(model, names)
    total = 0.0
    for cause in data.causes:
        rows = data.only(cause).data
        for k, code in (("ended", 1), ("open", 0)):
            count = rows["count"].values[rows["event"].values == code]
            total += float(count @ found[f"{cause}::{k}_log_likelihood"])
    assert float(found["potential"]) == pytest.approx(total, rel=1e-12)


def test_answers_of_all_causes_add_up(joint: bm.Fit, data: bm.FirstPurchases) -> None:
    assert set(joint.posterior) == {f"{c}::baseline_level" for c in data.causes}
    came = bm.cumulative_incidence(joint, [10, 40])
    assert came.dims == ("chain", "draw", "market", "cause", "time")
    none = bm.survival_function(joint, [10, 40])
    np.testing.assert_allclose(came.sum("cause") + none, 1.0, rtol=1e-9)
    alone = {cause: bm.cause_specific(joint, cause) for cause in data.causes}
    np.testing.assert_allclose(came, bm.competing_incidence(alone, [10, 40]), rtol=1e-12)
    rates = bm.hazard(joint)
    np.testing.assert_allclose(rates.sum("cause"), 1 - none[..., 1:], rtol=1e-9)


def test_windows_count_purchases_that_come_before_an_opt_out(joint: bm.Fit) -> None:
    stored, row, waited = joint.data.to_dataset(), 0, 20
    earlier = stored.assign(elapsed=0 * stored["elapsed"] + waited)
    customers = bm.FirstPurchases.from_dataset(earlier)
    found = bm.contact_windows(joint, customers, length=5, horizon=10)
    times = [waited + 1, waited + 6]
    came = bm.cumulative_incidence(joint, times, by="customer").sel(cause="second purchase")
    open_ = bm.survival_function(joint, [waited], by="customer")
    exact = ((came[..., 1] - came[..., 0]) / open_[..., 0]).mean(("chain", "draw"))
    assert float(found["probability"][row, 1]) == pytest.approx(float(exact[row]), rel=1e-9)


def test_a_joint_specification_survives_a_table() -> None:
    spec = bm.CompetingRisks(models={"opt-out": bm.Churn(frailty=True)})
    again = from_table(to_table(spec))
    assert again.of("opt-out").frailty
    assert not again.other.frailty
    assert "opt-out::survival" in again.on_demand
    assert "opt-out::baseline_level" not in again.on_demand


def test_what_has_one_cause_is_no_competition(data: bm.FirstPurchases, joint: bm.Fit) -> None:
    with pytest.raises(bm.SpecError, match="one kind of event, 'event'"):
        bm.CompetingRisks().build(small())
    with pytest.raises(bm.SpecError, match="'refund', which isn't among the causes"):
        bm.CompetingRisks(models={"refund": bm.Churn()}).build(data)
    with pytest.raises(bm.SpecError, match="no model of a cause"):
        bm.CompetingRisks(models={"opt-out": 1})  # type: ignore[dict-item]
    with pytest.raises(bm.SpecError, match="has one cause"):
        bm.cause_specific(bm.cause_specific(joint, "opt-out"), "opt-out")
