"""Two events that compete, at known rates: who has had which, by when."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm

RATES = np.array([0.02, 0.01])  # a day: buying again, opting out


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    rng = np.random.default_rng(11)
    people = np.array([f"c{i:04d}" for i in range(2500)])
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 60, len(people)), unit="D")
    times = np.ceil(rng.exponential(1.0 / RATES, (len(people), 2)))
    first = pd.DataFrame({"id": people, "on": start})
    again = pd.DataFrame({"id": people, "on": start + pd.to_timedelta(times[:, 0], unit="D")})
    # Someone who has left buys no more.
    again = again[times[:, 0] < times[:, 1]]
    outs = pd.DataFrame({"id": people, "on": start + pd.to_timedelta(times[:, 1], unit="D")})
    end = pd.Timestamp("2024-04-30")
    log = pd.concat([first, again])
    data = bm.FirstPurchases.from_transactions(
        log[log["on"] <= end], customer="id", date="on", end=end,
        opt_outs=outs[outs["on"] <= end], intervals=[30, 60, 90],
    )  # fmt: skip
    return bm.fit(bm.CompetingRisks(other=bm.Churn(effects="normal")), data, seed=1, progress=False)


def test_incidences_hold_the_truth(fit: bm.Fit) -> None:
    assert fit.diagnostics.ok
    times = np.array([30.0, 60.0, 90.0])
    found = bm.cumulative_incidence(fit, times).isel(market=0)
    total = RATES.sum()
    for k, cause in enumerate(("second purchase", "opt-out")):
        truth = RATES[k] / total * -np.expm1(-total * times)
        low, high = found.sel(cause=cause).quantile([0.005, 0.995], ("chain", "draw")).values
        # Days are whole: an event of a day counts at its end.
        assert (low - 0.01 <= truth).all()
        assert (truth <= high + 0.01).all()
    assert float(found.std(("chain", "draw")).max()) < 0.015
