"""Return on investment, marginal return, response curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr

from bayes_mkt.dims import CHANNEL, REGION, check_by
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.media_mix.counterfactual import CELLS, asked_only, differences, labelled
from bayes_mkt.media_mix.estimand import Estimand, Question
from bayes_mkt.media_mix.panel import MediaPanel

MULTIPLIERS = tuple(round(0.1 * i, 1) for i in range(21))


def roi(
    fit: Fit,
    estimand: Estimand | None = None,
    by: Sequence[str] | str = (CHANNEL,),
    *,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the return on investment: incremental revenue per unit of currency spent.

        ROI = sum_gt u_gt (E[sales_gt | media] - E[sales_gt | channel off]) / sum_gt spend_gtm,

    u the revenue per sale (1 where sales are revenue already).

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    estimand
        The question; None asks about all media over the whole panel.
    by
        Dimensions to keep, of ``region, channel``; numerator and denominator are summed over
        the others. ``()`` is the return on all paid media together.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, *by``, revenue per unit of spend; paid channels only, of those
        asked about. NaN where nothing was spent.

    Raises
    ------
    SpecError
        If the panel has no spend, or none that the estimand asks about.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    Causal under the assumptions of `MediaMix`.
    """
    marks = usable(fit, allow_unconverged)
    by = check_by(by, (REGION, CHANNEL), "roi")
    panel, question = fit.data, _paid_question(fit, estimand, "ROI")
    now = panel.data["exposure"].to_numpy()
    off = np.where(question.changed[:, :, None], 0.0, now)
    values = _ratio(fit, question, off, by, share=1.0)
    units = "revenue per unit of spend"
    return values.assign_attrs(units=units, long_name="ROI", **marks).rename("roi")


