"""What else to offer a customer, with best-sellers held back; how good and how varied that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import logit

from bayes_mkt.dims import CUSTOMER
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.frames import listed
from bayes_mkt.targeting.asof import CUSTOMER_FEATURES, Lines
from bayes_mkt.targeting.coverage import covering
from bayes_mkt.targeting.log import PurchaseLog
from bayes_mkt.targeting.scoring import score_set, standing
from bayes_mkt.targeting.windows import encode, windows

__all__ = ["recommend", "recommendation_frontier"]

Array = NDArray[Any]
RANK = "rank"
PENALTY = "bestseller_penalty"


def recommend(
    fit: Fit,
    *,
    k: int = 10,
    bestseller_penalty: float = 0.5,
    min_coverage: float = 0.0,
    min_offers: int = 1,
    log: PurchaseLog | None = None,
    max_draws: int = 100,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return the k product sets to offer each customer, best first.

    With p_ij the posterior mean of the probability that customer i buys of set j, and pbar_j its
    mean over customers, sets are ranked by

        logit p_ij - bestseller_penalty logit pbar_j,

    and of all offers that cover the catalogue as asked, those with the largest sum of this score
    are taken.

    Parameters
    ----------
    fit
        A fitted `Propensity`; its training sets are what is offered (``level="product"`` for
        products).
    k
        Sets for each customer.
    bestseller_penalty
        0 ranks by probability; 1 by how much likelier the customer is than others to buy the set.
    min_coverage
        Share of the sets that must be offered, each to `min_offers` customers: a hard bound, for
        which some customers get a set that isn't among their k best. 0 for none.
    min_offers
        See `min_coverage`.
    log
        A later log to read customers from; None takes the fit's own.
    max_draws
        Draws of all chains together that are averaged.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        `recommended`, names, and `probability`, dims ``customer, rank``. attrs `coverage`, the
        share of sets that is offered.

    Raises
    ------
    SpecError
        If `k` is above the number of sets, the penalty lies outside [0, 1], or there are too few
        offers for the coverage asked.
    """
    marks = usable(fit, allow_unconverged)
    names, customers, chance = probabilities(fit, log, max_draws)
    top = ranking(chance, bestseller_penalty, k, min_coverage, min_offers)
    here = (CUSTOMER, RANK)
    chosen = np.take_along_axis(chance, top, axis=1)
    return xr.Dataset(
        {
            "recommended": (here, names[top], {"units": "1"}),
            "probability": (here, chosen, {"units": "1"}),
        },
        coords={CUSTOMER: customers, RANK: np.arange(1, k + 1)},
        attrs={
            PENALTY: bestseller_penalty,
            "coverage": len(np.unique(top)) / len(names),
            **marks,
        },
    )


def recommendation_frontier(
    fit: Fit,
    later: PurchaseLog,
    *,
    k: int = 10,
    penalties: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 1.0),
    min_coverage: float = 0.0,
    min_offers: int = 1,
    segments: Mapping[str, str] | None = None,
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
    fit, k, min_coverage, min_offers, max_draws, allow_unconverged
        As in `recommend`.
    later
        A log that goes on at least `horizon` days after the fit's.
    penalties
        Values of `bestseller_penalty`.
    segments
        Customer -> segment, for the best-sellers of each segment; None takes the cells of the
        fit's bins of recency, frequency and value.

    Returns
    -------
    Dataset
        `recall`, `ndcg`, `coverage`, `novelty`, dim `bestseller_penalty`; and the same, with the
        prefix `bestseller_`, for the k sets that most customers had bought, offered to everyone;
        with `segment_`, for those that most customers of the segment had bought, offered to it.

    Raises
    ------
    SpecError
        If `later` ends too early, or `segments` lacks a customer.

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
    hits, before = bought(fit, later, customers)
    share = before.mean(axis=0)
    active = hits.any(axis=1)
    if not active.any():
        raise SpecError("No customer of the fit's log bought of any set in the days after it.")

    def judged(top: Array) -> dict[str, float]:
        return measures(top, hits, share)

    rows = [judged(ranking(chance, p, k, min_coverage, min_offers)) for p in penalties]
    everyone = np.argsort(-share, kind="stable")[:k]
    best = judged(np.broadcast_to(everyone, (len(customers), k)))
    own = judged(_segment_bestsellers(before, _segment(fit, customers, segments), k))
    found: dict[str, Any] = {
        name: (PENALTY, [row[name] for row in rows], {"units": "1"}) for name in best
    }
    for prefix, figures in (("bestseller", best), ("segment", own)):
        found |= {f"{prefix}_{name}": ((), v, {"units": "1"}) for name, v in figures.items()}
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


