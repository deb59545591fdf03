"""Any data frame in, checked columns out; every problem found is raised at once.

A family of models states the columns that it needs as `Column`, reads them with
`read_columns`, adds its own findings to the same `Problems`, and raises them together.
Nothing here knows what the columns mean.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import narwhals as nw
import numpy as np
from narwhals.exceptions import DuplicateError
from numpy.typing import NDArray

from bayes_mkt.errors import DataError
from bayes_mkt.parse import (
    Fault,
    Parsed,
    counted,
    fault,
    parse_dates,
    parse_labels,
    parse_numbers,
    show,
)

__all__ = ["Column", "Problems", "Rows", "counted", "listed", "open_columns", "read_columns"]

Array = NDArray[Any]


@dataclass
class Problems:
    """Collects what is wrong with the data, so that one error names it all.

    Examples
    --------
    >>> problems = Problems()
    >>> problems.add("spend has 1 negative value: ...")
    >>> len(problems)
    1
    >>> problems.raise_if_any()
    Traceback (most recent call last):
        ...
    bayes_mkt.errors.DataError: spend has 1 negative value: ...
    """

    found: list[str] = field(default_factory=list)

    def add(self, problem: str | None) -> None:
        """Add one problem; None adds nothing."""
        if problem is not None and problem not in self.found:
            self.found.append(problem)

    def __len__(self) -> int:
        """Return how many problems were found so far."""
        return len(self.found)

    def raise_if_any(self) -> None:
        """Raise all problems together as one `DataError`, if there are any."""
        if self.found:
            raise DataError(self.found)


@dataclass(frozen=True)
class Column:
    """What a column is for, and what must hold for it.

    Parameters
    ----------
    name
        The column's name in the frame.
    role
        What the column is used as, such as ``"spend"``; messages begin with it.
    kind
        ``"number"`` (float64), ``"label"`` (text), ``"date"`` (whole days) or ``"datetime"``.
    part
        What tells this column from others of the same role, such as ``"channel 'tv'"``.
    minimum
        Smallest value allowed; None for no bound. Numbers only.
    positive
        Whether numbers must be > 0.
    missing
        Whether missing values are refused or kept (as NaN, NaT or '').
    missing_with
        Key of another column of numbers: missing values are kept in rows where that one is
        missing too, and refused elsewhere.
    remedy
        What to do about values out of range.
    missing_remedy
        What to do about missing values.
    locates
        Whether messages tell rows by this column's value (a region, a date, a customer).
    shares
        Keys of columns that may be read from the same column of the frame.

    Examples
    --------
    >>> Column("tv_spend", "spend", part="channel 'tv'", minimum=0).title
    "spend, channel 'tv'"
    """

    name: str
    role: str
    kind: Literal["number", "label", "date", "datetime"] = "number"
    part: str = ""
    minimum: float | None = None
    positive: bool = False
    missing: Literal["refuse", "keep"] = "refuse"
    missing_with: str | None = None
    remedy: str = "correct it before loading"
    missing_remedy: str = "Fill in what is missing, or drop these rows."
    locates: bool = False
    shares: frozenset[str] = frozenset()

    @property
    def title(self) -> str:
        """The role and the part, for lists of columns."""
        return f"{self.role}, {self.part}" if self.part else self.role


@dataclass(frozen=True)
class Rows:
    """Says where a row stands: by region and date, say, or else by its number.

    Parameters
    ----------
    labels
        Role and values of each column that tells rows apart (n_rows each).
    """

    labels: tuple[tuple[str, Array], ...] = ()

    def name(self, row: int, but: str = "") -> str:
        """Return where the row stands, such as ``"region 'north', 2024-03-04"``.

        Parameters
        ----------
        row
            Its position, counted from 0.
        but
            A role to leave out, because its values are what is wrong.
        """
        parts = []
        for role, values in self.labels:
            value = values[row]
            if role == but:
                continue
            if isinstance(value, np.datetime64):
                parts += [] if np.isnat(value) else [show(value)]
            elif value:
                parts.append(f"{role} {value!r}")
        if len(parts) < max(len(self.labels), 1):
            parts.append(f"row {row}")
        return ", ".join(parts)


def read_columns(
    frame: object, columns: Mapping[str, Column], problems: Problems
) -> dict[str, Array]:
    """Select the named columns on the frame's own engine, check them, and return arrays.

    Parameters
    ----------
    frame
        Any frame that Narwhals knows: pandas, Polars (eager or lazy), PyArrow, DuckDB, ...
        Only the named columns are collected.
    columns
        What to read, by any key. The same column of the frame may be read under two keys
        only if each names the other in its `shares`.
    problems
        Where problems are collected. Nothing is raised here.

    Returns
    -------
    dict
        For each key whose column has no problem an array (n_rows), in the frame's order:
        float64 for numbers, `str` objects for labels, datetime64[ns] for dates.

    Examples
    --------
    >>> import pandas as pd
    >>> problems = Problems()
    >>> frame = pd.DataFrame({"shop": ["a", "b"], "paid": [3.5, -1.0]})
    >>> wanted = {"shop": Column("shop", "shop", "label", locates=True),
    ...           "paid": Column("paid", "amount", minimum=0, remedy="net refunds")}
    >>> sorted(read_columns(frame, wanted, problems))
    ['shop']
    >>> print(problems.found[0])
    amount has 1 negative value: column 'paid', -1 at shop 'b'. Amount must be >= 0; net refunds.
    """
    opened, wanted = open_columns(frame, columns, problems)
    names = list(dict.fromkeys(column.name for column in wanted.values()))
    if opened is None or not names:
        return {}
    selected = opened.select(*names)
    table = selected.collect() if isinstance(selected, nw.LazyFrame) else selected
    if len(table) == 0:
        problems.add("The frame has no rows. Give one row for each observation.")
        return {}
    parsed = {key: _parse(table[column.name], column) for key, column in wanted.items()}
    rows = Rows(
        tuple(
            (wanted[key].role, part.values)
            for key, part in parsed.items()
            if wanted[key].locates and part.values is not None
        )
    )
    sound: dict[str, Array] = {}
    for key, column in wanted.items():
        part = parsed[key]
        faults = [*part.faults, *_rule_faults(part, column, parsed)]
        for found in faults:
            problems.add(message(column, found, rows))
        if part.values is not None and not faults:
            sound[key] = part.values
    return sound


def open_columns(
    frame: object, columns: Mapping[str, Column], problems: Problems
) -> tuple[nw.DataFrame[Any] | nw.LazyFrame[Any] | None, dict[str, Column]]:
    """Return the frame as Narwhals sees it and the columns that it has; nothing is collected.

    The frame is None if Narwhals doesn't know it; see `read_columns` for the arguments.
    """
    opened = _opened(frame, problems)
    wanted = _well_named(columns, problems)
    if opened is None:
        return None, {}
    _refuse_shared(wanted, problems)
    return opened, _available(wanted, opened.collect_schema().names(), frame, problems)


def message(column: Column, found: Fault, rows: Rows) -> str:
    """Return the sentence: role, what is wrong, which column, which values, where, remedy."""
    where = f"{column.part} (column {column.name!r})" if column.part else f"column {column.name!r}"
    places = [rows.name(row, but=column.role) for row in found.rows]
    if not found.rows:
        examples = ", ".join(found.shown)
    elif found.shown:
        pairs = zip(found.shown, places, strict=True)
        examples = "; ".join(f"{value} at {place}" for value, place in pairs)
    else:
        examples = f"at {'; '.join(places)}"
    rest = found.total - len(found.rows)
    more = f"; and {rest:,} more" if rest > 0 else ""
    numbered = any(p.endswith(f"row {row}") for p, row in zip(places, found.rows, strict=True))
    note = " (rows counted from 0)" if numbered else ""
    return f"{column.role} {found.what}: {where}, {examples}{more}{note}. {found.rule}"


def listed(items: Iterable[object], keep: int = 3, sep: str = ", ") -> str:
    """Return the first few items and how many more there are.

    Examples
    --------
    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    texts = [str(item) for item in items]
    rest = len(texts) - keep
    return sep.join(texts[:keep]) + (f" and {rest:,} more" if rest > 0 else "")


