"""Contacts as covariates that change, and the effect of their timing written out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_mkt as bm
from tests.customers.hazards import stand_in

DAY = pd.Timestamp("2024-01-01")


def log(waits: list[int | None]) -> pd.DataFrame:
    """Return a log of customers a, b, ... who all buy on one day, and again after a wait."""
    rows = [(chr(97 + i), DAY) for i in range(len(waits))]
    rows += [(chr(97 + i), DAY + pd.Timedelta(days=w)) for i, w in enumerate(waits) if w]
    return pd.DataFrame(rows, columns=["id", "on"])


def frame(contacts: list[tuple[str, int]]) -> pd.DataFrame:
    return pd.DataFrame(
        [(who, DAY + pd.Timedelta(days=d)) for who, d in contacts], columns=["id", "on"]
    )


def read(
    waits: list[int | None], contacts: list[tuple[str, int]], **more: Any
) -> bm.FirstPurchases:
    given = bm.Contacts(frame(contacts), **{"timing": (10, 20), "reach": 5, **more})
    return bm.FirstPurchases.from_transactions(
        log(waits), customer="id", date="on", end="2024-01-31", intervals=10, contacts=given
    )


def table(data: bm.FirstPurchases) -> list[tuple[float, ...]]:
    """Return entry, duration, event and the two covariates of each row, as often as it occurs."""
    rows, features = data.data, data.data["features"].values
    out = []
    for r in range(rows.sizes["row"]):
        parts = [float(rows[n][r]) for n in ("entry", "duration", "event")]
        one = (*parts, *features[int(rows["cell_of_row"][r])].tolist())
        out += [one] * int(rows["count"][r])
    return sorted(out)


def test_a_contact_acts_from_the_day_after_it() -> None:
    """a is contacted on day 4 and buys on 7; b on day 12, and waits; c on the day it buys."""
    data = read([7, None, 9], [("a", 4), ("b", 12), ("c", 9)])
    assert data.features == ("contact=0-10", "contact=11-20")
    assert table(data) == [
        (0, 4, 0, 0, 0),  # a, before
        (0, 9, 1, 0, 0),  # c: the purchase counts as before the contact
        (0, 12, 0, 0, 0),  # b, before
        (4, 7, 1, 1, 0),
        (12, 17, 0, 0, 1),
        (17, 30, 0, 0, 0),
    ]
    assert data.spells == 3
    assert data.episodic


def test_contacts_before_the_wait_and_after_it_are_left_out() -> None:
    data = read([None, 8], [("a", -3), ("a", 2), ("b", 15), ("a", 60), ("b", 0), ("z", 3)],
                timing=(10,))  # fmt: skip
    assert table(data) == [(0, 2, 0, 0), (0, 5, 0, 1), (2, 7, 0, 1), (5, 8, 1, 0), (7, 30, 0, 0)]


def test_data_of_contacts_are_stored_and_read_alike() -> None:
    data = read([7, None, 9], [("a", 4), ("b", 12)], randomised=True)
    again = bm.FirstPurchases.from_dataset(data.to_dataset())
    assert again == data
    assert again.data.attrs["contacts_randomised"] == 1
    given = bm.Contacts(frame([("a", 2), ("b", 18)]), timing=(10, 20), reach=5)
    later = bm.FirstPurchases.from_transactions(
        log([None, None]), customer="id", date="on", end="2024-01-31", contacts=given, like=data
    )
    assert later.features == data.features


@pytest.mark.parametrize(
    ("contacts", "message"),
    [
        ([("a", 2), ("a", 4), ("b", 12)], "1 customer has several contacts in one wait: 'a'"),
        ([("b", 25)], "1 contact was made up to 25 after the first purchase"),
        ([("a", 4)], "No contact acts on anyone at risk in 'contact=11-20'"),
    ],
)
def test_contacts_that_cant_be_read_are_named(
    contacts: list[tuple[str, int]], message: str
) -> None:
    with pytest.raises(bm.DataError, match=message):
        read([7, None, 9], contacts)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"timing": ()}, "ascending ends > 0"), ({"timing": (5, 5)}, "ascending ends"),
     ({"timing": (5,), "reach": 0}, "reach=0 must be > 0")],
)  # fmt: skip
def test_bad_contacts_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        bm.Contacts(None, **change)


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    """Draws of the prior of a hazard that is constant over 30 days."""
    data = read([7, None, 9, None], [("a", 4), ("b", 12)], randomised=True)
    tight = {
        "baseline_level": bm.Prior("Normal", mu=0, sigma=0.3),
        "baseline_sd": bm.Prior("HalfNormal", sigma=1e-6),
    }
    return stand_in(bm.Churn(effects="normal", priors=tight), data)


def test_the_effect_of_timing_by_hand(fit: bm.Fit) -> None:
    found = bm.contact_effect(fit, 16, timings=[4, 12], value=30.0, cost=2.0)
    rows = fit.data.data
    stayed = float((rows["count"] * (rows["duration"] - rows["entry"])).sum())
    mean = np.average(
        rows["features"].values[rows["cell_of_row"].values], axis=0, weights=rows["count"].values
    )
    p = fit.posterior
    effect = p["effect"].values
    daily = np.exp(p["baseline_level"].values - effect @ mean) * fit.data.events() / stayed
    for i, (a, over) in enumerate([(4, 9), (12, 16)]):
        ratio = np.exp(effect[..., i])
        gain = np.exp(-16 * daily) - np.exp(-daily * (16 + (ratio - 1) * (over - a)))
        np.testing.assert_allclose(found["hazard_ratio"][..., i], ratio)
        np.testing.assert_allclose(found["effect"][..., i], gain, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(found["contacted"][..., i], np.exp(-a * daily), rtol=1e-4)
    net = 30 * found["effect"] - 2 * found["contacted"]
    xr.testing.assert_allclose(found["net_value"].drop_attrs(), net.drop_attrs())
    best = net.values.argmax(axis=-1)
    np.testing.assert_allclose(found["p_best"], [np.mean(best == 0), np.mean(best == 1)])
    assert found.attrs["claim"].startswith("Causal, if chance alone")
    assert bm.contact_effect(fit, 30)["timing"].values.tolist() == [5.0, 15.0]


def test_effects_of_contacts_that_chance_did_not_decide_are_refused(fit: bm.Fit) -> None:
    stored = fit.data.to_dataset().assign_attrs(contacts_randomised=0)
    chosen = bm.Fit(fit.spec, bm.FirstPurchases.from_dataset(stored), fit.draws, fit.diagnostics)
    with pytest.raises(bm.SpecError, match="weren't randomised"):
        bm.contact_effect(chosen, 16)
    plain = bm.FirstPurchases.from_transactions(log([7, None]), customer="id", date="on",
                                                end="2024-01-31")  # fmt: skip
    none = bm.Fit(fit.spec, plain, fit.draws, fit.diagnostics)
    with pytest.raises(bm.SpecError, match="have no contacts"):
        bm.contact_effect(none, 16)
    with pytest.raises(bm.SpecError, match="at which anyone was contacted"):
        bm.contact_effect(fit, 30, timings=[25])
    with pytest.raises(bm.SpecError, match="ascending"):
        bm.contact_effect(fit, 30, timings=[8, 8])
