"""Whom to contact for a budget, and what held-out customers say that is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.dims import ARM, CUSTOMER, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.targeting.campaign import Campaign
from bayes_mkt.targeting.effects import means_by_arm
from bayes_mkt.targeting.heldout import (
    bootstrap_weights,
    ranked,
    robust_scores,
    same_customers,
    seed_of,
)

__all__ = ["compare_targeting", "policy_value"]

Array = NDArray[Any]
Cost = float | Mapping[str, float]


def policy_value(
    policy: Fit | xr.DataArray,
    campaign: Campaign,
    *,
    value: float = 1.0,
    cost: Cost = 0.0,
    budget: float | None = None,
    share: float | None = None,
    outcome: str | None = None,
    replicates: int = 1000,
    seed: int | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the incremental profit of a policy on held-out customers, against no contact.

    With a(i) the arm that the policy gives customer i, score_i the doubly robust scores of the
    outcome, w weights of the Bayesian bootstrap,

        profit = sum_i w_i ( value (score_i(a(i)) - score_i(control)) - cost_a(i) ).

    Parameters
    ----------
    policy
        A fitted `Uplift`: gives each customer the arm with the highest expected net gain, value x
        uplift - cost, and goes on from the highest gain per cost down while gains are positive
        and the budget lasts. Or an array (arm, customer), such as a score of another model: from
        the highest score down until budget or share is used up. Or names of arms (customer).
    campaign
        Held-out customers, whom neither fit nor scores have seen.
    value
        Worth of one unit of the outcome: margin of a purchase, or share of revenue kept.
    cost
        Of a contact, for all arms or by arm.
    budget
        Sum of costs allowed; None for no bound.
    share
        Largest share of customers contacted; None for no bound.
    outcome
        An outcome, or `"revenue"`. None takes revenue for a fit with `spend`, else the fit's
        outcome; needed for arrays.
    replicates
        Of the Bayesian bootstrap.
    seed
        Of the bootstrap and of the order of ties; None takes the fit's.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw``: total over the campaign's customers. attrs `contacted` and `spent`.

    Notes
    -----
    The interval is that of the policy's worth, for the policy as it was decided from its fit: it
    holds the luck of the held-out half. Where costs differ between arms, going down by gain per
    cost is near the best use of a budget, not always at it.

    References
    ----------
    Dudik, Langford, Li (2011), Doubly robust policy evaluation and learning. Rubin (1981).
    """
    asked = Question(value, cost, budget, share, replicates)
    if isinstance(policy, Fit):
        marks = usable(policy, allow_unconverged)
        seed = policy.seed if seed is None else seed
        outcome = _outcome_of(policy, outcome)
        means = _means(policy, campaign, outcome)
        arms = asked.best(_gain(means, asked.costs(campaign), value), campaign, seed)
    else:
        marks, seed = {}, seed_of(policy, seed)
        same_customers(policy, campaign)
        if outcome is None:
            raise SpecError("outcome=None takes that of a fit. Name one for an array.")
        means = _raw_means(campaign, outcome)
        arms = asked.read(policy, campaign, seed)
    scores = robust_scores(campaign, outcome, means)
    (draws,) = asked.profits([arms], scores, campaign, seed)
    return draws.assign_attrs(asked.about(arms, campaign) | {"seed": seed, **marks}).rename(
        "policy_value"
    )


