"""Covariates as numbers: indicators for labels, numbers as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_mkt.errors import DataError
from bayes_mkt.frames import listed

__all__ = ["INDICATOR", "NUMBER", "Coded", "code"]

Array = NDArray[Any]
NUMBER = "number"
INDICATOR = "indicator"
MAX_LEVELS = 100


@dataclass(frozen=True)
class Coded:
    """Covariates of customers as a matrix.

    Attributes
    ----------
    values
        (customer, feature).
    names
        Column names; a label's indicators are called ``column=level``.
    kinds
        `NUMBER` or `INDICATOR`, of each.
    """

    values: Array
    names: tuple[str, ...]
    kinds: tuple[str, ...]


def code(columns: Mapping[str, Array], like: Sequence[str] | None = None, count: int = 0) -> Coded:
    """Return covariates as numbers.

    A column of labels becomes one indicator for each level but the most frequent, the reference.
    A column of numbers stays as it is; one with two values only, 0 and 1, is an indicator too.

    Parameters
    ----------
    columns
        Name -> values, numbers (float) or labels (objects), each (customer,).
    like
        Feature names of other data, whose levels are used: a level that they lack counts as the
        reference, as it has no effect that was estimated.
    count
        Number of customers, where there are no columns to tell.

    Raises
    ------
    DataError
        If `like` asks for a column that isn't there, a column has no variation to learn from, or
        labels are too many.

    Examples
    --------
    >>> coded = code({"age": np.array([20.0, 30.0, 40.0]),
    ...               "plan": np.array(["a", "b", "a"], dtype=object)})
    >>> coded.names
    ('age', 'plan=b')
    >>> coded.values[:, 1]
    array([0., 1., 0.])
    """
    if like is not None:
        known = {n if n in columns else n.split("=", 1)[0] for n in like}
        lacking = sorted(known - set(columns))
        if lacking:
            raise DataError(
                f"Covariates {listed(map(repr, lacking))} of the fitted data are absent."
            )
    values: list[Array] = []
    names: list[str] = []
    kinds: list[str] = []
    constant = []
    for name, column in columns.items():
        if column.dtype != object:
            values.append(column.astype(float))
            names.append(name)
            two = bool(np.isin(column, (0.0, 1.0)).all())
            kinds.append(INDICATOR if two else NUMBER)
            constant += [name] if len(np.unique(column)) == 1 else []
            continue
        levels = _levels(name, column, like)
        constant += [] if levels else [name]
        values += [(column == level).astype(float) for level in levels]
        names += [f"{name}={level}" for level in levels]
        kinds += [INDICATOR] * len(levels)
    if like is None and constant:
        raise DataError(
            f"Covariates {listed(map(repr, constant))} have the same value for every customer: "
            "nothing can be learned from them. Leave them out."
        )
    matrix = np.column_stack(values) if values else np.zeros((count, 0))
    return Coded(matrix, tuple(names), tuple(kinds))


def _levels(name: str, column: Array, like: Sequence[str] | None) -> list[str]:
    """Return the levels that get an indicator."""
    if like is not None:
        return [n.split("=", 1)[1] for n in like if n.startswith(f"{name}=")]
    counts = pd.Series(column).value_counts()
    if len(counts) > MAX_LEVELS:
        raise DataError(
            f"Covariate {name!r} has {len(counts):,} levels, such as {str(counts.index[0])!r}. "
            f"Group them into {MAX_LEVELS} or fewer, or convert the column to numbers."
        )
    reference = min(counts.index[counts == counts.max()])
    return sorted(str(level) for level in counts.index if level != reference)
