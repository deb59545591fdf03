"""What the timing of a contact does, where contacts were randomised."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayes_mkt.customers.comparisons import hazard_ratio
from bayes_mkt.customers.contacts import Timing
from bayes_mkt.customers.effects import Coding
from bayes_mkt.customers.predict import check_times, labelled, survival_parts
from bayes_mkt.customers.risks import CompetingRisks
from bayes_mkt.customers.spells import CELL, Spells
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["contact_effect"]

Array = NDArray[Any]
TIMING: Final = "timing"
CAUSAL: Final = (
    "Causal, if chance alone decided who was contacted when among those who hadn't bought by then, "
    "as the data were declared, and if hazards are as modelled."
)


def contact_effect(
    fit: Fit,
    time: float,
    *,
    timings: ArrayLike | None = None,
    customers: Spells | None = None,
    value: float = 1.0,
    cost: float = 0.0,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return what a contact at each of several waits adds to purchases by a time.

    With A(t) the cumulative hazard of a customer who isn't contacted and r the factor by which a
    contact multiplies the hazard while it acts, on (a, a + R],

        effect(a) = mean of exp(-A(t)) - exp(-A(t) - (r - 1) (A(min(a + R, t)) - A(a))).

    Who buys before a isn't contacted, and adds nothing.

    Parameters
    ----------
    fit
        A fitted `Churn`, `SecondPurchase` or `ParametricSurvival` of data with randomised
        `Contacts`.
    time
        By which purchases count, since the first one.
    timings
        Waits at which contact is made; None takes the middle of each range of the data's.
    customers
        Whose effect, on average; None means those of the fit.
    value, cost
        Of a purchase, and of a contact, in the same currency.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        Along `timing`, with ``chain, draw`` first: `hazard_ratio`, r; `effect`, a difference in
        probability; `contacted`, the share who haven't bought by then and get the contact;
        `effect_per_contact`, their ratio; `net_value`, value x effect - cost x contacted, by
        customer acquired. And `p_best` (timing), the probability that the timing has the highest
        net value.

    Raises
    ------
    SpecError
        If the data have no contacts, if these weren't randomised, or for times out of range.

    Notes
    -----
    Randomised contacts alone can tell effects from what customers would have done anyway. The
    figures are causal if

    - among customers at risk at a wait, chance decided who was contacted then;
    - a contact acts only while `reach` says, and nobody waits for it;
    - one customer's contact doesn't change another's purchase;
    - the model's hazards are right: where customers differ in more than their covariates, those
      contacted early are used up sooner, which pulls later hazards together.
    """
    marks = usable(fit, allow_unconverged)
    timing = _randomised(fit)
    data = fit.data if customers is None else customers
    end = float(check_times(time, float(fit.data.cuts[-1]), fit.data.unit)[0])
    waits = _waits(timing, timings, end)
    found = _Sums.over(fit, data, timing, waits, end)
    ratio = labelled(fit, found.ratio, (TIMING,), timing=waits)
    effect, contacted = (labelled(fit, v, (TIMING,)) for v in (found.effect, found.contacted))
    net = value * effect - cost * contacted
    best = net.to_numpy().argmax(axis=-1)
    out = xr.Dataset(
        {
            "hazard_ratio": ratio,
            "effect": effect,
            "contacted": contacted,
            "effect_per_contact": effect / contacted,
            "net_value": net,
            "p_best": (TIMING, [np.mean(best == i) for i in range(len(waits))]),
        },
        attrs={"claim": CAUSAL, "time": end, "reach": timing.reach, "value": value, "cost": cost,
               **marks},
    )  # fmt: skip
    for name in out.data_vars:
        out[name].attrs["units"] = "currency" if name == "net_value" else "1"
    out[TIMING].attrs["units"] = fit.data.unit
    return out


def _randomised(fit: Fit) -> Timing:
    """Return the fit's contacts, if they were randomised."""
    if isinstance(fit.spec, CompetingRisks):
        cause = fit.data.causes[0]
        raise SpecError(f"Ask the fit of one cause: cause_specific(fit, {cause!r}).")
    timing = Timing.of(fit.data)
    if timing is None:
        raise SpecError(
            "The data have no contacts. Read them by FirstPurchases.from_transactions(..., "
            "contacts=Contacts(...))."
        )
    if not timing.randomised:
        raise SpecError(
            "Contacts in the data weren't randomised: who was contacted when may depend on who "
            "would have bought anyway, and the effect of timing can't be told from that. Randomise "
            "contact dates; Contacts(..., randomised=True) declares that this was done. "
            "contact_windows() predicts without a claim."
        )
    return timing


def _waits(timing: Timing, given: ArrayLike | None, end: float) -> Array:
    """Return the waits asked for."""
    lows = np.concatenate([[0.0], timing.ends[:-1]])
    middle = np.floor(0.5 * (lows + timing.ends))
    waits = middle[middle < end] if given is None else np.atleast_1d(np.asarray(given, float))
    if waits.ndim != 1 or not len(waits) or np.any(np.diff(waits) <= 0) or waits[0] < 0:
        raise SpecError(f"timings={given!r} must be ascending numbers >= 0.")
    if waits[-1] > timing.ends[-1] or waits[-1] >= end:
        raise SpecError(
            f"timings={given!r} must lie before time={end:g} and by {timing.ends[-1]:g}, the last "
            "at which anyone was contacted."
        )
    return waits


class _Sums:
    """Means over customers, each (chain x draw, timing): `ratio`, `effect`, `contacted`."""

    def __init__(self, ratio: Array) -> None:
        self.ratio = ratio
        self.effect = np.zeros_like(ratio)
        self.contacted = np.zeros_like(ratio)

    @classmethod
    def over(cls, fit: Fit, data: Spells, timing: Timing, waits: Array, end: float) -> _Sums:
        """Return them over the draws."""
        every = hazard_ratio(fit, allow_unconverged=True).to_numpy()
        every = every.reshape(-1, every.shape[-1])
        sums = cls(every[:, timing.columns[timing.range_of(waits)]])
        coding = Coding.of(fit.data)
        design = coding.apply(data)
        none = -coding.mean[timing.columns] / coding.scale[timing.columns]
        design[:, timing.columns] = none
        weight = _at_origin(data)
        over = np.minimum(waits + timing.reach, end)
        times = np.unique(np.concatenate([waits, over, [end]]))
        first, last = np.searchsorted(times, waits), np.searchsorted(times, over)
        parts = survival_parts(fit, data, times, features=design, cells=np.flatnonzero(weight))
        for where, cells, survival in parts:
            total = -np.log(np.maximum(survival, 1e-300))
            extra = (sums.ratio[where, None] - 1.0) * (total[..., last] - total[..., first])
            gain = np.exp(-total[..., -1:]) * -np.expm1(-extra)
            sums.effect[where] += np.einsum("c,zct->zt", weight[cells], gain)
            sums.contacted[where] += np.einsum("c,zct->zt", weight[cells], survival[..., first])
        return sums


def _at_origin(data: Spells) -> Array:
    """Return the share of customers in each cell when their wait begins (cell,)."""
    rows = data.data
    begins = rows["entry"].values == 0
    if not begins.any():
        raise SpecError("No spell of these customers was followed from its origin.")
    cell = rows["cell_of_row"].values[begins]
    weight = np.bincount(cell, rows["count"].values[begins], minlength=rows.sizes[CELL])
    return np.asarray(weight / weight.sum())
