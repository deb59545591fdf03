"""Sales under other media: incremental sales, contributions, sales without media."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import xarray as xr

from bayes_mkt.dims import CHANNEL, CONTROL, DATE, REGION, SAMPLE, check_by
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.media_mix.controls import levels
from bayes_mkt.media_mix.estimand import Estimand, Question
from bayes_mkt.media_mix.scaling import Scaling, lags

CELLS = (REGION, DATE, CHANNEL)


def incremental_sales(
    fit: Fit,
    estimand: Estimand | None = None,
    by: Sequence[str] | str = (CHANNEL,),
    *,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the sales that media caused, E[sales | media] - E[sales | a channel switched off].

    Summed over the question's region-weeks, with h the saturated carried exposure under each
    plan (`models` of `MediaMix`): sum_gt beta_gm (h_gtm - h'_gtm) p_g s.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    estimand
        The question; None asks about all media over the whole panel.
    by
        Dimensions to keep, of ``region, date, channel``; others are summed.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, *by``, in units of the panel's sales; of regions and channels only
        those that the estimand asks about.

    Raises
    ------
    SpecError
        If the estimand or `by` doesn't fit the panel.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    Causal under the assumptions of `MediaMix`.
    """
    marks = usable(fit, allow_unconverged)
    by = check_by(by, CELLS, "incremental_sales")
    panel = fit.data
    question = (estimand or Estimand()).resolve(panel, fit.spec.adstock.max_lag)
    now = panel.data["exposure"].to_numpy()
    off = np.where(question.changed[:, :, None], 0.0, now)
    weight = question.counted[:, :, None] & question.channels
    (values,) = differences(fit, now, [off], weight, by)
    out = asked_only(labelled(fit, values, by), question)
    return out.assign_attrs(
        units=panel.data["sales"].attrs["units"], long_name="Incremental sales", **marks
    ).rename("incremental_sales")


def contributions(
    fit: Fit, by: Sequence[str] | str = (CHANNEL,), *, allow_unconverged: bool = False
) -> xr.DataArray:
    """Return what each channel contributed to expected sales, beta_gm h_gtm p_g s.

    The contribution of a period comes from the media of that period and of those before. It
    equals the incremental sales of the whole panel.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    by
        Dimensions to keep, of ``region, date, channel``; others are summed.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, *by``, in units of the panel's sales. Region-weeks without observed
        sales don't count.
    """
    return (
        incremental_sales(fit, by=by, allow_unconverged=allow_unconverged)
        .assign_attrs(long_name="Contribution to sales")
        .rename("contribution")
    )


