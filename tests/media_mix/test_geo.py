"""Geo experiments: the data, the counterfactual against linear algebra, the lift, its lift test."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.media_mix.geo_model import Paths

WEEKS, BEFORE, LIFT = 32, 26, 0.3
TREATED = ("g3", "g7")
DATES = pd.date_range("2024-01-01", periods=WEEKS, freq="7D")


def market(lift: float = LIFT, seed: int = 5) -> pd.DataFrame:
    """Ten regions on one path, which each follows in its own way; two treated for six weeks."""
    rng = np.random.default_rng(seed)
    level = np.exp(rng.normal(8.0, 0.5, size=10))
    path = 1.0 + 0.15 * np.sin(np.arange(WEEKS) / 3.0) + rng.normal(0, 0.05, WEEKS)
    loading = rng.normal(1.0, 0.2, size=10)
    ratio = 1.0 + loading[:, None] * (path - 1.0) + rng.normal(0.0, 0.04, (10, WEEKS))
    names = [f"g{i}" for i in range(10)]
    treated = np.isin(names, TREATED)[:, None] & (np.arange(WEEKS) >= BEFORE)
    sales = level[:, None] * (ratio + lift * treated)
    return pd.DataFrame(
        {
            "city": np.repeat(names, WEEKS),
            "week": np.tile(DATES, 10),
            "sold": sales.ravel(),
            "tv": (1000.0 * treated + 500.0).ravel(),
        }
    )


def experiment(frame: pd.DataFrame, **changes: object) -> bm.GeoExperiment:
    given = {
        "sales": "sold",
        "region": "city",
        "date": "week",
        "treated": TREATED,
        "start": str(DATES[BEFORE].date()),
    }
    return bm.GeoExperiment.from_frame(frame, **{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def geo_fit() -> bm.Fit:
    return bm.fit(bm.GeoLift(), experiment(market()), seed=1, chains=4, progress=False)


def test_the_lift_is_found(geo_fit: bm.Fit) -> None:
    frame = market()
    added = frame["sold"].sum() - market(lift=0.0)["sold"].sum()
    found = bm.geo_lift(geo_fit, seed=1)
    assert geo_fit.diagnostics.ok
    low, high = found["lift"].quantile([0.025, 0.975])
    assert low < added < high
    assert float(found["lift"].std()) < 0.2 * added
    np.testing.assert_allclose(found["lift"] + found["counterfactual"], float(found["sales"]))
    assert found["lift"].attrs["units"] == "sales"


def test_sums_are_of_joint_draws(geo_fit: bm.Fit) -> None:
    total = bm.geo_lift(geo_fit, seed=1)["lift"]
    cells = bm.geo_lift(geo_fit, by=("region", "date"), seed=1)["lift"]
    assert cells.dims == ("chain", "draw", "region", "date")
    assert cells["region"].values.tolist() == list(TREATED)
    assert cells["date"].values[0] == DATES[BEFORE].to_datetime64()
    np.testing.assert_allclose(cells.sum(("region", "date")), total)
    by_date = bm.geo_lift(geo_fit, by="date", seed=1)["lift"]
    np.testing.assert_allclose(cells.sum("region"), by_date)


def test_the_counterfactual_is_the_conditional_normal(geo_fit: bm.Fit) -> None:
    """With nu large and a nearly flat path, as one big Gaussian conditioned on what was seen."""
    one = geo_fit.posterior.isel(chain=[0], draw=[0] * 6000)
    one = one.assign_coords(draw=np.arange(6000))
    one = one.assign(nu=xr.full_like(one["nu"], 1e7))
    tree = geo_fit.draws.copy()
    tree["posterior"] = xr.DataTree(one)
    known = bm.Fit(geo_fit.spec, geo_fit.data, tree, geo_fit.diagnostics)
    drawn = bm.geo_lift(known, by=("region", "date"), seed=2)["counterfactual"][0]
    ((_, (result,)),) = geo_fit.target.evaluate(one.isel(draw=[0]), ["covariance"])
    matrix = result["covariance"][0]
    paths = Paths.of(geo_fit.data, 0)
    whole = np.kron(np.eye(10), matrix) + np.kron(np.ones((10, 10)), 1e4 * np.eye(WEEKS))
    hidden = np.zeros((10, WEEKS), dtype=bool)
    hidden[-2:, BEFORE:] = True
    hid, seen = np.flatnonzero(hidden), np.flatnonzero(~hidden)
    weights = np.linalg.solve(whole[np.ix_(seen, seen)], whole[np.ix_(seen, hid)])
    mean = (paths.ratio.ravel()[seen] - 1.0) @ weights + 1.0
    cover = whole[np.ix_(hid, hid)] - whole[np.ix_(hid, seen)] @ weights
    scale = np.repeat(paths.scale[-2:], WEEKS - BEFORE)
    flat = drawn.to_numpy().reshape(6000, -1) / scale
    sd = np.sqrt(np.diag(cover))
    np.testing.assert_allclose(flat.mean(axis=0), mean, atol=5 * sd.max() / np.sqrt(6000))
    np.testing.assert_allclose(
        np.cov(flat.T) / np.outer(sd, sd), cover / np.outer(sd, sd), atol=0.08
    )


def test_contrasts_hold_all_but_the_shared_path() -> None:
    data = experiment(market())
    paths = Paths.of(data, 0)
    contrasts = paths.contrasts
    shifted = Paths(
        paths.scale, paths.ratio + np.arange(WEEKS), paths.untreated, paths.common, paths.spread
    )
    np.testing.assert_allclose(shifted.contrasts, contrasts, atol=1e-9)
    centred = paths.ratio - paths.ratio.mean(axis=0)
    np.testing.assert_allclose((contrasts**2).sum(axis=0), (centred**2).sum(axis=0))


def test_a_fit_is_saved_and_loaded(geo_fit: bm.Fit, tmp_path: Path) -> None:
    loaded = bm.Fit.load(geo_fit.save(tmp_path / "geo"))
    assert loaded.data == geo_fit.data
    assert hash(loaded.data) == hash(geo_fit.data)
    xr.testing.assert_identical(bm.geo_lift(loaded, seed=1), bm.geo_lift(geo_fit, seed=1))


def test_a_lift_test_for_the_media_mix(geo_fit: bm.Fit) -> None:
    test = bm.geo_lift_test(geo_fit, channel="tv", spend_change=12_000.0, seed=1)
    lift = bm.geo_lift(geo_fit, seed=1)["lift"]
    assert (test.lift, test.se) == (float(lift.mean()), float(lift.std()))
    assert (test.start, test.end) == (geo_fit.data.start, geo_fit.data.end)
    panel = bm.MediaPanel.from_frame(
        market(), sales="sold", spend={"tv": "tv"}, region="city", date="week"
    )
    exposure, counted = test.otherwise(panel)
    assert counted.sum() == 2 * (WEEKS - BEFORE)
    assert panel.data["exposure"].to_numpy().sum() - exposure.sum() == pytest.approx(12_000.0)
    shorter = bm.geo_lift_test(
        geo_fit, channel="tv", spend_change=1.0, seed=1, end=str(DATES[BEFORE + 2].date())
    )
    assert shorter.outcome_end == geo_fit.data.end


def test_a_panel_holds_an_experiment() -> None:
    panel = bm.MediaPanel.from_frame(
        market(), sales="sold", spend={"tv": "tv"}, region="city", date="week"
    )
    found = bm.GeoExperiment.from_panel(
        panel, treated=TREATED, start=str(DATES[BEFORE].date()), end=str(DATES[BEFORE + 3].date())
    )
    read = experiment(market(), end=str(DATES[BEFORE + 3].date()))
    np.testing.assert_allclose(found.data["sales"], read.data["sales"])
    assert found.treated == read.treated == TREATED
    assert found.before == BEFORE
    assert "4 of 30 dates treated" in repr(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"treated": ["g3", "oslo"]}, "'oslo' is none of the 10 regions"),
        ({"treated": []}, "none is named"),
        ({"start": "soon"}, "start='soon' is not a date"),
        ({"start": "2025-04-01"}, "the treatment must lie"),
        ({"end": "2024-02-01"}, "the treatment must lie"),
        ({"start": "2024-02-05"}, "5 dates lie before the treatment"),
        ({"treated": [f"g{i}" for i in range(8)]}, "2 regions are untreated"),
    ],
)
def test_what_cannot_be_measured_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises((bm.DataError, bm.SpecError), match=message):
        experiment(market(), **changes)


def test_gaps_and_regions_without_sales_are_named() -> None:
    frame = market()
    with pytest.raises(bm.DataError, match=r"1 gap: 'g2' on 2024-01-08"):
        experiment(frame[~((frame["city"] == "g2") & (frame["week"] == DATES[1]))])
    frame.loc[(frame["city"] == "g5") & (frame["week"] < DATES[BEFORE]), "sold"] = 0.0
    with pytest.raises(bm.DataError, match="1 region has no sales before the treatment: 'g5'"):
        experiment(frame)


def test_a_specification_is_checked(geo_fit: bm.Fit) -> None:
    with pytest.raises(bm.SpecError, match="season='week'"):
        bm.GeoLift(season="week")
    with pytest.raises(bm.SpecError, match="two are needed before the treatment"):
        bm.GeoLift(season=14).build(geo_fit.data)
    with pytest.raises(bm.SpecError, match="no such variable"):
        bm.GeoLift(priors={"roi": bm.Prior("HalfNormal", sigma=1.0)})
    with pytest.raises(bm.SpecError, match="takes a fitted GeoLift; this is a MediaMix"):
        bm.geo_lift(dataclasses.replace(geo_fit, spec=bm.MediaMix()), seed=1)


def test_days_have_a_week_of_their_own() -> None:
    frame = market()
    frame["week"] = np.tile(pd.date_range("2024-01-01", periods=WEEKS), 10)
    daily = experiment(frame, start="2024-01-27")
    assert bm.GeoLift().phases(daily) == 7
    assert bm.GeoLift(season=None).phases(daily) == 0
    assert bm.GeoLift().phases(experiment(market())) == 0
    names = {rv.name for rv in bm.GeoLift().build(daily).free_RVs}
    assert "season_sd" in names


def test_a_strange_day_widens_the_interval() -> None:
    """Where untreated regions lie far apart, that date's spread says so."""
    frame = market()
    odd = frame["week"] == DATES[-2]
    frame.loc[odd, "sold"] *= np.random.default_rng(1).uniform(0.3, 1.7, size=10)
    spread = Paths.of(experiment(frame), 0).spread
    assert spread.argmax() == WEEKS - 2
    assert spread[-2] > 3.0
