"""Purchases, churn and spend of simulated customers, found again; forecasts against what came."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm


@pytest.fixture(scope="module")
def made() -> bm.simulate.SimulatedCustomers:
    return bm.simulate.customers((600, 300, 60), seed=3)


@pytest.fixture(scope="module")
def split(made: bm.simulate.SimulatedCustomers) -> tuple[bm.CustomerHistory, bm.Holdout]:
    return bm.CustomerHistory.split_transactions(made.frame, **made.columns)


@pytest.fixture(scope="module")
def fit(split: tuple[bm.CustomerHistory, bm.Holdout]) -> bm.Fit:
    spec = bm.Lifetime(purchases=bm.BGNBD(), spend=bm.GammaGamma())
    return bm.fit(spec, split[0], seed=1, progress=False)


@pytest.fixture(scope="module")
def checked(fit: bm.Fit, split: tuple[bm.CustomerHistory, bm.Holdout]) -> xr.Dataset:
    return bm.check(fit, split[1], seed=1)


def test_intervals_hold_the_truth(fit: bm.Fit, made: bm.simulate.SimulatedCustomers) -> None:
    held = []
    for name in ("r", "alpha", "a", "b", "p", "q", "v"):
        low, high = fit.posterior[name].quantile([0.025, 0.975], ("chain", "draw"))
        held += ((low <= made.truth[name]) & (made.truth[name] <= high)).to_numpy().tolist()
    assert len(held) == 21
    assert np.mean(held) > 0.85


def test_who_is_alive_is_told_with_the_right_probability(
    fit: bm.Fit, made: bm.simulate.SimulatedCustomers
) -> None:
    chance = bm.p_alive(fit).mean(("chain", "draw"))
    truth = made.truth["alive"].sel(customer=chance["customer"])
    for low, high in ((0.0, 0.4), (0.4, 0.8), (0.8, 0.999)):
        inside = ((chance >= low) & (chance < high)).to_numpy()
        share, said = float(truth[inside].mean()), float(chance[inside].mean())
        assert share == pytest.approx(said, abs=4 * 0.5 / inside.sum() ** 0.5)


def test_forecasts_hold_what_came(checked: xr.Dataset) -> None:
    for name in ("purchases", "revenue"):
        low, high = checked[name].quantile([0.01, 0.99], ("chain", "draw"))
        actual = checked[f"{name}_actual"]
        assert ((low <= actual) & (actual <= high)).all()
    assert checked["coverage"].sel(level="customer", probability=0.9).item() == pytest.approx(
        0.9, abs=0.03
    )
    assert (abs(checked["pit"] - 0.1) < 0.04).all()


def test_tracking_follows_what_was_bought(checked: xr.Dataset) -> None:
    expected = checked["tracking"].mean(("chain", "draw"))
    late = checked["day"] > -100
    error = abs(expected / checked["tracking_actual"] - 1).where(late, drop=True)
    assert (error < 0.05).all()
    assert float(checked["tracking_actual"][-1]) > float(checked["purchases_actual"].sum())


def test_calibration_by_frequency(checked: xr.Dataset) -> None:
    assert int(checked["conditional_customers"].sum()) == 960
    spread = checked["conditional"].std(("chain", "draw"))
    error = checked["conditional"].mean(("chain", "draw")) - checked["conditional_actual"]
    assert (abs(error) < 3.5 * spread).all()


def test_independence_of_spend_is_found(checked: xr.Dataset) -> None:
    assert abs(float(checked["spend_correlation"])) < 0.12


def test_totals_are_wider_than_sums_of_independent_customers(fit: bm.Fit) -> None:
    """What all customers share doesn't average out over them."""
    drawn = bm.future_purchases(fit, [("2024-01-01", "2024-12-31")], "customer", seed=1, draws=800)
    joint = float(drawn.sum("customer").var())
    independent = float(drawn.var(("chain", "draw")).sum())
    assert joint > 1.3 * independent


def test_fit_survives_saving(fit: bm.Fit, tmp_path: Path) -> None:
    again = bm.Fit.load(fit.save(tmp_path / "run"))
    assert again.data == fit.data
    assert again.spec == fit.spec
    assert bm.p_alive(again, by="market").equals(bm.p_alive(fit, by="market"))
