"""The report in a real browser, driven through its debugging pipe; no further package."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bayes_mkt.report import MediaMixReport

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
)
# Chromium reads commands from descriptor 3 and answers on descriptor 4.
WIRE = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); "
    "os.execv(sys.argv[3], sys.argv[3:])"
)
MEASURE = """
Promise.all([...document.images].map(image => image.decode())).then(() => ({
  title: document.title,
  headings: [...document.querySelectorAll('h2')].map(node => node.textContent),
  scripts: document.scripts.length,
  drawings: [...document.querySelectorAll('figure img, figure svg')].map(node => {
    const box = node.getBoundingClientRect();
    return {
      natural: node.naturalWidth, width: box.width, height: box.height, left: box.left,
      right: box.right, shown: node.checkVisibility(), alt: node.getAttribute('alt'),
    };
  }),
  page: document.documentElement.scrollWidth,
  window: document.documentElement.clientWidth,
}))
"""


def find_browser() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Browser:
    """One page of a running browser and what it reported."""

    send_to: int
    read_from: int
    session: str | None = None
    count: int = 0
    events: list[dict[str, Any]] = field(default_factory=list)
    waiting: bytes = b""

    def call(self, method: str, **params: object) -> dict[str, Any]:
        self.count += 1
        message: dict[str, object] = {"id": self.count, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.send_to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def wait_for(self, method: str) -> None:
        while not any(event.get("method") == method for event in self.events):
            self.events.append(self._next())

    def named(self, method: str) -> list[dict[str, Any]]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def _next(self, seconds: float = 60.0) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while b"\0" not in self.waiting:
            ready, _, _ = select.select([self.read_from], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser did not answer in time"
            chunk = os.read(self.read_from, 1 << 20)
            assert chunk, "the browser closed its pipe"
            self.waiting += chunk
        first, _, self.waiting = self.waiting.partition(b"\0")
        message: dict[str, Any] = json.loads(first)
        return message


@contextlib.contextmanager
def browsing(profile: Path) -> Iterator[Browser]:
    binary = find_browser()
    if binary is None or os.name != "posix":
        pytest.skip(f"no browser found: none of {', '.join(NAMES)} is on the PATH")
    to_child, from_child = os.pipe(), os.pipe()
    ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (to_child[0], from_child[1])]
    os.close(to_child[0])
    os.close(from_child[1])
    command = [sys.executable, "-c", WIRE, *map(str, ends), binary, *FLAGS]
    process = subprocess.Popen(
        [*command, f"--user-data-dir={profile}", "about:blank"],
        pass_fds=ends,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for end in ends:
        os.close(end)
    browser = Browser(to_child[1], from_child[0])
    try:
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        browser.session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            browser.call(f"{part}.enable")
        yield browser
        browser.session = None
        browser.call("Browser.close")
        process.wait(timeout=30)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(to_child[1])
        os.close(from_child[0])


def measure(browser: Browser, path: Path, width: int) -> dict[str, Any]:
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=900,
        deviceScaleFactor=1,
        mobile=False,
    )
    browser.events.clear()
    browser.call("Page.navigate", url=path.as_uri())
    browser.wait_for("Page.loadEventFired")
    answer = browser.call(
        "Runtime.evaluate", expression=MEASURE, awaitPromise=True, returnByValue=True
    )
    assert "exceptionDetails" not in answer, answer
    measured: dict[str, Any] = answer["result"]["value"]
    return measured


def assert_quiet(browser: Browser) -> None:
    """Nothing on the console, no script error, no dialog, nothing asked of the network."""
    assert browser.named("Log.entryAdded") == []
    assert browser.named("Runtime.consoleAPICalled") == []
    assert browser.named("Runtime.exceptionThrown") == []
    assert browser.named("Page.javascriptDialogOpening") == []
    asked = [event["request"]["url"] for event in browser.named("Network.requestWillBeSent")]
    assert asked
    assert all(url.startswith(("file://", "data:")) for url in asked)


@pytest.mark.parametrize("width", [1200, 380])
def test_report_opens_quietly_with_every_figure_visible(
    report: MediaMixReport, document: str, tmp_path: Path, width: int
) -> None:
    path = tmp_path / "report.html"
    path.write_text(document, encoding="utf-8")
    with browsing(tmp_path / "profile") as browser:
        seen = measure(browser, path, width)
        assert_quiet(browser)
    assert seen["title"] == report.title
    assert seen["headings"][0] == "Verdict: the draws may be used"
    assert seen["scripts"] == 0
    assert len(seen["drawings"]) == 7
    for drawing in seen["drawings"]:
        assert drawing["shown"]
        assert drawing["natural"] > 0
        assert drawing["width"] > 300
        assert drawing["height"] > 100
        assert drawing["left"] >= 0
        assert drawing["alt"]
        assert width < 700 or drawing["right"] <= seen["window"]
    assert seen["page"] <= seen["window"]


def test_hostile_names_run_nothing(
    report_of: Callable[..., MediaMixReport], tmp_path: Path
) -> None:
    names = (
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(2)>",
        "\"'><svg/onload=alert(3)>",
    )
    path = report_of(names, regions=1, dates=10).write(tmp_path / "report.html")
    with browsing(tmp_path / "profile") as browser:
        seen = measure(browser, path, 1200)
        assert_quiet(browser)
    assert seen["scripts"] == 0
    assert len(seen["drawings"]) == 7
    assert names[0] in seen["drawings"][0]["alt"]


def test_console_errors_would_be_noticed(tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text("<title>bad</title><script>throw Error('seen')</script>", encoding="utf-8")
    with browsing(tmp_path / "profile") as browser:
        measure(browser, path, 600)
        assert browser.named("Runtime.exceptionThrown")
