"""Frames to panels, and panels to datasets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.media_mix.panel import MediaPanel

REGIONS = ("Geo2", "Geo10", "Geo1")
ROLES: dict[str, Any] = {
    "sales": "units",
    "date": "week",
    "region": "geo",
    "spend": {"tv": "tv_cost", "radio": "radio_cost"},
    "exposure": {"tv": "tv_views", "organic": "posts"},
    "controls": ["price"],
    "population": "people",
    "revenue_per_sale": "price",
    "currency": "EUR",
}


def frame(n_dates: int = 8) -> pd.DataFrame:
    """Three regions, in no order that a panel keeps."""
    rng = np.random.default_rng(1)
    n = len(REGIONS) * n_dates
    table = pd.DataFrame(
        {
            "geo": np.repeat(REGIONS, n_dates),
            "week": np.tile(pd.date_range("2024-01-01", periods=n_dates, freq="7D"), len(REGIONS)),
            "units": rng.integers(50, 99, n),
            "tv_cost": rng.uniform(1, 9, n),
            "tv_views": rng.integers(1, 999, n),
            "radio_cost": rng.uniform(0, 9, n),
            "posts": rng.integers(0, 2, n).astype(bool),
            "price": rng.uniform(2, 3, n),
            "people": np.repeat([2000.0, 10_000.0, 1000.0], n_dates),
            "unread": ["text"] * n,
        }
    )
    return table.sample(frac=1, random_state=2).reset_index(drop=True)


def panel(table: object = None, **roles: Any) -> MediaPanel:
    return MediaPanel.from_frame(frame() if table is None else table, **{**ROLES, **roles})


def lazily(table: pd.DataFrame) -> object:
    return pytest.importorskip("polars").from_pandas(table).lazy()


def duck(table: pd.DataFrame) -> object:
    pytest.importorskip("pyarrow")
    return pytest.importorskip("duckdb").connect().from_df(table)


def text_dates(table: pd.DataFrame) -> object:
    return table.assign(week=table["week"].dt.strftime("%Y-%m-%d"))


def categories(table: pd.DataFrame) -> object:
    return table.assign(geo=table["geo"].astype("category"), week=table["week"].astype("M8[s]"))


ENGINES: dict[str, Callable[[pd.DataFrame], object]] = {
    "polars": lambda table: pytest.importorskip("polars").from_pandas(table),
    "polars lazy": lazily,
    "pyarrow": lambda table: pytest.importorskip("pyarrow").Table.from_pandas(table),
    "duckdb": duck,
    "pandas, text dates": text_dates,
    "pandas, categories": categories,
    "pandas, sorted": lambda table: table.sort_values(["week", "geo"]),
}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_same_panel(engine: str) -> None:
    expected = panel()
    found = panel(ENGINES[engine](frame()))
    xr.testing.assert_identical(found.data, expected.data)
    assert found == expected
    assert hash(found) == hash(expected)


def test_layout() -> None:
    data = panel().data
    assert {name: data[name].dims for name in data.data_vars} == {
        "sales": ("region", "date"),
        "exposure": ("region", "date", "channel"),
        "spend": ("region", "date", "channel"),
        "controls": ("region", "date", "control"),
        "population": ("region",),
        "revenue_per_sale": ("region", "date"),
    }
    assert data["date"].dtype == np.dtype("datetime64[ns]")
    assert {data[name].dtype for name in data.data_vars} == {np.dtype(float)}
    assert {name: data[name].attrs["units"] for name in data.data_vars} == {
        "sales": "sales",
        "exposure": "exposure",
        "spend": "EUR",
        "controls": "as given",
        "population": "people",
        "revenue_per_sale": "EUR per sale",
    }


def test_values_stand_where_their_row_says() -> None:
    table, data = frame(), panel().data
    names = {"sales": "units", "revenue_per_sale": "price"}
    for row in table.itertuples():
        cell = data.sel(region=row.geo, date=row.week)
        for variable, column in names.items():
            assert float(cell[variable]) == getattr(row, column)
        assert cell["exposure"].values.tolist() == [row.tv_views, row.radio_cost, row.posts]
        np.testing.assert_array_equal(cell["spend"], [row.tv_cost, row.radio_cost, np.nan])
        assert cell["controls"].values.tolist() == [row.price]
        assert float(cell["population"]) == row.people


def test_properties() -> None:
    found = panel()
    assert found.regions == ("Geo1", "Geo2", "Geo10")
    assert found.channels == ("tv", "radio", "organic")
    assert found.paid_channels == ("tv", "radio")
    assert found.controls == ("price",)
    assert (found.n_regions, found.n_dates, found.n_channels) == (3, 8, 3)
    assert found.dates.equals(pd.date_range("2024-01-01", periods=8, freq="7D", unit="ns"))
    assert found.balanced
    assert bool(found.observed.all())
    assert found.observed.dims == ("region", "date")
    assert repr(found) == (
        "MediaPanel(3 regions x 8 dates x 3 channels, 2024-01-01 to 2024-02-19 by 7D, "
        "1 control, no missing sales, EUR)"
    )


def test_one_series_is_one_region() -> None:
    table = frame().query("geo == 'Geo1'")
    found = panel(table, region=None, population=None, revenue_per_sale=None, currency=None)
    assert found.regions == ("national",)
    assert found.data["sales"].attrs["units"] == found.data["spend"].attrs["units"] == "currency"
    assert "population" not in found.data
    assert "revenue_per_sale" not in found.data


def test_whole_numbers_name_regions_in_their_order() -> None:
    codes = {"Geo2": 2, "Geo10": 10, "Geo1": 1}
    found = panel(frame().assign(geo=lambda table: table["geo"].map(codes)))
    assert found.regions == ("1", "2", "10")


def test_a_channel_may_be_exposed_by_the_column_of_its_spend() -> None:
    stated = panel(exposure={"tv": "tv_cost"})
    assert stated == panel(exposure=None)
    assert stated.channels == stated.paid_channels == ("tv", "radio")


def test_without_spend_sales_are_units() -> None:
    found = panel(spend=None, exposure={"organic": "posts"}, currency=None, revenue_per_sale=None)
    assert found.paid_channels == ()
    assert found.data["sales"].attrs["units"] == "sales"
    assert np.isnan(found.data["spend"].values).all()


def test_no_controls() -> None:
    found = panel(controls=())
    assert found.controls == ()
    assert found.data["controls"].shape == (3, 8, 0)


def test_an_absent_row_is_masked_and_without_media() -> None:
    table = frame()
    gone = (table["geo"] == "Geo2") & (table["week"] == "2024-01-15")
    found = panel(table[~gone])
    cell = found.data.sel(region="Geo2", date="2024-01-15")
    assert np.isnan(cell["sales"])
    assert cell["exposure"].values.tolist() == [0, 0, 0]
    np.testing.assert_array_equal(cell["spend"], [0, 0, np.nan])
    assert np.isnan(cell["controls"]).all()
    assert np.isnan(cell["revenue_per_sale"])
    assert not found.balanced
    assert found.paid_channels == ("tv", "radio")
    assert int((~found.observed).sum()) == 1
    assert "1 missing sales" in repr(found)
    rest = found.data.where(found.observed)
    xr.testing.assert_equal(rest["sales"], panel().data["sales"].where(found.observed))


def test_empty_sales_are_masked_on_request_and_keep_their_media() -> None:
    table = frame().astype({"units": float})
    rows = (table["geo"] == "Geo2") & (table["week"] == "2024-01-15")
    table.loc[rows, ["units", "price"]] = np.nan
    with pytest.raises(DataError, match="missing_sales='mask'"):
        panel(table)
    found = panel(table, missing_sales="mask")
    cell = found.data.sel(region="Geo2", date="2024-01-15")
    assert np.isnan(cell["sales"])
    assert np.isnan(cell["controls"]).all()
    xr.testing.assert_identical(found.data["exposure"], panel().data["exposure"])
    xr.testing.assert_identical(found.data["spend"], panel().data["spend"])


@pytest.mark.parametrize(
    ("dates", "period"),
    [
        (pd.date_range("2024-02-01", periods=8, freq="D"), "1D"),
        (pd.date_range("2024-02-01", periods=8, freq="14D"), "14D"),
        (pd.date_range("2024-02-01", periods=8, freq="28D"), "28D"),
        (pd.date_range("2024-02-01", periods=8, freq="MS"), "MS"),
        (pd.date_range("2024-02-01", periods=8, freq="ME"), "ME"),
        (pd.date_range("2024-02-01", periods=8, freq="3MS"), "3MS"),
        (pd.date_range("2024-02-01", periods=8, freq="QE"), "3ME"),
        (pd.date_range("2024-01-01", periods=8, freq="YS"), "12MS"),
    ],
)
def test_the_period_continues_the_dates(dates: pd.DatetimeIndex, period: str) -> None:
    table = frame()
    found = panel(table.assign(week=dates[(table["week"].dt.isocalendar().week - 1).to_numpy()]))
    assert found.period == period
    assert pd.date_range(dates[0], periods=8, freq=found.period).equals(dates)


def test_a_window_of_the_panel() -> None:
    whole = panel()
    part = whole.between("2024-01-08", pd.Timestamp("2024-01-22"))
    assert part.dates.strftime("%d").tolist() == ["08", "15", "22"]
    assert part.period == "7D"
    assert part.currency == "EUR"
    xr.testing.assert_identical(part.data, whole.data.isel(date=slice(1, 4)))
    assert whole.between() == whole
    assert whole.between(end="2024-01-01").n_dates == 1
    assert whole.between(np.datetime64("2024-01-02")).n_dates == 7
    assert part != whole


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (("2025-01-01", None), "no date of the panel lies there. It has 2024-01-01 to 2024-02-19"),
        (("2024-02-01", "2024-01-01"), "no date of the panel lies there"),
        (("01/02/24", None), "start='01/02/24' is not a date"),
        ((None, 2024), "end=2024 is not a date"),
        ((pd.NaT, None), "start=NaT is not a date"),
        (("2024-01-01T00:00Z", None), "is not a date"),
    ],
)
def test_windows_refused(bounds: tuple[Any, Any], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        panel().between(*bounds)


def test_arrays_are_read_only_and_apart_from_the_source() -> None:
    found = panel()
    for name in found.data.data_vars:
        assert not found.data[name].values.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        found.data["sales"][0, 0] = 1.0
    source = found.data.copy(deep=True)
    copied = MediaPanel(source, "EUR")
    source["sales"][0, 0] = -99.0
    assert copied == found


def test_a_dataset_round_trip_is_exact(tmp_path: Path) -> None:
    table = frame()
    holed = table[~((table["geo"] == "Geo2") & (table["week"] == "2024-01-15"))]
    for before in (
        panel(holed),
        panel(controls=(), currency=None, population=None, revenue_per_sale=None),
    ):
        stored = before.to_dataset()
        assert MediaPanel.from_dataset(stored) == before
        stored.to_netcdf(tmp_path / "panel.nc")
        with xr.open_dataset(tmp_path / "panel.nc") as opened:
            after = MediaPanel.from_dataset(opened.load())
        assert after == before
        assert after.period == before.period
        xr.testing.assert_identical(after.data, before.data)


def test_equality_is_by_content() -> None:
    assert panel() == panel()
    assert panel() != panel(currency="USD")
    assert panel() != panel(frame().assign(price=lambda table: table["price"] + 1))
    assert panel() != "panel"


def broken(change: Callable[[xr.Dataset], xr.Dataset]) -> Callable[[], MediaPanel]:
    return lambda: MediaPanel(change(panel().data.copy(deep=True)), "EUR")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (broken(lambda d: d.drop_vars("spend")), "no variable 'spend'"),
        (broken(lambda d: d.assign(sales=d["sales"].isel(date=0))), "sales has dimensions"),
        (broken(lambda d: d.isel(date=slice(None, None, -1))), "'date' must be ascending"),
        (broken(lambda d: d.assign_coords(date=np.arange(8))), "'date' must hold dates"),
        (broken(lambda d: d.assign_coords(channel=["a", "b", "a"])), "more than once: 'a'"),
        (broken(lambda d: d.drop_vars("region")), "'region' has no coordinate"),
        (broken(lambda d: d.assign(sales=d["sales"] / 0)), "sales has infinite values"),
        (broken(lambda d: d.assign(exposure=-d["exposure"])), "exposure must be finite and >= 0"),
        (broken(lambda d: d.assign(spend=-d["spend"])), "spend must be finite and >= 0"),
        (broken(lambda d: d.assign(controls=d["controls"] * np.nan)), "controls must be finite"),
        (broken(lambda d: d.assign(population=0 * d["population"])), "population must be > 0"),
        (
            broken(lambda d: d.assign(revenue_per_sale=-d["revenue_per_sale"])),
            "revenue_per_sale must be > 0",
        ),
        (broken(lambda d: d.isel(date=[0, 1, 3]).drop_attrs()), "date has 1 uneven step"),
        (broken(lambda d: d.isel(date=[0]).drop_attrs()), "fewer than two dates"),
    ],
)
def test_datasets_refused(build: Callable[[], MediaPanel], message: str) -> None:
    with pytest.raises(DataError) as caught:
        build()
    assert message in str(caught.value)


def test_a_dataset_without_controls_or_order_is_completed() -> None:
    plain = panel(controls=())
    data = plain.data.drop_vars(["controls", "control"]).transpose("date", "channel", "region")
    assert MediaPanel(data.drop_attrs(), "EUR") == plain


def test_real_panel_of_meridian(shared_data: Path) -> None:
    pl = pytest.importorskip("polars")
    path = shared_data / "meridian_simulated" / "geo_media.csv"
    roles: dict[str, Any] = {
        "sales": "conversions",
        "date": "time",
        "region": "geo",
        "spend": {f"Channel{i}": f"Channel{i}_spend" for i in range(4)},
        "exposure": {f"Channel{i}": f"Channel{i}_impression" for i in range(4)},
        "controls": ["competitor_activity_score_control", "sentiment_score_control"],
        "population": "population",
        "revenue_per_sale": "revenue_per_conversion",
    }
    table = pd.read_csv(path)
    found = MediaPanel.from_frame(table, **roles)
    assert (found.n_regions, found.n_dates, found.n_channels) == (20, 156, 4)
    assert (found.period, found.balanced) == ("7D", True)
    assert found.regions[:3] == ("Geo0", "Geo1", "Geo2")
    assert float(found.data["sales"].sum()) == pytest.approx(table["conversions"].sum())
    assert MediaPanel.from_frame(pl.scan_csv(path), **roles) == found


def test_real_panel_of_stores_without_spend(shared_data: Path) -> None:
    pytest.importorskip("pyarrow")
    table = pd.read_parquet(shared_data / "bayesm_retail" / "orangeJuice_yx.parquet")
    table = table[table["brand"] == 1]
    weeks = pd.to_timedelta(7 * (table["week"].astype(int) - 1), unit="D")
    table = table.assign(
        date=pd.Timestamp("1989-09-14") + weeks, units=np.exp(table["logmove"].astype(float))
    )
    found = MediaPanel.from_frame(
        table,
        sales="units",
        date="date",
        region="store",
        exposure={"feature": "feat", "deal": "deal"},
        controls=["price1"],
    )
    assert (found.n_regions, found.n_dates, found.period) == (83, 121, "7D")
    assert int(found.observed.sum()) == len(table)
    assert found.paid_channels == ()
    assert found.data["sales"].attrs["units"] == "sales"
