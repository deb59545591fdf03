"""What a covariate changes: ratios of hazards and of times, and differences in probability."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.effects import Coding
from bayes_mkt.customers.groups import By, group_weights
from bayes_mkt.customers.predict import averaged, check_times, labelled
from bayes_mkt.customers.risks import CompetingRisks, by_cause
from bayes_mkt.customers.spells import Spells
from bayes_mkt.dims import FEATURE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["hazard_ratio", "probability_difference", "time_ratio"]


def hazard_ratio(
    fit: Fit, change: Mapping[str, float] | None = None, *, allow_unconverged: bool = False
) -> xr.DataArray:
    """Return the factor by which a change of a covariate multiplies the hazard.

    exp(b_j d_j), of customers who have the event some day; exp(-k b_j d_j) for Weibull times.

    Parameters
    ----------
    fit
        A fitted `SecondPurchase`, `Churn`, or `ParametricSurvival` with Weibull times; of
        `CompetingRisks`, the ratios of each cause, with a dimension `cause`.
    change
        Covariate -> d, in its own unit. By default 1 for indicators, for numbers their SD.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, feature``; coordinate `change` (feature) holds d.

    Raises
    ------
    SpecError
        If there are no covariates, or hazards aren't proportional.

    Notes
    -----
    An association given the other covariates; causal only for what was randomised.
    """
    marks = usable(fit, allow_unconverged)
    if isinstance(fit.spec, CompetingRisks):
        return by_cause(
            fit, lambda part: hazard_ratio(part, change, allow_unconverged=True)
        ).assign_attrs(**marks)
    distribution = getattr(fit.spec, "distribution", None)
    if distribution not in (None, "weibull"):
        raise SpecError(
            f"Hazards of {distribution} times aren't proportional: ask for time_ratio() or "
            "probability_difference()."
        )
    log = _effects(fit, change)
    if distribution == "weibull":
        log = -fit.posterior["shape"] * log
    out = _exponential(log, "Hazard ratio")
    return out.assign_attrs(**marks).rename("hazard_ratio")


def time_ratio(
    fit: Fit, change: Mapping[str, float] | None = None, *, allow_unconverged: bool = False
) -> xr.DataArray:
    """Return the factor by which a change of a covariate multiplies times to the event.

    exp(b_j d_j): above one where the event comes later.

    Parameters, returns and raises are those of `hazard_ratio`, for a `ParametricSurvival`.
    """
    marks = usable(fit, allow_unconverged)
    if not hasattr(fit.spec, "distribution"):
        raise SpecError("Only ParametricSurvival has effects on times: ask for hazard_ratio().")
    out = _exponential(_effects(fit, change), "Time ratio")
    return out.assign_attrs(**marks).rename("time_ratio")


def probability_difference(
    fit: Fit,
    feature: str,
    time: float,
    *,
    low: float = 0.0,
    high: float = 1.0,
    customers: Spells | None = None,
    by: By = "market",
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return by how much the probability of the event by a time differs between covariate values.

        mean over customers of P(T <= time | x_j = high) - P(T <= time | x_j = low),

    the other covariates as they are; other indicators of the same column are set to 0.

    Parameters
    ----------
    fit
        A fitted `SecondPurchase`, `Churn` or `ParametricSurvival`.
    feature
        Name of the covariate.
    time
        Since the origin.
    low, high
        Its values, in its own unit.
    customers, by, allow_unconverged
        As in `survival_function`.

    Returns
    -------
    DataArray
        Dims ``chain, draw, by``.

    Raises
    ------
    SpecError
        For an unknown covariate, or a time outside the intervals.

    Notes
    -----
    An association given the other covariates; causal only for what was randomised.
    """
    marks = usable(fit, allow_unconverged)
    data = fit.data if customers is None else customers
    coding = Coding.of(fit.data)
    position = _position(coding.names, feature)
    at = check_times(time, float(fit.data.cuts[-1]), fit.data.unit)
    weights, coords = group_weights(data, by)
    design = coding.apply(data)
    column = feature.split("=", 1)[0]
    same = [i for i, n in enumerate(coding.names) if "=" in feature and n.startswith(f"{column}=")]
    sides = []
    for value in (low, high):
        changed = design.copy()
        changed[:, same] = (0.0 - coding.mean[same]) / coding.scale[same]
        changed[:, position] = (value - coding.mean[position]) / coding.scale[position]
        sides.append(averaged(fit, data, at, weights, features=changed)[:, :, 0])
    out = labelled(fit, sides[0] - sides[1], (by,), **coords)  # survival falls as incidence rises
    attrs = {"units": "1", "long_name": f"Difference in P(T <= {time:g}), {feature}"}
    return out.assign_attrs(low=low, high=high, **attrs, **marks).rename("probability_difference")


def _position(names: tuple[str, ...], feature: str) -> int:
    if feature not in names:
        raise SpecError(f"feature={feature!r}: choose from {', '.join(map(repr, names))}.")
    return names.index(feature)


def _effects(fit: Fit, change: Mapping[str, float] | None) -> xr.DataArray:
    """Return b_j d_j (chain, draw, feature)."""
    coding = Coding.of(fit.data)
    if not coding.names:
        raise SpecError("The model has no covariates.")
    steps: NDArray[np.float64] = coding.scale.copy()
    for name, step in (change or {}).items():
        steps[_position(coding.names, name)] = step
    draws = fit.posterior["effect"] * xr.DataArray(steps / coding.scale, dims=FEATURE)
    return draws.assign_coords(change=(FEATURE, steps))


def _exponential(log: xr.DataArray, name: str) -> xr.DataArray:
    return log.copy(data=np.exp(log.to_numpy())).assign_attrs(units="1", long_name=name)
