"""The simulated panel: its identities, its shapes, its repeatability."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_mkt.errors import SpecError
from bayes_mkt.simulate import SimulatedPanel, media_mix

CASES: dict[str, dict[str, Any]] = {
    "default": {},
    "national": {"regions": 1, "weeks": 60},
    "gaps": {"regions": 5, "weeks": 40, "missing": 0.3},
    "confounded": {"regions": 4, "weeks": 52, "confounding": 1.5},
    "s-shaped": {"regions": 3, "weeks": 30, "slope": 2.5, "max_lag": 4},
    "no controls, equal regions": {
        "regions": 3,
        "weeks": 30,
        "controls": 0,
        "population_spread": 0.0,
    },
    "more channels than names": {"regions": 2, "weeks": 30, "channels": 10, "controls": 6},
    "no carry-over": {"regions": 3, "weeks": 12, "max_lag": 0},
    "shorter than the carry-over": {"regions": 3, "weeks": 5, "max_lag": 8},
}


@pytest.fixture(params=CASES, scope="module")
def case(request: pytest.FixtureRequest) -> tuple[dict[str, Any], SimulatedPanel]:
    arguments = CASES[request.param]
    return arguments, media_mix(seed=3, **arguments)


def grid(panel: SimulatedPanel, column: str) -> xr.DataArray:
    """Spread a column of the frame over region and date, NaN where there is no row."""
    table = panel.frame.pivot(index="region", columns="week", values=column)
    return xr.DataArray(table, dims=("region", "date")).reindex_like(panel.truth.baseline)


def response(panel: SimulatedPanel, channel: str, max_lag: int) -> np.ndarray[Any, Any]:
    """Return the saturated, carried-over exposure (region, date), by plain loops."""
    truth = panel.truth.sel(channel=channel)
    seen = (grid(panel, f"{channel}_impressions") / grid(panel, "population")).to_numpy()
    x = np.nan_to_num(seen / np.nanmedian(seen[seen > 0]))
    alpha, half, slope = (
        float(truth[name]) for name in ("adstock_alpha", "half_saturation", "slope")
    )
    total = sum(alpha**lag for lag in range(max_lag + 1))
    out = np.zeros_like(x)
    for g in range(x.shape[0]):
        for t in range(x.shape[1]):
            lags = range(min(max_lag, t) + 1)
            stock = sum(alpha**lag * x[g, t - lag] for lag in lags) / total
            out[g, t] = stock**slope / (stock**slope + half**slope)
    return out


def test_expected_sales_are_baseline_plus_contributions(
    case: tuple[dict[str, Any], SimulatedPanel],
) -> None:
    truth = case[1].truth
    total = truth.baseline + truth.contribution.sum("channel", skipna=False)
    xr.testing.assert_allclose(truth.expected_sales, total, rtol=1e-12)


def test_roi_is_incremental_revenue_over_spend(
    case: tuple[dict[str, Any], SimulatedPanel],
) -> None:
    panel = case[1]
    truth = panel.truth
    price = grid(panel, "revenue_per_sale")
    for name in truth.channel.to_numpy():
        revenue = float((truth.contribution.sel(channel=name) * price).sum())
        paid = float(panel.frame[f"{name}_spend"].sum())
        one = truth.sel(channel=name)
        np.testing.assert_allclose(revenue, float(one.incremental_revenue), rtol=1e-10)
        np.testing.assert_allclose(paid, float(one.spend), rtol=1e-10)
        np.testing.assert_allclose(revenue / paid, float(one.roi), rtol=1e-10)


def test_contributions_follow_the_stated_equations(
    case: tuple[dict[str, Any], SimulatedPanel],
) -> None:
    arguments, panel = case
    truth = panel.truth
    population = grid(panel, "population")
    for name in truth.channel.to_numpy():
        h = xr.DataArray(
            response(panel, str(name), arguments.get("max_lag", 8)), dims=("region", "date")
        )
        effect = truth.effect.sel(channel=name, drop=True)
        expected = effect * h * population * truth.sales_scale
        xr.testing.assert_allclose(
            truth.contribution.sel(channel=name, drop=True), expected, rtol=1e-9, atol=1e-9
        )


def test_scale_and_noise_are_those_of_the_frame(
    case: tuple[dict[str, Any], SimulatedPanel],
) -> None:
    panel = case[1]
    truth = panel.truth
    a_head = panel.frame.sales / panel.frame.population
    np.testing.assert_allclose(float(truth.sales_centre), a_head.mean(), rtol=1e-12)
    np.testing.assert_allclose(float(truth.sales_scale), a_head.std(ddof=0), rtol=1e-12)
    gap = (grid(panel, "sales") - truth.expected_sales) / grid(panel, "population")
    error = (gap / truth.sales_scale / truth.sigma).to_numpy()
    error = error[np.isfinite(error)]
    assert abs(error.mean()) < 4 / np.sqrt(error.size)
    assert abs(error.std() - 1) < 4 / np.sqrt(2 * error.size)


def test_the_frame_is_sensible(case: tuple[dict[str, Any], SimulatedPanel]) -> None:
    arguments, panel = case
    frame, truth = panel.frame, panel.truth
    cells = truth.sizes["region"] * truth.sizes["date"]
    assert len(frame) == cells - round(arguments.get("missing", 0.0) * cells)
    assert not frame.isna().any(axis=None)
    assert not frame.duplicated(["region", "week"]).any()
    assert (frame[["sales", "revenue_per_sale", "population"]] > 0).all(axis=None)
    assert frame.groupby("region").population.nunique().eq(1).all()
    for name in truth.channel.to_numpy():
        spend, shown = frame[f"{name}_spend"], frame[f"{name}_impressions"]
        assert (spend >= 0).all()
        assert ((spend > 0) == (shown > 0)).all()
        assert spend.groupby(frame.region).sum().gt(0).all()
    assert float((truth.baseline / grid(panel, "population")).min()) >= 0.3 * 0.2 - 1e-12
    mentioned = [panel.columns[key] for key in ("sales", "region", "date", "population")]
    mentioned += [*panel.columns["spend"].values(), *panel.columns["exposure"].values()]
    assert set(mentioned) | set(panel.columns["controls"]) <= set(frame.columns)


def test_shapes() -> None:
    panel = media_mix(regions=3, weeks=20, channels=5, controls=3, seed=1)
    assert dict(panel.truth.sizes) == {"channel": 5, "region": 3, "control": 3, "date": 20}
    assert panel.truth.effect.dims == ("region", "channel")
    assert panel.truth.contribution.dims == ("region", "date", "channel")
    assert all("units" in variable.attrs for variable in panel.truth.data_vars.values())
    weeks = pd.DatetimeIndex(panel.truth.date)
    assert set(np.diff(weeks)) == {np.timedelta64(7, "D")}


def test_the_same_seed_gives_the_same_panel() -> None:
    one, two, other = (media_mix(regions=3, weeks=20, seed=seed) for seed in (5, 5, 6))
    pd.testing.assert_frame_equal(one.frame, two.frame, check_exact=True)
    xr.testing.assert_identical(one.truth, two.truth)
    assert not np.allclose(one.frame.sales, other.frame.sales)


def test_an_option_leaves_the_other_draws_alone() -> None:
    plain = media_mix(regions=4, weeks=20, seed=5)
    gaps = media_mix(regions=4, weeks=20, seed=5, missing=0.2)
    wider = media_mix(regions=4, weeks=20, seed=5, controls=3)
    for name in ("roi", "adstock_alpha", "half_saturation", "effect_sd"):
        xr.testing.assert_identical(plain.truth[name], gaps.truth[name])
        xr.testing.assert_identical(plain.truth[name], wider.truth[name])


def test_missing_weeks_have_no_row_and_no_truth() -> None:
    panel = media_mix(regions=4, weeks=20, seed=5, missing=0.25)
    absent = grid(panel, "sales").isnull()
    assert int(absent.sum()) == 20
    for name in ("baseline", "expected_sales", "contribution"):
        gone = panel.truth[name].isnull()
        assert bool((gone == absent).all())
    assert not bool(absent.all("region").any())
    assert int((~absent).sum("date").min()) >= 2


def test_roi_may_be_given() -> None:
    single = media_mix(regions=2, weeks=20, seed=1, roi=2.5)
    assert single.truth.roi.to_numpy().tolist() == [2.5] * 4
    each = media_mix(regions=2, weeks=20, channels=2, seed=1, roi=[0.5, 4.0])
    assert each.truth.roi.to_numpy().tolist() == [0.5, 4.0]


def test_confounded_spend_follows_baseline_demand() -> None:
    def correlation(confounding: float) -> float:
        panel = media_mix(seed=2, confounding=confounding)
        spend = sum(grid(panel, f"{name}_spend") for name in panel.truth.channel.to_numpy())
        heads = grid(panel, "population")
        return float(xr.corr(spend / heads, panel.truth.baseline / heads))

    assert correlation(1.0) > correlation(0.0) + 0.2


def test_media_are_a_tenth_to_a_half_of_sales_for_typical_returns() -> None:
    shares = []
    for seed in range(20):
        truth = media_mix(seed=seed, roi=1.8).truth
        shares.append(float(truth.contribution.sum() / truth.expected_sales.sum()))
    assert 0.1 < min(shares) <= max(shares) < 0.4


def test_drawn_truths_follow_their_distributions() -> None:
    truths = [media_mix(regions=2, weeks=10, seed=seed).truth for seed in range(150)]
    roi = np.concatenate([truth.roi for truth in truths])
    alpha = np.concatenate([truth.adstock_alpha for truth in truths])
    half = np.concatenate([truth.half_saturation for truth in truths])
    assert abs(np.log(roi).mean() - 0.2) < 0.12
    assert abs(np.log(roi).std() - 0.9) < 0.1
    assert abs(alpha.mean() - 0.5) < 0.04
    assert half.min() >= 0.1
    assert abs(half.mean() - 1.08) < 0.09


def test_a_panel_is_frozen() -> None:
    panel = media_mix(regions=2, weeks=10, seed=1)
    with pytest.raises(FrozenInstanceError):
        panel.__setattr__("frame", pd.DataFrame())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"regions": 0}, "regions=0"),
        ({"weeks": 1}, "weeks=1"),
        ({"channels": 2.5}, "channels=2.5"),
        ({"controls": -1}, "controls=-1"),
        ({"missing": 1.0}, "missing=1.0"),
        ({"regions": 1, "missing": 0.1}, "empties some week"),
        ({"noise": 0.9}, "sales negative"),
        ({"noise": float("nan")}, "noise=nan"),
        ({"roi": [1.0, 2.0]}, "one for each channel"),
        ({"roi": -1.0}, "positive"),
        ({"confounding": -1.0}, "confounding"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        media_mix(**({"seed": 1} | arguments))
