"""What customers like: factors of what they bought up to a day, and how near a product set lies.

With x_ig the logarithm of one plus the days of the look-back on which customer i bought of group g,
over its SD, and Q the first eigenvectors of the correlations of the groups, customer i has the
factors u_i = Q' x_i, a set with shares w_g of its products in the groups has v = Q' w, and the
customer's taste for it is

    taste_i = (u_i' v - mean) / SD.

So customers who never bought of a set are told apart by what else they buy, and a new product has
tastes by its group. SDs, Q, mean and SD of u_i' v are those of the training's first date, so that
a taste says the same at every date and in every log. Factors of few groups and many customers are
known well enough to be taken as given; how much they matter in each set is learnt with the other
slopes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import LinearOperator, eigsh

if TYPE_CHECKING:
    from bayes_mkt.targeting.log import PurchaseLog

__all__ = ["TASTE", "Factors", "Tastes"]

Array = NDArray[Any]
TASTE = "taste"


@dataclass(frozen=True, eq=False)
class Factors:
    """What the groups of a training log have in common, as of its first date.

    Parameters
    ----------
    groups
        Their names.
    axes
        Q (group, factor), each group divided by the SD of its counts.
    loadings
        Q (group, factor).
    counts
        Logarithms of one plus the days with a purchase (known customer, group), by which tastes
        are standardised.
    lookback, level
        As in `Propensity`.
    """

    groups: tuple[str, ...]
    axes: Array
    loadings: Array
    counts: csr_array
    lookback: int
    level: str | None

    @classmethod
    def of(
        cls,
        log: PurchaseLog,
        day: int,
        *,
        lookback: int,
        level: str | None,
        factors: int,
        min_buyers: int,
    ) -> Factors:
        """Return the factors at the close of `day`; none where fewer than three groups count.

        Parameters
        ----------
        lookback
            Days up to `day` that are read.
        level
            Whose groups of products count.
        factors
            Their number.
        min_buyers
            Groups with fewer buyers in the look-back don't count.
        """
        names = tuple(log.groups(level))
        counts = _counts(log, _group_of(log, level, names), len(names), day, lookback)
        known = np.unique(log.data["buyer"].to_numpy()[log.data["day"].to_numpy() <= day])
        counts = csr_array(counts[known])
        n = max(len(known), 1)
        mean = np.asarray(counts.sum(axis=0)).ravel() / n
        square = np.asarray(counts.multiply(counts).sum(axis=0)).ravel() / n
        sd = np.sqrt(np.maximum(square - mean**2, 0.0))
        buyers = np.bincount(counts.indices, minlength=len(names))
        counted = (buyers >= min_buyers) & (sd > 1e-9)
        scale = np.where(counted, 1.0 / np.where(counted, sd, 1.0), 0.0)
        wanted = min(factors, int(counted.sum()) - 2)
        loadings = _loadings(csr_array(counts @ diags_array(scale)), mean * scale, n, wanted)
        return cls(names, scale[:, None] * loadings, loadings, counts, lookback, level)

    def at(self, log: PurchaseLog, day: int) -> Tastes:
        """Return the tastes of a log's customers at the close of a day."""
        group_of = _group_of(log, self.level, self.groups)
        counts = _counts(log, group_of, len(self.groups), day, self.lookback)
        return Tastes(self, counts, group_of)


@dataclass(frozen=True, eq=False)
class Tastes:
    """Customers by the factors of a training log.

    Parameters
    ----------
    factors
        These.
    counts
        As theirs, of a log's customers at a day (customer, group).
    group_of
        Of each of the log's products, -1 where training had none such (product,).
    """

    factors: Factors
    counts: csr_array
    group_of: Array

    def scores(self, items: Array) -> Array:
        """Return the taste of each customer for products (customer,), 0 where they say nothing.

        Parameters
        ----------
        items
            Positions of the products.
        """
        group = self.group_of[items]
        size = len(self.factors.groups)
        share = np.bincount(group[group >= 0], minlength=size) / max(len(items), 1)
        weight = self.factors.axes @ (self.factors.loadings.T @ share)
        before = self.factors.counts @ weight
        sd = before.std() if len(before) else 0.0
        if sd <= 1e-12:
            return np.zeros(self.counts.shape[0])
        return np.asarray((self.counts @ weight - before.mean()) / sd)


def _group_of(log: PurchaseLog, level: str | None, names: tuple[str, ...]) -> Array:
    """Return the position of each product's group among names (product,), -1 for no such."""
    place = {name: g for g, name in enumerate(names)}
    found = np.full(len(log.products), -1)
    for name, items in log.groups(level).items():
        found[items] = place.get(name, -1)
    return found


def _counts(log: PurchaseLog, group_of: Array, size: int, day: int, lookback: int) -> csr_array:
    """Return log(1 + days of the look-back with a purchase) (customer, group)."""
    data = log.data
    days = data["day"].to_numpy()
    group = group_of[data["item"].to_numpy()]
    rows = np.flatnonzero((days <= day) & (days > day - lookback) & (group >= 0))
    pair = data["buyer"].to_numpy()[rows].astype(np.int64) * size + group[rows]
    pair = np.unique(pair * lookback + (day - days[rows])) // lookback
    where, count = np.unique(pair, return_counts=True)
    shape = (len(log.customers), size)
    return csr_array((np.log1p(count), (where // size, where % size)), shape=shape)


def _loadings(scaled: csr_array, mean: Array, n: int, factors: int) -> Array:
    """Return the first eigenvectors of the covariance of columns, the most important one first."""
    size = scaled.shape[1]
    if factors < 1:
        return np.zeros((size, 0))

    def times(v: Array) -> Array:
        return np.asarray(scaled.T @ (scaled @ v) / n - mean * (mean @ v))

    start = np.random.default_rng(0).normal(size=size)
    covariance = LinearOperator((size, size), matvec=times, dtype=float)
    values, vectors = eigsh(covariance, k=factors, v0=start, rng=np.random.default_rng(0))
    found: Array = vectors[:, np.argsort(-values)]
    return found
