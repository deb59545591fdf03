"""``bayes-mkt demo``: a simulated panel, its fit, and the truth beside the estimates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Parameter

import bayes_mkt as bm
from bayes_mkt.cli.job import Job, Outcome, run
from bayes_mkt.cli.screen import screen, show_frame, show_outputs

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["demo"]

INTERVAL: Final = 0.9
NAMES: Final = {"roi": "ROI", "adstock_alpha": "adstock", "half_saturation": "half-saturation"}


def demo(
    *,
    out: Path = Path("out"),
    seed: int = 1,
    quiet: Annotated[bool, Parameter(negative="", show_default=False)] = False,
) -> int:
    """Simulate a panel of known truth, fit it, and print the estimates beside the truth.

    The panel has 12 regions, 104 weeks and 4 channels. OUT holds what media-mix writes, the
    panel itself in panel.csv, and the truth in the report. An OUT that an earlier run wrote is
    replaced; any other directory is left alone.

    Parameters
    ----------
    out
        Directory to make.
    seed
        Seed of the panel and of the draws.
    quiet
        Print errors only.
    """
    panel = bm.simulate.media_mix(regions=12, weeks=104, channels=4, seed=seed)
    truth = panel.truth
    job = Job(
        command="demo",
        panel=bm.MediaPanel.from_frame(panel.frame, **panel.columns),
        spec=bm.MediaMix(knots=2, seasonality=bm.Fourier(2)),
        estimand=bm.Estimand(),
        sampler={"seed": seed},
        title="Media mix: a simulated panel of known truth",
        interval=INTERVAL,
        truth={str(name): float(truth.roi.sel(channel=name)) for name in truth.channel.values},
        extras={"panel": panel.frame},
    )
    console = screen(quiet=quiet)
    outcome = run(job, out, overwrite=True, console=console)
    compared = beside_truth(outcome, truth)
    show_frame(console, "Estimates beside the known truth", compared)
    held, rows = int(compared["in interval"].eq("yes").sum()), len(compared)
    note = f"{held} of {rows} intervals hold the truth; about {INTERVAL:.0%} should."
    show_outputs(console, out, [note])
    return outcome.status


def beside_truth(outcome: Outcome, truth: xr.Dataset) -> pd.DataFrame:
    """Return estimates as text, one row for each quantity and channel, with the truth."""
    import pandas as pd
    import xarray as xr

    from bayes_mkt.report import format_table, table

    roi = outcome.answers.roi
    posterior = outcome.fit.posterior
    draws = xr.Dataset(
        {label: posterior[name] if name != "roi" else roi for name, label in NAMES.items()}
    )
    known = pd.concat({label: truth[name].to_series() for name, label in NAMES.items()})
    numbers = table(draws, INTERVAL)
    known = known.reindex(numbers.index)
    low, high = (numbers.columns[3], numbers.columns[4])
    shown = format_table(numbers)[["mean", low, high]]
    inside = known.between(numbers[low], numbers[high])
    return shown.assign(
        **{
            "truth": [f"{value:.2f}" for value in known],
            "in interval": ["yes" if value else "no" for value in inside],
        }
    )