def compare_targeting(
    fit: Fit,
    campaign: Campaign,
    *,
    segments: str | Mapping[str, str] = "segment",
    value: float = 1.0,
    cost: Cost = 0.0,
    budget: float | None = None,
    share: float | None = None,
    outcome: str | None = None,
    replicates: int = 1000,
    seed: int | None = None,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return the incremental profit of targeting by a fit and by segments, and its difference.

    Both are judged on the same held-out customers with the same weights, as in `policy_value`,
    under the same budget.

    Parameters
    ----------
    fit
        A fitted `Uplift`.
    campaign
        Held-out customers with segments.
    segments
        `"segment"`: each segment's gain is its difference in means in the fit's own data, and the
        best segments come first, as for customers in `policy_value`. Or the rule in use, segment
        -> arm, in order of priority: those segments are contacted, one after the other, until the
        budget is used up.
    value, cost, budget, share, outcome, replicates, seed, allow_unconverged
        As in `policy_value`.

    Returns
    -------
    Dataset
        `model`, `segments`, `difference` (model - segments), dims ``chain, draw``: totals over
        the campaign's customers. `relative` (``chain, draw``): what the model's choice brings in
        more than the segments', before costs, as a share of the latter; 0.1 is 10 % more. It says
        nothing where the segments' gain isn't surely above zero. `model_arm`, `segments_arm`
        (customer): the arm that each gives.

    Raises
    ------
    SpecError
        If the campaign has no segments, or the rule names ones that it doesn't have.
    """
    marks = usable(fit, allow_unconverged)
    asked = Question(value, cost, budget, share, replicates)
    seed = fit.seed if seed is None else seed
    outcome = _outcome_of(fit, outcome)
    means = _means(fit, campaign, outcome)
    ours = asked.best(_gain(means, asked.costs(campaign), value), campaign, seed)
    theirs = _by_segment(fit.data, campaign, segments, outcome, asked, seed)
    scores = robust_scores(campaign, outcome, means)
    model, rule = asked.profits([ours, theirs], scores, campaign, seed)
    found = {"model": model, "segments": rule, "difference": model - rule}
    about = {
        "model": asked.about(ours, campaign),
        "segments": asked.about(theirs, campaign),
        "difference": {"units": _units(campaign)},
    }
    named = {name: draws.assign_attrs(about[name]) for name, draws in found.items()}
    free = replace(asked, cost=0.0, budget=None)
    gross, base = free.profits([ours, theirs], scores, campaign, seed)
    named["relative"] = ((gross - base) / base).assign_attrs(units="1")
    labels = np.array(campaign.arms, dtype=object)
    who = {CUSTOMER: campaign.data[CUSTOMER].to_numpy()}
    for name, arms in (("model", ours), ("segments", theirs)):
        chosen = xr.DataArray(labels[arms], dims=CUSTOMER, coords=who, attrs={"units": "1"})
        named[f"{name}_arm"] = chosen
    return xr.Dataset(named, attrs={"seed": seed, "outcome": outcome, **marks})


@dataclass(frozen=True)
class Question:
    """What a unit of outcome is worth, what a contact costs, and how much may be spent."""

    value: float
    cost: Cost
    budget: float | None
    share: float | None
    replicates: int

    def __post_init__(self) -> None:
        costs = list(self.cost.values()) if isinstance(self.cost, Mapping) else [self.cost]
        if min(costs, default=0.0) < 0:
            raise SpecError(f"cost={self.cost!r} must be >= 0.")
        if self.budget is not None and (self.budget <= 0 or max(costs, default=0.0) == 0):
            raise SpecError(f"budget={self.budget!r} must be > 0, and needs a cost > 0.")
        if self.share is not None and not 0 < self.share <= 1:
            raise SpecError(f"share={self.share!r} must lie in (0, 1].")

    def costs(self, campaign: Campaign) -> Array:
        """Return the cost of a contact by arm (arm,), 0 for the control."""
        if not isinstance(self.cost, Mapping):
            return np.array([0.0] + [float(self.cost)] * len(campaign.treatments))
        if set(self.cost) != set(campaign.treatments):
            raise SpecError(f"cost names {list(self.cost)}, not {list(campaign.treatments)}.")
        return np.array([0.0, *(float(self.cost[a]) for a in campaign.treatments)])

    def best(self, gain: Array, campaign: Campaign, seed: int) -> Array:
        """Return the arm of each customer (customer,), given net gains (customer, arm)."""
        arm = gain.argmax(axis=1)
        best = gain[np.arange(len(gain)), arm]
        cost = self.costs(campaign)
        rank = best / np.where(cost[arm] > 0, cost[arm], 1.0) if cost.any() else best
        return self.spend(np.where(best > 0, arm, 0), ranked(rank, seed), campaign)

    def read(self, policy: xr.DataArray, campaign: Campaign, seed: int) -> Array:
        """Return the arm of each customer, given scores (arm, customer) or names (customer)."""
        if policy.dtype.kind in "OUT":
            names = [str(a) for a in policy.to_numpy()]
            unknown = sorted(set(names) - set(campaign.arms))
            if unknown:
                raise SpecError(f"The policy names {unknown}; the arms are {list(campaign.arms)}.")
            return np.array([campaign.arms.index(a) for a in names])
        score = policy.mean([d for d in SAMPLE if d in policy.dims]).transpose(CUSTOMER, ARM)
        named = [campaign.arms.index(str(a)) for a in score[ARM].to_numpy()]
        values = score.to_numpy()
        arm = np.array(named)[values.argmax(axis=1)]
        return self.spend(arm, ranked(values.max(axis=1), seed), campaign)

    def spend(self, arm: Array, order: Array, campaign: Campaign) -> Array:
        """Return the arms with those set to the control for whom there is no budget left."""
        cost = self.costs(campaign)[arm][order]
        inside = arm[order] > 0
        if self.budget is not None:
            inside &= np.cumsum(cost) <= self.budget + 1e-9
        if self.share is not None:
            inside &= np.cumsum(arm[order] > 0) <= self.share * len(arm)
        chosen = np.zeros_like(arm)
        chosen[order] = np.where(inside, arm[order], 0)
        return chosen

    def profits(
        self, policies: list[Array], scores: Array, campaign: Campaign, seed: int
    ) -> list[xr.DataArray]:
        """Return draws of the profit of each policy, on the same weights."""
        rows = np.arange(len(scores))
        cost = self.costs(campaign)
        gains = [self.value * (scores[rows, a] - scores[:, 0]) - cost[a] for a in policies]
        stacked = np.stack(gains, axis=1)
        parts = [
            w @ stacked
            for _, w in bootstrap_weights(len(rows), self.replicates, seed, "policy value")
        ]
        total = np.concatenate(parts)
        return [xr.DataArray(total[None, :, j], dims=SAMPLE) for j in range(len(policies))]

    def about(self, arm: Array, campaign: Campaign) -> dict[str, Any]:
        """Return how many are contacted and what that costs."""
        return {
            "units": _units(campaign),
            "contacted": int((arm > 0).sum()),
            "spent": float(self.costs(campaign)[arm].sum()),
        }


def _units(campaign: Campaign) -> str:
    return campaign.currency or "currency"


def _outcome_of(fit: Fit, outcome: str | None) -> str:
    """Return what is judged: revenue where the fit has it, else its outcome."""
    own = fit.spec.outcome_of(fit.data)
    found = outcome or ("revenue" if fit.spec.spend is not None else own)
    if found not in ("revenue", own) or (found == "revenue" and fit.spec.spend is None):
        raise SpecError(f"outcome={outcome!r}: the fit knows {own!r}, and revenue with spend.")
    return str(found)


def _means(fit: Fit, campaign: Campaign, outcome: str) -> Array:
    """Return what the fit expects of each customer under each arm (customer, arm)."""
    if campaign.encoding != fit.data.encoding or campaign.arms != fit.data.arms:
        raise SpecError("The campaign has other features or arms than the fit's data. Split one.")
    return means_by_arm(fit, campaign, "revenue" if outcome == "revenue" else "outcome")


def _raw_means(campaign: Campaign, outcome: str) -> Array:
    y, assignment = campaign.values(outcome), campaign.data["assignment"].to_numpy()
    sums = np.bincount(assignment, y, minlength=len(campaign.arms))
    return np.broadcast_to(sums / campaign.counts, (len(y), len(campaign.arms)))


def _gain(means: Array, cost: Array, value: float) -> Array:
    """Return net gains of each arm against the control (customer, arm)."""
    return value * (means - means[:, :1]) - cost


def _by_segment(
    train: Campaign,
    test: Campaign,
    segments: str | Mapping[str, str],
    outcome: str,
    asked: Question,
    seed: int,
) -> Array:
    """Return the arm that the segments' rule gives each customer of `test`."""
    if "segment" not in test.data:
        raise SpecError("The campaign has no segments. Name their column in Campaign.from_frame.")
    index = test.data["segment"].to_numpy()
    if isinstance(segments, Mapping):
        unknown = sorted(set(segments) - set(test.segments))
        wrong = sorted(set(segments.values()) - set(test.arms))
        if unknown or wrong:
            raise SpecError(f"segments names {unknown + wrong}, unknown to the campaign.")
        place = {s: j for j, s in enumerate(segments)}
        arm = np.array([test.arms.index(segments.get(s, test.arms[0])) for s in test.segments])
        priority = np.array([-place.get(s, len(place)) for s in test.segments], dtype=float)
        return asked.spend(arm[index], ranked(priority[index], seed), test)
    if segments != "segment":
        raise SpecError(f"segments={segments!r}: give 'segment', or a mapping segment -> arm.")
    shape = (len(train.segments), len(train.arms))
    if train.segments != test.segments:
        raise SpecError("The fit's data have other segments. Split one campaign.")
    flat = train.data["segment"].to_numpy() * shape[1] + train.data["assignment"].to_numpy()
    counts = np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(flat, train.values(outcome), minlength=counts.size).reshape(shape)
    with np.errstate(invalid="ignore"):
        means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    # A segment that was never given an arm can't be chosen for it.
    gain = np.nan_to_num(_gain(means, asked.costs(train), asked.value), nan=-np.inf)
    gain[:, 0] = 0.0
    return asked.best(gain[index], test, seed)
