"""The page on second purchases: its examples name what exists, its priors are the defaults."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import bayes_mkt as bm
from bayes_mkt.customers.hazard import PRIORS

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "pages" / "second_purchase.md").read_text(encoding="utf-8")


def test_priors_are_the_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| `(\w+\(.*\))` \|$", PAGE, re.MULTILINE)
    stated = dict(rows)
    assert set(stated) == set(PRIORS)
    for name, text in stated.items():
        inside = ", ".join(f"{k}={v}" for k, v in PRIORS[name].parameters)
        assert text == f"{PRIORS[name].dist}({inside})"


def test_examples_call_what_exists_with_arguments_that_exist() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    calls = [n for n in ast.walk(ast.parse("\n".join(blocks))) if isinstance(n, ast.Call)]
    seen = 0
    for call in calls:
        path = ast.unparse(call.func)
        if not re.fullmatch(r"bm(\.\w+)+", path):
            continue
        target: object = bm
        for part in path.split(".")[1:]:
            target = getattr(target, part)
        keywords = {k.arg: None for k in call.keywords if k.arg}
        inspect.signature(target).bind(*call.args, **keywords)  # type: ignore[arg-type]
        seen += 1
    assert seen > 12
