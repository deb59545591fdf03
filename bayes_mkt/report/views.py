"""Tables as the page shows them: text only, row headings apart from cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt.errors import SpecError
from bayes_mkt.report.embed import FigureView
from bayes_mkt.report.formats import common_decimals, label_text, number
from bayes_mkt.report.summary import units_beside
from bayes_mkt.report.table import WARNING, format_table, table

__all__ = [
    "WORDS",
    "Row",
    "Section",
    "TableView",
    "diagnostics_view",
    "mapping_view",
    "summary_view",
    "with_truth",
]

WORDS: Final = {
    "rhat": "R-hat",
    "ess_bulk": "Bulk ESS",
    "ess_tail": "Tail ESS",
    "mcse_mean": "MCSE of the mean",
    "mean": "Mean",
    "median": "Median",
    "sd": "SD",
}


@dataclass(frozen=True)
class Row:
    """One row: its headings, then its cells."""

    labels: tuple[str, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True)
class TableView:
    """One table as the page shows it.

    Parameters
    ----------
    caption
        What the table holds, with units.
    stubs
        Names of the columns that hold row headings.
    columns
        Names of the other columns.
    rows
        The rows, each with as many labels as `stubs` and as many cells as `columns`.
    numeric
        Whether cells are numbers, set flush right.
    warning
        Shown with the caption, such as that draws are unconverged; empty if there is none.
    """

    caption: str
    stubs: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    numeric: bool = True
    warning: str = ""
    kind: str = "table"


class ExploreLike(Protocol):
    """A part that the browser draws."""

    @property
    def kind(self) -> str:
        """What it is."""


@dataclass(frozen=True)
class Section:
    """One part of the page: a heading, then texts, tables and figures in their order."""

    key: str
    heading: str
    blocks: tuple[str | TableView | FigureView | ExploreLike, ...] = field(default_factory=tuple)


def summary_view(
    array: xr.DataArray, caption: str, interval: float, above: float | None
) -> TableView:
    """Return the summary of draws as a table for the page, units in its caption."""
    frame = format_table(table(array, interval, above=above))
    warning = str(frame.attrs.get("unconverged", ""))
    frame = frame.drop(columns=WARNING, errors="ignore")
    units = units_beside(caption, array)
    return TableView(
        caption=f"{caption}, in {units}" if units else caption,
        stubs=tuple(str(name).capitalize() for name in frame.index.names),
        columns=tuple(_capital(str(name)) for name in frame.columns),
        rows=tuple(
            Row(_as_tuple(label), tuple(str(cell) for cell in cells))
            for label, cells in zip(frame.index, frame.to_numpy(), strict=True)
        ),
        warning=warning,
    )


def with_truth(
    view: TableView, array: xr.DataArray, truth: Mapping[str, float], interval: float
) -> TableView:
    """Append the known value of each row, by its first label, and whether the interval holds it."""
    frame = table(array, interval)
    bounds = frame.iloc[:, 3:5].to_numpy(dtype=float)
    decimals = common_decimals([float(sd) for sd in frame["sd"]])
    rows = []
    for row, (low, high), places in zip(view.rows, bounds, decimals, strict=True):
        known = truth.get(row.labels[0])
        if known is None:
            extra = ("n/a", "n/a")
        else:
            extra = (number(known, places), "yes" if low <= known <= high else "no")
        rows.append(Row(row.labels, (*row.cells, *extra)))
    columns = (*view.columns, "Known truth", "In interval")
    return replace(view, columns=columns, rows=tuple(rows))


def mapping_view(entries: Mapping[str, object], caption: str) -> TableView:
    """Return names and values as a table; nested mappings become dotted names."""
    rows = tuple(Row((name,), (value,)) for name, value in _flat(entries))
    return TableView(caption, ("Item",), ("Value",), rows, numeric=False)


def diagnostics_view(diagnostics: xr.Dataset, caption: str, at_most: int = 25) -> TableView:
    """Return diagnostics per parameter as a table, worst R-hat, then least ESS, first.

    Raises
    ------
    SpecError
        If the variables do not all share one single dimension.
    """
    if not diagnostics.data_vars or any(v.ndim != 1 for v in diagnostics.data_vars.values()):
        raise SpecError(
            "The diagnostics need variables along one dimension, the parameters; they have "
            f"dimensions {dict(diagnostics.sizes)}."
        )
    dim = str(next(iter(diagnostics.dims)))
    names = [str(name) for name in diagnostics.data_vars]
    frame = pd.DataFrame({n: np.asarray(diagnostics[n].values, dtype=float) for n in names})
    labels = diagnostics[dim].values
    keys = [("rhat", False), ("ess_bulk", True), ("ess_tail", True)]
    keys = [(name, ascending) for name, ascending in keys if name in names]
    if keys:
        by, ascending = [name for name, _ in keys], [rise for _, rise in keys]
        frame = frame.sort_values(by, ascending=ascending, kind="stable", na_position="last")
    shown = frame.head(at_most)
    if len(frame) > len(shown):
        caption = f"{caption} ({len(shown)} worst of {len(frame)} parameters)"
    return TableView(
        caption=caption,
        stubs=(_capital(dim),),
        columns=tuple(WORDS.get(name, name) for name in names),
        rows=tuple(
            Row(
                (label_text(labels[int(position)]),),
                tuple(_diagnostic(name, float(v)) for name, v in zip(names, values, strict=True)),
            )
            for position, values in zip(shown.index, shown.to_numpy(), strict=True)
        ),
    )


def _diagnostic(name: str, value: float) -> str:
    if name == "rhat":
        return number(value, 3)
    return number(value, 0) if name.startswith("ess") else number(value)


def _capital(name: str) -> str:
    return WORDS.get(name, name[:1].upper() + name[1:])


def _as_tuple(label: object) -> tuple[str, ...]:
    return tuple(map(str, label)) if isinstance(label, tuple) else (str(label),)


def _flat(entries: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in entries.items():
        if isinstance(value, Mapping) and value:
            rows.extend(_flat(value, f"{prefix}{name}."))
        else:
            rows.append((f"{prefix}{name}", _text(value)))
    return rows


def _text(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return "none"  # an empty one: others were taken apart
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return ", ".join(_text(part) for part in value) or "none"
    return label_text(value)
