"""The uplift specification and its PyMC model: who buys, and who buys because of the campaign."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit
from bayes_mkt.priors import Prior, checked_priors
from bayes_mkt.specs import remade
from bayes_mkt.targeting.cells import Cells, Spend, log_choose
from bayes_mkt.targeting.densities import (
    binomial,
    draw_binomial,
    draw_gamma,
    draw_lognormal,
    draw_score,
    gamma,
    lognormal,
    score,
)
from bayes_mkt.targeting.expansion import corrected, expansion, pays
from bayes_mkt.targeting.learned import LearnedEffects

if TYPE_CHECKING:
    import xarray as xr

    from bayes_mkt.targeting.campaign import Campaign

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        "intercept": Prior("Normal", mu=0.0, sigma=5.0),
        "arm_effect": Prior("Normal", mu=0.0, sigma=2.5),
        "baseline_sd": Prior("HalfNormal", sigma=1.0),
        "uplift_scale": Prior("HalfNormal", sigma=0.25),
        "uplift_local": Prior("HalfNormal", sigma=1.0),
        "arm_local": Prior("HalfNormal", sigma=1.0),
        "spend_intercept": Prior("Normal", mu=0.0, sigma=1.0),
        "spend_arm_effect": Prior("Normal", mu=0.0, sigma=1.0),
        "spend_sd": Prior("HalfNormal", sigma=0.3),
        "spend_shape": Prior("LogNormal", mu=0.0, sigma=1.0),
        "spend_sigma": Prior("HalfNormal", sigma=1.5),
    }
)
Family = Literal["gamma", "lognormal"]
Likelihood = Literal["auto", "exact", "expanded"]


@dataclass(frozen=True, kw_only=True)
class Uplift:
    """A hierarchical logistic model of a randomised campaign, with arms by features interactions.

    With x the centred design of a customer's features, and a the arm (0 the control),

        logit P(y = 1 | x, a) = intercept + x' baseline + [a > 0] (arm_effect_a + x' uplift_a)
        baseline_k ~ N(0, baseline_sd_g(k)),
        uplift_ka = uplift_slope_a baseline_k + uplift_k + own_ka,
        uplift_slope_a ~ N(0, uplift_scale),
        uplift_k ~ N(0, uplift_sd_g(k)),  own_ka ~ N(0, arm_sd_g(k))
        uplift_sd_g = uplift_scale / sqrt(G) uplift_local_g,
        arm_sd_g = uplift_scale / sqrt(G) arm_local_g

    where g(k) is the feature of column k, of G; a numeric feature's slope is a group of its own.
    Arms share `uplift_k`, and differ by `own_ka` (left out where there is one treatment). One scale
    says how much the campaign's effect differs between customers at all, in log-odds and whatever
    the number of features; it may be near zero, and then no feature matters. Local factors say
    whose part is large. `uplift_slope_a` is how much an arm's effect grows with how likely the
    customer is to respond anyhow: 0 where it is constant in log-odds; where it is constant in
    probability, below 0 (0.3 for 5 points on top of 10 %), and one number stands for what many
    features would have to learn.

    Parameters
    ----------
    outcome
        Of the campaign's outcomes, the one to model; None takes the only one, or with `spend` the
        one that says where revenue is positive.
    spend
        None models the outcome alone; `"gamma"` or `"lognormal"` also the revenue y > 0 of buyers,

            log m(x, a) = spend_intercept + x' spend + [a > 0] spend_arm_effect_a,

        with y of mean m and shape `spend_shape`, or log y ~ N(m, spend_sigma). The gamma keeps
        the mean of each arm as it is in the data; the log-normal's mean rests on its tail.
    prior
        A fit of an earlier campaign with the same arms and features: its posterior of the
        coefficients above, as a normal distribution, is the prior of this one's, in place of the
        shrinkage, which it holds already. Amounts spent start afresh.
    drift
        With `prior`: SD by which each coefficient may have changed since.
    likelihood
        `"exact"`: binomial, by cell. `"expanded"`: for very many cells, the log-likelihood's
        second-order expansion about its centre, a quadratic form whose cost doesn't depend on the
        customers; draws are then resampled by the ratio of the exact likelihood to it
        (Pareto-smoothed), and the verdict holds the k-hat of the weights. `"auto"` expands if cells
        x columns of the design are more than 1e6 (2e7 with `prior`) and every arm has 60 responses
        or more, and as many customers without, for each of its coefficients: with fewer the weights
        may be too uneven.
    priors
        Replacements of default priors, by variable name.

    Notes
    -----
    Causal under the assumptions of `Campaign`. Customers of equal features are one row of counts,
    which leaves the posterior as it is.

    References
    ----------
    Gelman, Carlin, Stern, Dunson, Vehtari, Rubin (2013), Bayesian Data Analysis, ch. 8 and 16.
    Hahn, Murray, Carvalho (2020), Bayesian regression tree models for causal inference: separate
    shrinkage of baseline and effect.
    Kent, Paulus, van Klaveren et al. (2020), The predictive approaches to treatment effect
    heterogeneity (PATH) statement: effects by baseline risk.
    Piironen, Vehtari (2017), Sparsity information and regularization in the horseshoe and other
    shrinkage priors: one global scale, local factors.

    Examples
    --------
    >>> Uplift(outcome="visit").spend is None
    True
    """

    outcome: str | None = None
    spend: Family | None = None
    prior: Fit | LearnedEffects | None = None
    drift: float = 0.0
    likelihood: Likelihood = "auto"
    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)

    on_demand: ClassVar[frozenset[str]] = frozenset({"probability", "buyer_spend"})

    def __post_init__(self) -> None:
        if self.spend not in (None, "gamma", "lognormal"):
            raise SpecError(f"spend={self.spend!r}: choose from None, 'gamma', 'lognormal'.")
        if self.likelihood not in ("auto", "exact", "expanded"):
            raise SpecError(
                f"likelihood={self.likelihood!r}: choose from 'auto', 'exact', 'expanded'."
            )
        if isinstance(self.prior, Fit):
            object.__setattr__(self, "prior", LearnedEffects.of(self.prior))
        if self.drift < 0 or (self.drift > 0 and self.prior is None):
            raise SpecError(f"drift={self.drift!r} must be >= 0, and needs a prior.")
        object.__setattr__(self, "priors", checked_priors(self.priors, PRIORS))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return remade(self)

    def prior_of(self, name: str) -> Prior:
        """Return the prior of a variable: the one given, else the default."""
        return self.priors.get(name, PRIORS[name])

    def outcome_of(self, campaign: Campaign) -> str:
        """Return the name of the outcome that is modelled.

        Raises
        ------
        SpecError
            If the campaign has no such outcome, or several and none was chosen.
        """
        if self.spend is not None and "revenue" not in campaign.data:
            raise SpecError(f"spend={self.spend!r} needs a campaign with revenue.")
        bought = campaign.purchase if self.spend is not None else None
        outcome = self.outcome or bought
        if outcome is None:
            if len(campaign.outcomes) > 1:
                raise SpecError(f"outcome=None: choose one of {list(campaign.outcomes)}.")
            (outcome,) = campaign.outcomes
        if outcome not in campaign.outcomes:
            raise SpecError(f"outcome={outcome!r}: the campaign has {list(campaign.outcomes)}.")
        if bought is not None and outcome != bought:
            raise SpecError(
                f"outcome={outcome!r} is not where revenue is positive; with spend, use {bought!r}."
            )
        return outcome

    def build(self, campaign: Campaign) -> pm.Model:
        """Return the PyMC model of a campaign, to read, extend or sample.

        Raises
        ------
        SpecError
            If the specification doesn't fit the campaign.
        """
        outcome = self.outcome_of(campaign)
        cells = Cells.of(campaign)
        expanded = self.expands(campaign, len(cells.codes))
        with pm.Model(coords=_coords(campaign)) as model:
            # Of an expanded likelihood the design serves predictions alone: some rows will do.
            shown = cells.codes[:1] if expanded else cells.codes
            design = pm.Data("design", campaign.encoding.design(shown))
            theta = _coefficients(self, campaign)
            logit = _logit(campaign, theta, design)
            pm.Deterministic("probability", pt.sigmoid(logit))
            if expanded:
                _expanded(campaign, outcome, theta)
            else:
                _binomial(campaign, outcome, cells, logit)
            if self.spend is not None:
                _spend(self, campaign, cells, design)
        return model

    def expands(self, campaign: Campaign, cells: int | None = None) -> bool:
        """Return whether the likelihood of a campaign is expanded."""
        if self.likelihood != "auto":
            return self.likelihood == "expanded"
        count = len(Cells.of(campaign).codes) if cells is None else cells
        return pays(campaign, self.outcome_of(campaign), count, prior=self.prior is not None)

    def sampling_wanted(self, campaign: Campaign, ess: float) -> dict[str, Any]:
        """Return the effective draws that leave `ess` once they are weighted.

        Half as many again where the likelihood is expanded: uneven weights, and the draws that
        aren't weighted, take up to a third.
        """
        return {"target_ess": 1.5 * ess} if self.expands(campaign) else {}

    def corrected(
        self, campaign: Campaign, draws: xr.DataTree, seed: int, ess: float
    ) -> xr.DataTree:
        """Return draws of an expanded likelihood resampled for the exact one; others as they are.

        Parameters
        ----------
        campaign
            As given to `build`.
        draws
            Of the model, in ArviZ layout.
        seed
            Of the resampling.
        ess
            Effective draws of every parameter that are wanted.
        """
        if not self.expands(campaign):
            return draws
        return corrected(draws, campaign, self.outcome_of(campaign), seed, ess)


def _coords(campaign: Campaign) -> dict[str, Any]:
    encoding = campaign.encoding
    return {
        "arm": list(campaign.treatments),
        "column": list(encoding.columns),
        "group": list(dict.fromkeys(encoding.groups)),
    }


def _group(campaign: Campaign) -> np.ndarray:
    """Return the group of each column of the design (column,)."""
    groups = list(dict.fromkeys(campaign.encoding.groups))
    return np.array([groups.index(g) for g in campaign.encoding.groups])


def _effects(spec: Uplift, campaign: Campaign, name: str, sd: str) -> Tensor:
    """Return effects of the design's columns, shrunk together within each group (column,)."""
    spread = spec.prior_of(sd).variable(sd, dims="group")
    return pm.Normal(name, 0.0, spread[_group(campaign)], dims="column")


