from __future__ import annotations

import re
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import xarray as xr

import bayes_mkt as bm
from tests.customers.cases import ROLES, history, toy


def summary(data: bm.CustomerHistory) -> dict[str, tuple[float, ...]]:
    """Each customer's frequency, recency, age and spend."""
    table = data.data
    state = table["customer_state"].to_numpy()
    columns = [table[n].to_numpy()[state] for n in ("frequency", "recency", "age", "spend")]
    people = table["customer"].to_numpy()
    return {str(w): tuple(float(c[i]) for c in columns) for i, w in enumerate(people)}


def test_histories_are_those_counted_by_hand() -> None:
    found = summary(history())
    assert found == {
        "ann": (2, 30, 59, 18),
        "bob": (0, 0, 56, 0),
        "cat": (1, 10, 56, 9),
        "dan": (0, 0, 56, 0),
    }


def test_customers_of_one_history_are_one_state() -> None:
    data = history()
    assert data.n_customers == 4
    assert sorted(data.data["weight"].to_numpy()) == [1, 1, 2]
    assert data.markets == ("de", "fr")
    assert [data.markets[m] for m in data.state_market()] == ["de", "de", "fr"]


def test_without_end_the_last_day_ends_the_history() -> None:
    assert history(end=None).data.attrs["end"] == "2024-03-21"


def test_states_alone_are_the_same_without_customers() -> None:
    kept, left = history(), history(keep_customers=False)
    assert "customer" not in left.data.dims
    assert left.data.identical(kept.data.drop_vars(["customer_state", "customer"]))


def simulated() -> bm.simulate.SimulatedCustomers:
    return bm.simulate.customers((150, 40), seed=2)


def engines(frame: pd.DataFrame) -> dict[str, Any]:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return {
        "polars": pl.from_pandas(frame),
        "polars lazy": pl.from_pandas(frame).lazy(),
        "pyarrow": table,
        "duckdb": duckdb.connect().from_arrow(table),
    }


@pytest.mark.parametrize("engine", ["polars", "polars lazy", "pyarrow", "duckdb"])
def test_every_engine_gives_the_same_history(engine: str) -> None:
    made = simulated()
    frame = engines(made.frame)[engine]
    for keep in (True, False):
        expected, held = bm.CustomerHistory.split_transactions(
            made.frame, **made.columns, keep_customers=keep
        )
        found, other = bm.CustomerHistory.split_transactions(
            frame, **made.columns, keep_customers=keep
        )
        assert found == expected
        for name in ("frequency", "recency", "age", "weight"):
            assert found.data[name].dtype == np.int64
        assert other.data["holdout"].dtype == np.int64
        for name in held.data:
            np.testing.assert_allclose(other.data[name], held.data[name], rtol=1e-12)


def test_spark_gives_the_same_history(spark: Any) -> None:
    made = simulated()
    table = pa.Table.from_pandas(made.frame, preserve_index=False)
    found = bm.CustomerHistory.from_transactions(spark.createDataFrame(table), **made.columns)
    assert found == bm.CustomerHistory.from_transactions(made.frame, **made.columns)


def test_holdout_counts_what_the_same_customers_did_later() -> None:
    data, held = bm.CustomerHistory.split_transactions(toy(), end="2024-02-29", **ROLES)
    assert held.days == 21
    assert held.purchases == 1  # cat on day 75; eve comes first on day 80
    row = held.data.where(held.data["holdout"] > 0, drop=True)
    state = int(row["state"].item())
    assert data.data["frequency"].to_numpy()[state] == 1
    assert row["holdout_spend"].item() == 11.0
    assert int(held.data["repeats"].sum()) == 4
    assert held.data["day"].to_numpy().tolist() == [-50, -46, -29, 16]


def test_covariates_are_those_of_the_first_day() -> None:
    frame = toy().assign(channel=["web", "shop"] * 5)
    data = bm.CustomerHistory.from_transactions(
        frame, **ROLES, covariates=["channel"], end="2024-02-29"
    )
    profiles = data.data[["cell_market", "covariate_channel"]].to_dataframe()
    assert profiles.to_numpy().tolist() == [["de", "web"], ["fr", "shop"]]


