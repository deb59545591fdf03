"""Answers on customers, each with draws: P(alive), purchases, baskets, lifetime value, states."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import xarray as xr

from bayes_mkt.customers.asked import (
    By,
    Part,
    Segments,
    answer,
    basket_mean,
    grouping,
    purchase_model,
    segment_codes,
    spend_model,
)
from bayes_mkt.customers.futures import discounted
from bayes_mkt.customers.history import DAYS
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable

__all__ = [
    "clv",
    "customer_states",
    "expected_purchases",
    "next_basket",
    "p_alive",
    "purchase_distribution",
    "segment_value",
]

STATUSES: Final = ("active", "cold", "lost")


def p_alive(
    fit: Fit,
    by: By = "customer",
    *,
    segments: Segments | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the probability that customers are alive, not lost for good, at the history's end.

    Given the hyperparameters and the customer's history; its draws vary with the hyperparameters.

    Parameters
    ----------
    fit
        A fitted `Lifetime`, `BGNBD`, `MBGNBD` or `ParetoNBD`.
    by
        ``"customer"``; ``"state"``, unique histories; or the mean over the customers of each
        ``"market"`` or ``"segment"``, or of all (``"total"``).
    segments
        A label for each customer: in the order of ``fit.data.data["customer"]``, or a mapping from
        customers to labels.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw`` and the one asked for.

    Notes
    -----
    Under BG/NBD a customer can only leave after a repeat purchase: who bought once is alive with
    probability 1. Take `MBGNBD` or `ParetoNBD` where that isn't believable.
    """
    marks = usable(fit, allow_unconverged)
    purchase_model(fit)
    group = grouping(fit.data, by, segments)
    out = answer(fit, group, lambda part: part.p_alive, mean=True)
    return out.rename("p_alive").assign_attrs(units="1", long_name="P(alive)", **marks)


