"""The rows of a purchase likelihood: customers who agree in what it depends on are one row."""

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
        Customers (row,).
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
    return Rows(columns, weight, unique["cell"].to_numpy(), index)


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
    return Rows(columns, weight, unique["cell"].to_numpy(), index)
