"""The rows of a purchase likelihood: customers who agree in what it depends on are one row.

Rows are filled up to one of a few lengths with copies that weigh nothing, so that other data of
about the same size run through programs that are compiled already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.customers.reduction import SPEND, STATE

__all__ = ["Rows", "purchase_rows", "spend_rows"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """Unique rows with weights.

    Parameters
    ----------
    columns
        Values by name, each (row,): times in the history's unit.
    weight
        Customers (row,); 0 for rows that only fill up.
    profile
        Position along the history's profiles (row,).
    index
        For each state of the history its row (state,); -1 for states that have none.
    """

    columns: dict[str, Array]
    weight: Array
    profile: Array
    index: Array


def purchase_rows(history: CustomerHistory, keys: tuple[str, ...] = STATE) -> Rows:
    """Return unique rows of `keys`: of frequency, recency and age, or fewer of them."""
    data = history.data
    frame = pd.DataFrame({"cell": data["cell"].to_numpy(), **{k: data[k].to_numpy() for k in keys}})
    grouped = frame.groupby(["cell", *keys], sort=True)
    index = grouped.ngroup().to_numpy()
    unique = frame.groupby(["cell", *keys], sort=True).size().reset_index()
    weight = np.bincount(index, weights=data["weight"].to_numpy(), minlength=len(unique))
    columns = {
        k: unique[k].to_numpy(dtype=float)
        if k == "frequency"
        else history.per_unit(unique[k].to_numpy())
        for k in keys
    }
    return filled(Rows(columns, weight, unique["cell"].to_numpy(), index))


def spend_rows(history: CustomerHistory) -> Rows:
    """Return unique rows of frequency and mean spend of who bought again, for more than nothing."""
    data = history.data
    frequency, spend = data["frequency"].to_numpy(), data[SPEND].to_numpy()
    kept = np.flatnonzero((frequency > 0) & (spend > 0))
    frame = pd.DataFrame(
        {"cell": data["cell"].to_numpy()[kept], "frequency": frequency[kept], SPEND: spend[kept]}
    )
    grouped = frame.groupby(["cell", "frequency", SPEND], sort=True)
    row = grouped.ngroup().to_numpy()
    unique = grouped.size().reset_index()
    weight = np.bincount(row, weights=data["weight"].to_numpy()[kept], minlength=len(unique))
    index = np.full(frequency.shape, -1)
    index[kept] = row
    x = unique["frequency"].to_numpy(dtype=float)
    columns = {"frequency": x, "mean_spend": unique[SPEND].to_numpy() / x}
    return filled(Rows(columns, weight, unique["cell"].to_numpy(), index))


def filled(rows: Rows) -> Rows:
    """Return the rows with copies of the first that weigh nothing, up to the next fixed length.

    Examples
    --------
    >>> [length(n) for n in (0, 1, 9, 100, 2_600, 70_000)]
    [0, 8, 12, 128, 3072, 73728]
    """
    count = rows.weight.size
    more = length(count) - count
    if not more:
        return rows
    place = np.concatenate([np.arange(count), np.zeros(more, dtype=int)])
    weight = np.concatenate([rows.weight, np.zeros(more)])
    columns = {name: values[place] for name, values in rows.columns.items()}
    return Rows(columns, weight, rows.profile[place], rows.index)


def length(count: int) -> int:
    """Return the least of the fixed lengths that holds `count`: 2 an octave, 8 above 8,192."""
    if count == 0:
        return 0
    octave = max(int(count), 8).bit_length() - 1
    step = 2 ** (octave - (3 if count > 2**13 else 1))
    return int(max(-(-count // step) * step, 8))