def expected_sales(
    fit: Fit,
    by: Sequence[str] | str = (REGION, DATE),
    *,
    media: bool = True,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return the expectation of sales under the panel's media, or without any.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    by
        Dimensions to keep, of ``region, date``; others are summed.
    media
        True for the panel's own media, False for none at all.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, *by``, in units of the panel's sales. Region-weeks without observed
        sales don't count: NaN where kept, left out of sums.
    """
    marks = usable(fit, allow_unconverged)
    by = check_by(by, (REGION, DATE), "expected_sales")
    panel = fit.data
    exposure = panel.data["exposure"].to_numpy() * float(media)
    seen = panel.observed.to_numpy()
    sets = [{"lagged_exposure": lagged(fit, exposure)}]
    total = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    out = np.empty((total, *(panel.data.sizes[d] for d in by)))
    axes = tuple(1 + i for i, d in enumerate((REGION, DATE)) if d not in by)
    for where, (result,) in fit.target.evaluate(
        fit.posterior, ["expected_sales"], data=sets, hold=("effect",)
    ):
        cells = result["expected_sales"]
        out[where] = np.where(seen, cells, 0.0).sum(axes) if axes else np.where(seen, cells, np.nan)
    name = "expected_sales" if media else "baseline_sales"
    return (
        labelled(fit, out, by)
        .assign_attrs(
            units=panel.data["sales"].attrs["units"],
            long_name="Expected sales" if media else "Expected sales without media",
            **marks,
        )
        .rename(name)
    )


def baseline_sales(
    fit: Fit, by: Sequence[str] | str = (REGION, DATE), *, allow_unconverged: bool = False
) -> xr.DataArray:
    """Return what sales would have been without any media, expected.

    See `expected_sales` with ``media=False``.
    """
    return expected_sales(fit, by, media=False, allow_unconverged=allow_unconverged)


def control_contributions(
    fit: Fit,
    by: Sequence[str] | str = (CONTROL,),
    *,
    reference: Mapping[str, float | str] | Literal["mean", "min", "max"] | None = None,
    allow_unconverged: bool = False,
) -> xr.DataArray:
    """Return what controls added to expected sales, against a level that each is compared with.

        gamma_gc (z_gtc - z0_c) p_g s,

    z0 the reference: a promotion that never ran, a price of 10, or the mean of the panel. So what
    isn't media (price, promotions, distribution) has its contribution too.

    Parameters
    ----------
    fit
        A fitted `MediaMix` of a panel with controls.
    by
        Dimensions to keep, of ``region, date, control``; others are summed.
    reference
        ``"mean"``, ``"min"`` or ``"max"`` of each control over the panel; or control -> one of
        these words, or a value in its own unit, the mean for those not named. None (default) is
        the model's `treatments`.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the result is marked.

    Returns
    -------
    DataArray
        Dims ``chain, draw, *by``, in units of the panel's sales; region-weeks without observed
        sales don't count.

    Raises
    ------
    SpecError
        If the panel has no controls, or one named isn't in it.
    """
    marks = usable(fit, allow_unconverged)
    by = check_by(by, (REGION, DATE, CONTROL), "control_contributions")
    panel = fit.data
    if not panel.controls:
        raise SpecError("control_contributions: the panel has no controls.")
    scaling = Scaling.of(panel)
    values = panel.data["controls"].where(panel.observed)
    level = levels(values, fit.spec.treatments if reference is None else reference)
    change = ((values - level) / scaling.control_sd).fillna(0.0)
    by_region = "region_control_effect" in fit.posterior
    effect = fit.posterior["region_control_effect" if by_region else "control_effect"]
    heads = xr.DataArray(scaling.population * scaling.sales_sd, coords={REGION: panel.data[REGION]})
    weight = change * heads
    others = [d for d in (REGION, DATE, CONTROL) if d not in by]
    if DATE in others:
        weight, others = weight.sum(DATE), [d for d in others if d != DATE]
    out = (effect * weight).sum(others).transpose(*SAMPLE, *by)
    units = panel.data["sales"].attrs["units"]
    named = {"units": units, "long_name": "Contribution of controls to sales"}
    named_out: xr.DataArray = out.assign_attrs(**named, **marks).rename("control_contribution")
    return named_out


def adstock_weights(fit: Fit, *, allow_unconverged: bool = False) -> xr.DataArray:
    """Return the share of an exposure's effect that falls on each period after it.

    Returns
    -------
    DataArray
        Dims ``chain, draw, channel, lag``, with `region` after `channel` where regions have
        curves of their own; sums to one over `lag`.
    """
    marks = usable(fit, allow_unconverged)
    parts = [
        result["adstock_weight"]
        for _, (result,) in fit.target.evaluate(fit.posterior, ["adstock_weight"])
    ]
    values = np.concatenate(parts)
    dims = (CHANNEL, REGION, "lag") if values.ndim == 4 else (CHANNEL, "lag")
    out = labelled(fit, values, dims, lag=np.arange(values.shape[-1]))
    return out.assign_attrs(units="1", long_name="Adstock weight", **marks).rename("adstock_weight")


def lagged(fit: Fit, exposure: np.ndarray) -> np.ndarray:
    """Return exposure (region, date, channel) as the model's data `lagged_exposure`."""
    return lags(Scaling.of(fit.data).scale_exposure(exposure), fit.spec.adstock.max_lag)


def differences(
    fit: Fit,
    plan: np.ndarray,
    others: Sequence[np.ndarray],
    weight: np.ndarray,
    by: tuple[str, ...],
) -> list[np.ndarray]:
    """Return the weighted sum of media contributions under a plan less that under others.

    Parameters
    ----------
    plan, others
        Exposure (region, date, channel).
    weight
        Broadcastable to (region, date, channel): zero where nothing is counted, else one, or
        the price of a sale.
    by
        Dimensions kept.

    Returns
    -------
    list of ndarray
        For each of `others`, (chain x draw, *by).
    """
    total = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    shape = [fit.data.data.sizes[d] for d in by]
    out = [np.empty((total, *shape)) for _ in others]
    # Contributions are computed as (region, date, channel); the sum runs over what isn't kept.
    letters = dict(zip(CELLS, "gtm", strict=True))
    formula = f"zgtm,gtm->z{''.join(letters[d] for d in by)}"
    weights = np.broadcast_to(weight, plan.shape)
    sets = [{"lagged_exposure": lagged(fit, exposure)} for exposure in (plan, *others)]
    for where, (first, *rest) in fit.target.evaluate(
        fit.posterior, ["media_contribution"], data=sets, hold=("effect",)
    ):
        for target, other in zip(out, rest, strict=True):
            change = first["media_contribution"] - other["media_contribution"]
            target[where] = np.einsum(formula, change, weights)
    return out


def labelled(fit: Fit, values: np.ndarray, dims: tuple[str, ...], **coords: object) -> xr.DataArray:
    """Return values (chain x draw, *dims) as an array with the panel's coordinates."""
    posterior, panel = fit.posterior, fit.data.data
    shape = (posterior.sizes["chain"], posterior.sizes["draw"], *values.shape[1:])
    known = {d: panel[d] for d in dims if d in panel.coords}
    sample = {d: posterior[d] for d in SAMPLE}
    return xr.DataArray(
        values.reshape(shape), dims=(*SAMPLE, *dims), coords={**sample, **known, **coords}
    )


def asked_only(array: xr.DataArray, question: Question) -> xr.DataArray:
    """Return only the regions and channels that the question asks about."""
    asked = {REGION: question.regions, CHANNEL: question.channels}
    return array.isel({d: mask for d, mask in asked.items() if d in array.dims})