def expected_purchases(
    fit: Fit,
    horizon: float,
    by: By = "customer",
    *,
    segments: Segments | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return expected purchases within a horizon after the history: P(alive) E[N(h) | alive].

    Parameters
    ----------
    fit, by, segments, allow_unconverged
        As for `p_alive`; groups are summed.
    horizon
        In the history's unit of time.

    Returns
    -------
    DataArray
        Dims ``chain, draw`` and the one asked for, in days of purchase. The draws hold what is
        uncertain about the hyperparameters; what a customer does by chance is in `revenue`.
    """
    marks = usable(fit, allow_unconverged)
    horizon = _positive("horizon", horizon)
    purchase_model(fit)
    group = grouping(fit.data, by, segments)
    out = answer(
        fit,
        group,
        lambda part: part.p_alive * part.of_alive(lambda future: future.expected(horizon)),
        mean=False,
    )
    return out.rename("expected_purchases").assign_attrs(
        units="purchases",
        long_name=f"Expected purchases within {horizon:g} {fit.data.unit}",
        **marks,
    )


def next_basket(
    fit: Fit,
    by: By = "customer",
    *,
    segments: Segments | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the expected amount of a customer's next purchase, p (xz + v) / (px + q - 1).

    Parameters
    ----------
    fit
        A fitted `Lifetime` with spend.
    by, segments, allow_unconverged
        As for `p_alive`; groups are averaged.

    Returns
    -------
    DataArray
        Dims ``chain, draw`` and the one asked for, in the history's currency.
    """
    marks = usable(fit, allow_unconverged)
    _needs_spend(fit, "next_basket")
    group = grouping(fit.data, by, segments)
    out = answer(fit, group, lambda part: basket_mean(fit.data, part.spend), mean=True)
    return out.rename("next_basket").assign_attrs(
        units=fit.data.currency, long_name="Expected next basket", **marks
    )


def clv(
    fit: Fit,
    horizon: float | None = None,
    annual_discount: float = 0.1,
    by: By = "customer",
    *,
    margin: float = 1.0,
    draws: int | None = 400,
    segments: Segments | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return customer lifetime value: expected discounted revenue after the history's end.

        CLV = margin E[basket] P(alive) INT_0^h e^(-d t) dM(t),

    M(t) expected purchases of the alive within t, d = ln(1 + annual_discount) a year. The product
    is taken draw by draw, so what is uncertain about purchases and about spend stays together.

    Parameters
    ----------
    fit
        A fitted `Lifetime` with spend.
    horizon
        In the history's unit of time; None for ever, which needs a discount above 0.
    annual_discount
        Discount a year: 0.1 makes 1.10 in a year worth 1 now.
    margin
        Share of revenue that is counted.
    draws
        About how many draws to use, evenly spaced over those of the fit; None uses all.
    by, segments, allow_unconverged
        As for `p_alive`; groups are summed.

    Returns
    -------
    DataArray
        Dims ``chain, draw`` and the one asked for, in the history's currency. Residual: what was
        bought so far isn't in it.
    """
    marks = usable(fit, allow_unconverged)
    _needs_spend(fit, "clv")
    rate = _discount(annual_discount, fit.data.unit)
    if horizon is None and rate == 0.0:
        raise SpecError("horizon=None needs annual_discount > 0: value for ever may be infinite.")
    span = None if horizon is None else _positive("horizon", horizon)

    def value(part: Part) -> Any:
        purchases = part.p_alive * part.of_alive(lambda f: discounted(f, span, rate))
        return margin * purchases * basket_mean(fit.data, part.spend)

    out = answer(fit, grouping(fit.data, by, segments), value, mean=False, draws=draws)
    return out.rename("clv").assign_attrs(
        units=fit.data.currency,
        long_name="Customer lifetime value",
        horizon="for ever" if span is None else span,
        annual_discount=annual_discount,
        margin=margin,
        **marks,
    )


def customer_states(
    fit: Fit,
    horizon: float,
    by: By = "customer",
    *,
    segments: Segments | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the probabilities that a customer is active, cold, or lost; they sum to 1.

    - active: buys at least once within the horizon, P(alive) (1 - S(h));
    - cold: is alive, but doesn't buy within it, P(alive) S(h);
    - lost: is not alive at the end of the history, 1 - P(alive);

    S(h) the probability that someone who is alive doesn't buy within h.

    Parameters
    ----------
    fit, by, segments, allow_unconverged
        As for `p_alive`; groups are averaged, so they give shares of customers.
    horizon
        In the history's unit of time.

    Returns
    -------
    DataArray
        Dims ``chain, draw``, the one asked for, and ``status``. Who calls a customer lost from
        P(lost) > 0.5, say, makes a decision; these are the probabilities to base it on.
    """
    marks = usable(fit, allow_unconverged)
    horizon = _positive("horizon", horizon)
    purchase_model(fit)

    def shares(part: Part) -> Any:
        silent = part.of_alive(lambda future: future.silent(horizon))
        parts = (part.p_alive * (1.0 - silent), part.p_alive * silent, 1.0 - part.p_alive)
        return np.stack(parts, axis=-1)

    group = grouping(fit.data, by, segments)
    out = answer(fit, group, shares, mean=True, tail={"status": STATUSES})
    return out.rename("customer_states").assign_attrs(
        units="1", long_name="Probability", horizon=horizon, **marks
    )


def segment_value(
    fit: Fit,
    segments: Segments,
    horizon: float | None = None,
    annual_discount: float = 0.1,
    *,
    per: str = "segment",
    margin: float = 1.0,
    draws: int | None = 400,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the lifetime value of segments: their customers' CLV, summed draw by draw.

    Parameters
    ----------
    fit, horizon, annual_discount, margin, draws, allow_unconverged
        As for `clv`.
    segments
        A label for each customer: in the order of ``fit.data.data["customer"]``, or a mapping from
        customers to labels.
    per
        ``"segment"`` for totals, ``"customer"`` for the mean over a segment's customers.

    Returns
    -------
    DataArray
        Dims ``chain, draw, segment``, in the history's currency; coordinate `customers`, how many
        each segment has. Draws are joint: differences between segments, and sums of them, keep
        what the segments share.
    """
    if per not in ("segment", "customer"):
        raise SpecError(f"per={per!r}: choose from segment, customer.")
    out = clv(
        fit, horizon, annual_discount, "segment", margin=margin, draws=draws, segments=segments,
        allow_unconverged=allow_unconverged,
    )  # fmt: skip
    code, labels = segment_codes(fit.data, segments)
    out = out.assign_coords(customers=("segment", np.bincount(code, minlength=len(labels))))
    if per == "customer":
        attrs = {**out.attrs, "units": f"{out.attrs['units']} a customer"}
        out = (out / out["customers"]).assign_attrs(attrs)
    return out.rename("segment_value")


def purchase_distribution(
    fit: Fit,
    horizon: float,
    by: By = "customer",
    *,
    most: int = 10,
    draws: int | None = 400,
    segments: Segments | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the probabilities of 0, 1, 2, ... purchases within a horizon after the history.

    Exact given the hyperparameters, P(alive) P(n given alive), and P(not alive) more at 0; the
    mean over draws is the predictive distribution.

    Parameters
    ----------
    fit, by, segments, allow_unconverged
        As for `p_alive`; groups are averaged, so they give shares of customers.
    horizon
        In the history's unit of time.
    most
        The last class is of so many or more.
    draws
        As for `clv`.

    Returns
    -------
    DataArray
        Dims ``chain, draw``, the one asked for, and ``purchases``: "0", "1", ..., "10+"; they sum
        to 1.
    """
    marks = usable(fit, allow_unconverged)
    horizon = _positive("horizon", horizon)
    purchase_model(fit)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise SpecError(f"most={most!r} must be an integer >= 1.")

    def chances(part: Part) -> Any:
        values = part.of_alive(lambda future: future.chances(horizon, most))
        values *= part.p_alive[..., None]
        values[..., 0] += 1.0 - part.p_alive
        return values

    labels = [*map(str, range(most)), f"{most}+"]
    group = grouping(fit.data, by, segments)
    out = answer(fit, group, chances, mean=True, tail={"purchases": labels}, draws=draws)
    return out.rename("purchase_distribution").assign_attrs(
        units="1", long_name="Probability", horizon=horizon, **marks
    )


def _positive(name: str, value: float) -> float:
    """Return a number above 0, or raise."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise SpecError(f"{name}={value!r} is not a number.")
    if not (0 < value < math.inf):
        raise SpecError(f"{name}={value!r} must be > 0, in the history's unit of time.")
    return float(value)


def _discount(annual: float, unit: str) -> float:
    """Return the continuous rate in the unit of time."""
    if not (isinstance(annual, int | float) and 0.0 <= annual < math.inf):
        raise SpecError(f"annual_discount={annual!r} must be a number >= 0, such as 0.1.")
    return math.log1p(annual) * DAYS[unit] / 365.25


def _needs_spend(fit: Fit, what: str) -> None:
    """Raise unless spend and purchases were both modelled."""
    purchase_model(fit)
    if spend_model(fit) is None:
        raise SpecError(f"{what} needs a model of spend: fit Lifetime(..., spend=GammaGamma()).")
