from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.transactions import Transactions, collect, spark_session

ROLES = {"customer": "id", "date": "date", "amount": "amount", "market": "country"}


def log(rows: int = 400, customers: int = 50) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    who = rng.integers(0, customers, rows)
    minutes = rng.integers(0, 400 * 24 * 60, rows)
    return pd.DataFrame(
        {
            "id": who + 10**9,
            "date": pd.Timestamp("2023-01-01") + pd.to_timedelta(minutes, unit="min"),
            "amount": rng.integers(1, 4000, rows) / 4,
            "country": np.array(["de", "fr", "pt"])[who % 3],
            "sku": rng.integers(0, 5, rows),
        }
    )


def arrow(frame: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(frame, preserve_index=False)


ENGINES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "polars lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "pyarrow": arrow,
    "duckdb": lambda frame: duckdb.connect().from_arrow(arrow(frame)),
}


def tables(frame: Any, **options: Any) -> list[pd.DataFrame]:
    """The reductions of a log, as tables."""
    read = Transactions.from_frame(frame, **ROLES, keep=["sku"], **options)
    return [
        collect(read.purchase_days(), order=["customer", "day"]),
        collect(read.purchase_days("2023-03-01", "2023-09-30"), order=["customer", "day"]),
        collect(read.first_values(["market", "sku"], end="2023-11-01"), order=["customer"]),
    ]


def by_hand(frame: pd.DataFrame) -> pd.DataFrame:
    day = frame["date"].dt.floor("D").to_numpy().astype("datetime64[D]").astype(np.int64)
    grouped = frame.assign(customer=frame["id"], day=day).groupby(["customer", "day"])
    return grouped.agg(amount=("amount", "sum"), lines=("amount", "size")).reset_index()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("text", [False, True], ids=["datetimes", "text"])
def test_every_engine_gives_the_same_tables(engine: str, text: bool) -> None:
    frame = log()
    given = frame.assign(date=frame["date"].dt.strftime("%Y-%m-%d %H:%M:%S")) if text else frame
    found = tables(ENGINES[engine](given))
    pd.testing.assert_frame_equal(found[0], by_hand(frame), check_exact=True)
    for table, expected in zip(found, tables(frame), strict=True):
        pd.testing.assert_frame_equal(table, expected, check_exact=True)


def test_spark_gives_the_same_tables(spark: Any) -> None:
    frame = log()
    stamps = frame.assign(date=frame["date"].dt.strftime("%Y-%m-%d %H:%M:%S"))
    for given in (frame, stamps):
        for table, expected in zip(
            tables(spark.createDataFrame(arrow(given))), tables(frame), strict=True
        ):
            pd.testing.assert_frame_equal(table, expected, check_exact=True)


def test_values_are_those_of_the_first_day() -> None:
    frame = pd.DataFrame(
        {
            "id": ["a", "a", "a", "b"],
            "date": ["2024-01-02", "2024-01-02", "2024-02-01", "2024-01-05"],
            "sku": ["soap", "cream", "aloe", "mask"],
        }
    )
    read = Transactions.from_frame(frame, customer="id", date="date", keep=["sku"])
    first = collect(read.first_values(["sku"]), order=["customer"])
    assert first["sku"].tolist() == ["cream", "mask"]


RETURNED = pd.DataFrame(
    {
        "id": [1, 1, 1, 2, 2],
        "date": ["2024-01-02", "2024-01-02", "2024-01-09", "2024-01-03", "2024-01-03"],
        "amount": [10.0, -4.0, -6.0, 5.0, -5.0],
    }
)


@pytest.mark.parametrize(("policy", "rows"), [("drop", [(1, 10.0), (2, 5.0)]), ("net", [(1, 6.0)])])
def test_returns_are_handled_as_asked(policy: Any, rows: list[tuple[int, float]]) -> None:
    read = Transactions.from_frame(
        RETURNED, customer="id", date="date", amount="amount", returns=policy
    )
    days = collect(read.purchase_days(), order=["customer", "day"])
    assert list(zip(days["customer"], days["amount"], strict=True)) == rows


def test_returns_are_refused_where_nothing_is_said_of_them() -> None:
    with pytest.raises(DataError, match=r"amount has 3 negative values: column 'amount', -4 of"):
        Transactions.from_frame(RETURNED, customer="id", date="date", amount="amount")


@pytest.mark.parametrize(
    ("options", "says"),
    [({"returns": "ignore"}, "returns='ignore' must be"), ({"returns": "net"}, "needs amount=")],
)
def test_contradicting_options_are_refused(options: Any, says: str) -> None:
    with pytest.raises(SpecError, match=says):
        Transactions.from_frame(log(), customer="id", date="date", **options)


