"""The media-mix report: one self-contained HTML file, the verdict first."""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import jinja2
import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt.report.definitions import definitions
from bayes_mkt.report.explore import ExploreView
from bayes_mkt.report.formats import number
from bayes_mkt.report.sections import sections
from bayes_mkt.report.summary import check_interval, unconverged_text
from bayes_mkt.report.views import WORDS, Row, Section, TableView, mapping_view

__all__ = ["FindingLike", "MediaMixReport", "Verdict", "media_mix_html", "write_text"]


class FindingLike(Protocol):
    """What the report reads of one finding of the diagnostics."""

    @property
    def check(self) -> str:
        """What was checked."""

    @property
    def parameter(self) -> str | None:
        """Where the worst value was found; None or empty if the check has no parameter."""

    @property
    def figure(self) -> object:
        """The value found."""

    @property
    def remedy(self) -> str:
        """What to do about it."""

    @property
    def failed(self) -> bool:
        """Whether the check fails the verdict, or is only worth knowing."""


class AllocationLike(Protocol):
    """What the report reads of a budget."""

    @property
    def table(self) -> xr.Dataset:
        """The decision by cell."""

    @property
    def gain(self) -> xr.DataArray:
        """Net gain over today's plan, `chain, draw`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings in words."""

    @property
    def probability(self) -> float:
        """P(gain > 0)."""

    @property
    def regret(self) -> float:
        """The expected regret of moving."""


@dataclass(frozen=True)
class Verdict:
    """Whether the draws may be used, and why.

    Parameters
    ----------
    ok
        True if the draws may be used for decisions.
    text
        One paragraph for the reader.
    findings
        What the diagnostics noticed; failed checks are shown first.
    """

    ok: bool
    text: str
    findings: tuple[FindingLike, ...] = ()


