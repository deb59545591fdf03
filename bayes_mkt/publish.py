"""From a fit to what is handed on: the answers, their tables, and the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from bayes_mkt.dims import CHANNEL, CONTROL, DATE, REGION
from bayes_mkt.errors import SpecError
from bayes_mkt.media_mix.backtest import score_table
from bayes_mkt.media_mix.counterfactual import (
    adstock_weights,
    baseline_sales,
    contributions,
    control_contributions,
    expected_sales,
    incremental_sales,
)
from bayes_mkt.media_mix.estimand import Estimand
from bayes_mkt.media_mix.lift_check import check_lift_tests
from bayes_mkt.media_mix.optimal_frequency import optimal_frequency
from bayes_mkt.media_mix.predictive import roi_prior
from bayes_mkt.media_mix.regional import regional_summary
from bayes_mkt.media_mix.returns import marginal_roi, response_curves, roi
from bayes_mkt.report import MediaMixReport, Verdict, table
from bayes_mkt.report.formats import every
from bayes_mkt.report.table import UNCONVERGED
from bayes_mkt.specs import to_table

if TYPE_CHECKING:
    from bayes_mkt.fit import Fit
    from bayes_mkt.media_mix.budget import Allocation
    from bayes_mkt.media_mix.panel import MediaPanel
    from bayes_mkt.media_mix.refute import Refutation

__all__ = ["Extras", "MediaMixAnswers", "answer_media_mix", "report_media_mix", "write_media_mix"]


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
    frequency
        As `bayes_mkt.optimal_frequency` returns it; None without reach and frequency.
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
    frequency: xr.Dataset | None


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What else a report may show, each asked for apart.

    Parameters
    ----------
    forecast, backtest, allocation, refutation
        What the functions of these names return (`allocate_budget`, `refute`).
    treatments
        Control -> the level that it is compared with: ``"mean"``, ``"min"``, ``"max"``, a number.
    """

    forecast: xr.Dataset | None = None
    backtest: xr.Dataset | None = None
    allocation: Allocation | None = None
    refutation: Refutation | None = None
    treatments: Mapping[str, float | str] | None = None


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
        roi_prior=None if earned is None else roi_prior(fit, asked, earned),
        roi_absent_reason=reason,
        incremental_sales=sales,
        contributions=contributions(fit, (DATE, CHANNEL), allow_unconverged=allow_unconverged),
        baseline=baseline_sales(fit, (DATE,), allow_unconverged=allow_unconverged),
        expected=expected_sales(fit, (REGION, DATE), allow_unconverged=allow_unconverged),
        response_curves=response_curves(fit, asked, allow_unconverged=allow_unconverged),
        adstock=_mean_region(adstock_weights(fit, allow_unconverged=allow_unconverged)),
        frequency=_frequency(fit, asked, allow_unconverged),
    )


def _frequency(fit: Fit, asked: Estimand, allow_unconverged: bool) -> xr.Dataset | None:
    """Return ROI by frequency of the channels asked about that have one."""
    own = set(fit.data.frequency_channels) & set(asked.channels or fit.data.channels)
    if not own:
        return None
    return optimal_frequency(fit, asked, allow_unconverged=allow_unconverged)


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
    treatments: Mapping[str, float | str] | None = None,
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
    treatments
        Control -> level (``"mean"``, ``"min"``, ``"max"`` or a number) against which its
        contribution is shown: a promotion against 0, a price against its mean. None (default)
        shows those of the model.
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
    extras = Extras(
        forecast=forecast,
        backtest=backtest,
        allocation=allocation,
        refutation=refutation,
        treatments=treatments,
    )
    return _with_extras(page, fit, extras).write(path)


def _with_extras(page: MediaMixReport, fit: Fit, extras: Extras) -> MediaMixReport:
    """Return the page with what else was asked for."""
    treatments, words = None, ""
    asked = {**fit.spec.treatments, **(extras.treatments or {})}
    if asked:
        treatments = control_contributions(fit, reference=asked, allow_unconverged=True).sel(
            {CONTROL: list(asked)}
        )
        words = ", ".join(
            f"{name} at its {level}" if isinstance(level, str) else f"{name} at {level:g}"
            for name, level in asked.items()
        )
    return replace(
        page,
        forecast=extras.forecast,
        backtest=extras.backtest,
        allocation=extras.allocation,
        refutation=None if extras.refutation is None else extras.refutation.table,
        treatments=treatments,
        treatments_reference=words,
    )


