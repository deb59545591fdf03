"""What else to offer a customer, with best-sellers held back; how good and how varied that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logit

from bayes_mkt.dims import CUSTOMER
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.targeting.asof import Lines
from bayes_mkt.targeting.log import PurchaseLog
from bayes_mkt.targeting.scoring import score_set, standing
from bayes_mkt.targeting.windows import windows

__all__ = ["recommend", "recommendation_frontier"]

Array = NDArray[Any]
RANK = "rank"
PENALTY = "bestseller_penalty"


def recommend(
    fit: Fit,
    *,
    k: int = 10,
    bestseller_penalty: float = 0.5,
    log: PurchaseLog | None = None,
    max_draws: int = 100,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return the k product sets to offer each customer, best first.

    With p_ij the posterior mean of the probability that customer i buys of set j, and pbar_j its
    mean over customers, sets are ranked by

        logit p_ij - bestseller_penalty logit pbar_j.

    Parameters
    ----------
    fit
        A fitted `Propensity`; its training sets are what is offered (``level="product"`` for
        products).
    k
        Sets for each customer.
    bestseller_penalty
        0 ranks by probability; 1 by how much likelier the customer is than others to buy the set.
    log
        A later log to read customers from; None takes the fit's own.
    max_draws
        Draws of all chains together that are averaged.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        `recommended`, names, and `probability`, dims ``customer, rank``.

    Raises
    ------
    SpecError
        If `k` is above the number of sets, or the penalty lies outside [0, 1].
    """
    marks = usable(fit, allow_unconverged)
    names, customers, chance = probabilities(fit, log, max_draws)
    top = ranking(chance, bestseller_penalty, k)
    here = (CUSTOMER, RANK)
    chosen = np.take_along_axis(chance, top, axis=1)
    return xr.Dataset(
        {
            "recommended": (here, names[top], {"units": "1"}),
            "probability": (here, chosen, {"units": "1"}),
        },
        coords={CUSTOMER: customers, RANK: np.arange(1, k + 1)},
        attrs={PENALTY: bestseller_penalty, **marks},
    )


def recommendation_frontier(
    fit: Fit,
    later: PurchaseLog,
    *,
    k: int = 10,
    penalties: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    max_draws: int = 100,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return how accurate and how varied recommendations are as best-sellers are held back.

    Judged by what customers of the fit's log bought in the `horizon` days after it, over customers
    who bought of any set then:

    - recall: share of the sets that a customer bought which are among their k, averaged;
    - NDCG: sum over ranks r of hits of 1 / log2(r + 1), divided by its largest possible value;
    - coverage: share of all sets that are offered to at least one customer;
    - novelty: mean of -log2 of the share of customers who had bought the offered set.

    Parameters
    ----------
    fit, k, max_draws, allow_unconverged
        As in `recommend`.
    later
        A log that goes on at least `horizon` days after the fit's.
    penalties
        Values of `bestseller_penalty`.

    Returns
    -------
    Dataset
        `recall`, `ndcg`, `coverage`, `novelty`, dim `bestseller_penalty`; and the same, with the
        prefix `bestseller_`, for the k sets that most customers had bought, offered to everyone.

    Raises
    ------
    SpecError
        If `later` ends too early.

    References
    ----------
    Järvelin, Kekäläinen (2002), Cumulated gain-based evaluation. Vargas, Castells (2011), Rank and
    relevance in novelty and diversity metrics.
    """
    marks = usable(fit, allow_unconverged)
    horizon = fit.spec.horizon
    if later.end < fit.data.end + horizon:
        raise SpecError(
            f"later ends {later.end - fit.data.end} days after the fit's log; {horizon} are needed."
        )
    _, customers, chance = probabilities(fit, None, max_draws)
    hits, share = _bought(fit, later, customers)
    active = hits.any(axis=1)
    if not active.any():
        raise SpecError("No customer of the fit's log bought of any set in the days after it.")
    rows = [
        _measures(ranking(chance, penalty, k)[active], hits[active], share) for penalty in penalties
    ]
    popular = np.argsort(-share, kind="stable")[:k]
    best = _measures(np.broadcast_to(popular, (int(active.sum()), k)), hits[active], share)
    found: dict[str, Any] = {
        name: (PENALTY, [row[name] for row in rows], {"units": "1"}) for name in best
    }
    found |= {f"bestseller_{name}": ((), value, {"units": "1"}) for name, value in best.items()}
    return xr.Dataset(
        found, coords={PENALTY: list(penalties)}, attrs={"customers": int(active.sum()), **marks}
    )


def probabilities(fit: Fit, log: PurchaseLog | None, max_draws: int) -> tuple[Array, Array, Array]:
    """Return names of sets, of customers, and mean probabilities (customer, set)."""
    log, at = standing(fit, log)
    trained = windows(fit.spec, fit.data)
    columns = []
    for items in trained.items:
        own = log.positions(fit.data.products[items])
        scores = score_set(fit, log, at, own, seed=fit.seed, max_draws=max_draws)
        columns.append(scores.probability.mean(axis=0)[scores.cell])
    return np.array(trained.sets, dtype=object), log.customers[at.known], np.stack(columns, 1)


def ranking(chance: Array, penalty: float, k: int) -> Array:
    """Return the k best sets of each customer (customer, rank), as positions."""
    if not 0 <= penalty <= 1:
        raise SpecError(f"bestseller_penalty={penalty!r} must lie in [0, 1].")
    if not 1 <= k <= chance.shape[1]:
        raise SpecError(f"k={k!r} must lie between 1 and the {chance.shape[1]} sets of the fit.")
    score = logit(chance) - penalty * logit(chance.mean(axis=0))
    return np.argsort(-score, axis=1, kind="stable")[:, :k]


def _bought(fit: Fit, later: PurchaseLog, customers: Array) -> tuple[Array, Array]:
    """Return what customers bought after the log (customer, set), and shares before (set,)."""
    trained = windows(fit.spec, fit.data)
    place = {name: i for i, name in enumerate(customers)}
    position = np.array([place.get(name, -1) for name in later.customers])
    hits = np.zeros((len(customers), len(trained.sets)), dtype=bool)
    share = np.zeros(len(trained.sets))
    for j, items in enumerate(trained.items):
        lines = Lines.of(later, later.positions(fit.data.products[items]))
        end = fit.data.end
        after = position[lines.between(end + 1, end + fit.spec.horizon).buyer]
        hits[after[after >= 0], j] = True
        before = Lines.of(fit.data, items).between(end - fit.spec.lookback + 1, end)
        share[j] = len(np.unique(before.buyer)) / len(customers)
    return hits, share


def _measures(top: Array, hits: Array, share: Array) -> dict[str, float]:
    """Return the measures of offers (customer, rank) by what was bought (customer, set)."""
    found = np.take_along_axis(hits, top, axis=1)
    bought = hits.sum(axis=1)
    discount = 1 / np.log2(np.arange(2, top.shape[1] + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(bought, top.shape[1])]
    return {
        "recall": float((found.sum(axis=1) / bought).mean()),
        "ndcg": float((found @ discount / ideal).mean()),
        "coverage": len(np.unique(top)) / hits.shape[1],
        "novelty": float(-np.log2(np.maximum(share[top], 1e-9)).mean()),
    }
