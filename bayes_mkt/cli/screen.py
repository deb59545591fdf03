"""What a run says in the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

    from bayes_mkt.inference.diagnostics import Diagnostics
    from bayes_mkt.publish import MediaMixAnswers

__all__ = [
    "screen",
    "show_answers",
    "show_frame",
    "show_outputs",
    "show_panel",
    "show_verdict",
]


def screen(*, quiet: bool) -> Console:
    """Return the console of a run; a quiet one prints nothing."""
    return Console(quiet=quiet, highlight=False, markup=False, emoji=False)


def show_panel(console: Console, facts: Mapping[str, object]) -> None:
    """Print what the panel holds, name to value."""
    shown = Table(box=None, show_header=False, pad_edge=False)
    for name, value in facts.items():
        shown.add_row(Text(name), Text(str(value)))
    console.print(shown)


def show_verdict(console: Console, diagnostics: Diagnostics) -> None:
    """Print whether the draws converged, and what to do where they did not."""
    console.print()
    console.print(
        diagnostics.verdict, style="green" if diagnostics.ok else "bold red", soft_wrap=True
    )


def show_answers(console: Console, answers: MediaMixAnswers, interval: float, out: Path) -> None:
    """Print ROI, or incremental sales and why there is no ROI, and where the report is."""
    from bayes_mkt.report import format_table, table

    if answers.roi is not None:
        roi = table(answers.roi, interval, above=1.0)
        show_frame(console, "Return on investment", format_table(roi))
        notes = []
    else:
        sales = table(answers.incremental_sales, interval)
        show_frame(console, "Incremental sales", format_table(sales))
        notes = [answers.roi_absent_reason or ""]
    show_outputs(console, out, notes)


def show_frame(console: Console, title: str, frame: pd.DataFrame) -> None:
    """Print a table of texts, its index first."""
    shown = Table(title=Text(title, style="bold"), title_justify="left", box=None, pad_edge=False)
    flat = frame.reset_index()
    labels = flat.shape[1] - frame.shape[1]
    for position, name in enumerate(flat.columns):
        shown.add_column(Text(str(name)), justify="left" if position < labels else "right")
    for row in flat.itertuples(index=False):
        shown.add_row(*(Text(str(cell)) for cell in row))
    console.print()
    console.print(shown)


def show_outputs(console: Console, out: Path, notes: Iterable[str] = ()) -> None:
    """Print remarks and where the report is."""
    console.print()
    for note in notes:
        console.print(note)
    console.print(f"Report: {out / 'report.html'}", soft_wrap=True)
