"""Which arm to try on whom next: Thompson sampling, with a share that is left to chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.dims import ARM, CHAIN, CUSTOMER, DRAW
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.targeting.effects import Of, codes_of, distinct, over_cells, thin

__all__ = ["allocate_arms"]

Array = NDArray[Any]
By = Literal["campaign", "customer"]


def allocate_arms(
    fit: Fit,
    customers: object | None = None,
    *,
    by: By = "campaign",
    explore: float = 0.1,
    of: Of = "outcome",
    value: float = 1.0,
    cost: float | Mapping[str, float] = 0.0,
    max_draws: int = 1000,
    seed: int | None = None,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    r"""Return the arm of each customer of the next campaign: Thompson sampling with exploration.

    With m_a(x) the expected outcome under arm a, the control among them, one draw of the posterior
    makes the arm of largest net gain the best one,

        pi_a = P(a = argmax_b value m_b - cost_b | data),

    where m is the mean over customers (``by="campaign"``), or that of the customer. Of K arms, a is
    assigned with probability

        p_a = explore / K + (1 - explore) pi_a.

    Parameters
    ----------
    fit
        A fitted `Uplift` of the campaigns so far; later ones go on from it by ``prior=fit``.
    customers
        A `Campaign` or a frame with the feature columns; None takes the customers of the fit.
    by
        `"campaign"`: one probability for all customers, so that what comes is again a `Campaign`
        with these `shares`. `"customer"`: probabilities follow the features, which learns more
        slowly what others would have done, and gains more where effects differ.
    explore
        Share of customers, in (0, 1], whose arm is drawn evenly from all arms: at least
        floor(explore n / K) customers are assigned to each arm, whatever the posterior says.
    of
        `"outcome"`, or `"revenue"` for a fit with `spend`.
    value
        Of one unit of the outcome, or share of revenue that is kept.
    cost
        Of a contact, for all arms or by arm; the control costs nothing.
    max_draws
        Draws of all chains together that are used.
    seed
        Of the assignment; None takes the fit's. Give each campaign its own.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        `assigned` (customer), names of arms; `explored` (customer), whether it was drawn evenly;
        `probability` (customer, arm), p; `best` (customer, arm), pi. For ``by="campaign"`` also
        `shares` (arm).

    Raises
    ------
    SpecError
        If `explore` isn't in (0, 1], or costs don't name the arms.

    Notes
    -----
    ``by="customer"`` assigns by features: `Uplift` on the result stays causal as long as all the
    features are in the model, while raw differences in means, Qini curves and `policy_value`, which
    take shares that are the same for all, do not; judge by the explored customers alone
    (`Campaign.take`), who were assigned evenly.

    References
    ----------
    Thompson (1933), Biometrika 25. Chapelle, Li (2011), An empirical evaluation of Thompson
    sampling. Scott (2010), A modern Bayesian look at the multi-armed bandit.
    """
    marks = usable(fit, allow_unconverged)
    if by not in ("campaign", "customer"):
        raise SpecError(f"by={by!r}: choose from 'campaign', 'customer'.")
    if not 0 < explore <= 1:
        raise SpecError(f"explore={explore!r} must lie in (0, 1]: without it an arm can be lost.")
    seed = fit.seed if seed is None else seeds.check_seed(seed)
    codes, names = codes_of(fit, customers)
    arms = list(fit.data.arms)
    best = _best(fit, codes, of, value, _costs(cost, fit.data.treatments), by, max_draws)
    arm, explored = _assigned(best, explore, by, seeds.generator(seed, "allocate"))
    chance = explore / len(arms) + (1 - explore) * best
    here = (CUSTOMER, ARM)
    found = {
        "assigned": (CUSTOMER, np.array(arms, dtype=object)[arm], {"units": "1"}),
        "explored": (CUSTOMER, explored, {"units": "1"}),
        "probability": (here, chance, {"units": "1"}),
        "best": (here, best, {"units": "1"}),
    }
    if by == "campaign":
        found["shares"] = (ARM, chance[0], {"units": "1"})
    attrs = {"seed": seed, "explore": explore, "by": by, **marks}
    return xr.Dataset(found, coords={CUSTOMER: names, ARM: arms}, attrs=attrs)


def _costs(cost: float | Mapping[str, float], treatments: tuple[str, ...]) -> Array:
    """Return the cost of a contact by arm (arm,), 0 for the control."""
    if not isinstance(cost, Mapping):
        return np.array([0.0] + [float(cost)] * len(treatments))
    if set(cost) != set(treatments):
        raise SpecError(f"cost names {list(cost)}, not {list(treatments)}.")
    return np.array([0.0, *(float(cost[a]) for a in treatments)])


def _best(
    fit: Fit, codes: Array, of: Of, value: float, cost: Array, by: By, max_draws: int
) -> Array:
    """Return the probability that each arm is the best (customer, arm)."""
    if len(codes) == 0:
        raise SpecError("customers: there are none to assign an arm to.")
    posterior = thin(fit.posterior, max_draws)
    cells, index = distinct(fit, codes)
    draws = posterior.sizes[CHAIN] * posterior.sizes[DRAW]
    weight = np.bincount(index, minlength=len(cells)) / len(index)
    wins = np.zeros((len(cells), len(cost)))
    total = np.zeros((draws, len(cost)))

    def count(where: slice, rows: slice, values: Array) -> None:
        gain = value * values - cost
        if by == "customer":
            first = gain.argmax(axis=2)
            for a in range(len(cost)):
                wins[rows, a] += (first == a).sum(axis=0)
        else:
            total[where] += np.einsum("zca,c->za", gain, weight[rows])

    over_cells(fit, posterior, cells, of, count)
    if by == "customer":
        return np.asarray(wins / draws)[index]
    share = np.bincount(total.argmax(axis=1), minlength=len(cost)) / draws
    return np.tile(share, (len(index), 1))


def _assigned(best: Array, explore: float, by: By, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return arms (customer,) by position, and who was assigned evenly (customer,)."""
    n, arms = best.shape
    order = rng.permutation(n)
    even = order[: int(np.ceil(explore * n))]
    explored = np.zeros(n, dtype=bool)
    explored[even] = True
    arm = np.empty(n, dtype=int)
    # Evenly to within one customer; who gets the arms left over is random too.
    arm[even] = rng.permutation(arms)[np.arange(len(even)) % arms]
    rest = order[len(even) :]
    # Systematic sampling: as random as independent draws for each customer, less so in total.
    if by == "campaign":
        place = (np.arange(len(rest)) + rng.random()) / max(len(rest), 1)
    else:
        place = rng.random(len(rest))
    edges = np.cumsum(best[rest], axis=1)
    arm[rest] = np.minimum((place[:, None] > edges).sum(axis=1), arms - 1)
    return arm, explored