def _modification(spec: Uplift, campaign: Campaign, baseline: Tensor) -> Tensor:
    """Return how each column changes each arm's effect (column, arm)."""
    arms, group = len(campaign.treatments), _group(campaign)
    size = len(set(campaign.encoding.groups))
    overall = spec.prior_of("uplift_scale").variable("uplift_scale")
    scale = overall / np.sqrt(size)
    local = spec.prior_of("uplift_local").variable("uplift_local", dims="group")
    spread = pm.Deterministic("uplift_sd", scale * local, dims="group")
    shared = pm.Normal("uplift", 0.0, spread[group], dims="column")
    slope = pm.Normal("uplift_slope", 0.0, overall, dims="arm")
    by_arm = shared[:, None] + baseline[:, None] * slope[None, :]
    if arms == 1:
        return by_arm
    local = spec.prior_of("arm_local").variable("arm_local", dims="group")
    spread = pm.Deterministic("arm_sd", scale * local, dims="group")
    return by_arm + pm.Normal("arm_uplift", 0.0, spread[group][:, None], dims=("column", "arm"))


def _coefficients(spec: Uplift, campaign: Campaign) -> Tensor:
    """Return all coefficients: intercept, arm effects, baseline, uplift by column and arm."""
    if isinstance(spec.prior, LearnedEffects):
        return _learned(spec, spec.prior, campaign)
    control = spec.prior_of("intercept").variable("intercept")
    effect = spec.prior_of("arm_effect").variable("arm_effect", dims="arm")
    if not campaign.encoding.columns:
        return pt.concatenate([control[None], effect])
    baseline = _effects(spec, campaign, "baseline", "baseline_sd")
    by_arm = _modification(spec, campaign, baseline)
    return pt.concatenate([control[None], effect, baseline, by_arm.ravel()])