def broken() -> pd.DataFrame:
    """A log in which each row from the third has something wrong with it."""
    frame = log(20).astype({"id": float, "date": "str"})
    frame["date"] = frame["date"].str.slice(0, 10)
    frame.loc[2, "id"] = np.nan
    frame.loc[3, "id"] = 7.5
    frame.loc[4, "date"] = "2023-02-30"
    frame.loc[5, "date"] = None
    frame.loc[6, "date"] = "2999-01-01"
    frame.loc[7, "date"] = "1899-01-01"
    frame.loc[8, "date"] = "2023-01-01T10:00:00Z"
    frame.loc[9, "amount"] = -3.0
    frame.loc[10, "amount"] = np.inf
    frame.loc[11, "amount"] = np.nan
    frame.loc[12, "country"] = " "
    frame.loc[13, "country"] = None
    return frame


@pytest.mark.parametrize("engine", ENGINES)
def test_all_problems_are_raised_at_once(engine: str) -> None:
    with pytest.raises(DataError) as caught:
        Transactions.from_frame(ENGINES[engine](broken()), **ROLES)
    found = caught.value.problems
    for says in (
        "customer has 1 missing value: column 'id', on 202",
        "customer has 1 value that is no label: column 'id', 7.5 on 202",
        "date has 1 missing value: column 'date', of customer",
        "date has 1 value that is not a date: column 'date', '2023-02-30' of customer",
        "date has 1 date in the future: column 'date', '2999-01-01' of customer",
        "date has 1 date before 1900: column 'date', '1899-01-01' of customer",
        "date mixes time zones: column 'date', for example 'no zone' and 'Z'.",
        "amount has 1 negative value: column 'amount', -3 of customer",
        "amount has 1 infinite value: column 'amount', inf of customer",
        "amount has 1 missing value: column 'amount', of customer",
        "market has 1 blank value: column 'country', ' ' of customer",
        "market has 1 missing value: column 'country', of customer",
    ):
        assert [p for p in found if p.startswith(says)], says
    assert len(found) == 12


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.assign(date=f["date"].dt.day), "date is of type Int32: column 'date'. Give"),
        (lambda f: f.assign(amount="5"), "amount is of type String: column 'amount'. Convert"),
        (lambda f: f.iloc[:0], "The log has no rows"),
        (lambda f: f.drop(columns="country"), "'country' for market"),
        (lambda f: f.assign(amount=[object()] * len(f)), "amount has 400 values that are not numb"),
        (lambda f: "log.csv", "Read the file first"),
    ],
)
def test_frames_that_are_no_log_are_refused(change: Callable[[Any], Any], says: str) -> None:
    with pytest.raises(DataError, match=re.escape(says)):
        Transactions.from_frame(change(log()), **ROLES)


def test_reserved_names_are_refused() -> None:
    frame = log().assign(day=1)
    with pytest.raises(DataError, match="column 'day' can't be kept under that name"):
        Transactions.from_frame(frame, customer="id", date="date", keep=["day"])


def test_objects_categories_and_zones_are_read() -> None:
    frame = log(30)
    days = by_hand(frame)
    changed = frame.assign(
        date=frame["date"].dt.tz_localize("Asia/Tokyo"), country=frame["country"].astype("category")
    )
    dated = frame.assign(date=pd.Series([d.date() for d in frame["date"]], dtype=object))
    for given in (changed, dated):
        read = Transactions.from_frame(given, customer="id", date="date", amount="amount")
        found = collect(read.purchase_days(), order=["customer", "day"])
        pd.testing.assert_frame_equal(found, days, check_exact=True)
    read = Transactions.from_frame(changed, customer="id", date="date", market="country")
    assert set(collect(read.log)["market"]) == {"de", "fr", "pt"}


def test_first_and_last_day_are_told() -> None:
    frame = log()
    read = Transactions.from_frame(frame, **ROLES)
    assert read.first == frame["date"].min().date()
    assert read.last == frame["date"].max().date()
    assert isinstance(read.first, dt.date)


def test_columns_that_were_not_read_are_refused() -> None:
    with pytest.raises(SpecError, match="was read without"):
        Transactions.from_frame(log(), customer="id", date="date").first_values(["market"])


def test_spark_says_which_java_it_lacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bayes_mkt.transactions.find_spec", lambda _: object())
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(SpecError, match="Java 17 or later, and there is none in JAVA_HOME"):
        spark_session()
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_352\"' >&2\n")
    old.chmod(0o755)
    with pytest.raises(SpecError, match=r"in JAVA_HOME, .* is Java 8\. Install Java 17"):
        spark_session()
    monkeypatch.setattr("bayes_mkt.transactions.find_spec", lambda _: None)
    with pytest.raises(SpecError, match=r"pip install 'bayes-mkt\[spark\]'"):
        spark_session()
