"""The discrete-time hazard model of second purchases and of churn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import xarray as xr

from bayes_mkt.customers.baseline import SPREADS, common_curve, market_curves, market_shares
from bayes_mkt.customers.effects import EFFECT_PRIORS, Coding, effects
from bayes_mkt.customers.expansion import expansion, sampled, spell_rows
from bayes_mkt.customers.never import NEVER_PRIORS, NeverLogit, beyond, check_never, never_logit
from bayes_mkt.customers.points import Points, locate
from bayes_mkt.customers.rows import (
    BY_ROW,
    ENDED,
    OPEN,
    Never,
    log_density,
    log_event,
    log_survival,
    observe,
)
from bayes_mkt.customers.spells import CELL, INTERVAL, ROW, Spells, check_events, crude_rate
from bayes_mkt.dims import FEATURE, MARKET
from bayes_mkt.errors import SpecError
from bayes_mkt.inference.correction import corrected
from bayes_mkt.inference.target import target
from bayes_mkt.priors import Prior, checked_priors
from bayes_mkt.specs import remade

__all__ = ["Churn", "HazardModel", "SecondPurchase"]

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        **EFFECT_PRIORS,
        "baseline_level": Prior("Normal", mu=0.0, sigma=2.0),
        "baseline_sd": Prior("HalfNormal", sigma=1.5),
        "lengthscale": Prior("LogNormal", mu=-1.0, sigma=0.3),
        "market_sd": Prior("HalfNormal", sigma=0.5),
        "shape_sd": Prior("HalfNormal", sigma=0.5),
        "frailty_sd": Prior("HalfNormal", sigma=0.5),
        **NEVER_PRIORS,
    }
)
_CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "baseline": ("random_walk", "hsgp"),
        "markets": ("shape", "level", "none"),
        "effects": ("horseshoe", "normal"),
        "never": ("none", "market", "regression"),
        "likelihood": ("auto", "exact", "expanded"),
    }
)
# Rows x covariates above which the likelihood is expanded.
LARGE = 1e7
DRAWS = 750  # of each chain, for an ESS of 400 under an expanded likelihood


@dataclass(frozen=True, kw_only=True)
class HazardModel:
    """A hazard constant on intervals, pooled over markets; final as `SecondPurchase` and `Churn`.

    For a customer of market m with covariates x who has had no event by the start of interval t,

        P(event in t) = 1 - exp(-exp(f_t + g_mt + x'b + u)),
        S(T) = pi + (1 - pi) exp(-exp(x'b + u) H_m(T)),    H_m(T) = sum_{t <= T} exp(f_t + g_mt),

    that is, cloglog P = f + g + x'b + u, with the hazard spread evenly over the interval. As
    covariates factor out of the sum, a spell costs two looks into H, however long it is.

    Parameters
    ----------
    baseline
        f: `"random_walk"` (default), whose SD from the first interval to the last is `baseline_sd`;
        `"hsgp"`, a Matern-3/2 process of SD `baseline_sd` whose length scale is in units of the
        horizon.
    markets
        g, by which markets deviate, partially pooled: `"shape"` (default) in level (`market_sd`)
        and by four smooth curves (`shape_sd`); `"level"` alone; `"none"`.
    effects
        b: `"horseshoe"` (default), regularised; `"normal"` with the prior `effect`. Covariates are
        centred, and numbers divided by their SD.
    relevant
        How many covariates are expected to matter, for the horseshoe; None takes a third.
    never
        pi, the share that never has the event: `"none"`; `"market"`, by market; `"regression"`, by
        market and covariates: logit pi = never_level + x'e + v_m.
    frailty
        Whether cells of covariates and market have an effect u ~ N(0, frailty_sd) of their own.
    likelihood
        `"exact"`: row by row. `"expanded"`: for very many different customers, the log-likelihood's
        second-order expansion about its centre, a quadratic form whose cost doesn't
        depend on the customers; draws are then resampled by the ratio of the exact likelihood to
        it (Pareto-smoothed), and the verdict holds the k-hat of the weights. `"auto"` expands if
        rows x covariates are more than 1e7.
    priors
        Replacements of default priors, by variable name.

    Notes
    -----
    The baseline is measured relative to events per unit of time at risk in the data, so that priors
    mean the same in days and in weeks.

    With short follow-up pi is hardly distinguishable from a hazard that falls: compare prior and
    posterior by `never_return`.

    Effects are associations. They are causal only for covariates that were randomised.

    References
    ----------
    Prentice and Gloeckler (1978), Biometrics 34 (grouped proportional hazards). Farewell (1982),
    Biometrics 38 (long-term survivors). Piironen and Vehtari (2017), EJS 11 (horseshoe).
    """

    baseline: Literal["random_walk", "hsgp"] = "random_walk"
    markets: Literal["shape", "level", "none"] = "shape"
    effects: Literal["horseshoe", "normal"] = "horseshoe"
    relevant: float | None = None
    never: Literal["none", "market", "regression"] = "none"
    frailty: bool = False
    likelihood: Literal["auto", "exact", "expanded"] = "auto"
    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)

    on_demand: ClassVar[frozenset[str]] = frozenset(
        {"survival", "log_hazard", "linear_predictor", "never_probability", *BY_ROW.values()}
    )

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                choices = ", ".join(map(repr, allowed))
                raise SpecError(f"{name}={getattr(self, name)!r}: choose from {choices}.")
        if self.relevant is not None and not self.relevant > 0:
            raise SpecError(f"relevant={self.relevant!r} must be > 0.")
        object.__setattr__(self, "priors", checked_priors(self.priors, PRIORS))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return remade(self)

    def prior(self, name: str) -> Prior:
        """Return the prior of a variable: the one given, else the default."""
        return self.priors.get(name, PRIORS[name])

    def check(self, data: Spells) -> None:
        """Raise `SpecError` if this specification can't be built on `data`."""
        check_events(data)
        check_never(self, data)
        if self.frailty and self.likelihood == "expanded":
            raise SpecError("frailty=True needs likelihood='exact': effects of cells are too many.")

    def build(self, data: Spells) -> pm.Model:
        """Return the PyMC model of `data`, to read, extend or sample.

        Raises
        ------
        SpecError
            If the specification doesn't fit the data.
        """
        self.check(data)
        with pm.Model(coords=self.coords(data)) as model:
            self.add(data, expanded=self.expands(data))
        return model

    def expands(self, data: Spells) -> bool:
        """Return whether the likelihood of data is expanded."""
        if self.likelihood != "auto" or self.frailty:
            return self.likelihood == "expanded"
        return data.data.sizes[ROW] * len(data.features) > LARGE

    def sampling_wanted(self, data: Spells, ess: float) -> dict[str, Any]:
        """Return draws of each chain that are worth `ess`, where the likelihood is expanded.

        At a million customers in 30 markets, weights left a tail ESS of 723 of 3,720 draws.
        """
        return {"draws": int(np.ceil(DRAWS * ess / 400))} if self.expands(data) else {}

    def corrected(self, data: Spells, draws: xr.DataTree, seed: int, ess: float) -> xr.DataTree:
        """Return draws of an expanded likelihood resampled for the exact one; others as they are.

        Parameters
        ----------
        data
            As given to `build`.
        draws
            Of the model, in ArviZ layout.
        seed
            Of the resampling.
        ess
            Effective draws of every parameter that are wanted.
        """
        if not self.expands(data):
            return draws
        found, rows = expansion(self, data), spell_rows(data, self.never)
        own = target(self.build(data))

        def log_ratios(posterior: xr.Dataset) -> np.ndarray:
            parts = own.evaluate(posterior, ["log_hazard"])
            curve = np.concatenate([part["log_hazard"][:, 0] for _, (part,) in parts])
            return found.log_ratio(sampled(posterior, curve, rows.terms, found.deviations), rows)

        return corrected(draws, log_ratios, seed, ess)

    def coords(self, data: Spells) -> dict[str, Any]:
        """Return the coordinates that `add` needs in the model."""
        return {MARKET: list(data.markets), FEATURE: list(data.features), INTERVAL: data.cuts}

    def add(self, data: Spells, *, expanded: bool = False) -> None:
        """Add variables and likelihood to the model in context."""
        # Of an expanded likelihood the cells serve predictions alone: one will do.
        cells = slice(1) if expanded else slice(None)
        market = pm.Data("market_of_cell", data.data["market_of_cell"].values[cells])
        design = pm.Data("features", Coding.of(data).apply(data)[cells])
        # The mean of a regression may not bend: with an expanded likelihood all is sampled plainly.
        size = None if expanded else pm.Data("market_share", market_shares(data))
        logit = never_logit(self, data, size)
        curve, log_hazard = self._log_hazard(data, size, logit)
        effect = effects(self, data) if data.features else pt.zeros(0)
        linear = self._linear(data, design, effect)
        never = None if logit is None else logit.share(design, market)
        clock = _Clock.of(log_hazard, market)
        if expanded:
            _quadratic(self, data, curve, effect, logit)
        else:
            _likelihood(data, clock, linear, never)
        moments = locate(data.cuts, data.cuts)
        piece = pm.Data("moment_piece", moments.piece)
        part = pm.Data("moment_part", moments.part)
        total = pt.exp(linear)[:, None] * clock.grid(piece, part)
        by_cell = None if never is None else never[:, None]
        pm.Deterministic("survival", pt.exp(log_survival(total, by_cell)))

    def _log_hazard(
        self, data: Spells, size: Tensor | None, logit: NeverLogit | None
    ) -> tuple[Tensor, Tensor]:
        """Return log hazards at x = 0, common ones (interval,) and all (market, interval)."""
        deviation = market_curves(self, len(data.cuts)) if len(data.markets) > 1 else None
        above = None if size is None else beyond(data, size, logit, deviation)
        curve = common_curve(self, data.cuts, above)
        curve = curve + pm.Data("log_scale", np.log(crude_rate(data) * _lengths(data)))
        whole = curve[None, :] if deviation is None else curve[None, :] + deviation
        one = pt.zeros((len(data.markets), 1)) if len(data.markets) == 1 else 0.0
        whole = whole + one
        if len(data.markets) > 1 and self.markets == "none":
            whole = pt.broadcast_to(whole, (len(data.markets), len(data.cuts)))
        return curve, pm.Deterministic("log_hazard", whole, dims=(MARKET, INTERVAL))

    def _linear(self, data: Spells, design: Tensor, effect: Tensor) -> Tensor:
        """Return x'b + u, (cell,)."""
        linear = pt.dot(design, effect) if data.features else pt.zeros(design.shape[0])
        if self.frailty:
            pm.modelcontext(None).add_coord(CELL, np.arange(data.data.sizes[CELL]))
            sd = self.prior("frailty_sd").variable("frailty_sd")
            linear = linear + sd * pm.Normal("frailty_offset", 0.0, 1.0, dims=CELL)
        return pm.Deterministic("linear_predictor", linear)


@dataclass(frozen=True, kw_only=True)
class SecondPurchase(HazardModel):
    """When one-time buyers buy a second time, and how many never do; see `HazardModel`.

    Examples
    --------
    >>> SecondPurchase().never
    'regression'
    """

    never: Literal["none", "market", "regression"] = "regression"


@dataclass(frozen=True, kw_only=True)
class Churn(HazardModel):
    """When subscriptions are cancelled; see `HazardModel`.

    Examples
    --------
    >>> Churn(markets="level").never
    'none'
    """


@dataclass(frozen=True)
class _Clock:
    """The cumulative baseline hazard, to look up at any time.

    Attributes
    ----------
    hazard, before
        Of each interval, and the sum over the intervals before it; flat (market x interval).
    log_hazard
        Log of `hazard`, flat.
    market
        Market of each cell.
    intervals
        Number of intervals.
    """

    hazard: Tensor
    before: Tensor
    log_hazard: Tensor
    market: Tensor
    intervals: int

    @classmethod
    def of(cls, log_hazard: Tensor, market: Tensor) -> _Clock:
        """Return the clock of log hazards (market, interval)."""
        hazard = pt.exp(log_hazard)
        intervals = len(pm.modelcontext(None).coords[INTERVAL])
        earlier = pm.Data("earlier", np.triu(np.ones((intervals, intervals)), k=1))
        before = pt.dot(hazard, earlier)
        return cls(hazard.ravel(), before.ravel(), log_hazard.ravel(), market, intervals)

    def at(self, cell: Tensor, piece: Tensor, part: Tensor) -> Tensor:
        """Return the cumulative hazard of rows (row,)."""
        where = self.market[cell] * self.intervals + piece
        return self.before[where] + part * self.hazard[where]

    def grid(self, piece: Tensor, part: Tensor) -> Tensor:
        """Return the cumulative hazard of every cell at each of some times (cell, time)."""
        where = (self.market * self.intervals)[:, None] + piece[None, :]
        return self.before[where] + part[None, :] * self.hazard[where]


def _quadratic(
    spec: HazardModel, data: Spells, curve: Tensor, effect: Tensor, never: NeverLogit | None
) -> None:
    """Add the expansion of the log-likelihood, up to a constant: that of linear regressions."""
    found = expansion(spec, data)
    parts = [curve, effect]
    if never is not None:
        parts.append(never.typical[None])
        parts += [] if never.effect is None else [never.effect]
    made = pm.modelcontext(None).named_vars
    own = [made[name] for name in SPREADS if name in made]
    found.observe(pt.concatenate(parts), [v[:, None] if v.ndim == 1 else v for v in own])


def _likelihood(data: Spells, clock: _Clock, linear: Tensor, never: Never | None) -> None:
    """Add the log-likelihood of the rows, each as often as it occurs."""
    rows = data.data
    happened = rows["event"].values > 0
    rate = pt.exp(linear)
    for name, chosen in ((ENDED, happened), (OPEN, ~happened)):
        if not chosen.any():
            continue
        end = locate(data.cuts, rows["duration"].values[chosen])
        cell = pm.Data(f"{name}_cell", rows["cell_of_row"].values[chosen])
        count = pm.Data(f"{name}_count", rows["count"].values[chosen])
        share = _share(data, end) if name == ENDED else np.zeros(1)
        piece = pm.Data(f"{name}_piece", end.piece)
        part = pm.Data(f"{name}_part", end.part - share)
        before = rate[cell] * clock.at(cell, piece, part)
        some = None if never is None else never[cell]
        if name == OPEN:
            value = log_survival(before, some)
        else:
            where = clock.market[cell] * clock.intervals + piece
            if data.resolution > 0:
                within = rate[cell] * clock.hazard[where] * pm.Data("ended_share", share)
                value = log_event(before, within, some)
            else:
                length = pm.Data("ended_log_length", np.log(_lengths(data)[end.piece]))
                at_end = linear[cell] + clock.log_hazard[where] - length
                value = log_density(before, at_end, some)
        entry = rows["entry"].values[chosen]
        if (entry > 0).any():
            start = locate(data.cuts, entry)
            point = (
                pm.Data(f"{name}_entry_piece", start.piece),
                pm.Data(f"{name}_entry_part", start.part),
            )
            value = value - log_survival(rate[cell] * clock.at(cell, *point), some)
        observe(name, count, value)


def _share(data: Spells, end: Points) -> np.ndarray:
    """Return which share of its interval the time takes in which an event is known to lie."""
    return np.asarray(data.resolution / _lengths(data)[end.piece])


def _lengths(data: Spells) -> np.ndarray:
    """Return the lengths of the intervals."""
    return np.diff(np.concatenate([[0.0], data.cuts]))
