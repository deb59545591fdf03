"""Does a ranking find those whom the campaign moves? Qini curve, areas, calibration by bin."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.dims import ARM, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.targeting.campaign import Campaign
from bayes_mkt.targeting.heldout import bootstrap_weights, ranked, same_customers, seed_of

__all__ = ["auuc", "qini_coefficient", "qini_curve", "uplift_calibration"]

Array = NDArray[Any]
DEPTH = "depth"
BIN = "bin"
REPLICATES = 1000


def qini_curve(
    effect: xr.DataArray,
    campaign: Campaign,
    *,
    outcome: str | None = None,
    points: int = 100,
    seed: int | None = None,
) -> xr.DataArray:
    """Return the incremental outcome per customer if the share `depth` with the best scores is met.

    Of the customers given this arm or none, ranked by the mean of `effect` over draws, highest
    first,

        Q(d) = d (mean of y of the treated - mean of y of the controls, among the first share d),

    so that Q(1) is the average treatment effect, and a random order has Q(d) = d Q(1) on average.

    Parameters
    ----------
    effect
        As `uplift` gives; or any score with dims ``arm, customer`` (and ``chain, draw``).
    campaign
        Customers that the scores were not learned from.
    outcome
        An outcome of the campaign or `"revenue"`; None takes what the effects are about.
    points
        Depths 1/points, 2/points, ..., 1.
    seed
        Of the bootstrap and of the order of ties; None takes the seed of the fit.

    Returns
    -------
    DataArray
        Dims ``chain, draw, arm, depth``, in the outcome's units per customer: draws of the
        Bayesian bootstrap over customers, for the ranking as it is. Depth 0 is included.

    Raises
    ------
    SpecError
        If the effects are of other customers, or the best customers are too few to compare.

    Notes
    -----
    Libraries differ. Radcliffe's (2007) curve counts incremental customers, Y_t(d) - Y_c(d)
    N_t(d) / N_c(d); divided by N_t(1), it is this one where N_t(d) = d N_t(1). Others divide the
    area by that of a perfect order. Compare figures of one formula only.

    References
    ----------
    Radcliffe (2007), Using control groups to target on predicted lift. Gutierrez, Gérardy (2016),
    eq. 6. Rubin (1981), The Bayesian bootstrap.
    """
    same_customers(effect, campaign)
    seed = seed_of(effect, seed)
    y = campaign.values(_outcome(effect, outcome))
    score = effect.mean([d for d in SAMPLE if d in effect.dims])
    curves = [
        _replicated(score.sel({ARM: arm}).to_numpy(), campaign, str(arm), y, points, seed)
        for arm in effect[ARM].to_numpy()
    ]
    return xr.DataArray(
        np.stack(curves, axis=1)[None],
        dims=(*SAMPLE, ARM, DEPTH),
        coords={ARM: effect[ARM].to_numpy(), DEPTH: np.arange(points + 1) / points},
        name="qini",
        attrs={"units": f"{_outcome(effect, outcome)} per customer", "seed": seed},
    )


def auuc(curve: xr.DataArray) -> xr.DataArray:
    """Return the area under a Qini curve, the integral of Q over depth from 0 to 1 (trapezoids).

    Parameters
    ----------
    curve
        As `qini_curve` gives.

    Returns
    -------
    DataArray
        Dims ``chain, draw, arm``, in the curve's units.

    Examples
    --------
    >>> line = xr.DataArray([[[0.0, 0.5, 1.0]]], dims=("chain", "draw", "depth"),
    ...                     coords={"depth": [0.0, 0.5, 1.0]})
    >>> auuc(line).item(), qini_coefficient(line).item()
    (0.5, 0.0)
    """
    area = curve.integrate(DEPTH).rename("auuc")
    return area.assign_attrs(curve.attrs)


def qini_coefficient(curve: xr.DataArray) -> xr.DataArray:
    """Return the area between a Qini curve and that of a random order: AUUC - Q(1) / 2.

    Parameters
    ----------
    curve
        As `qini_curve` gives.

    Returns
    -------
    DataArray
        Dims ``chain, draw, arm``, in the curve's units.
    """
    last = curve.isel({DEPTH: -1}, drop=True)
    return (auuc(curve) - last / 2).assign_attrs(curve.attrs).rename("qini_coefficient")


def uplift_calibration(
    effect: xr.DataArray,
    campaign: Campaign,
    *,
    bins: int = 10,
    outcome: str | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Return predicted and observed uplift of customers in bins of predicted uplift.

    Parameters
    ----------
    effect
        As `uplift` gives for `campaign`.
    campaign
        Customers that the effects were not learned from.
    bins
        Number of bins of equal size; bin 0 has the highest predicted uplift.
    outcome, seed
        As in `qini_curve`.

    Returns
    -------
    Dataset
        `predicted`, posterior draws of the bin's mean uplift, and `observed`, draws of the
        Bayesian bootstrap of the difference in means, both ``chain, draw, arm, bin``. The two are
        independent, so draws of `observed - predicted` are those of the error.
    """
    same_customers(effect, campaign)
    seed = seed_of(effect, seed)
    name = _outcome(effect, outcome)
    y, assignment = campaign.values(name), campaign.data["assignment"].to_numpy()
    shape = tuple(effect.sizes[d] for d in SAMPLE)
    predicted, observed = [], []
    for arm in effect[ARM].to_numpy():
        draws = effect.sel({ARM: arm}).transpose(*SAMPLE, ...).to_numpy()
        order = ranked(draws.mean(axis=(0, 1)), seed)
        edges = _edges(len(order), bins)
        in_order = draws[:, :, order].astype(np.float64)
        sums = np.add.reduceat(in_order, edges[:-1], axis=-1)
        predicted.append(sums / np.diff(edges))
        treated, control = _sides(campaign, assignment, str(arm))
        counts = [np.add.reduceat(s[order].astype(int), edges[:-1]) for s in (treated, control)]
        if min(count.min() for count in counts) == 0:
            raise SpecError(
                f"bins={bins}: one has no customer with arm {arm!r}, or none of the control. Use "
                "fewer bins."
            )
        observed.append(
            np.concatenate(
                [
                    _difference(_parts(w[:, order], y, treated, control, order, edges))
                    for _, w in bootstrap_weights(len(y), shape[0] * shape[1], seed, "bins")
                ]
            ).reshape(*shape, bins)
        )
    dims = (*SAMPLE, ARM, BIN)
    coords = {d: effect[d] for d in (*SAMPLE, ARM)} | {BIN: np.arange(bins)}
    return xr.Dataset(
        {
            "predicted": (dims, np.stack(predicted, axis=2), {"units": f"{name} per customer"}),
            "observed": (dims, np.stack(observed, axis=2), {"units": f"{name} per customer"}),
        },
        coords=coords,
        attrs={"seed": seed},
    )


