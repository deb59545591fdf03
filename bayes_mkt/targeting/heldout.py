"""What held-out customers of a randomised campaign say of a policy, and how surely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.dims import CUSTOMER
from bayes_mkt.errors import SpecError

if TYPE_CHECKING:
    from bayes_mkt.targeting.campaign import Campaign

__all__ = ["bootstrap_weights", "ranked", "robust_scores", "same_customers"]

Array = NDArray[Any]
BLOCK = 2**22


def bootstrap_weights(
    customers: int, replicates: int, seed: int, stream: str
) -> Iterator[tuple[slice, Array]]:
    """Yield weights of the Bayesian bootstrap, part by part: (replicate, customer), of mean one.

    Weights are those of a Dirichlet(1, ..., 1): the posterior of the distribution that customers
    come from, under a prior without any mass of its own (Rubin 1981).
    """
    rng = seeds.generator(seed, stream)
    size = max(BLOCK // max(customers, 1), 1)
    for start in range(0, replicates, size):
        where = slice(start, min(start + size, replicates))
        weights = rng.standard_exponential((where.stop - start, customers))
        yield where, weights / weights.mean(axis=1, keepdims=True)


def robust_scores(campaign: Campaign, outcome: str, means: Array) -> Array:
    """Return doubly robust scores of each customer under each arm (customer, arm).

    With m_a(x) the outcome expected under arm a, and p_a the share assigned to a,

        score_i(a) = m_a(x_i) + 1[A_i = a] (y_i - m_a(x_i)) / p_a.

    Its expectation is that of y under arm a, whatever m is, because p is known by design; a good m
    makes it vary less. `m` must not have seen these customers.

    References
    ----------
    Robins, Rotnitzky, Zhao (1994); Dudik, Langford, Li (2011), eq. 4.
    """
    y = campaign.values(outcome)
    assignment = campaign.data["assignment"].to_numpy()
    given = assignment[:, None] == np.arange(len(campaign.arms))
    return np.asarray(means + given * (y[:, None] - means) / campaign.propensity)


def ranked(score: Array, seed: int) -> Array:
    """Return positions of customers from the highest score down; ties in random order."""
    order = seeds.generator(seed, "ties").permutation(len(score))
    return order[np.argsort(-score[order], kind="stable")]


def same_customers(effect: xr.DataArray, campaign: Campaign) -> None:
    """Raise `SpecError` unless an array is about the customers of a campaign, in order."""
    here = campaign.data[CUSTOMER].to_numpy()
    given = effect[CUSTOMER].to_numpy() if CUSTOMER in effect.coords else None
    if given is None or len(given) != len(here) or not (given == here).all():
        raise SpecError(
            "The effects are of other customers than the campaign's. Compute them for it, by "
            "uplift(fit, campaign)."
        )


def seed_of(effect: xr.DataArray, seed: int | None) -> int:
    """Return the seed given, or that of the fit which the effects come from."""
    if seed is not None:
        return seeds.check_seed(seed)
    if "seed" not in effect.attrs:
        raise SpecError("seed=None takes the seed of the fit, but the array names none. Give one.")
    return int(effect.attrs["seed"])
