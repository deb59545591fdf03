"""Any frame in, checked columns out."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bayes_mkt.errors import DataError
from bayes_mkt.frames import Column, Problems, read_columns

DAYS = np.array(["2024-03-04", "2024-03-11", "2024-03-18"], dtype="datetime64[ns]")


def read(frame: object, **columns: Column) -> dict[str, Any]:
    """Read and raise."""
    problems = Problems()
    values = read_columns(frame, columns, problems)
    problems.raise_if_any()
    return values


def one(values: object, kind: Any, **options: Any) -> Any:
    """Read a single pandas column."""
    return read(pd.DataFrame({"x": values}), x=Column("x", "thing", kind, **options))["x"]


def polars(lazy: bool) -> Callable[[pd.DataFrame], object]:
    def convert(frame: pd.DataFrame) -> object:
        pl = pytest.importorskip("polars")
        eager = pl.DataFrame({name: frame[name].to_list() for name in frame})
        return eager.lazy() if lazy else eager

    return convert


def arrow(frame: pd.DataFrame) -> object:
    return pytest.importorskip("pyarrow").Table.from_pandas(frame, preserve_index=False)


def duck(frame: pd.DataFrame) -> object:
    pytest.importorskip("pyarrow")
    return pytest.importorskip("duckdb").connect().from_df(frame)


ENGINES: dict[str, Callable[[pd.DataFrame], object]] = {
    "pandas": lambda frame: frame,
    "polars": polars(lazy=False),
    "polars lazy": polars(lazy=True),
    "pyarrow": arrow,
    "duckdb": duck,
}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_gives_the_same_columns(engine: str) -> None:
    frame = pd.DataFrame(
        {
            "shop": ["a", "b", "c"],
            "code": [3, 1, 2],
            "day": DAYS,
            "paid": [1.5, 2.0, 0.0],
            "count": [1, 2, 3],
            "flag": [True, False, True],
            "unread": [None, object(), None] if engine == "pandas" else ["", "", ""],
        }
    )
    values = read(
        ENGINES[engine](frame),
        shop=Column("shop", "shop", "label"),
        code=Column("code", "code", "label"),
        day=Column("day", "day", "date"),
        paid=Column("paid", "amount", minimum=0),
        count=Column("count", "count", positive=True),
        flag=Column("flag", "flag"),
    )
    assert values["shop"].tolist() == ["a", "b", "c"]
    assert values["code"].tolist() == ["3", "1", "2"]
    assert values["day"].dtype == np.dtype("datetime64[ns]")
    np.testing.assert_array_equal(values["day"], DAYS)
    for key, expected in {"paid": [1.5, 2, 0], "count": [1, 2, 3], "flag": [1, 0, 1]}.items():
        assert values[key].dtype == np.float64
        np.testing.assert_array_equal(values[key], expected)


def test_a_query_is_pruned_to_the_named_columns() -> None:
    pl = pytest.importorskip("polars")
    asked: list[list[str] | None] = []

    def source(
        with_columns: list[str] | None, predicate: object, n_rows: object, batch_size: object
    ) -> Any:
        asked.append(with_columns)
        yield pl.DataFrame({"x": [1.0], "y": [2.0]}).select(with_columns or ["x", "y"])

    from polars.io.plugins import register_io_source

    lazy = register_io_source(source, schema={"x": pl.Float64, "y": pl.Float64})
    read(lazy, x=Column("x", "thing"))
    assert asked == [["x"]]


def test_sums_of_integers_in_duckdb_are_numbers() -> None:
    pytest.importorskip("pyarrow")
    connection = pytest.importorskip("duckdb").connect()
    query = (
        "select k, sum(v) as v, sum(v) as code, avg(v)::decimal(9, 2) as m, count(*) as n, "
        "min(w)::date as w, (array_agg(e))[1] as e, min(t) as t "
        "from (values (1, 2, '2024-03-04', 'a'::enum('a', 'b'), timestamptz '2024-03-04 00:00'), "
        "(1, 3, '2024-03-04', 'a', timestamptz '2024-03-04 00:00')) as r(k, v, w, e, t) group by k"
    )
    values = read(
        connection.sql(query),
        v=Column("v", "thing", shares=frozenset({"code"})),
        m=Column("m", "thing"),
        n=Column("n", "thing"),
        w=Column("w", "week", "date"),
        e=Column("e", "kind", "label"),
        t=Column("t", "time", "date"),
        code=Column("code", "code", "label"),
    )
    assert [float(values[key][0]) for key in ("v", "m", "n")] == [5, 2.5, 2]
    assert values["code"].tolist() == ["5"]
    assert values["e"].tolist() == ["a"]
    assert values["w"][0] == values["t"][0] == DAYS[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([Decimal("1.5"), Decimal("2")], [1.5, 2]),
        (pd.array([1, 2], dtype="Int8"), [1, 2]),
        (pd.array([True, False], dtype="boolean"), [1, 0]),
        (np.array([1, 2.5], dtype="float32"), [1, 2.5]),
        (pd.Series([1, True], dtype=object), [1, 1]),
    ],
)
def test_numbers(values: object, expected: list[float]) -> None:
    np.testing.assert_array_equal(one(values, "number"), expected)


@pytest.mark.parametrize(
    "values",
    [
        [1.0, None],
        pd.array([1, None], dtype="Int64"),
        [Decimal(1), None],
        pd.Series([1, None], dtype=object),
    ],
)
def test_missing_numbers_are_refused_or_kept(values: object) -> None:
    np.testing.assert_array_equal(one(values, "number", missing="keep"), [1, np.nan])
    with pytest.raises(DataError, match=r"thing has 1 missing value: column 'x', at row 1 "):
        one(values, "number")


def test_a_column_without_any_value_is_missing_throughout() -> None:
    pl = pytest.importorskip("polars")
    for frame in (pd.DataFrame({"x": [None, None]}), pl.DataFrame({"x": [None, None]})):
        for column in (Column("x", "n"), Column("x", "n", "label"), Column("x", "n", "date")):
            with pytest.raises(DataError, match="n has 2 missing values"):
                read(frame, x=column)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Categorical(["b", "a"]), ["b", "a"]),
        (pd.Categorical([10, 2]), ["10", "2"]),
        ([2**60 + 1, 2], [str(2**60 + 1), "2"]),
        (pd.array([2**60 + 1, 2], dtype="Int64"), [str(2**60 + 1), "2"]),
        (pd.Series(["a", 1], dtype=object), ["a", "1"]),
        ([uuid.UUID(int=1), uuid.UUID(int=2)], [str(uuid.UUID(int=i)) for i in (1, 2)]),
        ([1.0, 2.0], ["1", "2"]),
        ([Decimal(1), Decimal(2)], ["1", "2"]),
        ([True, False], ["True", "False"]),
    ],
)
def test_labels(values: object, expected: list[str]) -> None:
    labels = one(values, "label")
    assert labels.tolist() == expected
    assert all(type(label) is str for label in labels)


def test_enum_labels_of_polars() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"x": pl.Series(["b", "a"], dtype=pl.Enum(["a", "b"]))})
    assert read(frame, x=Column("x", "thing", "label"))["x"].tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, None], "thing has 1 missing value: column 'x', at row 1 (rows counted from 0)."),
        (["a", " "], "thing has 1 blank label: column 'x', at row 1 "),
        ([0.5, 1], "thing is of type float64 where labels are needed: column 'x', for example"),
        ([[1], [2]], "thing has 2 values that are no labels: column 'x'"),
        (pd.Series(["a", 0.5], dtype=object), "1 value that is no label: column 'x', 0.5 at row 1"),
        (pd.Series(["a", np.inf], dtype=object), "1 value that is no label: column 'x', inf"),
    ],
)
def test_labels_refused(values: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        one(values, "label")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        ["2024-03-04", "2024-03-11", "2024-03-18"],
        ["2024-03-04T00:00:00", "2024-03-11 00:00", "20240318"],
        ["2024-03-04T00:00+01:00", "2024-03-11T00:00+01:00", "2024-03-18T00:00+01:00"],
        pd.Categorical(["2024-03-04", "2024-03-11", "2024-03-18"]),
        [dt.date(2024, 3, 4), dt.date(2024, 3, 11), dt.date(2024, 3, 18)],
        pd.Series([dt.datetime(2024, 3, 4), dt.date(2024, 3, 11), "2024-03-18"], dtype=object),
        pd.Series([pd.Timestamp("2024-03-04"), DAYS[1], DAYS[2]], dtype=object),
        DAYS.astype("datetime64[s]"),
        DAYS.astype("datetime64[us]"),
        DAYS,
        pd.DatetimeIndex(DAYS).tz_localize("Europe/Berlin"),
    ],
)
def test_dates(values: object) -> None:
    dates = one(values, "date")
    assert dates.dtype == np.dtype("datetime64[ns]")
    np.testing.assert_array_equal(dates, DAYS)


def test_a_zone_is_dropped_and_its_clock_kept() -> None:
    pl = pytest.importorskip("polars")
    days = pd.date_range("2024-03-25", periods=3, freq="7D").to_pydatetime().tolist()
    frame = pl.DataFrame({"x": days}).with_columns(
        pl.col("x").dt.replace_time_zone("Europe/Berlin")
    )
    for table in (frame, frame.lazy(), frame.to_arrow(), frame.to_pandas()):
        values = read(table, x=Column("x", "week", "date"))["x"]
        np.testing.assert_array_equal(values, np.array(days, dtype="datetime64[ns]"))


def test_times_of_day_are_kept_on_request() -> None:
    values = ["2024-03-04T10:30", "2024-03-04T11:00"]
    expected = np.array(values, dtype="datetime64[ns]")
    np.testing.assert_array_equal(one(values, "datetime"), expected)
    with pytest.raises(DataError, match=r"thing has 2 values with a time of day: .* 10:30:00 at "):
        one(values, "date")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["2024-03-04", "04/03/24"], "1 value that is not a date: column 'x', '04/03/24' at row 1"),
        (["2024-02-30"], "1 value that is not a date: column 'x', '2024-02-30' at row 0"),
        ([202401, 202402], "is of type int64 where dates are needed: column 'x', for example 2024"),
        (
            pd.period_range("2024-01", periods=2, freq="M"),
            "has 2 values that are not dates: column 'x', Period('2024-01', 'M') at row 0",
        ),
        (
            ["2024-03-04T00:00+01:00", "2024-03-04T00:00Z"],
            "mixes time zones: column 'x', UTC+01:00 at row 0; UTC at row 1",
        ),
        (
            ["2024-03-04T00:00Z", "2024-03-04"],
            "mixes time zones: column 'x', UTC at row 0; no zone",
        ),
        (["2024-03-04", None], "has 1 missing value: column 'x', at row 1"),
        ([dt.date(9999, 12, 31)], "1 date outside the years 1678 to 2261: column 'x', 9999-12-31"),
    ],
)
def test_dates_refused(values: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        one(values, "date")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([1, -2.5], {"minimum": 0}, "has 1 negative value: column 'x', -2.5 at row 1 "),
        ([1, 2], {"minimum": 2}, "has 1 value below 2: column 'x', 1 at row 0 "),
        ([0, -1], {"positive": True}, "has 2 zero or negative values: column 'x', 0 at row 0; -1"),
        ([np.inf, 1], {}, "has 1 infinite value: column 'x', inf at row 0 "),
        (["1", "2"], {}, "has 2 numbers stored as text: column 'x', '1' at row 0; '2' at row 1"),
        (["1", "n/a"], {}, "has 1 value that is not a number: column 'x', 'n/a' at row 1"),
        (pd.Series([1, "?"], dtype=object), {}, "1 value that is not a number: column 'x', '?'"),
        ([1j, 2j], {}, "has 2 values that are not numbers: column 'x', 1j at row 0"),
        (DAYS, {}, "where numbers are needed: column 'x', for example 2024-03-04."),
        (pd.Categorical(["a"]), {}, "is of type category where numbers are needed: column 'x'"),
        ([-1] * 5, {"minimum": 0}, "-1 at row 0; -1 at row 1; -1 at row 2; and 2 more"),
    ],
)
def test_numbers_refused(values: object, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        one(values, "number", **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([1, 2], "must be a data frame, but got list. Give a pandas, Polars,"),
        ({"x": [1]}, "but got dict. Make it a frame first, for instance by pandas.DataFrame"),
        ("data.csv", "but got str. Read the file first, for instance by pandas.read_csv"),
        (Path("data.csv"), "Read the file first"),
        (pd.Series([1.0], name="x"), "must be a data frame, but got Series."),
        (None, "must be a data frame, but got NoneType."),
        (pd.DataFrame({"x": []}), "The frame has no rows."),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "more than one column named 'x'. Rename"),
        (pd.DataFrame({"X ": [1]}), "'x' for thing (did you mean 'X '?). The frame has 'X '."),
        (pd.DataFrame({0: [1]}), "1 column is not in the frame: 'x' for thing. The frame has 0."),
        (
            pd.DataFrame({"x": [1], "y": [2]}).set_index("x"),
            "The frame has 'y'. The index holds 'x': call reset_index() first.",
        ),
    ],
)
def test_frames_refused(frame: object, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(frame, x=Column("x", "thing"))
    assert len(caught.value.problems) == 1
    assert message in str(caught.value)


def test_one_column_for_two_roles() -> None:
    frame = pd.DataFrame({"x": [1.0]})
    with pytest.raises(DataError, match=r"column 'x' is used as spend, tv and as sales. Give each"):
        read(frame, a=Column("x", "spend", part="tv"), b=Column("x", "sales"))
    shared = read(
        frame,
        a=Column("x", "spend", shares=frozenset({"b"})),
        b=Column("x", "exposure", shares=frozenset({"a"})),
    )
    assert set(shared) == {"a", "b"}


def test_missing_where_another_column_is_missing() -> None:
    frame = pd.DataFrame({"x": [1.0, np.nan, 3.0], "y": [1.0, np.nan, np.nan]})
    x = Column("x", "sales", missing="keep")
    with pytest.raises(DataError, match="price has 1 missing value: column 'y', at row 2 "):
        read(frame, x=x, y=Column("y", "price", missing_with="x"))
    values = read(frame[:2], x=x, y=Column("y", "price", missing_with="x"))
    np.testing.assert_array_equal(values["y"], [1, np.nan])


def test_everything_wrong_is_said_at_once_and_where() -> None:
    frame = pd.DataFrame(
        {"shop": ["a", "b", None], "day": DAYS, "paid": [-1.0, 2, -3], "n": [1, np.inf, 1]}
    )
    with pytest.raises(DataError) as caught:
        read(
            frame,
            shop=Column("shop", "shop", "label", locates=True),
            day=Column("day", "day", "date", locates=True),
            paid=Column("paid", "amount", part="till 1", minimum=0, remedy="net refunds"),
            n=Column("n", "count"),
            gone=Column("gone", "age"),
        )
    assert caught.value.problems == (
        "1 column is not in the frame: 'gone' for age. The frame has 'shop', 'day', 'paid', 'n'.",
        "shop has 1 missing value: column 'shop', at 2024-03-18, row 2 (rows counted from 0). "
        "Fill in what is missing, or drop these rows.",
        "amount has 2 negative values: till 1 (column 'paid'), -1 at shop 'a', 2024-03-04; "
        "-3 at 2024-03-18, row 2 (rows counted from 0). Amount must be >= 0; net refunds.",
        "count has 1 infinite value: column 'n', inf at shop 'b', 2024-03-11. "
        "Put in the true figure; a division by zero is the usual cause.",
    )


def test_what_is_read_does_not_alias_the_frame() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    values = read(frame, x=Column("x", "thing"))["x"]
    values[0] = 9
    assert frame["x"].tolist() == [1, 2]
