"""The interactive part of the report: what it holds, that it answers, and that it is safe."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from bayes_mkt.report import MediaMixReport, media_mix_html
from bayes_mkt.report.explore import escaped, explore, regions_view
from tests.report.test_browser import Browser, assert_quiet, browsing, measure

CHANNELS = ["tv", "radio", "search"]


def regional(names: list[str] = CHANNELS, regions: int = 4, weeks: int = 20) -> xr.Dataset:
    """A summary of regions, without any model behind it."""
    rng = np.random.default_rng(1)
    size = rng.lognormal(0.0, 0.5, (regions, 1)) * 1e5
    base = size * (1.0 + 0.1 * np.sin(np.arange(weeks)))
    parts = 0.1 * size[:, :, None] * rng.random((regions, weeks, len(names)))
    mean = base + parts.sum(axis=2)
    observed = mean * (1 + 0.03 * rng.standard_normal(mean.shape))
    observed[0, 5] = np.nan
    base[0, 5] = mean[0, 5] = parts[0, 5] = np.nan
    factors = 0.25 * np.arange(9)
    curve = 1e4 * (factors / (factors + 1.0)) * np.ones((regions, len(names), 1))
    money = {"units": "EUR"}
    return xr.Dataset(
        {
            "observed": (("region", "date"), observed, money),
            "expected": (("region", "date", "bound"), mean[..., None] * [0.95, 1.0, 1.05], money),
            "baseline": (("region", "date"), base, money),
            "contribution": (("region", "date", "channel"), parts, money),
            "curve": (
                ("region", "channel", "multiplier", "bound"),
                curve[..., None] * [0.8, 1.0, 1.2],
                money,
            ),
            "spend": (("region", "channel"), np.full((regions, len(names)), 5e3), money),
        },
        coords={
            "region": ["All regions", *(f"<b>region {g}</b>" for g in range(1, regions))],
            "date": np.datetime64("2024-01-01", "ns") + np.arange(weeks) * np.timedelta64(7, "D"),
            "channel": names,
            "multiplier": factors,
            "bound": ["low", "median", "high"],
            "paid": ("channel", [True] * (len(names) - 1) + [False]),
        },
        attrs={"regions": regions - 1},
    )


def evaluated(browser: Browser, code: str) -> Any:
    answer = browser.call("Runtime.evaluate", expression=code, returnByValue=True)
    assert "exceptionDetails" not in answer, answer
    return answer["result"].get("value")


PICK = """
(() => {
  const set = (id, value, event) => {
    const node = document.getElementById("explore-" + id);
    node.value = value;
    node.dispatchEvent(new Event(event, { bubbles: true }));
  };
  set("region", "2", "change"); set("channel", "1", "change");
  set("date", "3", "input"); set("multiple", "6", "input");
})()
"""
READ = """
({
  hidden: document.getElementById("explorer").hidden,
  regions: [...document.querySelectorAll("#explore-region option")].map((o) => o.textContent),
  heading: document.getElementById("explore-heading").textContent,
  when: document.getElementById("explore-when").textContent,
  rows: [...document.querySelectorAll("#explore-values tr")].map((r) =>
    [r.querySelector("th").textContent, r.querySelector("td").textContent]),
  reading: document.getElementById("explore-reading").textContent,
  labels: [...document.querySelectorAll(".chart svg")].map((s) => s.getAttribute("aria-label")),
  unlabelled: [...document.querySelectorAll("select, input")].filter((n) => !n.labels.length)
    .length,
  bold: document.querySelectorAll("#regions b").length,
})
"""


@pytest.fixture(scope="module")
def page(report: MediaMixReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = replace(report, regional=regional())
    return found.write(tmp_path_factory.mktemp("explore") / "report.html")


def test_the_browser_draws_what_the_reader_picks(page: Path, tmp_path: Path) -> None:
    data = regional()
    with browsing(tmp_path / "profile") as browser:
        seen = measure(browser, page, 1200)
        before = evaluated(browser, READ)
        evaluated(browser, PICK)
        after = evaluated(browser, READ)
        assert_quiet(browser)
    assert seen["page"] <= seen["window"]
    assert not before["hidden"]
    assert before["regions"] == list(data["region"].values)
    assert before["unlabelled"] == before["bold"] == 0
    assert before["when"] == "All regions, 2024-05-13, in EUR"
    assert after["heading"] == "Sales: <b>region 2</b>"
    assert after["when"] == "<b>region 2</b>, 2024-01-22, in EUR"
    own = data.isel(region=2, date=3)
    shown = dict(after["rows"])
    assert list(shown) == ["Observed sales", "Expected sales", "Baseline", *CHANNELS]
    value = float(shown["Baseline"].replace(",", ""))
    assert value == pytest.approx(float(own["baseline"]), rel=1e-3)
    assert after["reading"].startswith("1.5 times today's, 7,500 spend (EUR): 6,000 EUR (4,800 to")
    assert all(after["labels"])
    assert len(after["labels"]) == 3


def test_pointing_at_a_week_reads_it(page: Path, tmp_path: Path) -> None:
    with browsing(tmp_path / "profile") as browser:
        measure(browser, page, 1200)
        place = evaluated(
            browser,
            "(() => { const s = document.querySelector('#explore-parts svg'); s.scrollIntoView();"
            " const b = s.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()",
        )
        x, y = place[0] + place[2] * 72 / 860, place[1] + place[3] / 2
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        seen = evaluated(browser, READ)
        assert_quiet(browser)
    assert seen["when"] == "All regions, 2024-01-01, in EUR"


def test_keys_move_the_week(page: Path, tmp_path: Path) -> None:
    with browsing(tmp_path / "profile") as browser:
        measure(browser, page, 1200)
        evaluated(browser, "document.getElementById('explore-date').focus()")
        for kind in ("keyDown", "keyUp"):
            browser.call(
                "Input.dispatchKeyEvent", type=kind, key="ArrowLeft", windowsVirtualKeyCode=37
            )
        seen = evaluated(browser, READ)
    assert seen["when"] == "All regions, 2024-05-06, in EUR"


def test_without_scripts_every_figure_is_there(page: Path, tmp_path: Path) -> None:
    with browsing(tmp_path / "profile") as browser:
        browser.call("Emulation.setScriptExecutionDisabled", value=True)
        browser.events.clear()
        browser.call("Page.navigate", url=page.as_uri())
        browser.wait_for("Page.loadEventFired")
        tree = browser.call("DOM.getDocument", depth=-1)
        text = json.dumps(tree)
        assert "With scripts on, each region can be picked" in text
        found = browser.call(
            "DOM.querySelector", nodeId=tree["root"]["nodeId"], selector="#explorer"
        )
        box = browser.call("DOM.getAttributes", nodeId=found["nodeId"])["attributes"]
        assert "hidden" in box
    assert page.read_text("utf-8").count("<figure>") == 7


def test_only_the_reports_own_script_may_run(page: Path, tmp_path: Path) -> None:
    text = page.read_text("utf-8")
    assert "script-src 'sha256-" in text
    assert "src='http" not in text
    bad = tmp_path / "bad.html"
    bad.write_text(text.replace("</main>", "<script>document.title = 'stolen'</script></main>"))
    with browsing(tmp_path / "profile") as browser:
        seen = measure(browser, bad, 1200)
    assert seen["title"] != "stolen"


def test_names_can_not_leave_the_data() -> None:
    names = ["</script><script>alert(1)</script>", "a & b", "line\u2028end"]
    view = explore(regional(names), 0.9)
    for sign in "<>&\u2028":
        assert sign not in view.data
    assert json.loads(view.data)["channels"] == names
    assert escaped({"a": None}) == '{"a":null}'


def test_hostile_names_run_nothing(report: MediaMixReport, tmp_path: Path) -> None:
    names = ["</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>"]
    path = replace(report, regional=regional(names)).write(tmp_path / "report.html")
    with browsing(tmp_path / "profile") as browser:
        measure(browser, path, 1200)
        seen = evaluated(browser, READ)
        assert_quiet(browser)
    assert [row[0] for row in seen["rows"][3:]] == names


def test_the_table_says_the_same() -> None:
    data = regional()
    view = regions_view(data)
    assert view.columns == ("Observed", "Baseline", *CHANNELS)
    assert [row.labels[0] for row in view.rows] == list(data["region"].values)


def test_a_report_without_regions_has_no_script(
    report_of: Callable[..., MediaMixReport],
) -> None:
    text = media_mix_html(report_of(regions=1, dates=10))
    assert "<script" not in text
    assert "script-src" not in text


def test_equal_reports_are_equal_files(report: MediaMixReport) -> None:
    found = replace(report, regional=regional())
    assert media_mix_html(found) == media_mix_html(found)
