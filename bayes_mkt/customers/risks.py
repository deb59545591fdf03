"""Several events that end a spell, modelled together: one specification for each cause."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import pandas as pd
import pymc as pm
import xarray as xr

from bayes_mkt.customers.hazard import Churn, HazardModel
from bayes_mkt.customers.parametric import ParametricSurvival
from bayes_mkt.customers.spells import CAUSE, Spells
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit

__all__ = ["CompetingRisks", "by_cause", "cause_fits", "cause_specific"]

CauseModel = HazardModel | ParametricSurvival
SEPARATOR = "::"  # between the cause and the name of a variable, as PyMC has it
_RESERVED = ("type", "dist")


class _OfAnyCause(frozenset[str]):
    """Names of variables, which hold them also with a cause in front."""

    def __contains__(self, name: object) -> bool:
        """Whether it holds what follows the cause."""
        return super().__contains__(str(name).rpartition(SEPARATOR)[2])


@dataclass(frozen=True, kw_only=True)
class CompetingRisks:
    """Hazards of several events, the first of which ends the spell.

    With A_k the cumulative hazard of cause k in a specification of its own, a spell that ends at t
    with cause k, or without an event, has the likelihood

        h_k(t) exp(-sum_j A_j(t)),    exp(-sum_j A_j(t)).

    Parameters
    ----------
    models
        Cause -> `SecondPurchase`, `Churn` or `ParametricSurvival`.
    other
        The model of causes that `models` doesn't name.

    Notes
    -----
    Hazards of causes are conditional on nothing having happened yet, and need no assumption on what
    a customer would have done had the other event not come. A share of never-returners of one
    cause, such as `SecondPurchase` has by default, is one in a world without the other causes.

    Names of variables begin with their cause: ``posterior["opt-out::baseline_level"]``. All answers
    on time, `contact_windows`, `being_lost` and `going_cold` take such fits; what concerns one
    cause alone is asked of `cause_specific`.

    References
    ----------
    Prentice and others (1978), Biometrics 34.

    Examples
    --------
    >>> CompetingRisks(models={"opt-out": Churn(markets="level")}).of("opt-out").markets
    'level'
    """

    models: Mapping[str, CauseModel] = field(default_factory=dict, hash=False)
    other: CauseModel = field(default_factory=Churn)

    def __post_init__(self) -> None:
        for name, model in {**self.models, "other=": self.other}.items():
            if not isinstance(model, CauseModel):
                raise SpecError(
                    f"{name!r}: {model!r} is no model of a cause. Give SecondPurchase(), Churn() "
                    "or ParametricSurvival()."
                )
        object.__setattr__(self, "models", MappingProxyType(dict(self.models)))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        """Return how a copy is made: mappings that are read-only can't be copied themselves."""
        given = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        kind: Callable[..., Any] = type(self)
        return partial(kind, **{**given, "models": dict(self.models)}), ()

    @property
    def on_demand(self) -> frozenset[str]:
        """Names of deterministics that are not stored, whatever the cause they begin with."""
        every = (*self.models.values(), self.other)
        return _OfAnyCause(name for model in every for name in model.on_demand)

    def of(self, cause: str) -> CauseModel:
        """Return the model of a cause."""
        return self.models.get(cause, self.other)

    def check(self, data: Spells) -> None:
        """Raise `SpecError` if this specification can't be built on `data`."""
        if len(data.causes) < 2:
            raise SpecError(
                f"The data have one kind of event, {data.causes[0]!r}: fit Churn(), "
                "SecondPurchase() or ParametricSurvival(). Another kind comes from opt_outs= of "
                "FirstPurchases.from_transactions."
            )
        unknown = sorted(set(self.models) - set(data.causes))
        if unknown:
            raise SpecError(
                f"models names {unknown[0]!r}, which isn't among the causes of the data: "
                f"{', '.join(map(repr, data.causes))}."
            )
        for cause in data.causes:
            if "/" in cause or SEPARATOR in cause or cause in _RESERVED:
                raise SpecError(f"The cause {cause!r} can't begin names of variables. Rename it.")
            if getattr(self.of(cause), "likelihood", "exact") == "expanded":
                raise SpecError(
                    f"The model of {cause!r} has likelihood='expanded', which competing risks "
                    "don't know. Fit it on data.only(cause) alone."
                )
            self.of(cause).check(data.only(cause))

    def build(self, data: Spells) -> pm.Model:
        """Return the PyMC model of `data`, to read, extend or sample.

        Raises
        ------
        SpecError
            If the specification doesn't fit the data.
        """
        self.check(data)
        coords: dict[str, Any] = {}
        for cause in data.causes:
            coords |= self.of(cause).coords(data.only(cause))
        with pm.Model(coords=coords) as model:
            for cause in data.causes:
                with pm.Model(name=cause):
                    self.of(cause).add(data.only(cause))
        return model


def cause_specific(fit: Fit, cause: str) -> Fit:
    """Return what a fit of competing risks says of one cause, as a fit of its own.

    Its survival is that of a world without the other causes. It answers what concerns the hazard of
    the cause alone: `hazard_ratio`, `never_return`, `survival_loo`.

    Parameters
    ----------
    fit
        A fitted `CompetingRisks`.
    cause
        Name of the cause.

    Raises
    ------
    SpecError
        If the fit is of another kind, or has no such cause.
    """
    if not isinstance(fit.spec, CompetingRisks):
        raise SpecError(f"{type(fit.spec).__name__} has one cause: ask the fit itself.")
    data = fit.data.only(cause)
    prefix = f"{cause}{SEPARATOR}"
    own = {
        name: str(name).removeprefix(prefix)
        for name in fit.posterior.data_vars
        if str(name).startswith(prefix)
    }
    posterior = fit.posterior[list(own)].rename_vars(own)
    tree = xr.DataTree.from_dict({"/posterior": posterior})
    tree.attrs = dict(fit.draws.attrs)
    return Fit(fit.spec.of(cause), data, tree, fit.diagnostics)


def cause_fits(fit: Fit) -> dict[str, Fit]:
    """Return the fit of each cause, of a `CompetingRisks`; a fit of one cause as it is."""
    if not isinstance(fit.spec, CompetingRisks):
        return {fit.data.causes[0]: fit}
    return {cause: cause_specific(fit, cause) for cause in fit.data.causes}


def by_cause(fit: Fit, answer: Callable[[Fit], xr.DataArray]) -> xr.DataArray:
    """Return the answers on all causes of a fit along the dimension `cause`."""
    parts = cause_fits(fit)
    every = [answer(part) for part in parts.values()]
    joined: xr.DataArray = xr.concat(every, pd.Index(list(parts), name=CAUSE))
    return joined.transpose("chain", "draw", CAUSE, ...)
