"""What a hazard model says of time: survival, hazard, incidence, median, and who never comes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pymc as pm
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt import seeds
from bayes_mkt.customers.competing import competing_incidence
from bayes_mkt.customers.groups import By, group_weights
from bayes_mkt.customers.predict import averaged, check_times, labelled, survival_parts
from bayes_mkt.customers.risks import CompetingRisks, cause_fits
from bayes_mkt.customers.spells import INTERVAL, Spells
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["cumulative_incidence", "hazard", "median_time", "never_return", "survival_function"]

Array = NDArray[Any]
TIME = "time"
PRIOR_DRAWS = 500
INFORMED = 0.75  # share of the prior's variance that data must take away


def survival_function(
    fit: Fit,
    times: Any = None,
    customers: Spells | None = None,
    by: By = "market",
    *,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the probability of no event by some times, S(t) = P(T > t).

    Parameters
    ----------
    fit
        A fitted `SecondPurchase`, `Churn` or `ParametricSurvival`; of `CompetingRisks`, the
        probability that none of the events has come.
    times
        Since the spell's origin, ascending, up to the last interval's end; None takes the ends of
        all intervals.
    customers
        Whose survival; None means those of the fit. In markets that the fit doesn't know,
        deviations are drawn from their population.
    by
        `"market"` (default): the mean over each market's customers; `"cell"`: each combination of
        market and covariates; `"customer"`: each customer of `customers` without an event so far.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, by, time``, a probability.

    Raises
    ------
    SpecError
        For times outside the intervals.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    Covariates of episodes count as if they stayed as they are.
    """
    marks = usable(fit, allow_unconverged)
    data = fit.data if customers is None else customers
    at = _times(fit, times)
    weights, coords = group_weights(data, by)
    values = averaged(fit, data, at, weights)
    out = labelled(fit, values, (by, TIME), **coords, **{TIME: at})
    out[TIME].attrs["units"] = fit.data.unit
    return out.assign_attrs(units="1", long_name="Survival", **marks).rename("survival")


