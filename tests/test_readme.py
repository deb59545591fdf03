"""The README and the pages say what the code does: the example runs, tables match."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import bayes_mkt as bm
from bayes_mkt.media_mix.adstock import Adstock
from bayes_mkt.media_mix.frequency import FREQUENCY
from bayes_mkt.media_mix.likelihood import Likelihood
from bayes_mkt.media_mix.model import PRIORS
from bayes_mkt.media_mix.saturation import Saturation

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBERS = (ROOT / "docs" / "pages" / "numbers.md").read_text(encoding="utf-8")
RESULT = ROOT / "benchmarks" / "results" / "roi_coverage.json"

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
# Draws differ from one processor to the next by Monte Carlo error, here at most about 0.05.
TOLERANCE = 0.15


def between(text: str, name: str) -> str:
    """Return what stands between the markers of a name."""
    match = re.search(f"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
    assert match is not None, f"the markers of {name!r} are missing"
    return match[1]


def fenced(text: str, language: str) -> str:
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return str(block)


def words(line: str) -> list[str]:
    """Return a line with every number replaced, and spaces squeezed."""
    return NUMBER.sub("#", line).split()


def test_example_prints_what_is_stated(tmp_path: Path) -> None:
    example = between(README, "example")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", fenced(example, "python")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stated, printed = fenced(example, "text").splitlines(), done.stdout.splitlines()
    assert list(map(words, printed)) == list(map(words, stated))
    for a, b in zip(stated, printed, strict=True):
        if a.startswith("Converged"):  # how long a chain ran differs more than what it found
            continue
        for x, y in zip(NUMBER.findall(a), NUMBER.findall(b), strict=True):
            assert float(x) == pytest.approx(float(y), abs=TOLERANCE), (a, b)


def test_example_is_short() -> None:
    code = fenced(between(README, "example"), "python")
    assert len(code.splitlines()) <= 25


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_picture_is_there_and_small() -> None:
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", between(README, "picture"))
    content = (ROOT / picture).read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(content) < 150_000


def test_coverage_is_that_of_the_result() -> None:
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    (roi,) = (part for part in result["coverage"] if part["quantity"] == "roi")
    stated = " ".join(between(README, "coverage").split())
    assert f"{roi['held']} of {roi['cases']}" in stated
    assert f"{result['verdicts']['converged']} of {result['verdicts']['fits']} fits" in stated


def test_page_states_the_default_priors() -> None:
    rows = re.findall(r"^\| `(\w+)`[^|]*\| (.+) \|$", between(NUMBERS, "priors"), re.MULTILINE)
    families = [
        *(make() for make in get_args(Adstock)),
        *(make() for make in get_args(Saturation)),
        bm.HillSaturation(slope=None),
        *(make() for make in get_args(Likelihood)),
        FREQUENCY,
    ]
    smooth = bm.MediaMix(smooth_trend=bm.HSGP(), time_varying=bm.HSGP()).default_priors
    processes = {n: p for n, p in smooth.items() if n.endswith(("_amplitude", "_lengthscale"))}
    curves = {name: prior for family in families for name, prior in family.priors.items()}
    known = {
        name: f"{prior.dist}({', '.join(f'{k}={v}' for k, v in prior.parameters)})"
        for name, prior in {**PRIORS, **curves, **processes}.items()
    }
    assert dict(rows) == known
