"""Competing events: the incidence of each against the integral and against a simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from tests.customers.hazards import stand_in


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