def marginal_roi(
    fit: Fit,
    estimand: Estimand | None = None,
    by: Sequence[str] | str = (CHANNEL,),
    *,
    step: float = 0.01,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the marginal ROI: revenue of the next unit of spend, at the present level.

        mROI = sum_gt u_gt (E[sales_gt | (1 + step) media] - E[sales_gt | media]) / (step spend),

    media and spend raised by the same share in every region and period of the spend window:
    exposure, or reach at constant frequency.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    estimand
        The question; None asks about all media over the whole panel.
    by
        Dimensions to keep, of ``region, channel``.
    step
        The relative step, > 0; small, so that the answer is a derivative.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, *by``, revenue per unit of spend; paid channels only.

    Raises
    ------
    SpecError
        If the panel has no spend, or `step` isn't positive.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.
    """
    marks = usable(fit, allow_unconverged)
    by = check_by(by, (REGION, CHANNEL), "marginal_roi")
    if not step > 0:
        raise SpecError(f"step={step!r} must be > 0, as 0.01 for one per cent.")
    question = _paid_question(fit, estimand, "Marginal ROI")
    now = fit.data.data["exposure"].to_numpy()
    more = np.where(question.changed[:, :, None], now * (1.0 + step), now)
    values = _ratio(fit, question, more, by, share=-step)
    units = "revenue per unit of spend"
    return values.assign_attrs(units=units, long_name="Marginal ROI", **marks).rename(
        "marginal_roi"
    )


def response_curves(
    fit: Fit,
    estimand: Estimand | None = None,
    *,
    multipliers: Sequence[float] = MULTIPLIERS,
    allow_unconverged: bool = False,
) -> xr.Dataset:
    """Return incremental sales of each channel as its media in the spend window are multiplied.

    Of a channel with reach and frequency it is reach that is multiplied.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    estimand
        The question; None asks about all media over the whole panel.
    multipliers
        Factors, >= 0, by which all media of a channel are multiplied; 1 is the present level.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    Dataset
        `incremental_sales` (chain, draw, channel, multiplier), against the channel switched off;
        `spend` (channel, multiplier), spend at that multiplier, or exposure for a channel
        without spend (coordinate `paid` tells which). Coordinates `observed_min` and
        `observed_max` (channel) bound the multipliers that the data have seen: the weakest and
        the strongest period of the panel, all regions together, relative to the window's mean.
        Beyond them a curve is extrapolation.
    """
    marks = usable(fit, allow_unconverged)
    factors = np.asarray(tuple(multipliers), dtype=float)
    if factors.ndim != 1 or not factors.size or not (np.isfinite(factors) & (factors >= 0)).all():
        raise SpecError(f"multipliers={multipliers!r} must be numbers >= 0.")
    panel = fit.data
    question = (estimand or Estimand()).resolve(panel, fit.spec.adstock.max_lag)
    now = panel.data["exposure"].to_numpy()
    changed = question.changed[:, :, None]
    off = np.where(changed, 0.0, now)
    plans = [np.where(changed, now * factor, now) for factor in factors]
    # differences() gives off - plan; the curve is its negative.
    sums = differences(fit, off, plans, question.counted[:, :, None], (CHANNEL,))
    curve = labelled(fit, -np.stack(sums, axis=-1), (CHANNEL, "multiplier"), multiplier=factors)
    level, low, high, paid = _levels(panel, question)
    spend = xr.DataArray(
        level[:, None] * factors,
        dims=(CHANNEL, "multiplier"),
        attrs={"units": panel.currency or "currency", "long_name": "Spend"},
    )
    units = panel.data["sales"].attrs["units"]
    out = xr.Dataset(
        {
            "incremental_sales": curve.assign_attrs(
                units=units, long_name="Incremental sales", **marks
            ),
            "spend": spend,
        },
        coords={
            "paid": (CHANNEL, paid),
            "observed_min": (CHANNEL, low),
            "observed_max": (CHANNEL, high),
        },
        attrs=marks,
    )
    return out.isel({CHANNEL: question.channels})


def _levels(
    panel: MediaPanel, question: Question
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return spend in the window, its observed range in multiples of today's, and who pays."""
    paid = np.asarray([c in panel.paid_channels for c in panel.channels])
    media = np.where(paid, panel.data["spend"].to_numpy(), panel.data["exposure"].to_numpy())
    level = (media * question.paid[:, :, None]).sum(axis=(0, 1))
    periods = question.paid.any(axis=0)
    mean = media[:, periods].sum(axis=0).mean(axis=0)
    by_date = media.sum(axis=0)
    safe = np.where(mean > 0, mean, np.nan)
    return level, by_date.min(axis=0) / safe, by_date.max(axis=0) / safe, paid


def _paid_question(fit: Fit, estimand: Estimand | None, what: str) -> Question:
    """Return the question, after checking that there is spend to divide by."""
    panel = fit.data
    if not panel.paid_channels:
        raise SpecError(
            f"{what} needs spend, and the panel has no spend: {', '.join(panel.channels)} came as "
            "exposure only. Ask for incremental_sales(), or load the panel with spend=."
        )
    question = (estimand or Estimand()).resolve(panel, fit.spec.adstock.max_lag)
    asked = [c for c, on in zip(panel.channels, question.channels, strict=True) if on]
    paid = [c for c in asked if c in panel.paid_channels]
    if not paid:
        raise SpecError(f"{what}: none of the channels asked about, {asked}, has spend.")
    spend = panel.data["spend"].sel({CHANNEL: paid}).to_numpy() * question.paid[:, :, None]
    if not spend.sum() > 0:
        raise SpecError(f"{what}: nothing was spent in the spend window of {estimand!r}.")
    return question


def _ratio(
    fit: Fit, question: Question, other: np.ndarray, by: tuple[str, ...], share: float
) -> xr.DataArray:
    """Return incremental revenue against a plan, per unit of spend changed.

    Parameters
    ----------
    other
        Exposure of plan B (region, date, channel).
    share
        The share of spend by which plan A exceeds plan B.
    """
    panel = fit.data
    asked = question.channels & np.asarray([c in panel.paid_channels for c in panel.channels])
    price = np.ones(question.counted.shape)
    if "revenue_per_sale" in panel.data:
        price = np.nan_to_num(panel.data["revenue_per_sale"].to_numpy(), nan=0.0)
    weight = (question.counted * price)[:, :, None] * asked
    now = panel.data["exposure"].to_numpy()
    (revenue,) = differences(fit, now, [other], weight, by)
    spend = np.nan_to_num(panel.data["spend"].to_numpy()) * question.paid[:, :, None] * asked
    axes = tuple(i for i, d in enumerate(CELLS) if d not in by)
    spent = spend.sum(axis=axes) * share
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(spent != 0, revenue / spent, np.nan)
    out = labelled(fit, ratio, by)
    return asked_only(out, replace(question, channels=asked))
