"""Offers that cover the catalogue: a hard bound on how many sets are offered, and to how many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from bayes_mkt.errors import SpecError

__all__ = ["covering"]

Array = NDArray[Any]


def covering(score: Array, k: int, min_coverage: float, min_offers: int) -> Array:
    r"""Return k sets for each customer (customer, rank), best first, which cover the catalogue.

    With R the sets that must be offered, z_ij in {0, 1},

        maximise sum_ij z_ij score_ij  subject to  sum_j z_ij = k  for each customer i,
        sum_i z_ij >= min_offers  for each set j in R.

    R holds ceil(min_coverage S) of the S sets: first those that are offered to `min_offers`
    customers anyhow, then those that cost least to bring in. Given R it is a transport problem,
    whose linear program has whole solutions; HiGHS solves it. Of pairs that aren't among a
    customer's k best, those are in the program that lose least for each set of R.

    Parameters
    ----------
    score
        Finite, the higher the better (customer, set).
    k
        Sets for each customer.
    min_coverage
        Share of all sets that must be offered, in [0, 1].
    min_offers
        Customers that each of them must be offered to.

    Raises
    ------
    SpecError
        If a number is out of range, or offers are too few for the bound.

    Examples
    --------
    >>> score = np.array([[3.0, 2.0, 0.0], [3.0, 1.0, 0.5]])
    >>> covering(score, 1, 0.0, 1).ravel().tolist(), covering(score, 1, 0.6, 1).ravel().tolist()
    ([0, 0], [1, 0])
    """
    customers, sets = score.shape
    needed = int(np.ceil(min_coverage * sets - 1e-9))
    if not 0 <= min_coverage <= 1 or min_offers < 1:
        raise SpecError(
            f"min_coverage={min_coverage!r} must lie in [0, 1], min_offers={min_offers!r} be >= 1."
        )
    if needed * min_offers > customers * k or (needed and min_offers > customers):
        raise SpecError(
            f"min_coverage={min_coverage!r}: {needed} sets offered to {min_offers} customers each "
            f"need {needed * min_offers} offers; {customers} customers with k={k} get "
            f"{customers * k}. Lower min_coverage or min_offers, or raise k."
        )
    top = np.argsort(-score, axis=1, kind="stable")[:, :k]
    offers = np.bincount(top.ravel(), minlength=sets)
    if (offers >= min_offers).sum() >= needed:
        return top
    last = np.take_along_axis(score, top[:, -1:], axis=1)
    loss = np.maximum(last - score, 0.0)
    required = _required(loss, offers, needed, min_offers)
    candidate = np.zeros(score.shape, dtype=bool)
    np.put_along_axis(candidate, top, values=True, axis=1)
    near = min(customers, max(4 * min_offers, -(-needed * min_offers // k) + 10))
    for j in required:
        candidate[np.argpartition(loss[:, j], near - 1)[:near], j] = True
    chosen = _transported(score, candidate, required, k, min_offers)
    ranked = np.where(chosen, score, -np.inf)
    return np.argsort(-ranked, axis=1, kind="stable")[:, :k]


def _required(loss: Array, offers: Array, needed: int, min_offers: int) -> Array:
    """Return the sets that must be offered: those that are, then the cheapest to bring in."""
    cheapest = np.partition(loss, min_offers - 1, axis=0)[:min_offers].sum(axis=0)
    missing = np.maximum(min_offers - offers, 0)
    return np.lexsort((-offers, cheapest, missing > 0))[:needed]


def _transported(score: Array, candidate: Array, required: Array, k: int, min_offers: int) -> Array:
    """Return the best choice (customer, set) among the candidates."""
    who, what = np.nonzero(candidate)
    pairs, (customers, sets) = len(who), score.shape
    column = np.arange(pairs)
    ones = np.ones(pairs)
    each = sparse.csr_array((ones, (who, column)), (customers, pairs))
    place = np.full(sets, -1)
    place[required] = np.arange(len(required))
    held = place[what] >= 0
    by_set = sparse.csr_array(
        (-ones[held], (place[what][held], column[held])), (len(required), pairs)
    )
    limits: dict[str, Any] = {
        "A_ub": by_set,
        "b_ub": -np.full(len(required), float(min_offers)),
        "A_eq": each,
        "b_eq": np.full(customers, float(k)),
    }
    found: Any = linprog(-score[who, what], bounds=(0, 1), method="highs-ds", **limits)
    if found.status != 0:
        raise SpecError(
            f"No offers meet min_coverage and min_offers={min_offers} (HiGHS: {found.message}). "
            "Lower one of them, or raise k."
        )
    chosen = np.zeros(score.shape, dtype=bool)
    chosen[who, what] = found.x > 0.5
    return chosen
