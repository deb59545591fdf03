"""One run: fit, write everything or nothing, and say whether the draws converged."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bayes_mkt as bm
from bayes_mkt.cli.asked import Asked
from bayes_mkt.cli.output import sign, staged
from bayes_mkt.cli.screen import show_panel, show_verdict
from bayes_mkt.errors import ConvergenceWarning

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from bayes_mkt.publish import MediaMixAnswers

__all__ = ["Job", "Outcome", "run"]

DONE: Final = 0
UNCONVERGED: Final = 3


@dataclass(frozen=True, kw_only=True)
class Job:
    """A panel, a model, and what to ask of their fit.

    Parameters
    ----------
    command
        Name of the command, for the record.
    panel, spec, estimand
        What is fitted, and the effect that is reported.
    sampler
        Keyword arguments of `fit`, the seed among them.
    title, interval
        Of the report.
    truth
        Known ROI by channel, for simulated panels.
    extras
        Further tables to write, by file name without suffix.
    asked
        What else is asked of the fit.
    """

    command: str
    panel: bm.MediaPanel
    spec: bm.MediaMix
    estimand: bm.Estimand
    sampler: Mapping[str, Any]
    title: str | None = None
    interval: float = 0.9
    truth: Mapping[str, float] | None = None
    extras: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    asked: Asked = field(default_factory=lambda: Asked())


@dataclass(frozen=True)
class Outcome:
    """What a run found: the fit, its answers, and the exit status."""

    fit: bm.Fit
    answers: MediaMixAnswers
    status: int


def run(job: Job, out: Path, *, overwrite: bool, console: Console) -> Outcome:
    """Fit, write everything to `out`, and print panel and verdict.

    The estimand and the model are checked against the panel before sampling starts.

    Raises
    ------
    SpecError
        If `out` may not be written, or the model or the estimand doesn't fit the panel.
    SamplingError
        If sampling can't start.
    """
    from bayes_mkt.publish import panel_facts, write_media_mix

    with staged(out, overwrite=overwrite) as folder:
        job.spec.check(job.panel)
        job.estimand.resolve(job.panel, job.spec.adstock.max_lag)
        job.asked.check(job.spec, job.panel)
        show_panel(console, panel_facts(job.panel))
        fit = _fit(job, quiet=console.quiet)
        show_verdict(console, fit.diagnostics)
        answers = write_media_mix(
            fit,
            job.estimand,
            folder,
            title=job.title,
            truth=job.truth,
            extras=job.asked.answers(fit, job.sampler, console),
            interval=job.interval,
            allow_unconverged=True,
        )
        for name, frame in job.extras.items():
            frame.to_csv(folder / f"{name}.csv", index=False)
        converged = fit.diagnostics.ok
        sign(folder, {"command": job.command, "seed": fit.seed, "converged": converged})
    return Outcome(fit, answers, DONE if converged else UNCONVERGED)


def _fit(job: Job, *, quiet: bool) -> bm.Fit:
    """Fit; the verdict is printed, so its warning is not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        progress = False if quiet else None
        return bm.fit(job.spec, job.panel, progress=progress, **job.sampler)