def curve_of(
    weights: Array, y: Array, treated: Array, control: Array, order: Array, points: int
) -> Array:
    """Return Q at depths 0, 1/points, ..., 1 for each row of weights (replicate, depth)."""
    edges = _edges(len(order), points)
    parts = _parts(weights[:, order], y, treated, control, order, edges)
    depth = edges[1:] / len(order)
    found = depth * _difference(tuple(np.cumsum(part, axis=1) for part in parts))
    return np.concatenate([np.zeros((len(weights), 1)), found], axis=1)


def _replicated(
    score: Array, campaign: Campaign, arm: str, y: Array, points: int, seed: int
) -> Array:
    """Return the curve of one arm under each replicate of the bootstrap (replicate, depth)."""
    treated, control = _sides(campaign, campaign.data["assignment"].to_numpy(), arm)
    rows = np.flatnonzero(treated | control)
    order = ranked(score[rows], seed)
    first = order[: _edges(len(order), points)[1]]
    if not (treated[rows][first].any() and control[rows][first].any()):
        raise SpecError(
            f"points={points}: the first share of customers, {len(first)} of them, has none with "
            f"arm {arm!r} or none of the control. Use fewer points."
        )
    parts = [
        curve_of(w, y[rows], treated[rows], control[rows], order, points)
        for _, w in bootstrap_weights(len(rows), REPLICATES, seed, f"qini {arm}")
    ]
    return np.concatenate(parts)


def _sides(campaign: Campaign, assignment: Array, arm: str) -> tuple[Array, Array]:
    """Return who was given the arm, and who was in the control."""
    if arm not in campaign.treatments:
        raise SpecError(f"arm {arm!r} is none of the campaign's: {list(campaign.treatments)}.")
    return assignment == campaign.arms.index(arm), assignment == 0


def _parts(
    weights: Array, y: Array, treated: Array, control: Array, order: Array, edges: Array
) -> tuple[Array, ...]:
    """Return weighted sums of y and of ones by group, of treated and of controls.

    `weights` are in the order of `order` already.
    """
    sums = []
    for side in (treated, control):
        inside = side[order].astype(float)
        for values in (inside * y[order], inside):
            sums.append(np.add.reduceat(weights * values, edges[:-1], axis=1))
    return tuple(sums)


def _difference(parts: tuple[Array, ...]) -> Array:
    treated_sum, treated, control_sum, control = parts
    return treated_sum / treated - control_sum / control


def _edges(n: int, groups: int) -> Array:
    if not 1 <= groups <= n:
        raise SpecError(f"{groups} groups of {n} customers: use between 1 and {n}.")
    return np.round(np.arange(groups + 1) * (n / groups)).astype(int)


def _outcome(effect: xr.DataArray, outcome: str | None) -> str:
    found = outcome or effect.attrs.get("outcome")
    if found is None:
        raise SpecError("outcome=None takes that of the fit, but the array names none. Give one.")
    return str(found)
