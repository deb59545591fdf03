"""The page on targeting states what the benchmark found."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "pages" / "targeting.md").read_text(encoding="utf-8")
RESULT = json.loads(
    (ROOT / "benchmarks" / "results" / "uplift_hillstrom.json").read_text(encoding="utf-8")
)
ROWS = {
    "Qini coefficient, men's e-mail": ("qini model Mens E-Mail", "qini rfm Mens E-Mail", 5),
    "Qini coefficient, women's e-mail": ("qini model Womens E-Mail", "qini rfm Womens E-Mail", 5),
    "uplift of the best 10 %, men's e-mail": (
        "uplift at 10% model Mens E-Mail",
        "uplift at 10% rfm Mens E-Mail",
        3,
    ),
    "uplift of the best 10 %, women's e-mail": (
        "uplift at 10% model Womens E-Mail",
        "uplift at 10% rfm Womens E-Mail",
        3,
    ),
    "visits gained per 1,000 customers, best 30 % contacted": (
        "visits per 1000 model",
        "visits per 1000 segments",
        1,
    ),
}


def stated() -> str:
    found = re.search("<!-- hillstrom -->\n(.*?)<!-- /hillstrom -->", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_table_is_that_of_the_result() -> None:
    table = dict(re.findall(r"^\| (.+?) \| (.+) \|$", stated(), re.MULTILINE)[2:])
    assert set(table) == set(ROWS)
    for name, (model, segments, digits) in ROWS.items():
        cells = [RESULT["summary"][key] for key in (model, segments)]
        texts = [f"{c['mean']:.{digits}f} ({c['sd']:.{digits}f})" for c in cells]
        assert table[name] == " | ".join(texts)


def test_counts_are_those_of_the_result() -> None:
    text = " ".join(stated().split())
    bins, null = RESULT["bins"], RESULT["null"]
    assert f"{bins['held']} of {bins['cases']} hold zero" in text
    held = null["ate_held"] + null["top_decile_held"]
    assert f"{held} of {2 * null['cases']} intervals hold zero" in text
