"""The parts of the report that look ahead: forecast, experiments, budget, refutation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt.dims import CHANNEL, DATE, REGION
from bayes_mkt.report.embed import FigureView, embed
from bayes_mkt.report.formats import number
from bayes_mkt.report.plot_forecast import plot_forecast
from bayes_mkt.report.summary import interval_bounds, percent
from bayes_mkt.report.views import Row, Section, TableView, summary_view

if TYPE_CHECKING:
    from bayes_mkt.report.html import MediaMixReport

__all__ = ["decisions"]

FORECASTERS = {
    "media_mix": "this model",
    "seasonal_naive": "sales of a year before",
    "structural": "level and season, without media",
}
TOGETHER = "all regions"  # the sum of regions, as a backtest names it
CHECKS = {
    "placebo": "Shuffled media",
    "future": "Media to come",
    "random_cause": "A random cause",
    "dropped_region": "A region left out",
    "hidden_cause": "An unseen cause",
    "prior": "Weight of the prior",
    "prior_scaling": "A stronger or weaker prior",
}


def decisions(report: MediaMixReport) -> list[Section]:
    """Return the parts that are there."""
    built = (_experiments(report), _forecast(report), _budget(report), _refutation(report))
    return [section for section in built if section is not None]


def _experiments(report: MediaMixReport) -> Section | None:
    tests = report.lift_tests
    if tests is None:
        return None
    rows = []
    for label, row in tests.iterrows():
        cells = (
            f"{number(row['lift'])} ± {number(row['se'])}",
            _plus_minus(row["expected"], row["expected_sd"]),
            _plus_minus(row["modelled"], row["modelled_sd"]),
            _span(row, "without"),
            _span(row, "with"),
            str(row["verdict"]),
        )
        unpaid = "" if row["of"] == "roi" else " (incremental sales)"
        rows.append(Row((str(label), f"{row['channel']}{unpaid}"), cells))
    # What has no spend has no ROI: its sales are told, and the table says which rows those are.
    answer = "ROI" if tests["of"].eq("roi").all() else "ROI or sales"
    columns = (
        "Measured",
        "Expected without",
        "Modelled with",
        f"{answer} without",
        f"{answer} with",
        "Verdict",
    )
    view = TableView("Lift tests", ("Test", "Channel"), columns, tuple(rows))
    apart = [str(name) for name in tests.index[tests["verdict"] == "disagree"]]
    words = (
        "The model without a test and the test agree, where both are known."
        if not apart
        else f"Test and model disagree by more than two standard errors: {', '.join(apart)}. One "
        "of the two is wrong; find out which before using the figures of these channels."
    )
    return Section("experiments", "Experiments", (words, view))


def _plus_minus(value: float, spread: float) -> str:
    return "unknown" if np.isnan(value) else f"{number(value)} ± {number(spread)}"


def _span(row: pd.Series[float], which: str) -> str:
    if np.isnan(row[which]):
        return "refit to see"
    low, high = number(row[f"low {which}"], 2), number(row[f"high {which}"], 2)
    return f"{number(row[which], 2)} [{low}, {high}]"


def _forecast(report: MediaMixReport) -> Section | None:
    blocks: list[str | TableView | FigureView] = []
    if report.forecast is not None:
        sales = report.forecast["sales"]
        first, last = (str(sales[DATE].values[i])[:10] for i in (0, -1))
        by_region = sales.sum(DATE, keep_attrs=True)
        blocks.append(
            embed(
                plot_forecast(sales, report.observed, interval=report.interval),
                f"Observed sales and sales predicted from {first} to {last}, with intervals.",
                f"Bands: half and {percent(report.interval)} of the predictive distribution, noise "
                "included, regions added up draw by draw.",
            )
        )
        if REGION in by_region.dims:
            caption = f"Predicted sales by region, {first} to {last} together"
            blocks.append(summary_view(by_region, caption, report.interval, None))
    if report.backtest is not None:
        blocks += [_backtest_words(report.backtest), _backtest(report.backtest)]
    return Section("forecast", "Forecast", tuple(blocks)) if blocks else None


def _backtest_words(found: xr.Dataset) -> str:
    origins = found.sizes["origin"]
    return (
        f"How such forecasts did from {origins} earlier date{'s' if origins > 1 else ''}: the "
        "score (CRPS) is an error in units of sales, the lower the better; a share inside an "
        "interval should be near its probability."
    )


def _backtest(found: xr.Dataset) -> TableView:
    levels = [float(level) for level in found["level"].values]
    together = found["region"] == TOGETHER
    parts = (("a region", found.sel(region=~together)), (TOGETHER, found.sel(region=together)))
    rows = []
    for name in found["forecaster"].values:
        for of, part in parts[: 1 if found.sizes["region"] <= 2 else 2]:
            mean = part.sel(forecaster=name).mean(["origin", "region"])
            inside = [f"{float(mean['covered'].sel(level=level)):.0%}" for level in levels]
            labels = (FORECASTERS.get(str(name), str(name)), of)
            rows.append(Row(labels, (number(float(mean["crps"])), *inside)))
    columns = ("CRPS", *(f"Inside {percent(level)}" for level in levels))
    return TableView("Backtest, mean over origins", ("Forecast", "Of"), columns, tuple(rows))


def _budget(report: MediaMixReport) -> Section | None:
    allocation = report.allocation
    if allocation is None:
        return None
    table, gain = allocation.table, allocation.gain
    low, high = interval_bounds(report.interval)
    ends = [float(v) for v in gain.quantile([low, 0.5, high])]
    units = str(gain.attrs.get("units", ""))
    words = (
        f"Over today's plan the one below gains {number(ends[1])} {units} "
        f"({percent(report.interval)} interval {number(ends[0])} to {number(ends[2])}), net of "
        f"spend. It is better with a probability of {allocation.probability:.0%}; the expected "
        f"loss of moving to it, over all draws, is {number(allocation.regret)} {units}."
    )
    dims = [d for d in table["spend"].dims if d in (REGION, DATE, CHANNEL)]
    frame = table.to_dataframe().reset_index()
    rows = [
        Row(
            tuple(str(row[d])[:26] for d in dims),
            (
                number(row["spend_today"]),
                number(row["spend"]),
                number(row["marginal_today"], 2),
                number(row["marginal"], 2),
                str(row["limit"]) or "none",
                "yes" if row["extrapolates"] else "no",
            ),
        )
        for _, row in frame.iterrows()
    ]
    view = TableView(
        f"Spend today and in the plan, in {table['spend'].attrs.get('units', 'currency')}",
        tuple(str(d).capitalize() for d in dims),
        ("Today", "Plan", "Next unit today", "Next unit in plan", "Limit", "Beyond the data"),
        tuple(rows),
    )
    return Section("plan", "Plan", (words, *allocation.notes, view))


def _refutation(report: MediaMixReport) -> Section | None:
    table = report.refutation
    if table is None:
        return None
    rows = [
        Row(
            (CHECKS.get(str(row["check"]), str(row["check"])), str(row["subject"])),
            (
                number(row["value"], 2),
                f"{number(row['low'], 2)} to {number(row['high'], 2)}",
                str(row["verdict"]),
                str(row["reading"]),
            ),
        )
        for _, row in table.iterrows()
    ]
    failed, unknown = (int((table["verdict"] == word).sum()) for word in ("fail", "not converged"))
    words = (
        f"{failed} of {len(table)} attempts to refute the model succeeded. Do not decide on its "
        "figures before the reason is known."
        if failed
        else "No attempt to refute the model succeeded. That is no proof: see the unseen cause."
    )
    if unknown:
        words += f" {unknown} of the attempts did not converge: they say nothing."
    view = TableView(
        "Attempts to refute the model",
        ("Attempt", "Of"),
        ("Value", "Range", "Verdict", "Reading"),
        tuple(rows),
        numeric=False,
    )
    return Section("refutation", "Refutation", (words, view))
