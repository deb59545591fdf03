"""Randomised contacts of known effect: what each timing adds is found again."""

from __future__ import annotations

import numpy as np

import bayes_mkt as bm

EFFECTS = {7: 1.0, 28: 0.0, 56: 0.4}


def test_what_each_timing_adds_is_found() -> None:
    sim = bm.simulate.second_purchases(
        customers=3000, markets=1, seed=5, never=0.0, contacts=EFFECTS, reach=14, interval=26
    )
    contacts = bm.Contacts(sim.contacts, timing=(14, 42, 70), reach=14, randomised=True)
    data = bm.FirstPurchases.from_transactions(sim.frame, **sim.columns, contacts=contacts)
    fit = bm.fit(bm.Churn(effects="normal"), data, seed=1, progress=False)
    found = bm.contact_effect(fit, 90, timings=list(EFFECTS))
    truth = sim.truth
    ends = np.concatenate([[0.0], truth["interval"].values])
    total = np.concatenate([[0.0], np.exp(truth["log_hazard"].values[0]).cumsum()])
    rate = np.exp(truth["linear"].values)

    def summed(day: float) -> np.ndarray:
        return rate * np.interp(day, ends, total)

    for i, (day, effect) in enumerate(EFFECTS.items()):
        acting = summed(min(day + 14, 90)) - summed(day)
        gain = np.exp(-summed(90)) * -np.expm1(-np.expm1(effect) * acting)
        draws = found["effect"][..., i]
        low, high = draws.quantile([0.005, 0.995]).values
        assert low <= gain.mean() <= high
        assert float(draws.std()) < 0.016
        reached = np.exp(-summed(day)).mean()
        assert abs(float(found["contacted"][..., i].mean()) - reached) < 0.025
    assert float(found["p_best"][0]) > 0.9