@dataclass(frozen=True)
class MediaMixReport:
    """Everything that the media-mix report shows; parts that are None are left out.

    All draws have dimensions ``chain, draw`` first. Labels are data: they are escaped
    wherever they appear.

    Parameters
    ----------
    title
        Title of the page.
    verdict
        Whether the draws may be used; it opens the page.
    estimand
        In words, which change of spend is compared with what, and when.
    facts
        Panel summary, name to value: regions, dates, channels, missing region-weeks.
    settings
        What reproduces the fit, name to value, the seed among them; mappings may be nested.
    versions
        Versions of the software, name to version.
    roi, marginal_roi
        ``chain, draw, channel``, or further dimensions.
    roi_prior
        Draws of the prior of `roi`, shown as a dotted interval.
    roi_absent_reason
        Why there is no `roi`, such as a panel without spend; shown in its place.
    incremental_sales
        ``chain, draw, channel``, in units of sales.
    contributions, baseline
        ``chain, draw, date, channel`` and ``chain, draw, date``: shown only together.
    observed
        Observed sales, ``region, date``; NaN where a region-week is missing.
    expected
        ``chain, draw, region, date``: shown if `observed` is given too.
    response_curves
        What `plot_response_curves` takes.
    adstock
        ``chain, draw, channel, lag``.
    diagnostics
        Figures per parameter along one dimension: ``rhat, ess_bulk, ess_tail, mcse_mean``.
    truth
        Known ROI by channel, for simulated data.
    without_roi
        Channels that have no ROI, for want of spend.
    regional
        Sales, contributions and curves by region, for the reader to pick from: a dataset as
        `bayes_mkt.media_mix.regional` makes it.
    frequency
        What `bayes_mkt.optimal_frequency` returns.
    treatments, treatments_reference
        Contributions of controls, ``chain, draw, control``, and in words against what.
    lift_tests
        What `bayes_mkt.check_lift_tests` returns.
    forecast, backtest
        What `bayes_mkt.forecast` (by region and date) and `bayes_mkt.backtest` return.
    allocation
        What `bayes_mkt.allocate_budget` returns: its `table`, `gain`, `notes`, `probability` and
        `regret` are shown.
    refutation
        The table of what `bayes_mkt.refute` returns.
    interval
        Probability inside all intervals. Default 0.9.

    Raises
    ------
    SpecError
        If `interval` is not between 0 and 1.
    """

    title: str
    verdict: Verdict
    estimand: str
    facts: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, object] = field(default_factory=dict)
    roi: xr.DataArray | None = None
    marginal_roi: xr.DataArray | None = None
    roi_prior: xr.DataArray | None = None
    roi_absent_reason: str | None = None
    incremental_sales: xr.DataArray | None = None
    contributions: xr.DataArray | None = None
    baseline: xr.DataArray | None = None
    observed: xr.DataArray | None = None
    expected: xr.DataArray | None = None
    response_curves: xr.Dataset | None = None
    adstock: xr.DataArray | None = None
    diagnostics: xr.Dataset | None = None
    truth: Mapping[str, float] | None = None
    without_roi: tuple[str, ...] = ()
    regional: xr.Dataset | None = None
    frequency: xr.Dataset | None = None
    treatments: xr.DataArray | None = None
    treatments_reference: str = ""
    lift_tests: pd.DataFrame | None = None
    forecast: xr.Dataset | None = None
    backtest: xr.Dataset | None = None
    allocation: AllocationLike | None = None
    refutation: pd.DataFrame | None = None
    interval: float = 0.9

    def __post_init__(self) -> None:
        """Check what can be checked without drawing."""
        check_interval(self.interval)

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the report to `path`, whole or not at all, and return the path."""
        return write_text(path, media_mix_html(self))


def media_mix_html(report: MediaMixReport) -> str:
    """Return the report as one HTML document that needs no network, and no script to be read.

    Where `report.regional` is given, a script of its own, the only one that its policy lets run,
    answers the reader; without it every figure is still there.

    Parameters
    ----------
    report
        What to show.

    Returns
    -------
    str
        An HTML 5 document with its style and figures inside. Equal inputs give equal text.

    Raises
    ------
    SpecError
        If an array lacks the dimensions that its figure or table needs.
    """
    parts = sections(report)
    present = frozenset(part.key for part in parts if part.key != "roi" or report.roi is not None)
    reproduction = [
        mapping_view(entries, caption)
        for entries, caption in (
            (report.settings, "Settings and seed"),
            (report.versions, "Software versions"),
        )
        if entries
    ]
    return (
        _environment()
        .get_template("media_mix.html.j2")
        .render(
            title=report.title,
            verdict=report.verdict,
            findings=_findings(report.verdict),
            unconverged=_unconverged(report),
            sections=parts,
            script=_script(parts),
            definitions=definitions(report.estimand, report.interval, present),
            reproduction=reproduction,
        )
    )


def _script(parts: Sequence[Section]) -> str | None:
    """Return the only script that the page may run, if it has one."""
    views = (block for part in parts for block in part.blocks)
    return next((view.allowed for view in views if isinstance(view, ExploreView)), None)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a UTF-8 text file whole or not at all.

    The text goes to a temporary file in the same directory, which then takes the place of
    `path` in one step: a reader sees the old file or the new one, never a part.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("bayes_mkt.report", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _findings(verdict: Verdict) -> TableView | None:
    if not verdict.findings:
        return None
    ordered = sorted(verdict.findings, key=lambda finding: not finding.failed)
    return TableView(
        caption="Findings of the diagnostics",
        stubs=("Check",),
        columns=("Result", "Worst parameter", "Figure", "Remedy"),
        rows=tuple(
            Row(
                (WORDS.get(finding.check, finding.check),),
                (
                    "failed" if finding.failed else "worth knowing",
                    finding.parameter or "–",
                    _figure_text(finding.figure),
                    finding.remedy or "–",
                ),
            )
            for finding in ordered
        ),
        numeric=False,
    )


def _figure_text(value: object) -> str:
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return f"{int(value):,}"
    if isinstance(value, float | np.floating):
        plain = float(value)
        return number(plain, 0 if abs(plain) >= 1000 else 3 if 0.1 <= abs(plain) < 10 else None)
    return str(value)


def _unconverged(report: MediaMixReport) -> str | None:
    return unconverged_text(
        report.roi,
        report.marginal_roi,
        report.incremental_sales,
        report.contributions,
        report.baseline,
        report.expected,
        report.response_curves,
        report.adstock,
    )