def _opened(frame: object, problems: Problems) -> nw.DataFrame[Any] | nw.LazyFrame[Any] | None:
    """Return the frame as Narwhals sees it, or None with the problem noted."""
    if isinstance(frame, nw.DataFrame | nw.LazyFrame):
        return frame
    try:
        return nw.from_native(frame)
    except DuplicateError:
        names = [
            str(name) for name in getattr(frame, "columns", getattr(frame, "column_names", ()))
        ]
        twice = listed(dict.fromkeys(repr(name) for name in names if names.count(name) > 1))
        problems.add(f"The frame has more than one column named {twice}. Rename or drop one.")
    except TypeError:
        kind = type(frame).__name__
        remedy = "Give a pandas, Polars, PyArrow, DuckDB or Spark frame."
        if isinstance(frame, str | os.PathLike):
            remedy = "Read the file first, for instance by pandas.read_csv(path)."
        elif isinstance(frame, Mapping):
            remedy = "Make it a frame first, for instance by pandas.DataFrame(data)."
        problems.add(f"The data must be a data frame, but got {kind}. {remedy}")
    return None


def _well_named(columns: Mapping[str, Column], problems: Problems) -> dict[str, Column]:
    """Return the columns whose names are text, noting the others."""
    for column in columns.values():
        if not _is_text(column.name):
            problems.add(
                f"{column.title} takes the name of a column as text, but got {column.name!r}. "
                "Put its values into one column of the frame and give that column's name."
            )
    return {key: column for key, column in columns.items() if _is_text(column.name)}