@pytest.mark.parametrize("engine", ["pandas", "polars", "pyarrow", "duckdb"])
def test_numbers_are_binned_on_their_engine(engine: str) -> None:
    frame = toy().assign(age=[25.0, 90, 90, 90, 24.9, 40.0, 90, 90, 31.0, 18.0])
    log = frame if engine == "pandas" else engines(frame)[engine]
    data, _ = bm.CustomerHistory.split_transactions(
        log, **ROLES, covariates=["age"], bins={"age": [25, 40]}, end="2024-02-29"
    )
    profiles = data.data[["cell_market", "covariate_age"]].to_dataframe().to_numpy().tolist()
    assert profiles == [["de", "25 to 40"], ["de", "below 25"], ["fr", "from 40"]]
    keys = data.reread(log).collect()
    assert sorted(keys["covariate_age"].to_list()) == [
        "25 to 40", "25 to 40", "below 25", "from 40",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bins", "error", "says"),
    [
        ({"size": [1.0]}, bm.SpecError, "bins names 'size', which covariates= doesn't"),
        ({"age": [2.0, 1.0]}, bm.SpecError, "must be ascending numbers"),
        ({"age": [1.0]}, bm.DataError, "only numbers are binned"),
    ],
)
def test_bins_that_cannot_be_are_refused(bins: Any, error: Any, says: str) -> None:
    frame = toy().assign(age="old")
    with pytest.raises(error, match=says):
        bm.CustomerHistory.from_transactions(frame, **ROLES, covariates=["age"], bins=bins)


def test_history_survives_a_round_trip(tmp_path: Any) -> None:
    data = history(currency="EUR", unit="W")
    data.to_dataset().to_netcdf(tmp_path / "h.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "h.nc", engine="h5netcdf") as stored:
        again = bm.CustomerHistory.from_dataset(stored.load())
    assert again == data
    assert hash(again) == hash(data)
    assert repr(again) == "CustomerHistory(4 customers in 3 states, 2 markets, to 2024-02-29 by W)"


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        (
            {"end": "2023-12-01"},
            bm.SpecError,
            "lies before the first purchase of the log, 2024-01-01",
        ),
        ({"unit": "fortnight"}, bm.SpecError, "unit='fortnight' must be one of"),
        ({"covariates": "channel"}, bm.SpecError, "must be a list of columns"),
        ({"amount": "price"}, bm.DataError, "'price' for amount"),
    ],
)
def test_bad_questions_are_refused(changes: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=re.escape(says)):
        history(**changes)


def test_covariates_with_many_labels_are_refused() -> None:
    made = simulated()
    frame = made.frame.assign(age=made.frame["customer"])
    with pytest.raises(bm.DataError, match=r"covariate 'age' has 190 labels .* pandas\.cut"):
        bm.CustomerHistory.from_transactions(frame, **made.columns, covariates=["age"])


def test_holdout_must_come_after_the_end() -> None:
    with pytest.raises(bm.SpecError, match=r"until=2024-02-01 must lie after end=2024-02-29"):
        bm.CustomerHistory.split_transactions(toy(), end="2024-02-29", until="2024-02-01", **ROLES)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frequency": -1}, "frequency has negative values"),
        ({"recency": 100}, "recency lies above age"),
        ({"recency": 0}, "recency must be above 0 exactly where"),
    ],
)
def test_histories_that_cannot_be_are_refused(change: dict[str, int], says: str) -> None:
    data = history().to_dataset()
    for name, value in change.items():
        data[name] = data[name].where(data["frequency"] == 0, value).astype(int)
    with pytest.raises(bm.DataError, match=says):
        bm.CustomerHistory(data)


def test_published_histories_of_cdnow(shared_data: Any) -> None:
    frame = pd.read_csv(shared_data / "cdnow" / "cdnow_sample.csv")
    published = pd.read_csv(shared_data / "cdnow" / "cdnow_customers_summary_with_transactions.csv")
    data, held = bm.CustomerHistory.split_transactions(
        frame, customer="sample_id", date="date", amount="dollar_value", end="1997-09-30", unit="W"
    )
    found = pd.DataFrame(summary(data), index=["x", "t_x", "T", "spend"]).T
    assert (found["x"].to_numpy() == published["x"]).all()
    np.testing.assert_allclose(found["t_x"].to_numpy() / 7, published["t_x"], atol=0.006)
    np.testing.assert_allclose(found["T"].to_numpy() / 7, published["T"], atol=0.006)
    mean = (found["spend"] / found["x"].clip(lower=1)).to_numpy()
    np.testing.assert_allclose(mean, published["zbar"], atol=0.006)
    assert held.purchases == 1882
