"""What becomes of customers without an event so far: lost, or cold, within a stated horizon."""

from __future__ import annotations

from typing import Any, Final, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.competing import incidence_parts
from bayes_mkt.customers.hazard import Churn, SecondPurchase
from bayes_mkt.customers.predict import labelled
from bayes_mkt.customers.risks import CompetingRisks, cause_fits
from bayes_mkt.customers.spells import CAUSE, Spells
from bayes_mkt.dims import CUSTOMER, MARKET
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["being_lost", "going_cold"]

Array = NDArray[Any]
Who = Literal["customer", "market"]
BY: Final = (CUSTOMER, MARKET)


def being_lost(
    fit: Fit,
    horizon: float,
    customers: Spells | None = None,
    by: Who = "customer",
    *,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the probability that a customer who is still there is lost within a horizon.

    For one who has been there for e, with F the incidence of the event,

        P(T <= e + horizon | T > e) = (F(e + horizon) - F(e)) / S(e),

    and by a draw whose S(e) is zero in floating point 1, or of several causes their shares so far.

    Parameters
    ----------
    fit
        A fitted `Churn` or `ParametricSurvival`, or `CompetingRisks` of ways to leave.
    horizon
        From now, in the data's unit of time.
    customers
        Data whose customers without an event so far are asked about; None means the fit's.
    by
        `"customer"` (default), or `"market"`: the mean over the market's customers, which is the
        share that will be lost.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, by``; of `CompetingRisks` ``chain, draw, by, cause``. NaN for customers
        whose horizon ends after the last interval, of whom the attribute `beyond` says how many.

    Raises
    ------
    SpecError
        If the event is a second purchase, or the horizon isn't above 0.
    DataError
        If nobody's horizon ends within the intervals.
    """
    marks = usable(fit, allow_unconverged)
    if isinstance(fit.spec, SecondPurchase):
        raise SpecError("The event is a second purchase, which loses nobody: ask going_cold().")
    values, beyond, coords = _within(fit, horizon, customers, by)
    if not isinstance(fit.spec, CompetingRisks):
        out = labelled(fit, values[:, :, 0], (by,), **coords)
    else:
        out = labelled(fit, values, (by, CAUSE), **coords, cause=list(fit.data.causes))
    return _described(out, "Probability of being lost", horizon, beyond, fit, marks, "being_lost")


def going_cold(
    fit: Fit,
    horizon: float,
    customers: Spells | None = None,
    by: Who = "customer",
    *,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the probability that a customer who hasn't come back doesn't within a horizon.

    For one who has waited for e, with F the incidence of a purchase,

        1 - P(e < T <= e + horizon | T > e) = 1 - (F(e + horizon) - F(e)) / S(e),

    with draws whose S(e) is zero taken as in `being_lost`.

    Parameters
    ----------
    fit
        A fitted `SecondPurchase` or `ParametricSurvival`, or `CompetingRisks` whose first cause is
        a purchase: who opts out has gone cold too.
    horizon, customers, by, allow_unconverged
        As in `being_lost`.

    Returns
    -------
    DataArray
        Dims ``chain, draw, by``, with NaN and `beyond` as in `being_lost`.

    Raises
    ------
    SpecError
        If the fit is a `Churn`, whose event is a loss: ask `being_lost`.
    DataError
        If nobody's horizon ends within the intervals.
    """
    marks = usable(fit, allow_unconverged)
    if isinstance(fit.spec, Churn):
        raise SpecError(
            f"The event {fit.data.causes[0]!r} of Churn() is a loss: ask being_lost(). Where the "
            "event is a purchase, fit SecondPurchase()."
        )
    values, beyond, coords = _within(fit, horizon, customers, by)
    out = labelled(fit, 1.0 - values[:, :, 0], (by,), **coords)
    return _described(out, "Probability of going cold", horizon, beyond, fit, marks, "going_cold")


def _within(
    fit: Fit, horizon: float, customers: Spells | None, by: Who
) -> tuple[Array, int, dict[str, Any]]:
    """Return P(cause within the horizon | none so far) (draw, by, cause), and who is beyond."""
    if by not in BY:
        raise SpecError(f"by={by!r}: choose from 'customer', 'market'.")
    if isinstance(horizon, bool) or not np.isfinite(horizon) or horizon <= 0:
        raise SpecError(f"horizon={horizon!r} must be > 0, in {fit.data.unit}s.")
    data = fit.data if customers is None else customers
    rows, end = data.data, float(fit.data.cuts[-1])
    elapsed, cell = rows["elapsed"].values, rows["cell_of_customer"].values
    inside = elapsed + horizon <= end + 1e-9
    if not inside.any():
        raise DataError(
            f"No customer without an event has been there for less than {end - horizon:g} "
            f"{data.unit}: no horizon ends within the intervals. Shorten it, or read the data with "
            "longer intervals."
        )
    states, of = np.unique(np.stack([cell[inside], elapsed[inside]]), axis=1, return_inverse=True)
    values = _of_states(fit, data, states[0].astype(np.int64), states[1], horizon)
    of = of.ravel()
    if by == CUSTOMER:
        out = np.full((len(values), len(cell), values.shape[2]), np.nan)
        out[:, inside] = values[:, of]
        return out, int((~inside).sum()), {CUSTOMER: rows[CUSTOMER].values}
    market = rows["market_of_cell"].values[cell[inside]]
    weight = np.zeros((len(data.markets), states.shape[1]))
    np.add.at(weight, (market, of), 1.0)
    total = weight.sum(axis=1, keepdims=True)
    share = np.divide(weight, total, out=np.full_like(weight, np.nan), where=total > 0)
    mean = np.einsum("ms,zsk->zmk", share, values)
    return mean, int((~inside).sum()), {MARKET: list(data.markets)}


def _of_states(fit: Fit, data: Spells, cell: Array, elapsed: Array, horizon: float) -> Array:
    """Return P(cause within the horizon) of customers by cell and time (draw, state, cause)."""
    times = np.unique(np.concatenate([[0.0], elapsed, elapsed + horizon]))
    times = np.unique(np.minimum(times, float(fit.data.cuts[-1])))
    total = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    out = np.zeros((total, len(cell), len(cause_fits(fit))))
    now = np.searchsorted(times, elapsed)
    then = np.minimum(np.searchsorted(times, elapsed + horizon - 1e-9), len(times) - 1)
    for where, part, later, alive in incidence_parts(fit, data, times, cells=np.unique(cell)):
        low, high = np.searchsorted(cell, [part[0], part[-1] + 1])  # states are sorted by cell
        own = np.arange(int(low), int(high))
        position = np.searchsorted(part, cell[own])
        # Indices on both sides of a slice put the states first.
        gone = later[:, position, :, now[own]] - later[:, position, :, then[own]]
        before = later[:, position, :, 0] - later[:, position, :, now[own]]
        open_ = alive[:, position, now[own]].T[:, :, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            # By a draw that leaves nobody, whoever is still there goes now, by the causes so far.
            certain = before / before.sum(axis=2, keepdims=True)
            values = np.where(open_ > 0, gone / open_, certain)
        out[where, own[0] : own[-1] + 1] = np.moveaxis(values, 0, 1)
    return out


def _described(
    out: xr.DataArray,
    what: str,
    horizon: float,
    beyond: int,
    fit: Fit,
    marks: dict[str, str],
    name: str,
) -> xr.DataArray:
    """Return the answer with its attributes."""
    about = {"units": "1", "long_name": f"{what} within {horizon:g} {fit.data.unit}"}
    return out.assign_attrs(**about, horizon=horizon, beyond=beyond, **marks).rename(name)
