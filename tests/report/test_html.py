from __future__ import annotations

import base64
import os
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bayes_mkt.errors import SpecError
from bayes_mkt.report import MediaMixReport, Verdict, media_mix_html

Make = Callable[..., Any]
EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "img", "br", "hr"}


class Page(HTMLParser):
    """Elements in order, with the text inside each, and a check that tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.setdefault(tag, [])
        if tag not in VOID:
            self.open.append(tag)
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


def drawings(page: Page) -> list[str]:
    prefix = "data:image/svg+xml;base64,"
    sources = [str(image["src"]) for image in page.all("img")]
    assert all(source.startswith(prefix) for source in sources)
    return [base64.b64decode(source.removeprefix(prefix)).decode() for source in sources]


def empty(**parts: Any) -> MediaMixReport:
    bare = MediaMixReport(title="Nothing yet", verdict=Verdict(True, "Fine."), estimand="None.")
    return replace(bare, **parts)


def test_page_is_semantic(document: str) -> None:
    page = Page(document)
    assert document.startswith("<!DOCTYPE html>")
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("title")) == 1
    assert len(page.all("table")) == len(page.all("caption")) > 0
    assert {head["scope"] for head in page.all("th")} == {"col", "row"}
    figures = page.all("img")
    assert len(figures) == len(page.all("figure")) == len(page.all("figcaption")) == 7
    assert all(len(str(image["alt"])) > 20 for image in figures)
    assert all(len(text.strip()) > 20 for text in page.texts["figcaption"])
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [str(link["href"]) for link in page.all("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids)


def test_verdict_comes_first(document: str, report: MediaMixReport) -> None:
    page = Page(document)
    assert page.texts["h2"][0] == "Verdict: the draws may be used"
    assert page.all("section")[0]["id"] == "verdict"
    order = [section["id"] for section in page.all("section")]
    assert order == [
        "verdict",
        "panel",
        "roi",
        "marginal-roi",
        "contributions",
        "fit",
        "response-curves",
        "adstock",
        "diagnostics",
        "definitions",
        "reproduction",
    ]
    assert report.verdict.text in document


def test_failed_verdict_says_what_to_do_and_draws_no_conclusion(report_of: Make) -> None:
    failed = report_of(regions=1, dates=10, ok=False)
    assert failed.roi is not None
    marked = replace(failed, roi=failed.roi.assign_attrs(unconverged="R-hat is 1.213"))
    text = media_mix_html(marked)
    page = Page(text)
    assert page.texts["h2"][0] == "Verdict: the draws must not be used"
    rows = [row.split("\n") for row in page.texts["tr"]]
    assert [cell for cell in rows[1] if cell] == [
        "R-hat",
        "failed",
        "roi[tv]",
        "1.213, above 1.01 (3 parameters)",
        "Draw longer chains; try pooling.",
    ]
    assert "do not base decisions on these figures" in text
    assert "ROI is above 1 with at least" not in text
    assert sum("Unconverged: R-hat is 1.213" in caption for caption in page.texts["caption"]) == 1


def test_good_verdict_reads_the_roi_in_words(document: str) -> None:
    assert "ROI is above 1 with at least 95% probability: radio, search and social." in document
    assert "ROI is below 1 with at least 95% probability: tv." in document


def test_numbers_on_the_page_are_those_of_the_draws(document: str, report: MediaMixReport) -> None:
    assert report.roi is not None
    page = Page(document)
    row = next(r for r in page.texts["tr"] if r.strip().startswith("search\n") and "%" in r)
    cells = row.split()
    draws = report.roi.sel(channel="search").values
    low, median, high = np.quantile(draws, [0.05, 0.5, 0.95])
    shown = [draws.mean(), draws.std(ddof=1), median, low, high]
    assert cells[1:6] == [f"{value:.2f}" for value in shown]
    assert cells[-1] == "yes"


def test_settings_are_flat_and_complete(document: str) -> None:
    text = Page(document).texts["tr"]
    rows = {tuple(row.split("\n")[1:3]) for row in text}
    assert ("sampler.chains", "2") in rows
    assert ("seed", "1") in rows
    assert ("pymc", "6.4.0") in rows


def test_diagnostics_are_worst_first(document: str, report: MediaMixReport) -> None:
    assert report.diagnostics is not None
    page = Page(document)
    table = next(t for t in page.texts["table"] if "Convergence by parameter" in t)
    assert "(25 worst of 40 parameters)" in table
    shown = [float(found) for found in re.findall(r"\n(1\.0\d\d)\n", table)]
    assert len(shown) == 25
    assert shown == sorted(shown, reverse=True)
    worst = report.diagnostics.rhat.idxmax().item()
    assert table.index(worst) == min(
        table.index(name) for name in re.findall(r"effect\[.*\]", table)
    )


def test_diagnostics_of_a_wrong_shape_are_refused(report: MediaMixReport) -> None:
    assert report.diagnostics is not None
    wrong = report.diagnostics.expand_dims(chain=2)
    with pytest.raises(SpecError, match="one dimension, the parameters"):
        media_mix_html(empty(diagnostics=wrong))


def test_data_text_is_escaped_everywhere(report_of: Make) -> None:
    names = (EVIL, '" onload="alert(2)', "]]>&amp;<!--", "{{ 7 * 7 }}")
    base = report_of(names, regions=2, dates=12, ok=False)

    regions = {"region": [EVIL, "</svg>" + EVIL]}
    text = media_mix_html(
        replace(
            base,
            title=EVIL,
            estimand=EVIL,
            facts={EVIL: EVIL},
            settings={EVIL: {EVIL: [EVIL]}},
            versions={EVIL: EVIL},
            observed=base.observed.assign_coords(regions),
            expected=base.expected.assign_coords(regions),
            roi=base.roi.assign_attrs(unconverged=EVIL, units=EVIL, long_name=EVIL),
        )
    )
    page = Page(text)
    assert page.all("script") == []
    assert EVIL not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert {name for _, attrs in page.elements for name in attrs if name.startswith("on")} == set()
    assert page.texts["title"] == [EVIL]
    assert any(EVIL in str(image["alt"]) for image in page.all("img"))
    for drawing in drawings(page):
        tree = ElementTree.fromstring(drawing)
        assert not any(str(node.tag).endswith("script") for node in tree.iter())
        for node in tree.iter():
            assert not any(name.startswith("on") for name in node.attrib)
            links = [value for name, value in node.attrib.items() if name.endswith("href")]
            assert all(link.startswith("#") for link in links)


def test_page_needs_nothing_from_outside(document: str) -> None:
    page = Page(document)
    policy = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert re.findall(r"https?://", document) == []
    assert "@import" not in document
    assert "url(" not in document


def test_absent_roi_gives_its_reason(report: MediaMixReport) -> None:
    why = "The panel has no spend, so that there is no return on it."
    text = media_mix_html(empty(roi_absent_reason=why, adstock=report.adstock))
    page = Page(text)
    assert [s["id"] for s in page.all("section")] == [
        "verdict",
        "panel",
        "roi",
        "adstock",
        "definitions",
    ]
    assert why in text
    assert "Return on investment (ROI)" not in page.texts["dt"]
    assert "Adstock weight" in page.texts["dt"]


def test_page_without_any_draws() -> None:
    page = Page(media_mix_html(empty()))
    assert [s["id"] for s in page.all("section")] == ["verdict", "panel", "definitions"]
    assert page.all("figure") == []


def test_interval_is_stated_and_checked(report: MediaMixReport) -> None:
    text = media_mix_html(empty(roi=report.roi, interval=0.8))
    assert "Credible interval (80%)" in text
    assert ">10%</th>" in text
    with pytest.raises(SpecError, match="not between 0 and 1"):
        empty(interval=1.5)


def test_equal_inputs_give_equal_bytes(report: MediaMixReport, document: str) -> None:
    assert media_mix_html(report) == document


def test_write_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "report.html"
    assert empty().write(target) == target
    first = target.read_bytes()
    assert b"\r" not in first
    assert list(tmp_path.iterdir()) == [target]
    plain = tmp_path / "plain"
    plain.touch()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    plain.unlink()

    def fails(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fails)
        with pytest.raises(OSError, match="disk full"):
            empty(title="second").write(target)
    assert target.read_bytes() == first
    assert list(tmp_path.iterdir()) == [target]
    empty(title="second").write(str(target))
    assert b"second" in target.read_bytes()
    with pytest.raises(FileNotFoundError):
        empty().write(tmp_path / "absent" / "report.html")
