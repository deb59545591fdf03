"""Progress goes where somebody looks, and nowhere else."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference.progress import Notebook, Reporter, Silent, Terminal, reporter


class Handle:
    """Stands for the place in a notebook that a display updates."""

    def __init__(self, first: str) -> None:
        self.pages = [first]

    def update(self, page: str) -> None:
        self.pages.append(page)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> list[Handle]:
    """Let the process be a Jupyter kernel; returns what it displays."""
    shell = type("ZMQInteractiveShell", (), {})()
    shown: list[Handle] = []

    def display(page: str, display_id: bool) -> Handle:
        assert display_id
        shown.append(Handle(page))
        return shown[-1]

    outer, inner = ModuleType("IPython"), ModuleType("IPython.display")
    for module, names in (
        (outer, {"get_ipython": lambda: shell, "display": inner}),
        (inner, {"display": display, "HTML": str}),
    ):
        for name, value in names.items():
            setattr(module, name, value)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return shown


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Let the process be an ordinary one, with or without a terminal."""
    monkeypatch.delitem(sys.modules, "IPython", raising=False)

    def terminal(present: bool) -> None:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: present, raising=False)

    return terminal


def use(show: Reporter) -> None:
    with show:
        show.update(0.25, "warmup")
        show.update(1.0, "sampling, 0 divergences")


def test_false_is_silent_anywhere(
    notebook: list[Handle], capfd: pytest.CaptureFixture[str]
) -> None:
    show = reporter(False)
    assert isinstance(show, Silent)
    use(show)
    assert not notebook
    assert capfd.readouterr() == ("", "")


def test_none_is_silent_where_nobody_looks(
    plain: Callable[[bool], None], capfd: pytest.CaptureFixture[str]
) -> None:
    plain(False)
    show = reporter(None)
    assert isinstance(show, Silent)
    use(show)
    assert capfd.readouterr() == ("", "")


def test_none_shows_a_bar_in_a_terminal(plain: Callable[[bool], None]) -> None:
    plain(True)
    assert isinstance(reporter(None), Terminal)


def test_a_bar_goes_to_standard_error(
    plain: Callable[[bool], None], capfd: pytest.CaptureFixture[str]
) -> None:
    plain(False)
    show = reporter(True)
    assert isinstance(show, Terminal)
    use(show)
    out, err = capfd.readouterr()
    assert out == ""
    assert "sampling, 0 divergences" in err
    assert "100%" in err


def test_a_bar_ends_when_the_run_breaks_off(
    plain: Callable[[bool], None], capfd: pytest.CaptureFixture[str]
) -> None:
    plain(False)

    def interrupted() -> None:
        with reporter(True) as show:
            show.update(0.5, "warmup")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "50%" in capfd.readouterr().err
    use(reporter(True))


@pytest.mark.parametrize("progress", [None, True])
def test_a_notebook_gets_one_display_updated_in_place(
    notebook: list[Handle], capfd: pytest.CaptureFixture[str], progress: bool | None
) -> None:
    show = reporter(progress)
    assert isinstance(show, Notebook)
    use(show)
    (handle,) = notebook
    first, middle, last = handle.pages
    assert "compiling" in first
    assert re.search(r'<progress value="0.250" max="1".*25% warmup, \d+ s', middle)
    assert "100% sampling, 0 divergences" in last
    assert capfd.readouterr() == ("", "")


def test_ipython_in_a_terminal_is_no_notebook(
    monkeypatch: pytest.MonkeyPatch, plain: Callable[[bool], None]
) -> None:
    plain(True)
    module = ModuleType("IPython")
    shell = type("TerminalInteractiveShell", (), {})()
    monkeypatch.setattr(module, "get_ipython", lambda: shell, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", module)
    assert isinstance(reporter(None), Terminal)


@pytest.mark.filterwarnings("ignore::bayes_mkt.errors.ConvergenceWarning")
def test_sampling_tells_how_far_it_is(
    notebook: list[Handle], normal: Callable[..., pm.Model]
) -> None:
    options: dict[str, Any] = {"draws": 60, "warmup": 100}
    bm.sample(normal(), seed=5, progress=True, **options)
    (handle,) = notebook
    shares = [float(re.search(r'value="([\d.]+)"', page)[1]) for page in handle.pages]
    assert shares == sorted(shares)
    assert shares[0] == 0.0
    assert shares[-1] == 1.0
    assert any("warmup" in page for page in handle.pages)
    assert re.search(r"sampling, \d+ divergences", handle.pages[-1])


@pytest.mark.filterwarnings("ignore::bayes_mkt.errors.ConvergenceWarning")
def test_silent_sampling_prints_nothing(
    normal: Callable[..., pm.Model], capfd: pytest.CaptureFixture[str]
) -> None:
    bm.sample(normal(), seed=5, draws=60, warmup=100, progress=False)
    assert capfd.readouterr() == ("", "")
