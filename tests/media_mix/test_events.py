"""Events by date, and smooth functions of time."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_mkt as bm

WEEKS = pd.date_range("2024-01-01", periods=10, freq="7D")


def test_an_event_stands_in_the_period_that_holds_its_date() -> None:
    basis = bm.Events({"fair": ["2024-01-14", "2024-01-15"]}).basis(WEEKS, "7D")
    assert basis[:, 0].tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_dates_outside_are_left_out_and_neighbours_have_terms_of_their_own() -> None:
    events = bm.Events({"fair": ["2023-12-31", "2024-01-03", "2025-01-01"]}, spread=1)
    assert events.names == ("fair -1", "fair +0".replace(" +0", ""), "fair +1")
    basis = events.basis(WEEKS, "7D")
    assert basis.sum(axis=0).tolist() == [0, 1, 1]
    assert basis[1, 2] == 1


@pytest.mark.parametrize(
    ("dates", "period"),
    [
        (pd.date_range("2024-01-01", periods=4, freq="MS"), "MS"),
        (pd.date_range("2024-01-31", periods=4, freq="ME"), "ME"),
    ],
)
def test_months_hold_their_days_whether_named_by_the_first_or_the_last(
    dates: pd.DatetimeIndex, period: str
) -> None:
    days = ["2024-01-31", "2024-02-01", "2024-02-29", "2024-04-30", "2024-05-01"]
    found = [bm.Events({"x": [day]}).basis(dates, period)[:, 0].tolist() for day in days]
    assert found == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ({}, "no event is named"),
        ({"fair": []}, "'fair' has no date"),
        ({"fair": ["soon"]}, "'soon' of 'fair' is not a date"),
    ],
)
def test_events_without_dates_are_refused(dates: dict[str, list[str]], message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        bm.Events(dates)


def test_a_smooth_function_has_the_covariance_of_a_matern_process() -> None:
    process = bm.HSGP(terms=60, boundary=2.5)
    amplitude, length = 1.3, 0.4
    basis = process.basis(41)
    sd = process.scale(amplitude, length).eval()
    found = (basis * sd**2) @ basis.T
    times = np.linspace(-1, 1, 41)
    gap = np.sqrt(5) * abs(times[:, None] - times) / length
    exact = amplitude**2 * (1 + gap + gap**2 / 3) * np.exp(-gap)
    np.testing.assert_allclose(found, exact, atol=0.01)


def test_a_smooth_function_goes_on_as_far_as_its_boundary() -> None:
    process = bm.HSGP(terms=5, boundary=1.5)
    np.testing.assert_array_equal(process.basis(101, 10)[:101], process.basis(101))
    with pytest.raises(bm.SpecError, match=r"can't forecast 30 periods .* boundary=1\.8 or more"):
        process.basis(101, 30)
    bm.HSGP(terms=5, boundary=1.8).basis(101, 30)


def test_default_length_scales_are_shorter_than_the_panel() -> None:
    prior = bm.HSGP().priors("trend", 1.0)["trend_lengthscale"]
    share = stats.lognorm(0.5, scale=np.exp(-0.7)).cdf(2.0)
    assert prior.dist == "LogNormal"
    assert share > 0.99
