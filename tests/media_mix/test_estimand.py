"""What a counterfactual asks, as masks over a panel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from bayes_mkt.media_mix.estimand import Question
from bayes_mkt.specs import from_table, to_table
from tests.media_mix.cases import panel

DATES = panel("paid").dates
LAG = 3


def day(position: int) -> str:
    return str(DATES[position].date())


def resolve(kind: str = "paid", **arguments: Any) -> Question:
    return bm.Estimand(**arguments).resolve(panel(kind), LAG)


def runs(mask: np.ndarray) -> list[int]:
    """Return the dates of a (region, date) mask that is the same in every region."""
    assert (mask == mask[0]).all()
    return np.flatnonzero(mask[0]).tolist()


def span(first: int, last: int) -> list[int]:
    return list(range(first, last + 1))


def test_by_default_everything_is_asked_about() -> None:
    question = resolve()
    for mask in (question.changed, question.paid, question.counted):
        assert mask.shape == (3, 20)
        assert mask.all()
    assert question.channels.all()
    assert question.regions.all()


@pytest.mark.parametrize(
    ("arguments", "changed", "paid", "counted"),
    [
        ({}, span(5, 9), span(5, 9), span(5, 9 + LAG)),
        ({"carryover": False}, span(5, 9), span(5, 9), span(5, 9)),
        ({"carry_in": True}, span(0, 9), span(5, 9), span(5, 9 + LAG)),
        ({"carry_in": True, "carryover": False}, span(0, 9), span(5, 9), span(5, 9)),
        ({"outcome_window": (7, 15)}, span(5, 9), span(5, 9), span(7, 15)),
        ({"outcome_window": (7, 15), "carryover": False}, span(5, 9), span(5, 9), span(7, 15)),
    ],
)
def test_windows(
    arguments: dict[str, Any], changed: list[int], paid: list[int], counted: list[int]
) -> None:
    if "outcome_window" in arguments:
        first, last = arguments["outcome_window"]
        arguments = {**arguments, "outcome_window": (day(first), day(last))}
    question = resolve(spend_window=(day(5), day(9)), **arguments)
    assert runs(question.changed) == changed
    assert runs(question.paid) == paid
    assert runs(question.counted) == counted


def test_meridian_counts_sales_in_the_window_by_media_of_any_time_before() -> None:
    window = (day(5), day(9))
    assert bm.Estimand.meridian(window) == bm.Estimand(
        spend_window=window, carry_in=True, carryover=False
    )
    assert runs(bm.Estimand.meridian().resolve(panel("paid"), LAG).changed) == span(0, 19)


def test_a_window_holds_the_periods_that_begin_in_it() -> None:
    inside = DATES[5] - pd.Timedelta(days=6), DATES[9] + pd.Timedelta(days=6)
    question = resolve(spend_window=tuple(str(d.date()) for d in inside), carryover=False)
    assert runs(question.changed) == span(5, 9)
    single = resolve(spend_window=(day(5), day(5)), carryover=False)
    assert runs(single.changed) == [5]


def test_carry_over_ends_with_the_panel() -> None:
    assert runs(resolve(spend_window=(day(18), "2030-01-01")).counted) == [18, 19]


def test_only_observed_cells_are_paid_for_and_counted() -> None:
    observed = panel("masked").observed.to_numpy()
    question = resolve("masked")
    assert not observed.all()
    assert question.changed.all()
    np.testing.assert_array_equal(question.paid, observed)
    np.testing.assert_array_equal(question.counted, observed)


def test_regions_and_channels_limit_the_question() -> None:
    regions = panel("paid").regions
    question = resolve(regions=[regions[2], regions[0]], channels="social")
    for mask in (question.changed, question.paid, question.counted):
        np.testing.assert_array_equal(mask.all(axis=1), [True, False, True])
        np.testing.assert_array_equal(mask.any(axis=1), [True, False, True])
    np.testing.assert_array_equal(question.regions, [True, False, True])
    np.testing.assert_array_equal(question.channels, [False, False, True])


def test_an_estimand_is_a_value() -> None:
    written = bm.Estimand(spend_window=["2024-01-01", "2024-03-31"], channels="tv", regions=["a"])
    assert written == bm.Estimand(
        spend_window=(pd.Timestamp("2024-01-01"), np.datetime64("2024-03-31")),
        channels=("tv",),
        regions=("a",),
    )
    assert hash(written) == hash(from_table(to_table(written)))
    assert from_table(to_table(written)) == written
    assert repr(bm.Estimand()) == "Estimand()"
    assert repr(written) == (
        "Estimand(spend_window=('2024-01-01', '2024-03-31'), regions=('a',), channels=('tv',))"
    )


@pytest.mark.parametrize(
    ("estimand", "sentence"),
    [
        (
            bm.Estimand(),
            "Media within the whole panel are compared with none at all, one channel at a time; "
            "sales are counted in that window and after it, as far as carry-over reaches.",
        ),
        (
            bm.Estimand.meridian(("2024-01-01", "2024-03-31")),
            "Media within 2024-01-01 to 2024-03-31, and all media before it, are compared with "
            "none at all, one channel at a time; sales are counted in that window only.",
        ),
        (
            bm.Estimand(outcome_window=("2024-01-01", "2024-03-31"), regions=["north", "west"]),
            "Media in north, west within the whole panel are compared with none at all, one "
            "channel at a time; sales are counted from 2024-01-01 to 2024-03-31.",
        ),
    ],
)
def test_an_estimand_says_what_it_asks(estimand: bm.Estimand, sentence: str) -> None:
    assert estimand.describe() == sentence


@pytest.mark.parametrize("name", ["spend_window", "outcome_window"])
@pytest.mark.parametrize(
    ("window", "message"),
    [
        ("2024-01-01", r"='2024-01-01' must be two dates, the first and the last\."),
        (("2024-01-01",), r" must be two dates, the first and the last\."),
        (("2024-01-01", "soon"), r": 'soon' is not a date\. Write it as '2024-03-31'\."),
        (("2024-01-01", None), r": None is not a date\. Write it as '2024-03-31'\."),
        (("2024-02-01", "2024-01-01"), r" ends before it begins\."),
        (
            ("2019-01-01", "2019-12-31"),
            rf" holds no date of the panel, which runs from {day(0)} to {day(19)}\.",
        ),
    ],
)
def test_windows_that_make_no_sense(name: str, window: Any, message: str) -> None:
    with pytest.raises(bm.SpecError, match=name + ".*" + message):
        resolve(**{name: window})


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"regions": []}, r"Estimand regions=\(\) asks about nothing; None means all\."),
        ({"channels": ()}, r"Estimand channels=\(\) asks about nothing; None means all\."),
        ({"regions": ["east"]}, r"Estimand: no region 'east' in the panel; it has \['region_01'"),
        ({"channels": "TV"}, r"Estimand: no channel 'TV' in the panel; it has \['tv', 'search'"),
    ],
)
def test_names_that_are_not_in_the_panel(names: dict[str, Sequence[str]], message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        resolve(**names)


def test_conventions_of_other_packages_have_names() -> None:
    window = ("2022-02-07", "2022-03-28")
    own = bm.Estimand(spend_window=window)
    assert bm.Estimand.pymc_marketing(window) == own
    assert bm.Estimand.meridian(window) != own
