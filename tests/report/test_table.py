from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_mkt.errors import SpecError
from bayes_mkt.report import format_table, table


def draws(*, long_name: str = "return on investment") -> xr.DataArray:
    rng = np.random.default_rng(0)
    return xr.DataArray(
        rng.gamma(3.0, 0.5, (3, 200, 2, 4)),
        dims=["chain", "draw", "region", "channel"],
        coords={"region": ["north", "south"], "channel": ["tv", "radio", "search", "mail"]},
        name="roi",
        attrs={"units": "EUR/EUR", "long_name": long_name},
    )


def test_values_are_those_of_numpy() -> None:
    array = draws()
    frame = table(array, interval=0.8, above=1.0)
    pooled = array.values.reshape(600, 8)
    expected = {
        "mean": pooled.mean(0),
        "sd": pooled.std(0, ddof=1),
        "median": np.median(pooled, 0),
        "10%": np.quantile(pooled, 0.1, 0),
        "90%": np.quantile(pooled, 0.9, 0),
        "P(>1)": (pooled > 1).mean(0),
    }
    assert list(frame.columns) == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(frame[name].to_numpy(), values, rtol=1e-12)
    assert frame.index.names == ["region", "channel"]
    assert frame.loc[("south", "tv"), "mean"] == pytest.approx(
        float(array.sel(region="south", channel="tv").mean())
    )
    assert frame.attrs == {
        "units": "EUR/EUR",
        "long_name": "return on investment",
        "interval": 0.8,
        "draws": 600,
    }


@pytest.mark.parametrize(
    ("interval", "names"),
    [
        (0.9, ["5%", "95%"]),
        (0.95, ["2.5%", "97.5%"]),
        (0.5, ["25%", "75%"]),
        (0.89, ["5.5%", "94.5%"]),
    ],
)
def test_bounds_are_named_by_the_interval(interval: float, names: list[str]) -> None:
    assert list(table(draws(), interval).columns[3:]) == names


def test_order_of_dimensions_does_not_matter() -> None:
    array = draws()
    turned = array.transpose("channel", "draw", "region", "chain")
    a, b = table(array), table(turned).reorder_levels(["region", "channel"])
    pd.testing.assert_frame_equal(a, b.reindex(a.index))


def test_total_without_labels_has_one_row() -> None:
    frame = table(draws().sum(["region", "channel"]))
    assert list(frame.index) == ["roi"]
    assert len(frame.columns) == 5


def test_dates_and_integers_keep_their_type() -> None:
    dates = pd.date_range("2024-01-01", periods=3, freq="7D")
    array = xr.DataArray(np.ones((1, 5, 3)), dims=["chain", "draw", "date"], coords={"date": dates})
    frame = table(array)
    assert isinstance(frame.index, pd.DatetimeIndex)
    assert list(format_table(frame).index) == ["2024-01-01", "2024-01-08", "2024-01-15"]
    lags = xr.DataArray(np.ones((1, 5, 3)), dims=["chain", "draw", "lag"])
    assert list(table(lags).index) == [0, 1, 2]


def test_dataset_names_variables_and_pads_labels() -> None:
    roi = draws().isel(region=0, drop=True)
    sigma = xr.DataArray(np.ones((3, 200)), dims=["chain", "draw"], attrs={"units": "EUR"})
    frame = table(xr.Dataset({"roi": roi, "sigma": sigma}))
    assert frame.index.names == ["variable", "channel"]
    assert list(frame.index)[-1] == ("sigma", "")
    assert frame.loc[("sigma", ""), "mean"] == 1.0
    assert frame.attrs["units"] == {"roi": "EUR/EUR", "sigma": "EUR"}
    assert format_table(frame).loc[("sigma", ""), "mean"] == "1.00"


def test_missing_draws_give_missing_summaries() -> None:
    array = draws()
    array[0, 0, 0, 0] = np.nan
    frame = table(array, above=0.0)
    assert frame.iloc[0].isna().all()
    assert frame.iloc[1:].notna().all(axis=None)
    assert set(format_table(frame).iloc[0]) == {"n/a"}


def test_infinite_draws_and_a_single_draw_do_not_warn() -> None:
    array = draws()
    array[0, 0, 0, 0] = np.inf
    assert table(array).iloc[0]["mean"] == np.inf
    single = table(draws().isel(chain=[0], draw=[0]))
    assert single["sd"].isna().all()
    assert (single["mean"] == single["5%"]).all()


def test_unconverged_is_said_on_every_row() -> None:
    why = "R-hat of roi[tv] is 1.2"
    frame = table(draws().assign_attrs(unconverged=why))
    assert frame.attrs["unconverged"] == why
    assert set(frame["warning"]) == {"unconverged"}
    assert set(format_table(frame)["warning"]) == {"unconverged"}
    inside = table(xr.Dataset({"roi": draws().assign_attrs(unconverged=why)}))
    assert inside.attrs["unconverged"] == why


@pytest.mark.parametrize("array", [draws().mean("draw"), draws().mean(["chain", "draw"])])
def test_averages_are_refused(array: xr.DataArray) -> None:
    with pytest.raises(SpecError, match=r"lacks .*'draw'.* not an average"):
        table(array)


def test_impossible_requests_are_refused() -> None:
    for interval in (0.0, 1.0, 90.0, -0.1, float("nan")):
        with pytest.raises(SpecError, match="not between 0 and 1"):
            table(draws(), interval)
    with pytest.raises(SpecError, match="no draws"):
        table(draws().isel(draw=slice(0, 0)))
    with pytest.raises(SpecError, match="no variables"):
        table(xr.Dataset())


def test_text_keeps_the_digits_that_the_draws_support() -> None:
    rng = np.random.default_rng(3)
    array = xr.DataArray(
        np.stack([rng.normal(1_234_567, 45_000, 500), rng.normal(-2_345_678, 61_000, 500)], -1)[
            None
        ],
        dims=["chain", "draw", "channel"],
        coords={"channel": ["a", "b"]},
    )
    text = format_table(table(array, above=0.0))
    assert str(text.loc["a", "sd"]).endswith(",000")
    assert str(text.loc["a", "mean"]).startswith("1,23")
    assert str(text.loc["b", "mean"]).startswith("−2,34")
    assert list(text["P(>0)"]) == [">99.8%", "<0.2%"]
    assert text.attrs["draws"] == 500
