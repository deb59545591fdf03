"""The parts that look ahead say what was found, of a region and of all together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayes_mkt.report import MediaMixReport, Verdict
from bayes_mkt.report.decisions import decisions
from bayes_mkt.report.views import Section, TableView


def report(**parts: object) -> list[Section]:
    empty = MediaMixReport(title="Page", verdict=Verdict(True, "Fine."), estimand="All of it.")
    fields = {**vars(empty), **parts}
    return decisions(MediaMixReport(**fields))


def scores(regions: dict[str, float]) -> xr.Dataset:
    names = [*regions, "all regions"]
    crps = np.asarray([*regions.values(), 100.0])[None, None]
    inside = np.asarray([0.5] * len(regions) + [1.0])[None, None, None]
    return xr.Dataset(
        {
            "crps": (("origin", "forecaster", "region"), crps),
            "covered": (("origin", "forecaster", "level", "region"), inside),
        },
        coords={"origin": [0], "forecaster": ["media_mix"], "region": names, "level": [0.8]},
    )


def only_table(section: Section) -> TableView:
    (view,) = (block for block in section.blocks if isinstance(block, TableView))
    return view


def test_the_sum_of_regions_is_not_a_region() -> None:
    (section,) = report(backtest=scores({"north": 1.0, "south": 3.0}))
    assert section.key == "forecast"
    rows = [(row.labels, row.cells) for row in only_table(section).rows]
    assert rows == [
        (("this model", "a region"), ("2.00", "50%")),
        (("this model", "all regions"), ("100", "100%")),
    ]


def test_one_region_is_shown_once() -> None:
    (section,) = report(backtest=scores({"national": 3.0}))
    assert [row.labels[1] for row in only_table(section).rows] == ["a region"]


def test_what_has_no_spend_has_no_roi_before_and_after_its_test() -> None:
    row = {"lift": 5.0, "se": 1.0, "expected": 4.0, "expected_sd": 1.0, "verdict": "agree"}
    row |= {"modelled": 4.5, "modelled_sd": 0.7}
    row |= {f"{end}{which}": 2.0 for end in ("low ", "", "high ") for which in ("with", "without")}
    tests = pd.DataFrame(
        [
            {**row, "channel": "tv", "of": "roi"},
            {**row, "channel": "mail", "of": "incremental_sales"},
        ],
        index=["one", "two"],
    )
    (section,) = report(lift_tests=tests)
    view = only_table(section)
    assert view.columns[3:5] == ("ROI or sales without", "ROI or sales with")
    assert [r.labels[1] for r in view.rows] == ["tv", "mail (incremental sales)"]
    (section,) = report(lift_tests=tests.iloc[:1])
    assert only_table(section).columns[3:5] == ("ROI without", "ROI with")


@pytest.mark.parametrize(
    ("verdicts", "said", "unsaid"),
    [
        (["pass", "not converged"], "1 of the attempts did not converge", "succeeded. Do not"),
        (["pass", "fail"], "1 of 2 attempts to refute the model succeeded", "did not converge"),
        (["pass", "pass"], "No attempt to refute the model succeeded", "did not converge"),
    ],
)
def test_an_attempt_that_did_not_converge_refutes_nothing(
    verdicts: list[str], said: str, unsaid: str
) -> None:
    table = pd.DataFrame(
        {
            "check": "placebo",
            "subject": ["tv", "radio"],
            "value": 0.1,
            "low": -1.0,
            "high": 1.0,
            "verdict": verdicts,
            "reading": "words",
        }
    )
    (section,) = report(refutation=table)
    words = str(section.blocks[0])
    assert said in words
    assert unsaid not in words