def ranking(
    chance: Array, penalty: float, k: int, min_coverage: float = 0.0, min_offers: int = 1
) -> Array:
    """Return the k sets to offer each customer (customer, rank), as positions, best first."""
    if not 0 <= penalty <= 1:
        raise SpecError(f"bestseller_penalty={penalty!r} must lie in [0, 1].")
    if not 1 <= k <= chance.shape[1]:
        raise SpecError(f"k={k!r} must lie between 1 and the {chance.shape[1]} sets of the fit.")
    score = logit(chance) - penalty * logit(chance.mean(axis=0))
    return covering(score, k, min_coverage, min_offers)


def bought(fit: Fit, later: PurchaseLog, customers: Array) -> tuple[Array, Array]:
    """Return who bought what in the days after the log, and before (customer, set)."""
    trained = windows(fit.spec, fit.data)
    hits, before = (np.zeros((len(customers), len(trained.sets)), dtype=bool) for _ in range(2))
    end = fit.data.end
    spans = (
        (later, end + 1, end + fit.spec.horizon, hits),
        (fit.data, end - fit.spec.lookback + 1, end, before),
    )
    place = {name: i for i, name in enumerate(customers)}
    for log, first, last, table in spans:
        position = np.array([place.get(name, -1) for name in log.customers])
        for j, items in enumerate(trained.items):
            lines = Lines.of(log, log.positions(fit.data.products[items]))
            who = position[lines.between(first, last).buyer]
            table[who[who >= 0], j] = True
    return hits, before


def _segment(fit: Fit, customers: Array, segments: Mapping[str, str] | None) -> Array:
    """Return the segment of each customer, as integers (customer,)."""
    if segments is None:
        log, at = standing(fit, None)
        features = at.features(Lines.of(log, np.zeros(0, dtype=int)))
        codes = encode(windows(fit.spec, fit.data).encoding, features)
        names = codes[:, : len(CUSTOMER_FEATURES)]
        return np.asarray(np.unique(names, axis=0, return_inverse=True)[1]).ravel()
    lacking = [repr(c) for c in customers if c not in segments]
    if lacking:
        raise SpecError(f"segments lacks customers of the log: {listed(lacking)}.")
    return np.unique([str(segments[c]) for c in customers], return_inverse=True)[1]


def _segment_bestsellers(before: Array, segment: Array, k: int) -> Array:
    """Return the k sets that most customers of each one's segment had bought (customer, rank)."""
    top = np.zeros((len(segment), k), dtype=int)
    for s in np.unique(segment):
        inside = segment == s
        top[inside] = np.argsort(-before[inside].mean(axis=0), kind="stable")[:k]
    return top


def measures(top: Array, hits: Array, share: Array) -> dict[str, float]:
    """Return the measures of offers (customer, rank) by what was bought (customer, set).

    Recall and NDCG are those of customers who bought; coverage and novelty, of all.
    """
    active = hits.any(axis=1)
    found = np.take_along_axis(hits, top, axis=1)[active]
    bought = hits[active].sum(axis=1)
    discount = 1 / np.log2(np.arange(2, top.shape[1] + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(bought, top.shape[1])]
    return {
        "recall": float((found.sum(axis=1) / bought).mean()),
        "ndcg": float((found @ discount / ideal).mean()),
        "coverage": len(np.unique(top)) / hits.shape[1],
        "novelty": float(-np.log2(np.maximum(share[top], 1e-9)).mean()),
    }
