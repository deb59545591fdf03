"""Whom to contact for a set of products: ranked customers, what they will buy, how far down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.dims import CHAIN, CUSTOMER, DRAW, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.targeting.log import PurchaseLog
from bayes_mkt.targeting.scoring import Scores, score_set, standing

__all__ = ["audience", "propensity"]

Array = NDArray[Any]


def audience(
    fit: Fit,
    products: Iterable[object],
    *,
    horizon: int | None = None,
    size: int | None = None,
    margin: float = 1.0,
    cost: float = 0.0,
    log: PurchaseLog | None = None,
    max_draws: int = 400,
    seed: int | None = None,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return the customers most worth contacting for a set of products, best first.

    Ranked by the posterior mean of P(buys) x E[amount if so].

    Parameters
    ----------
    fit
        A fitted `Propensity`.
    products
        Names of the products: any set, whether the training had it or not.
    horizon
        Days after the log's end; None or the fit's own.
    size
        Customers wanted; None keeps all.
    margin
        Share of revenue that is kept.
    cost
        Of a contact.
    log
        A later log to read customers from; None takes the fit's own. Features are read as of its
        end.
    max_draws
        Draws of all chains together that are used.
    seed
        For effects of what training hasn't seen, and of buying or not; None takes the fit's.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        Over the ranked customers, dims ``chain, draw, customer``: `probability`,
        `expected_revenue`; over the whole audience, ``chain, draw``: `reach`, the number who will
        buy, `revenue`, what they will spend. attrs `paying`: how many of all customers,
        from the best down, have margin x expected revenue of at least `cost`.

    Raises
    ------
    SpecError
        If a product is unknown, or `horizon` isn't the fit's.

    Notes
    -----
    `reach` and `revenue` hold the luck of each customer beside what isn't known of the model. They
    are what customers will do, not what a contact adds: `paying` overstates where many would have
    bought anyhow.
    """
    marks = usable(fit, allow_unconverged)
    if horizon is not None and horizon != fit.spec.horizon:
        raise SpecError(
            f"horizon={horizon}: the fit's is {fit.spec.horizon} days. Fit Propensity(horizon="
            f"{horizon})."
        )
    if size is not None and size < 1:
        raise SpecError(f"size={size!r} must be at least 1.")
    seed = fit.seed if seed is None else seed
    log, at = standing(fit, log)
    scores = score_set(fit, log, at, log.positions(products), seed=seed, max_draws=max_draws)
    worth = (scores.probability * scores.spend).mean(axis=0)[scores.cell]
    order = seeds.generator(seed, "ties").permutation(len(worth))
    order = order[np.argsort(-worth[order], kind="stable")]
    chosen = order if size is None else order[:size]
    found = _answer(scores, chosen, log.customers[scores.known[chosen]], seed)
    money = log.currency or "currency"
    for name, units in (("probability", "1"), ("reach", "customers")):
        found[name].attrs["units"] = units
    for name in ("expected_revenue", "revenue"):
        found[name].attrs["units"] = money
    about = {"paying": int((margin * worth >= cost).sum()), "horizon": fit.spec.horizon}
    return found.assign_attrs(seed=seed, **about, **marks)


def propensity(
    fit: Fit,
    products: Iterable[object],
    *,
    log: PurchaseLog | None = None,
    max_draws: int = 400,
    seed: int | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return each customer's probability of buying of a set of products within the horizon.

    Parameters
    ----------
    fit, products, log, max_draws, seed, allow_unconverged
        As in `audience`.

    Returns
    -------
    DataArray
        Dims ``chain, draw, customer``: customers who had bought by the log's end, in its order.
    """
    marks = usable(fit, allow_unconverged)
    seed = fit.seed if seed is None else seed
    log, at = standing(fit, log)
    scores = score_set(fit, log, at, log.positions(products), seed=seed, max_draws=max_draws)
    every = np.arange(len(scores.cell))
    values = _shaped(scores, scores.probability[:, scores.cell[every]])
    return xr.DataArray(
        values,
        dims=(*SAMPLE, CUSTOMER),
        coords={**_sample(scores), CUSTOMER: log.customers[scores.known]},
        name="propensity",
        attrs={"units": "1", "seed": seed, **marks},
    )


def _answer(scores: Scores, chosen: Array, names: Array, seed: int) -> xr.Dataset:
    """Lay the chosen customers out, and add them up."""
    rng = seeds.generator(seed, "reach")
    cells = scores.cell[chosen]
    counts = np.bincount(cells, minlength=scores.probability.shape[1])
    each = scores.probability * scores.spend
    buyers = rng.binomial(counts, scores.probability)
    amounts = _totals(scores, buyers, rng)
    here = (*SAMPLE, CUSTOMER)
    return xr.Dataset(
        {
            "probability": (here, _shaped(scores, scores.probability[:, cells])),
            "expected_revenue": (here, _shaped(scores, each[:, cells])),
            "reach": (SAMPLE, _shaped(scores, buyers.sum(axis=1))),
            "revenue": (SAMPLE, _shaped(scores, amounts)),
        },
        coords={**_sample(scores), CUSTOMER: names},
    )


def _totals(scores: Scores, buyers: Array, rng: np.random.Generator) -> Array:
    """Return draws of what buyers (draw, cell) spend in total (draw,).

    A sum of n log-normals of mean m and spread sigma is drawn from the gamma distribution with its
    mean, n m, and its variance, n m^2 (exp(sigma^2) - 1).
    """
    sigma = scores.posterior["spend_sigma"].transpose(*SAMPLE).to_numpy().reshape(-1, 1)
    excess = np.expm1(sigma**2)
    draws = rng.gamma(np.maximum(buyers, 1) / excess, scores.spend * excess)
    return np.asarray(np.where(buyers > 0, draws, 0.0).sum(axis=1))


def _sample(scores: Scores) -> dict[str, Any]:
    return {d: scores.posterior[d] for d in SAMPLE}


def _shaped(scores: Scores, values: Array) -> Array:
    sizes = scores.posterior.sizes
    return values.reshape(sizes[CHAIN], sizes[DRAW], *values.shape[1:])