def _is_text(name: object) -> bool:
    """Whether what was given as a column's name is text, whatever its declared type."""
    return isinstance(name, str)


def _refuse_shared(columns: Mapping[str, Column], problems: Problems) -> None:
    """Note columns of the frame that are used twice where that makes no sense."""
    users: dict[str, list[str]] = {}
    for key, column in columns.items():
        users.setdefault(column.name, []).append(key)
    for name, keys in users.items():
        clash = any(b not in columns[a].shares for a in keys for b in keys if a != b)
        if clash:
            roles = " and as ".join(columns[key].title for key in keys)
            problems.add(
                f"column {name!r} is used as {roles}. Give each its own column, or drop one."
            )


def _available(
    columns: Mapping[str, Column], available: Sequence[str], frame: object, problems: Problems
) -> dict[str, Column]:
    """Return the columns that the frame has, noting those that it lacks in one problem."""
    lacking = [column for column in columns.values() if column.name not in available]
    if lacking:
        quoted = [repr(name) for name in available]
        parts = [f"{c.name!r} for {c.title}{_suggestion(c.name, available)}" for c in lacking]
        text = (
            f"{counted(len(lacking), 'column is', 'columns are')} not in the frame: "
            f"{'; '.join(parts)}. The frame has {listed(quoted, keep=30)}."
        )
        index = [n for n in _index_names(frame) if n in {c.name for c in lacking}]
        if index:
            names = " and ".join(map(repr, index))
            text += f" The index holds {names}: call reset_index() first."
        problems.add(text)
    return {key: column for key, column in columns.items() if column.name in available}


def _suggestion(name: str, available: Sequence[str]) -> str:
    """Return the likely name that was meant, in brackets, or nothing."""
    folded = {str(other).casefold().strip(): str(other) for other in available}
    close = difflib.get_close_matches(name.casefold().strip(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def _index_names(frame: object) -> list[str]:
    """Return the names of a pandas index, for whoever left a column there."""
    return [str(name) for name in getattr(getattr(frame, "index", None), "names", None) or ()]


def _parse(series: nw.Series[Any], column: Column) -> Parsed:
    """Read one column as its kind says."""
    if column.kind == "number":
        return parse_numbers(series)
    if column.kind == "label":
        return parse_labels(series)
    return parse_dates(series, whole_days=column.kind == "date")


def _rule_faults(part: Parsed, column: Column, parsed: Mapping[str, Parsed]) -> list[Fault]:
    """Return where the values are missing or out of the column's range."""
    refused = part.missing if column.missing == "refuse" else np.zeros_like(part.missing)
    if column.missing_with is not None and column.missing_with in parsed:
        refused = part.missing & ~parsed[column.missing_with].missing
    found = [fault(refused, ("missing value", "missing values"), column.missing_remedy)]
    values = part.values
    if column.kind == "number" and values is not None:
        rule = "Put in the true figure; a division by zero is the usual cause."
        infinite = ("infinite value", "infinite values")
        found.append(fault(np.isinf(values), infinite, rule, values))
        found.append(_out_of_range(values, column))
    return [f for f in found if f is not None]


def _out_of_range(values: Array, column: Column) -> Fault | None:
    """Return where numbers lie below the column's bound."""
    bound = column.minimum or 0.0
    finite = np.isfinite(values)
    role = column.role[:1].upper() + column.role[1:]
    if column.positive:
        nouns = ("zero or negative value", "zero or negative values")
        return fault(finite & (values <= 0), nouns, f"{role} must be > 0; {column.remedy}.", values)
    if column.minimum is None:
        return None
    nouns = (f"value below {bound:g}", f"values below {bound:g}")
    if bound == 0:
        nouns = ("negative value", "negative values")
    return fault(
        finite & (values < bound), nouns, f"{role} must be >= {bound:g}; {column.remedy}.", values
    )