def _logit(campaign: Campaign, theta: Tensor, design: Tensor) -> Tensor:
    """Return the log-odds of the outcome (cell, arm), the control first."""
    arms, columns = len(campaign.treatments), len(campaign.encoding.columns)
    base = theta[0] + pt.matmul(design, theta[1 + arms : 1 + arms + columns][:, None])
    lift = pt.matmul(design, theta[1 + arms + columns :].reshape((columns, arms)))
    return pt.concatenate([base, base + theta[1 : 1 + arms][None, :] + lift], axis=1)


def _learned(spec: Uplift, learned: LearnedEffects, campaign: Campaign) -> Tensor:
    """Return coefficients with an earlier campaign's posterior as their prior."""
    learned.check(campaign)
    names = ["intercept", *(f"arm_effect[{a}]" for a in learned.arms)]
    names += [f"baseline[{c}]" for c in learned.columns]
    names += [f"uplift[{c}, {a}]" for c in learned.columns for a in learned.arms]
    pm.modelcontext(None).add_coords({"coefficient_name": names})
    white = pm.Normal("standardised", 0.0, 1.0, dims="coefficient_name")
    shift = pt.dot(learned.factor(spec.drift), white)
    return pm.Deterministic("coefficient", np.array(learned.mean) + shift, dims="coefficient_name")


