"""``bayes-mkt media-mix``: from a data file to ROI, tables and a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import bayes_mkt as bm
from bayes_mkt.cli.asked import Asked
from bayes_mkt.cli.config import MediaMixConfig, read_media_mix_config
from bayes_mkt.cli.frame import read_frame
from bayes_mkt.cli.job import Job, run
from bayes_mkt.cli.output import check_target
from bayes_mkt.cli.screen import screen, show_answers
from bayes_mkt.errors import SpecError

__all__ = ["media_mix"]


def media_mix(
    data: Path,
    /,
    *,
    config: Path,
    out: Path,
    seed: int | None = None,
    overwrite: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    quiet: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Fit a media-mix model to regional sales; write ROI, tables and a report.

    The directory OUT appears complete or not at all. It holds report.html; roi.csv,
    marginal_roi.csv, incremental_sales.csv, contributions.csv and diagnostics.csv; forecast.csv,
    plan.csv, refutation.csv, backtest.csv, lift_tests.csv and treatments.csv where the
    configuration asks for them; run.json, the record of the run; and fit/, the fit itself, for
    bayes_mkt.Fit.load.

    Parameters
    ----------
    data
        Sales, media and controls by region and date: a .csv or .parquet file.
    config
        TOML file that names columns, model, sampler, estimand and report, and asks for a
        forecast, a budget, a refutation or a backtest.
    out
        Directory to make.
    seed
        Seed of every draw; replaces the one in the configuration.
    overwrite
        Replace OUT where an earlier run wrote it.
    quiet
        Print errors only.
    """
    from bayes_mkt.cli.model import media_mix_spec

    settings = read_media_mix_config(config)
    check_target(out, overwrite=overwrite)
    sampler = _sampler(settings, seed, config)
    region = settings.data.get("region")
    frame = read_frame(data, () if region is None else (region,))
    panel = bm.MediaPanel.from_frame(frame, **settings.data)
    job = Job(
        command="media-mix",
        panel=panel,
        spec=media_mix_spec(settings.model),
        estimand=bm.Estimand(**settings.estimand),
        sampler=sampler,
        asked=Asked.of(settings, panel),
        **settings.report,
    )
    console = screen(quiet=quiet)
    outcome = run(job, out, overwrite=overwrite, console=console)
    show_answers(console, outcome.answers, job.interval, out)
    return outcome.status


def _sampler(settings: MediaMixConfig, seed: int | None, config: Path) -> dict[str, Any]:
    """Return the arguments of `fit`, the seed among them."""
    arguments = dict(settings.sampler)
    if seed is not None:
        arguments["seed"] = seed
    if "seed" not in arguments:
        raise SpecError(
            f"The run has no seed. Add seed = 1 under [sampler] in {config}, or pass --seed 1."
        )
    return arguments
