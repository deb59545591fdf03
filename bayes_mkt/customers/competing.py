"""Several events that end a spell, each with a hazard of its own: who has which, by when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.groups import By, group_weights
from bayes_mkt.customers.predict import check_times, labelled, survival_parts
from bayes_mkt.customers.risks import cause_fits
from bayes_mkt.customers.spells import CAUSE, CELL, Spells
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["competing_incidence"]

Array = NDArray[Any]
TIME: Final = "time"
STEPS: Final = 200


def competing_incidence(
    fits: Mapping[str, Fit] | Fit,
    times: Any = None,
    customers: Spells | None = None,
    by: By = "market",
    *,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the probability of each event by some times, where the first one ends the spell.

        F_k(t) = int_0^t exp(-sum_j A_j(s)) dA_k(s),    A_k(t) = -log S_k(t),

    S_k the survival of the fit for cause k alone. Hazards of causes are fitted one by one, on
    ``data.only(cause)``: their likelihoods have no parameter in common and, with independent
    priors, neither have their posteriors, so draws of one may be paired with any of the other.

    Parameters
    ----------
    fits
        A fitted `CompetingRisks`; or cause -> a fitted `SecondPurchase`, `Churn` or
        `ParametricSurvival` of ``data.only(cause)``, of the same `data`.
    times
        Since the origin, ascending; None takes the ends of all intervals.
    customers, by, allow_unconverged
        As in `survival_function`.

    Returns
    -------
    DataArray
        Dims ``chain, draw, by, cause, time``; the causes' sum and the probability of no event make
        one. Of fits with different numbers of draws the first that all have are used.

    Raises
    ------
    SpecError
        If the fits aren't of the same customers, or have different numbers of chains.

    Notes
    -----
    Within a step of 1/200 of the horizon the hazards' ratio is taken as constant. Which event would
    have come had the other not is another question, which no data of this kind answer: it needs
    the causes to be independent given covariates.

    References
    ----------
    Prentice and others (1978), Biometrics 34.
    """
    if isinstance(fits, Fit):
        fits = cause_fits(fits)
    marks: dict[str, str] = {}
    for fit in fits.values():
        marks |= usable(fit, allow_unconverged)
    first = _same_customers(fits)
    data = first.data if customers is None else customers
    end = min(float(fit.data.cuts[-1]) for fit in fits.values())
    at = first.data.cuts if times is None else check_times(times, end, first.data.unit)
    fine = np.linspace(0.0, at[-1], STEPS + 1)
    ends = np.concatenate([fit.data.cuts for fit in fits.values()])
    grid = np.unique(np.concatenate([fine, at, ends[ends < at[-1]]]))
    place = np.searchsorted(grid, at)
    weights, coords = group_weights(data, by)
    equal = _equal_draws(fits)
    sizes = equal[0].posterior.sizes
    out = np.zeros((sizes["chain"] * sizes["draw"], len(weights), len(fits), len(at)))
    used = np.flatnonzero((weights > 0).any(axis=0))
    parts = [survival_parts(fit, data, grid, cells=used) for fit in equal]
    for each in zip(*parts, strict=True):
        where, cells, _ = each[0]
        share = _incidence(np.stack([survival for _, _, survival in each], axis=2))
        out[where] += np.einsum("gc,zckt->zgkt", weights[:, cells], share[..., place])
    array = labelled(equal[0], out, (by, CAUSE, TIME), **coords, cause=list(fits), time=at)
    array[TIME].attrs["units"] = first.data.unit
    attrs = {"units": "1", "long_name": "Cumulative incidence"}
    return array.assign_attrs(**attrs, **marks).rename("cumulative_incidence")


def incidence_parts(
    fit: Fit, data: Spells, times: Array, *, cells: Array | None = None
) -> Iterator[tuple[slice, Array, Array, Array]]:
    """Yield what of each cause's incidence is yet to come, and survival, of cells, in batches.

    Parameters
    ----------
    fit, data, times, cells
        As in `survival_parts`; times begin with 0.

    Yields
    ------
    draws, cells, to_come, survival
        Slice of flattened ``chain x draw``; positions of cells; incidence after each time (draw,
        cell, cause, time), the event of interest first, up to a constant: differences hold all
        digits where next to nobody is left; survival (draw, cell, time).
    """
    parts = [survival_parts(part, data, times, cells=cells) for part in cause_fits(fit).values()]
    for each in zip(*parts, strict=True):
        where, chosen, alone = each[0]
        if len(parts) == 1:
            yield where, chosen, alone[:, :, None, :], alone
            continue
        stacked = np.stack([survival for _, _, survival in each], axis=2)
        later = np.flip(np.cumsum(np.flip(_gains(stacked), axis=-1), axis=-1), axis=-1)
        later = np.concatenate([later, np.zeros_like(later[..., :1])], axis=-1)
        yield where, chosen, later, stacked.prod(axis=2)


def _incidence(survival: Array) -> Array:
    """Return the incidence of causes (draw, cell, cause, time) from survival of each alone."""
    gained = np.cumsum(_gains(survival), axis=-1)
    return np.concatenate([np.zeros_like(gained[..., :1]), gained], axis=-1)


def _gains(survival: Array) -> Array:
    """Return by how much the incidence of causes rises from time to time."""
    total = -np.log(np.maximum(survival, 1e-300))
    steps = np.diff(total, axis=-1)
    both = steps.sum(axis=2, keepdims=True)
    share = np.divide(steps, both, out=np.zeros_like(steps), where=both > 0)
    before = np.exp(-total.sum(axis=2, keepdims=True)[..., :-1])
    return np.asarray(before * -np.expm1(-both) * share)


def _same_customers(fits: Mapping[str, Fit]) -> Fit:
    """Return the first fit, after checking that all are of the same customers."""
    if len(fits) < 2:
        raise SpecError("Give a fit for each of two or more causes.")
    first, *others = fits.values()
    for name, fit in fits.items():
        if fit.data.causes != (name,):
            raise SpecError(
                f"fits[{name!r}] is a fit of {', '.join(fit.data.causes)}. Fit data.only({name!r})."
            )
    for fit in others:
        ours, theirs = first.data.data, fit.data.data
        if not (
            ours.sizes[CELL] == theirs.sizes[CELL] and ours["features"].equals(theirs["features"])
        ):
            raise SpecError(
                "The fits are of different customers. Fit data.only(cause) of one data."
            )
        if fit.posterior.sizes["chain"] != first.posterior.sizes["chain"]:
            raise SpecError(
                "The fits have different numbers of chains. Give chains= the same number."
            )
    return first


def _equal_draws(fits: Mapping[str, Fit]) -> list[Fit]:
    """Return the fits with as many draws as the shortest has."""
    count = min(fit.posterior.sizes["draw"] for fit in fits.values())
    equal = []
    for fit in fits.values():
        tree = xr.DataTree.from_dict({"/posterior": fit.posterior.isel(draw=slice(count))})
        tree.attrs = dict(fit.draws.attrs)
        equal.append(Fit(fit.spec, fit.data, tree, fit.diagnostics))
    return equal
