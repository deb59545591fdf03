"""From frames to counted rows: nobody is lost, nothing is known too early."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm


def log(*rows: tuple[str, int], **columns: list[Any]) -> pd.DataFrame:
    """Purchases as (customer, day of January 2024)."""
    who, day = zip(*rows, strict=True)
    dates = pd.Timestamp("2023-12-31") + pd.to_timedelta(day, unit="D")
    return pd.DataFrame({"id": who, "on": dates, **columns})


def read(frame: Any, **more: Any) -> bm.FirstPurchases:
    given = {"customer": "id", "date": "on", "end": "2024-01-31", "intervals": 7, **more}
    return bm.FirstPurchases.from_transactions(frame, **given)


def rows(data: Any) -> list[tuple[float, float, int, float]]:
    values = data.data
    names = ("entry", "duration", "event", "count")
    return sorted(zip(*(values[n].values.tolist() for n in names), strict=True))


def test_waits_events_and_censoring() -> None:
    frame = log(("a", 1), ("a", 9), ("a", 12), ("b", 5), ("c", 9), ("c", 9), ("d", 31))
    data = read(frame)
    # a: 8 days to the second; b: none in 26; c: bought twice on one day, none in 22; d: today.
    assert rows(data) == [(0, 0, 0, 1), (0, 8, 1, 1), (0, 22, 0, 1), (0, 26, 0, 1)]
    assert dict(zip(data.data.customer.values, data.data.elapsed.values, strict=True)) == {
        "b": 26,
        "c": 22,
        "d": 0,
    }
    assert (data.spells, data.events()) == (4, 1)


def test_later_rows_are_not_looked_at() -> None:
    early = log(("a", 1), ("b", 5), ("b", 7))
    whole = log(("a", 1), ("b", 5), ("b", 7), ("a", 20), ("c", 30))
    assert read(early, end="2024-01-15") == read(whole, end="2024-01-15")


def test_equal_waits_are_one_row() -> None:
    frame = log(*[(f"c{i}", 3) for i in range(500)], *[(f"c{i}", 10) for i in range(200)])
    assert rows(read(frame)) == [(0, 7, 1, 200), (0, 28, 0, 300)]


def test_left_truncation() -> None:
    frame = log(("a", 1), ("a", 5), ("b", 1), ("b", 20), ("c", 15), ("d", 1))
    # Second purchases are recorded from the 10th on: a isn't seen, b and d count from the 9th day.
    data = read(frame, observed_from="2024-01-10")
    assert rows(data) == [(0, 16, 0, 1), (8, 19, 1, 1), (8, 30, 0, 1)]


def test_acquired_in_a_window() -> None:
    frame = log(("a", 1), ("b", 5), ("c", 9))
    data = read(frame, acquired_from="2024-01-05", acquired_before="2024-01-09")
    assert list(data.data.customer.values) == ["b"]
    with pytest.raises(bm.DataError, match="No customer's first purchase lies in"):
        read(frame, acquired_from="2024-02-05")


def test_the_horizon_cuts_waits() -> None:
    frame = log(("a", 1), ("a", 20), ("b", 1))
    data = read(frame, horizon=14)
    assert rows(data) == [(0, 14, 0, 2)]
    assert list(data.data.customer.values) == ["b"]  # a has bought again: nobody to contact


def test_opt_outs_compete() -> None:
    frame = log(("a", 1), ("a", 9), ("b", 1), ("c", 1), ("c", 9))
    outs = log(("a", 5), ("b", 8), ("c", 9), ("c", 20))
    data = read(frame, opt_outs=outs)
    assert data.causes == ("second purchase", "opt-out")
    # a left before the purchase; c bought on the day of leaving.
    assert rows(data) == [(0, 4, 2, 1), (0, 7, 2, 1), (0, 8, 1, 1)]
    assert rows(data.only("second purchase")) == [(0, 4, 0, 1), (0, 7, 0, 1), (0, 8, 1, 1)]
    assert data.only("opt-out").events() == 2
    with pytest.raises(bm.SpecError, match=r"data\.only"):
        bm.SecondPurchase().build(data)


def test_whole_weeks() -> None:
    frame = log(("a", 1), ("a", 8), ("b", 1), ("b", 9), ("c", 25), ("c", 30), ("d", 20))
    # c's first week isn't over on the 31st: it says nothing yet. d is 11 days old: one week.
    data = read(frame, unit="W", intervals=1)
    assert rows(data) == [(0, 0, 0, 1), (0, 1, 0, 1), (0, 1, 1, 1), (0, 2, 1, 1)]


def test_profile_basket_and_markets_are_those_of_the_first_day() -> None:
    frame = log(
        ("a", 1), ("a", 1), ("a", 9), ("b", 2), ("b", 8), ("c", 3),
        kind=["x", "y", "z", "x", "y", "y"], age=[30, 30, 31, 40, 41, 50],
        land=["n", "n", "s", "s", "n", "s"],
    )  # fmt: skip
    data = read(frame, basket=["kind"], profile=["age"], market="land")
    assert data.features == ("age", "kind=x", "kind=y")
    table = data.data["features"].values[data.data["cell_of_row"].values].tolist()
    assert sorted(table) == [[30, 1, 1], [40, 1, 0], [50, 0, 1]]
    assert data.markets == ("n", "s")
    assert data.risk_table()["events"].sel(market="n").sum() == 1  # a's, bought in n


def test_every_engine_gives_the_same_rows() -> None:
    pl, pa, duckdb = (pytest.importorskip(n) for n in ("polars", "pyarrow", "duckdb"))
    frame = log(("a", 1), ("a", 9), ("b", 5), ("c", 9), kind=["x", "y", "y", "x"])
    expected = read(frame, basket=["kind"])
    table = pa.Table.from_pandas(frame)
    connection = duckdb.connect()
    for other in (pl.from_pandas(frame).lazy(), table, connection.from_arrow(table)):
        assert read(other, basket=["kind"]) == expected


@pytest.mark.parametrize("engaged_on", [1, 7, 8, 9, 14, 15, 16])
def test_engagement_is_known_only_before_an_interval(engaged_on: int) -> None:
    """A visit on day d after the first purchase may count from the next interval on."""
    frame = log(("a", 1), ("b", 1))
    visits = log(("a", 1 + engaged_on))
    data = read(frame, engagement={"visit": visits}, horizon=28)
    values = data.data
    flag = values["features"].values[values["cell_of_row"].values, 0]
    spans = {
        (a, b)
        for a, b, f in zip(values["entry"].values, values["duration"].values, flag, strict=True)
        if f
    }
    starts = [s for s in (0, 7, 14, 21) if engaged_on <= s < engaged_on + 7]
    assert spans == {(s, s + 7) for s in starts}


def test_a_planted_leak_has_no_effect() -> None:
    """Visits that happen because of the purchase: on its day and after it."""
    rng = np.random.default_rng(1)
    people = [f"c{i}" for i in range(400)]
    waits = rng.integers(1, 28, size=400)
    frame = log(
        *[(p, 1) for p in people], *[(p, 1 + int(w)) for p, w in zip(people, waits, strict=True)]
    )
    leak = log(*[(p, 1 + int(w)) for p, w in zip(people, waits, strict=True)])
    data = read(frame, engagement={"leak": leak}, horizon=28)
    happened = data.data["event"].values == 1
    flag = data.data["features"].values[data.data["cell_of_row"].values, 0]
    assert data.events() == 400
    assert flag[happened].sum() == 0


def test_a_risk_table_counts_everyone_once() -> None:
    frame = log(("a", 1), ("a", 9), ("b", 5), ("c", 9), ("d", 1))
    table = read(frame).risk_table()
    # Days at risk, in weeks: a 8, b 26, c 22, d 30.
    assert float(table["at_risk"].sum()) == pytest.approx((8 + 26 + 22 + 30) / 7)
    assert table["events"].values[0, :, 0].tolist() == [0, 1, 0, 0, 0]


def test_saved_and_read_back() -> None:
    data = read(log(("a", 1), ("a", 9), ("b", 5)))
    again = bm.FirstPurchases.from_dataset(data.to_dataset())
    assert again == data
    assert hash(again) == hash(data)
    assert "2 one-time buyers in 1 market, 1 x second purchase" in repr(data)


def test_test_data_are_coded_like_the_fitted() -> None:
    frame = log(("a", 1), ("b", 2), ("c", 3), ("d", 20), ("e", 21),
                kind=["x", "y", "x", "y", "new"])  # fmt: skip
    train, test = bm.forward_split(
        frame,
        at="2024-01-15",
        customer="id",
        date="on",
        end="2024-01-31",
        basket=["kind"],
        intervals=7,
    )
    assert (train.spells, test.spells) == (3, 2)
    assert train.features == test.features == ("kind=y",)
    assert train.data["duration"].values.max() == 13  # to the day before the split
    assert sorted(test.data["features"].values[:, 0]) == [0, 1]  # "new" counts as the reference


SUBSCRIBERS = pd.DataFrame(
    {"months": [3, 5, 5, 8], "left": ["Yes", "No", "Yes", "No"], "plan": ["a", "b", "b", "b"]}
)


def subscribers(frame: pd.DataFrame = SUBSCRIBERS, **more: Any) -> bm.Subscriptions:
    return bm.Subscriptions.from_frame(frame, **{"duration": "months", "event": "left", **more})


def test_subscriptions() -> None:
    data = subscribers(features=["plan"], intervals=2)
    assert rows(data) == [(0, 3, 1, 1), (0, 5, 0, 1), (0, 5, 1, 1), (0, 8, 0, 1)]
    assert data.features == ("plan=a",)
    assert data.cuts.tolist() == [2, 4, 6, 8]
    assert list(data.data.customer.values) == ["1", "3"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"left": ["Yes", "No", "perhaps", "No"]}, "event must be yes or no, 0 or 1.*perhaps"),
        ({"left": [1, 0, 2, 0]}, "event must be 0 or 1: column 'left' has 2"),
        ({"months": [3, -5, 5, 8]}, "duration has 1 negative value"),
        ({"months": [0, 5, 5, 8]}, "duration must be greater than entry"),
        ({"plan": ["a", "a", "a", "a"]}, "'plan' have the same value"),
        ({"plan": ["a", None, "a", "b"]}, "covariate has 1 missing value"),
    ],
)
def test_bad_subscriptions_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.DataError, match=message):
        subscribers(SUBSCRIBERS.assign(**change), features=["plan"])


def test_episodes_must_follow_each_other() -> None:
    frame = pd.DataFrame(
        {"who": ["a", "a", "b"], "start": [0, 3, 0], "stop": [2, 5, 4], "left": [0, 1, 0]}
    )
    with pytest.raises(bm.DataError, match=r"leave a gap.*'a'"):
        bm.Subscriptions.from_frame(
            frame, duration="stop", entry="start", event="left", customer="who"
        )


def test_many_levels_are_refused() -> None:
    frame = pd.DataFrame(
        {"months": range(1, 203), "left": 1, "code": [f"k{i}" for i in range(202)]}
    )
    with pytest.raises(bm.DataError, match="'code' has 202 levels"):
        subscribers(frame, features=["code"])
