"""Whose mean an answer is: of markets, of cells, or of customers one by one."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bayes_mkt.customers.spells import CELL, Spells
from bayes_mkt.dims import CUSTOMER, MARKET
from bayes_mkt.errors import SpecError

Array = NDArray[Any]
By = Literal["market", "cell", "customer"]


def group_weights(data: Spells, by: By) -> tuple[Array, dict[str, Any]]:
    """Return the weight of each cell in each group (group, cell), and the groups' coordinate."""
    cells = data.data.sizes[CELL]
    if by == "cell":
        return np.eye(cells), {}
    if by == "customer":
        of = data.data["cell_of_customer"].values
        weights = np.zeros((len(of), cells))
        weights[np.arange(len(of)), of] = 1.0
        return weights, {CUSTOMER: data.data[CUSTOMER].values}
    if by != "market":
        raise SpecError(f"by={by!r}: choose from 'market', 'cell', 'customer'.")
    count = np.bincount(data.data["cell_of_row"].values, data.data["count"].values, minlength=cells)
    market = data.data["market_of_cell"].values
    weights = np.where(market[None, :] == np.arange(len(data.markets))[:, None], count, 0.0)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return weights, {MARKET: list(data.markets)}