def write_media_mix(
    fit: Fit,
    estimand: Estimand | None,
    folder: Path,
    *,
    title: str | None = None,
    truth: Mapping[str, float] | None = None,
    extras: Extras | None = None,
    interval: float = 0.9,
    allow_unconverged: bool = False,
) -> MediaMixAnswers:
    """Write the report, the tables and the fit of a media mix into an existing directory.

    The files are ``report.html``; ``incremental_sales.csv``, ``contributions.csv`` (by date
    and channel), ``diagnostics.csv`` and, where there is spend, ``roi.csv`` and
    ``marginal_roi.csv``; where it was asked for, ``forecast.csv`` (by region and date),
    ``backtest.csv``, ``plan.csv``, ``refutation.csv``, ``lift_tests.csv`` and
    ``treatments.csv``; and the directory ``fit``.

    Parameters
    ----------
    fit, estimand, title, truth, interval, allow_unconverged
        As for `report_media_mix`.
    folder
        Where to write.
    extras
        What else to show and write; None (default) is nothing.

    Returns
    -------
    MediaMixAnswers
        What was written, as draws.
    """
    answers = answer_media_mix(fit, estimand, allow_unconverged=allow_unconverged)
    page = _page(fit, answers, estimand or Estimand(), title=title, truth=truth, interval=interval)
    page = _with_extras(page, fit, extras or Extras())
    summaries = {
        "roi": (answers.roi, 1.0),
        "marginal_roi": (answers.marginal_roi, 1.0),
        "incremental_sales": (answers.incremental_sales, None),
        "contributions": (answers.contributions, None),
        "treatments": (page.treatments, None),
        "forecast": (None if page.forecast is None else page.forecast["sales"], None),
    }
    for name, (draws, above) in summaries.items():
        if draws is not None:
            table(draws, interval, above=above).to_csv(folder / f"{name}.csv")
    decisions = {
        "plan": None if page.allocation is None else page.allocation.table.to_dataframe(),
        "refutation": None if page.refutation is None else page.refutation.set_index("check"),
        "lift_tests": page.lift_tests,
    }
    if not fit.diagnostics.ok:
        # As `table` marks what it summarises.
        decisions = {
            name: None if frame is None else frame.assign(warning=UNCONVERGED)
            for name, frame in decisions.items()
        }
    frames = {
        **decisions,
        "backtest": None if page.backtest is None else score_table(page.backtest),
        "diagnostics": fit.diagnostics.table.to_dataframe(),
    }
    for name, frame in frames.items():
        if frame is not None:
            frame.to_csv(folder / f"{name}.csv")
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
        frequency=answers.frequency,
        without_roi=() if answers.roi is None else _unpaid(panel, estimand),
        regional=regional_summary(
            fit, estimand, answers.expected, interval=interval, allow_unconverged=True
        ),
        diagnostics=verdict.table[["rhat", "ess_bulk", "ess_tail", "mcse_mean"]],
        truth=truth,
        lift_tests=check_lift_tests(fit, interval=interval, allow_unconverged=True)
        if fit.spec.lift_tests
        else None,
        interval=interval,
    )


def _unpaid(panel: MediaPanel, estimand: Estimand) -> tuple[str, ...]:
    """Return the channels asked about that have no spend."""
    asked = estimand.channels or panel.channels
    return tuple(c for c in panel.channels if c in asked and c not in panel.paid_channels)


def panel_facts(panel: MediaPanel) -> dict[str, Any]:
    """Return what a panel holds, name to value: sizes, dates, channels, gaps.

    Names that do not apply, such as channels without spend where all have it, are left out.
    """
    dates, unpaid = panel.dates, [c for c in panel.channels if c not in panel.paid_channels]
    reached = panel.frequency_channels
    gaps = int((~panel.observed).sum())
    cells = panel.n_regions * panel.n_dates
    return {
        "Regions": f"{panel.n_regions:,}",
        "Dates": f"{len(dates):,}, {every(panel.period)}, {dates[0].date()} to {dates[-1].date()}",
        "Channels": ", ".join(panel.channels),
        **({"Without spend": ", ".join(unpaid)} if unpaid else {}),
        **({"Reach and frequency": ", ".join(reached)} if reached else {}),
        **({"Controls": ", ".join(panel.controls)} if panel.controls else {}),
        "Missing region-dates": f"{gaps:,} of {cells:,}" if gaps else "none",
        **({"Currency": panel.currency} if panel.currency else {}),
    }
