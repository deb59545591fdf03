"""Customers who look alike are one row: exact counts and sums by cell and arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

if TYPE_CHECKING:
    from bayes_mkt.targeting.campaign import Campaign

__all__ = ["Cells", "Spend"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Cells:
    """A campaign by cells, the distinct combinations of its features' levels.

    The likelihood of a model whose probabilities depend on features and arm alone is the same,
    up to a constant, given these counts as given the customers.

    Parameters
    ----------
    codes
        Of each cell (cell, feature).
    index
        Cell of each customer (customer,).
    customers
        Customers by cell and arm (cell, arm).
    """

    codes: Array
    index: Array
    customers: Array

    @classmethod
    def of(cls, campaign: Campaign) -> Cells:
        """Return the cells of a campaign."""
        codes = campaign.data["code"].to_numpy()
        found, first, index = np.unique(
            campaign.encoding.cell(codes), return_index=True, return_inverse=True
        )
        arms = len(campaign.arms)
        flat = index * arms + campaign.data["assignment"].to_numpy()
        customers = np.bincount(flat, minlength=len(found) * arms).reshape(len(found), arms)
        return cls(codes[first], index, customers)

    def total(self, campaign: Campaign, values: Array) -> Array:
        """Return the sum of customers' values by cell and arm (cell, arm)."""
        flat = self.index * self.customers.shape[1] + campaign.data["assignment"].to_numpy()
        summed = np.bincount(flat, values, minlength=self.customers.size)
        return np.asarray(summed.reshape(self.customers.shape))


@dataclass(frozen=True)
class Spend:
    """Revenue of buyers by cell and arm, where there are any: what the likelihood needs of it.

    Parameters
    ----------
    cell, arm
        Of each row (row,).
    buyers
        Customers with revenue > 0 (row,).
    total, log_total, log_squares
        Sums over them of y, log y and (log y)^2, y in units of `unit` (row,).
    unit
        Mean revenue of a buyer, in currency.
    """

    cell: Array
    arm: Array
    buyers: Array
    total: Array
    log_total: Array
    log_squares: Array
    unit: float

    @classmethod
    def of(cls, campaign: Campaign, cells: Cells) -> Spend:
        """Return the sums over a campaign's buyers."""
        revenue = campaign.values("revenue")
        bought = revenue > 0
        unit = float(revenue[bought].mean())
        y = np.where(bought, revenue, unit) / unit
        log = np.log(y)
        buyers = cells.total(campaign, bought.astype(float))
        cell, arm = np.nonzero(buyers)
        total, logs, squares = (
            cells.total(campaign, v * bought)[cell, arm] for v in (y, log, log**2)
        )
        return cls(cell, arm, buyers[cell, arm], total, logs, squares, unit)


def log_choose(n: Array, k: Array) -> Array:
    """Return the log of the binomial coefficient, entry by entry."""
    return np.asarray(gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0))
