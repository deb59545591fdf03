"""Backtests: scores by hand, baselines that are calibrated, and a model that beats them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import bayes_mkt as bm
from bayes_mkt.media_mix.backtest import crps_of_draws, score_table, seasonal_naive, structural


def test_the_score_is_its_definition() -> None:
    rng = np.random.default_rng(1)
    draws, actual = rng.standard_normal((40, 3)), np.array([0.3, -2.0, 1.0])
    apart = np.abs(draws[:, None] - draws[None]).mean(axis=(0, 1))
    expected = np.abs(draws - actual).mean(axis=0) - 0.5 * apart
    np.testing.assert_allclose(crps_of_draws(draws, actual), expected)


def test_the_score_of_many_draws_is_that_of_the_law() -> None:
    draws = stats.norm.ppf((np.arange(4000) + 0.5) / 4000)
    y = 0.7
    exact = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)
    assert crps_of_draws(draws, np.array(y)) == pytest.approx(exact, abs=1e-3)


def walk(seed: int, weeks: int = 70, regions: int = 2) -> bm.MediaPanel:
    """Sales that are a random walk with noise, and a season."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2022-01-03", periods=weeks, freq="7D")
    season = 8 * np.sin(2 * np.pi * np.arange(weeks) / 52.18)
    level = 100 + np.cumsum(rng.standard_normal((regions, weeks)), axis=1)
    sales = level + season + rng.standard_normal((regions, weeks))
    frame = pd.DataFrame(
        {
            "region": np.repeat([f"r{i}" for i in range(regions)], weeks),
            "week": np.tile(dates, regions),
            "sales": sales.ravel(),
            "tv": rng.uniform(1, 2, regions * weeks),
        }
    )
    return bm.MediaPanel.from_frame(
        frame, sales="sales", date="week", region="region", spend={"tv": "tv"}
    )


def test_the_structural_forecast_covers_what_it_describes() -> None:
    ranks = []
    for seed in range(40):
        data = walk(seed, weeks=98)
        past = data.between(end=str(data.dates[89].date()))
        draws = structural(past, data.dates[90:], np.random.default_rng(seed), draws=200)
        assert draws.shape == (200, 2, 8)
        ranks.append((draws < data.data["sales"].to_numpy()[:, 90:]).mean(axis=0))
    share = np.asarray(ranks)
    inside = ((share > 0.05) & (share < 0.95)).mean()
    assert inside == pytest.approx(0.9, abs=0.06)


def test_the_naive_forecast_is_last_year_and_its_errors_are_past_ones() -> None:
    data = walk(1, weeks=120)
    draws = seasonal_naive(data, 4, np.random.default_rng(1), draws=4000)
    sales = data.data["sales"].to_numpy()
    change = sales[:, 52:] - sales[:, :-52]
    centre = sales[:, 68:72] + change.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(draws.mean(axis=0), centre, atol=4 * change.std() / np.sqrt(4000))
    short = seasonal_naive(walk(1, weeks=30), 4, np.random.default_rng(1), draws=4000)
    assert short.std(axis=0)[:, -1].mean() > short.std(axis=0)[:, 0].mean()


def test_a_model_with_the_causes_of_sales_beats_those_without(
    fitted: bm.Fit, simulated: bm.simulate.SimulatedPanel
) -> None:
    found = bm.backtest(
        fitted.spec, fitted.data, origins=1, horizon=6, seed=1, target_ess=100, progress=False
    )
    assert list(found["forecaster"].values) == ["media_mix", "seasonal_naive", "structural"]
    assert found["crps"].dims == ("origin", "forecaster", "region")
    assert pd.Timestamp(found["origin"].values[0]) == fitted.data.dates[-6]
    score = found["crps"].mean(("origin", "region"))
    assert float(score.sel(forecaster="media_mix")) < 0.8 * float(
        score.sel(forecaster="structural")
    )
    covered = found["covered"].sel(forecaster="media_mix", level=0.95)
    assert float(covered.isel(region=slice(0, -1)).mean()) > 0.75
    assert found["region"].values[-1] == "all regions"


def test_a_panel_must_be_long_enough(fitted: bm.Fit) -> None:
    with pytest.raises(bm.SpecError, match=r"7 origins of 8 periods leave 4 of the panel's 60"):
        bm.backtest(fitted.spec, fitted.data, origins=7, horizon=8, seed=1)
    spec = dataclasses.replace(fitted.spec, knots=20)
    with pytest.raises(bm.SpecError, match="at least 20 are needed"):
        bm.backtest(spec, fitted.data, origins=6, horizon=8, seed=1)


def test_levels_keep_names_of_their_own_in_the_table() -> None:
    levels = [0.5, 0.975, 0.98, 0.995]
    dims = ("origin", "forecaster", "region")
    found = xr.Dataset(
        {
            "crps": (dims, np.ones((1, 2, 3))),
            "covered": (("level", *dims), np.arange(24.0).reshape(4, 1, 2, 3)),
        },
        coords={"level": levels},
    )
    table = score_table(found)
    assert list(table) == ["crps", "inside 50%", "inside 97.5%", "inside 98%", "inside 99.5%"]
    assert table["inside 97.5%"].tolist() == list(range(6, 12))
