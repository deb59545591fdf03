"""The examples of the documentation's pages run, from top to bottom."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bayes_mkt as bm

PAGES = Path(__file__).resolve().parents[1] / "docs" / "pages"


def examples(page: str) -> str:
    text = (PAGES / page).read_text(encoding="utf-8")
    blocks: list[str] = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join(blocks)


@pytest.mark.parametrize("page", ["decisions.md"])
def test_examples_of_a_page_run(page: str) -> None:
    found: dict[str, object] = {}
    exec(compile(examples(page), page, "exec"), found)  # the page's own code
    ahead, gain, best, spec = (found[name] for name in ("ahead", "gain", "best", "spec"))
    assert isinstance(best, bm.Allocation)
    assert isinstance(spec, bm.MediaMix)
    assert ahead["sales"].dims == ("chain", "draw", "region", "date")  # type: ignore[index]
    assert 0 <= float(gain["probability"]) <= 1  # type: ignore[index]
    spec.build(found["panel"])  # type: ignore[arg-type]
