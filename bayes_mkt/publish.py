"""From a fit to what is handed on: the answers, their tables, and the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.dims import CHANNEL, DATE, REGION, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.media_mix.counterfactual import (
    adstock_weights,
    baseline_sales,
    contributions,
    expected_sales,
    incremental_sales,
)
from bayes_mkt.media_mix.estimand import Estimand
from bayes_mkt.media_mix.lift_check import check_lift_tests
from bayes_mkt.media_mix.returns import marginal_roi, response_curves, roi
from bayes_mkt.report import MediaMixReport, Verdict, table
from bayes_mkt.specs import to_table

if TYPE_CHECKING:
    from bayes_mkt.fit import Fit
    from bayes_mkt.media_mix.budget import Allocation
    from bayes_mkt.media_mix.panel import MediaPanel
    from bayes_mkt.media_mix.refute import Refutation

__all__ = ["MediaMixAnswers", "answer_media_mix", "report_media_mix", "write_media_mix"]

PRIOR_DRAWS = 4000


@dataclass(frozen=True)
class MediaMixAnswers:
    """What a fitted media mix says about one estimand.

    Parameters
    ----------
    roi, marginal_roi
        ``chain, draw, channel``; None where there is no spend to divide by.
    roi_prior
        Draws of the prior of `roi`, where the model states one for this estimand.
    roi_absent_reason
        Why there is no `roi`, or None.
    incremental_sales
        ``chain, draw, channel``.
    contributions, baseline
        ``chain, draw, date, channel`` and ``chain, draw, date``, over all regions.
    expected
        Expected sales, ``chain, draw, region, date``.
    response_curves
        As `bayes_mkt.response_curves` returns them.
    adstock
        ``chain, draw, channel, lag``.
    """

    roi: xr.DataArray | None
    marginal_roi: xr.DataArray | None
    roi_prior: xr.DataArray | None
    roi_absent_reason: str | None
    incremental_sales: xr.DataArray
    contributions: xr.DataArray
    baseline: xr.DataArray
    expected: xr.DataArray
    response_curves: xr.Dataset
    adstock: xr.DataArray


def answer_media_mix(
    fit: Fit, estimand: Estimand | None = None, *, allow_unconverged: bool = False
) -> MediaMixAnswers:
    """Compute everything that the tables and the report of a media mix show.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    estimand
        The question; None asks about all media over the whole panel.
    allow_unconverged
        Whether to answer from draws whose verdict failed; every answer is then marked.

    Raises
    ------
    SpecError
        If the estimand doesn't fit the panel.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.
    """
    asked = estimand or Estimand()
    sales = incremental_sales(fit, asked, allow_unconverged=allow_unconverged)
    reason: str | None = None
    earned: xr.DataArray | None = None
    following: xr.DataArray | None = None
    try:
        earned = roi(fit, asked, allow_unconverged=allow_unconverged)
        following = marginal_roi(fit, asked, allow_unconverged=allow_unconverged)
    except SpecError as error:
        reason = str(error)
    return MediaMixAnswers(
        roi=earned,
        marginal_roi=following,
        roi_prior=None if earned is None else _roi_prior(fit, asked, earned),
        roi_absent_reason=reason,
        incremental_sales=sales,
        contributions=contributions(fit, (DATE, CHANNEL), allow_unconverged=allow_unconverged),
        baseline=baseline_sales(fit, (DATE,), allow_unconverged=allow_unconverged),
        expected=expected_sales(fit, (REGION, DATE), allow_unconverged=allow_unconverged),
        response_curves=response_curves(fit, asked, allow_unconverged=allow_unconverged),
        adstock=_mean_region(adstock_weights(fit, allow_unconverged=allow_unconverged)),
    )


def _mean_region(weights: xr.DataArray) -> xr.DataArray:
    """Return adstock weights by channel; where regions have their own, the mean of these."""
    return weights.mean(REGION, keep_attrs=True) if REGION in weights.dims else weights


def report_media_mix(
    fit: Fit,
    estimand: Estimand | None = None,
    path: str | os.PathLike[str] = "report.html",
    *,
    title: str | None = None,
    truth: Mapping[str, float] | None = None,
    forecast: xr.Dataset | None = None,
    backtest: xr.Dataset | None = None,
    allocation: Allocation | None = None,
    refutation: Refutation | None = None,
    interval: float = 0.9,
    allow_unconverged: bool = False,
) -> Path:
    """Write the report of a fitted media mix as one HTML file, the verdict first.

    Parameters
    ----------
    fit
        A fitted `MediaMix`.
    estimand
        The question; None asks about all media over the whole panel.
    path
        The file to write; it is replaced whole or not at all.
    title
        Title of the page; "Media mix" and the panel's dates when not given.
    truth
        Known ROI by channel under this estimand, for simulated panels.
    forecast, backtest, allocation, refutation
        What the functions `forecast`, `backtest`, `allocate_budget` and `refute` returned for this
        fit, to be shown; None (default) leaves them out. Lift tests are shown wherever the model
        has some.
    interval
        Probability inside the intervals. Default 0.9.
    allow_unconverged
        Whether to report draws whose verdict failed; the page and its tables then say so.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    SpecError
        If the estimand doesn't fit the panel.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.
    """
    answers = answer_media_mix(fit, estimand, allow_unconverged=allow_unconverged)
    page = _page(fit, answers, estimand or Estimand(), title=title, truth=truth, interval=interval)
    page = replace(
        page,
        forecast=forecast,
        backtest=backtest,
        plan=None if allocation is None else allocation.table,
        gain=None if allocation is None else allocation.gain,
        plan_notes=() if allocation is None else allocation.notes,
        refutation=None if refutation is None else refutation.table,
    )
    return page.write(path)


def write_media_mix(
    fit: Fit,
    estimand: Estimand | None,
    folder: Path,
    *,
    title: str | None = None,
    truth: Mapping[str, float] | None = None,
    interval: float = 0.9,
    allow_unconverged: bool = False,
) -> MediaMixAnswers:
    """Write the report, the tables and the fit of a media mix into an existing directory.

    The files are ``report.html``; ``incremental_sales.csv``, ``contributions.csv`` (by date
    and channel), ``diagnostics.csv`` and, where there is spend, ``roi.csv`` and
    ``marginal_roi.csv``; and the directory ``fit``.

    Parameters
    ----------
    fit, estimand, title, truth, interval, allow_unconverged
        As for `report_media_mix`.
    folder
        Where to write.

    Returns
    -------
    MediaMixAnswers
        What was written, as draws.
    """
    answers = answer_media_mix(fit, estimand, allow_unconverged=allow_unconverged)
    page = _page(fit, answers, estimand or Estimand(), title=title, truth=truth, interval=interval)
    summaries = {
        "roi": (answers.roi, 1.0),
        "marginal_roi": (answers.marginal_roi, 1.0),
        "incremental_sales": (answers.incremental_sales, None),
        "contributions": (answers.contributions, None),
    }
    for name, (draws, above) in summaries.items():
        if draws is not None:
            table(draws, interval, above=above).to_csv(folder / f"{name}.csv")
    fit.diagnostics.table.to_dataframe().to_csv(folder / "diagnostics.csv")
    fit.save(folder / "fit")
    page.write(folder / "report.html")
    return answers


def _page(
    fit: Fit,
    answers: MediaMixAnswers,
    estimand: Estimand,
    *,
    title: str | None,
    truth: Mapping[str, float] | None,
    interval: float,
) -> MediaMixReport:
    panel: MediaPanel = fit.data
    verdict = fit.diagnostics
    about = {str(name): value for name, value in fit.draws.attrs.items()}
    versions = {
        name.removesuffix("_version"): value
        for name, value in about.items()
        if name.endswith("_version")
    }
    sampling = {
        name: value
        for name, value in about.items()
        if not name.endswith(("_version", "seconds")) and name != "free_variables"
    }
    first, last = panel.dates[0], panel.dates[-1]
    return MediaMixReport(
        title=title or f"Media mix, {first:%Y-%m-%d} to {last:%Y-%m-%d}",
        verdict=Verdict(verdict.ok, verdict.verdict, verdict.findings),
        estimand=estimand.describe(),
        facts=panel_facts(panel),
        settings={"sampling": sampling, "model": to_table(fit.spec)},
        versions=versions,
        roi=answers.roi,
        marginal_roi=answers.marginal_roi,
        roi_prior=answers.roi_prior,
        roi_absent_reason=answers.roi_absent_reason,
        incremental_sales=answers.incremental_sales,
        contributions=answers.contributions,
        baseline=answers.baseline,
        observed=panel.data["sales"],
        expected=answers.expected,
        response_curves=answers.response_curves,
        adstock=answers.adstock,
        diagnostics=verdict.table[["rhat", "ess_bulk", "ess_tail", "mcse_mean"]],
        truth=truth,
        lift_tests=check_lift_tests(fit, interval=interval, allow_unconverged=True)
        if fit.spec.lift_tests
        else None,
        interval=interval,
    )


def panel_facts(panel: MediaPanel) -> dict[str, Any]:
    """Return what a panel holds, name to value: sizes, dates, channels, gaps.

    Names that do not apply, such as channels without spend where all have it, are left out.
    """
    dates, unpaid = panel.dates, [c for c in panel.channels if c not in panel.paid_channels]
    gaps = int((~panel.observed).sum())
    cells = panel.n_regions * panel.n_dates
    return {
        "Regions": f"{panel.n_regions:,}",
        "Dates": f"{len(dates):,}, {dates[0]:%Y-%m-%d} to {dates[-1]:%Y-%m-%d} by {panel.period}",
        "Channels": ", ".join(panel.channels),
        **({"Without spend": ", ".join(unpaid)} if unpaid else {}),
        **({"Controls": ", ".join(panel.controls)} if panel.controls else {}),
        "Missing region-dates": f"{gaps:,} of {cells:,}" if gaps else "none",
        **({"Currency": panel.currency} if panel.currency else {}),
    }


def _roi_prior(fit: Fit, estimand: Estimand, posterior: xr.DataArray) -> xr.DataArray | None:
    """Return draws of the prior of ROI where the model has one for this very estimand.

    The model's prior is on the return of all spend in the panel, by channel.
    """
    spec = fit.spec
    if spec.media_prior != "roi" or spec.pooling == "none" or estimand != Estimand():
        return None
    with pm.Model(coords={CHANNEL: posterior[CHANNEL].to_numpy()}):
        variable = spec.prior("roi").variable("roi", dims=CHANNEL)
        seed = seeds.integer(fit.seed, "publish.roi_prior")
        values = pm.draw(variable, draws=PRIOR_DRAWS, random_seed=seed, mode="FAST_COMPILE")
    return xr.DataArray(
        np.asarray(values)[None],
        dims=(*SAMPLE, CHANNEL),
        coords={CHANNEL: posterior[CHANNEL]},
        name="roi",
    )
