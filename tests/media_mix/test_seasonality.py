"""Season and trend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from bayes_mkt.media_mix.trend import knot_basis

WEEKS = pd.date_range("2021-03-01", periods=120, freq="7D")


@pytest.mark.parametrize("order", [1, 2, 5])
def test_terms_are_the_harmonics_of_a_year(order: int) -> None:
    season = bm.Fourier(order)
    basis = season.basis(WEEKS)
    assert basis.shape == (120, 2 * order)
    assert len(season.names) == 2 * order
    day = np.array([(d - pd.Timestamp("2000-01-01")).days for d in WEEKS])
    for column, name in zip(basis.T, season.names, strict=True):
        wave = {"sin": np.sin, "cos": np.cos}[name[:3]]
        np.testing.assert_allclose(column, wave(2 * np.pi * int(name[3:]) * day / 365.25))


def test_a_date_has_the_same_season_in_every_panel() -> None:
    season = bm.Fourier(3)
    np.testing.assert_array_equal(season.basis(WEEKS)[50:60], season.basis(WEEKS[50:60]))
    four_years = WEEKS + pd.Timedelta(days=4 * 365 + 1)
    np.testing.assert_allclose(season.basis(four_years), season.basis(WEEKS), atol=1e-9)


def test_terms_average_to_zero_over_four_years() -> None:
    days = pd.date_range("2020-01-01", periods=4 * 365 + 1, freq="D")
    basis = bm.Fourier(4).basis(days)
    np.testing.assert_allclose(basis.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_allclose(basis.T @ basis / len(days), np.eye(8) / 2, atol=1e-12)


@pytest.mark.parametrize("order", [0, -1, 1.0, True, "2"])
def test_an_order_is_a_whole_number(order: Any) -> None:
    with pytest.raises(bm.SpecError, match=r"Fourier order=.* must be an integer >= 1\."):
        bm.Fourier(order)


@pytest.mark.parametrize(("dates", "knots"), [(1, 1), (10, 1), (10, 2), (10, 4), (10, 10)])
def test_knots_share_out_every_date(dates: int, knots: int) -> None:
    basis = knot_basis(dates, knots)
    assert basis.shape == (dates, knots)
    assert (basis >= 0).all()
    np.testing.assert_allclose(basis.sum(axis=1), 1.0)
    assert ((basis > 0).sum(axis=1) <= 2).all()


def test_a_trend_joins_its_knots_by_straight_lines() -> None:
    values = np.array([2.0, -1.0, 5.0])
    trend = knot_basis(9, 3) @ values
    np.testing.assert_allclose(trend[[0, 4, 8]], values)
    np.testing.assert_allclose(np.diff(trend[:5]), -0.75)
    np.testing.assert_allclose(np.diff(trend[4:]), 1.5)


def test_as_many_knots_as_dates_are_a_value_for_each() -> None:
    np.testing.assert_allclose(knot_basis(6, 6), np.eye(6), atol=1e-12)


@pytest.mark.parametrize("knots", [0, 11, -1, 2.0, True])
def test_knots_fit_the_dates(knots: Any) -> None:
    with pytest.raises(bm.SpecError, match=r"knots=.* must be an integer from 1 to the 10 dates"):
        knot_basis(10, knots)
