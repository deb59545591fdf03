"""Progress of a run: a bar in a terminal, a line of HTML in a notebook, or nothing."""

from __future__ import annotations

import sys
import time
from importlib import import_module
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Reporter(Protocol):
    """What the driver tells: how far it is, and a few words."""

    def update(self, fraction: float, text: str) -> None:
        """Show that a share `fraction` of the run, 0 to 1, is done."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Silent:
    """Shows nothing."""

    def update(self, fraction: float, text: str) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


class Terminal:
    """A bar on standard error, drawn by rich."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("compiling", total=1.0)

    def update(self, fraction: float, text: str) -> None:
        """Move the bar."""
        self._bar.update(self._task, completed=fraction, description=text)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._bar.stop()


class Notebook:
    """A bar in HTML, updated in place; needs IPython, no widgets."""

    def __init__(self) -> None:
        display = import_module("IPython.display")
        self._html = display.HTML
        self._start = time.monotonic()
        self._handle = display.display(self._html(self._page(0.0, "compiling")), display_id=True)

    def _page(self, fraction: float, text: str) -> str:
        seconds = time.monotonic() - self._start
        return (
            f'<progress value="{fraction:.3f}" max="1" style="width:16em"></progress> '
            f"{fraction:.0%} {text}, {seconds:.0f} s"
        )

    def update(self, fraction: float, text: str) -> None:
        """Redraw the bar."""
        self._handle.update(self._html(self._page(fraction, text)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


def reporter(progress: bool | None) -> Reporter:
    """Return where progress is shown.

    Parameters
    ----------
    progress
        True or False; None shows it where somebody looks: in a notebook, and in a terminal.
    """
    if progress is False:
        return Silent()
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if type(shell).__name__ == "ZMQInteractiveShell":
        return Notebook()
    return Terminal() if progress or sys.stderr.isatty() else Silent()