def _binomial(campaign: Campaign, outcome: str, cells: Cells, logit: Tensor) -> None:
    """Add the counts of responses by cell and arm."""
    n = cells.customers.astype(float)
    k = cells.total(campaign, campaign.values(outcome))
    pm.CustomDist(
        outcome,
        logit,
        pm.Data("customers", n),
        pm.Data("log_choose", log_choose(n, k)),
        logp=binomial,
        random=draw_binomial,
        observed=pm.Data("responses", k),
    )


def _expanded(campaign: Campaign, outcome: str, theta: Tensor) -> None:
    """Add the expansion of the likelihood, as that of its score at the centre."""
    found = expansion(campaign, outcome)
    pm.CustomDist(
        f"{outcome} score",
        theta - pm.Data("center", found.center),
        pm.Data("curvature", found.curvature),
        logp=score,
        random=draw_score,
        signature="(p),(p,p)->(p)",
        observed=pm.Data("score", found.gradient),
    )


def _spend(spec: Uplift, campaign: Campaign, cells: Cells, design: Tensor) -> None:
    """Add the revenue of buyers, by its sums over cells."""
    sums = Spend.of(campaign, cells)
    intercept = spec.prior_of("spend_intercept").variable("spend_intercept")
    effect = spec.prior_of("spend_arm_effect").variable("spend_arm_effect", dims="arm")
    arm = pt.concatenate([pt.zeros(1), effect])
    base = pt.zeros(design.shape[0])
    if campaign.encoding.columns:
        base = pt.dot(design, _effects(spec, campaign, "spend", "spend_sd"))
    log_mean = intercept + base[:, None] + arm[None, :]
    unit = pm.Data("spend_unit", sums.unit)
    rows = campaign.encoding.design(cells.codes[sums.cell])
    chosen = pt.zeros(len(sums.cell))
    if campaign.encoding.columns:
        chosen = pt.dot(pm.Data("spend_design", rows), pm.modelcontext(None)["spend"])
    location = intercept + chosen + arm[sums.arm]
    buyers = pm.Data("buyers", sums.buyers)
    if spec.spend == "gamma":
        shape = spec.prior_of("spend_shape").variable("spend_shape")
        pm.Deterministic("buyer_spend", unit * pt.exp(log_mean))
        log_total = pm.Data("spend_log_total", sums.log_total)
        pm.CustomDist(
            "revenue",
            location,
            shape,
            buyers,
            log_total,
            logp=gamma,
            random=draw_gamma,
            observed=pm.Data("spend_total", sums.total),
        )
    else:
        sigma = spec.prior_of("spend_sigma").variable("spend_sigma")
        pm.Deterministic("buyer_spend", unit * pt.exp(log_mean + sigma**2 / 2))
        squares = pm.Data("spend_log_squares", sums.log_squares)
        pm.CustomDist(
            "revenue",
            location,
            sigma,
            buyers,
            squares,
            logp=lognormal,
            random=draw_lognormal,
            observed=pm.Data("spend_log_total", sums.log_total),
        )