def cumulative_incidence(
    fit: Fit,
    times: Any = None,
    customers: Spells | None = None,
    by: By = "market",
    *,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the probability of the event by some times, P(T <= t) = 1 - S(t).

    Parameters, returns and raises are those of `survival_function`. Of `CompetingRisks` it is the
    probability that each cause has come, and come first, with a dimension `cause` before `time`;
    see `competing_incidence`.
    """
    if isinstance(fit.spec, CompetingRisks):
        usable(fit, allow_unconverged)
        parts = cause_fits(fit)
        return competing_incidence(parts, times, customers, by, allow_unconverged=allow_unconverged)
    survived = survival_function(fit, times, customers, by, allow_unconverged=allow_unconverged)
    out = (1.0 - survived).assign_attrs(survived.attrs)
    return out.assign_attrs(long_name="Cumulative incidence").rename("cumulative_incidence")


def hazard(
    fit: Fit,
    customers: Spells | None = None,
    by: By = "market",
    *,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the probability of the event in each interval, given none before it.

    h_t = 1 - S(t) / S(t - 1), S the mean survival of the customers asked about; for a cause k of
    `CompetingRisks` (F_k(t) - F_k(t - 1)) / S(t - 1), with a dimension `cause`. It falls over time
    also where no customer's own hazard does, as those who are left are less and less likely to
    come.

    Parameters
    ----------
    fit, customers, by, allow_unconverged
        As in `survival_function`.

    Returns
    -------
    DataArray
        Dims ``chain, draw, by, interval``; coordinate `interval` holds the interval's end.
    """
    survived = survival_function(fit, None, customers, by, allow_unconverged=allow_unconverged)
    values = survived.to_numpy()
    before = np.concatenate([np.ones_like(values[..., :1]), values[..., :-1]], axis=-1)
    if isinstance(fit.spec, CompetingRisks):
        came = cumulative_incidence(fit, None, customers, by, allow_unconverged=allow_unconverged)
        steps = np.diff(came.to_numpy(), axis=-1, prepend=0.0)
        before = np.broadcast_to(before[..., None, :], steps.shape)
        values = np.divide(steps, before, out=np.ones_like(steps), where=before > 0)
        out = came.rename({TIME: INTERVAL}).copy(data=values)
    else:
        stay = np.divide(values, before, out=np.zeros_like(values), where=before > 0)
        out = survived.rename({TIME: INTERVAL}).copy(data=1.0 - stay)
    return out.assign_attrs(long_name="Hazard").rename("hazard")


def median_time(
    fit: Fit,
    customers: Spells | None = None,
    by: By = "market",
    *,
    share: float = 0.5,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the time by which half of the customers have had the event.

    The smallest t with S(t) <= 1 - share, log-linear between the ends of intervals.

    Parameters
    ----------
    fit, customers, by, allow_unconverged
        As in `survival_function`.
    share
        Another share than a half.

    Returns
    -------
    DataArray
        Dims ``chain, draw, by``, in the data's unit of time; infinite where the share isn't
        reached by the last interval's end.
    """
    if not 0 < share < 1:
        raise SpecError(f"share={share!r} must lie between 0 and 1.")
    survived = survival_function(fit, None, customers, by, allow_unconverged=allow_unconverged)
    ends = np.concatenate([[0.0], survived[TIME].to_numpy()])
    curve = np.concatenate([np.ones_like(survived.values[..., :1]), survived.values], axis=-1)
    log, level = np.log(np.maximum(curve, 1e-300)), np.log(1.0 - share)
    reached = log[..., -1] <= level
    after = np.argmax(log <= level, axis=-1)  # the first end at which the level is reached
    after = np.where(reached, after, 1)
    high = np.take_along_axis(log, after[..., None] - 1, -1)[..., 0]
    low = np.take_along_axis(log, after[..., None], -1)[..., 0]
    part = np.divide(high - level, high - low, out=np.zeros_like(high), where=high > low)
    time = ends[after - 1] + part * (ends[after] - ends[after - 1])
    out = survived.isel({TIME: 0}, drop=True).copy(data=np.where(reached, time, np.inf))
    attrs = {**out.attrs, "units": fit.data.unit, "long_name": "Median time"}
    return out.drop_attrs().assign_attrs(attrs).rename("median_time")


def never_return(
    fit: Fit, by: By = "market", *, seed: int = 0, allow_unconverged: bool = False
) -> xr.DataArray:
    """Return the share of customers who never have the event, and whether data or prior say so.

    Within any follow-up, a customer who never comes looks like one who hasn't come yet. So the
    spread of each share's logit is compared with what it was before the data were seen:

        contraction = 1 - Var(logit pi | data) / Var(logit pi).

    Parameters
    ----------
    fit
        A fitted `SecondPurchase` or `Churn` with `never` other than `"none"`.
    by
        As in `survival_function`.
    seed
        Of the draws of the prior.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, by``, a share. Coordinates along `by`: `contraction`, and
        `prior_driven`, true where it is below 0.75: the share then is mostly an assumption, and the
        figure shouldn't be used without saying so.

    Raises
    ------
    SpecError
        If the model has no never-returners.
    """
    marks = usable(fit, allow_unconverged)
    if getattr(fit.spec, "never", "none") == "none":
        raise SpecError("The model was fitted with never='none': nobody never comes.")
    weights, coords = group_weights(fit.data, by)
    share, before = (_never(each, weights) for each in (fit, _prior(fit, seed)))
    spread = [np.var(_logit(values), axis=0) for values in (share, before)]
    contraction = 1.0 - spread[0] / spread[1]
    about = {"contraction": (by, contraction), "prior_driven": (by, contraction < INFORMED)}
    out = labelled(fit, share, (by,), **coords, **about)
    return out.assign_attrs(
        units="1", long_name="Share that never returns", seed=seed, **marks
    ).rename("never_return")


def _times(fit: Fit, times: Any) -> Array:
    cuts = fit.data.cuts
    return cuts if times is None else check_times(times, float(cuts[-1]), fit.data.unit)


def _logit(share: Array) -> Array:
    clipped = np.clip(share, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _never(fit: Fit, weights: Array) -> Array:
    """Return weighted means over cells of the share that never returns (draw, group)."""
    sizes = fit.posterior.sizes
    out = np.zeros((sizes["chain"] * sizes["draw"], len(weights)))
    parts = survival_parts(fit, fit.data, fit.data.cuts[:1], name="never_probability")
    for where, cells, share in parts:
        out[where] += share @ weights[:, cells].T
    return out


def _prior(fit: Fit, seed: int) -> Fit:
    """Return a fit whose draws are those of the prior."""
    free = fit.target.model.free_RVs
    rng = seeds.integer(seed, "prior never")
    drawn = pm.draw(free, draws=PRIOR_DRAWS, random_seed=rng, mode="FAST_COMPILE")
    dims = {rv.name: fit.posterior[rv.name].dims[2:] for rv in free}
    named = {
        rv.name: (("chain", "draw", *dims[rv.name]), values[None])
        for rv, values in zip(free, drawn, strict=True)
    }
    tree = xr.DataTree.from_dict({"/posterior": xr.Dataset(named)})
    return Fit(fit.spec, fit.data, tree, fit.diagnostics)
