"""The parts of the media-mix report, each built from the draws that it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bayes_mkt.dims import CHANNEL, REGION
from bayes_mkt.report.decisions import decisions
from bayes_mkt.report.embed import FigureView, embed
from bayes_mkt.report.explore import explore, regions_view
from bayes_mkt.report.plot_contributions import plot_contributions
from bayes_mkt.report.plot_curves import plot_adstock, plot_response_curves
from bayes_mkt.report.plot_fit import plot_fit
from bayes_mkt.report.plot_forest import plot_forest, plot_roi
from bayes_mkt.report.plot_frequency import frequency_view, plot_frequency
from bayes_mkt.report.summary import percent, select_texts, unconverged_text
from bayes_mkt.report.table import table
from bayes_mkt.report.views import (
    Section,
    TableView,
    diagnostics_view,
    mapping_view,
    summary_view,
    with_truth,
)

if TYPE_CHECKING:
    from bayes_mkt.report.html import MediaMixReport

__all__ = ["sections"]

SURE: Final = 0.95
ALT_ROWS: Final = 12


def sections(report: MediaMixReport) -> list[Section]:
    """Return the parts of the page between the verdict and the definitions."""
    built = (
        _panel(report),
        _roi(report),
        _marginal_roi(report),
        _contributions(report),
        _fit(report),
        _curves(report),
        _frequency(report),
        _adstock(report),
        _treatments(report),
        _regional(report),
        *decisions(report),
        _diagnostics(report),
    )
    return [section for section in built if section is not None]


def _panel(report: MediaMixReport) -> Section:
    blocks: list[str | TableView] = [f"Question answered: {report.estimand}"]
    if report.facts:
        blocks.append(mapping_view(report.facts, "The panel of data"))
    return Section("panel", "Data and question", tuple(blocks))


def _roi(report: MediaMixReport) -> Section | None:
    heading = "Return on investment"
    if report.roi is None:
        reason = report.roi_absent_reason
        return Section("roi", heading, (reason,)) if reason else None
    interval = report.interval
    view = summary_view(report.roi, "Return on investment by channel", interval, 1.0)
    figure = embed(
        plot_roi(report.roi, truth=report.truth, prior=report.roi_prior, interval=interval),
        f"Forest figure of the return on investment. {_medians(view)}",
        "Circle: median. Thick and thin line: 50% and "
        f"{percent(interval)} credible interval. Dashed: break-even, where a channel's "
        "incremental revenue equals its spend."
        + (
            " Dotted: the prior, before the data; an arrow where it runs off the axis."
            if report.roi_prior is not None
            else ""
        )
        + (" Diamond: the value that the data were simulated with." if report.truth else ""),
    )
    if report.truth:
        view = with_truth(view, report.roi, report.truth, interval)
    return Section("roi", heading, (*_reading(report), figure, view, *_no_roi(report)))


def _no_roi(report: MediaMixReport) -> tuple[str, ...]:
    """Say which channels have no ROI, and why."""
    if not report.without_roi:
        return ()
    names = _join(list(report.without_roi))
    return (
        f"No ROI: {names}. Nothing is spent on what is organic, so there is nothing to divide by; "
        "see incremental sales.",
    )


def _reading(report: MediaMixReport) -> tuple[str, ...]:
    """Say in words which channels pay back, unless the draws may not be used."""
    roi = report.roi
    if roi is None or not report.verdict.ok or unconverged_text(roi) is not None:
        return ("These draws failed the checks above: do not base decisions on these figures.",)
    if [dim for dim in roi.dims if dim not in ("chain", "draw")] != [CHANNEL]:
        return ()
    shares = table(roi, report.interval, above=1.0)["P(>1)"]
    above = [str(name) for name, share in shares.items() if share >= SURE]
    below = [str(name) for name, share in shares.items() if share <= 1 - SURE]
    open_ = [str(name) for name, share in shares.items() if 1 - SURE < share < SURE]
    parts = []
    if above:
        parts.append(f"ROI is above 1 with at least {percent(SURE)} probability: {_join(above)}.")
    if below:
        parts.append(f"ROI is below 1 with at least {percent(SURE)} probability: {_join(below)}.")
    if open_:
        parts.append(f"Not decided by these data: {_join(open_)}.")
    return (" ".join(parts),) if parts else ()


def _marginal_roi(report: MediaMixReport) -> Section | None:
    if report.marginal_roi is None:
        return None
    view = summary_view(report.marginal_roi, "Marginal ROI by channel", report.interval, 1.0)
    figure = embed(
        plot_forest(
            report.marginal_roi,
            heading="Marginal return on investment by channel",
            label="Marginal ROI",
            interval=report.interval,
            reference=1.0,
        ),
        f"Forest figure of the marginal return on investment. {_medians(view)}",
        "What the next unit of spend brings back. Left of the dashed line it costs more than "
        "the revenue that it brings.",
    )
    return Section("marginal-roi", "Marginal return on investment", (figure, view))


def _contributions(report: MediaMixReport) -> Section | None:
    blocks: list[str | TableView | FigureView] = []
    if report.incremental_sales is not None:
        sales = report.incremental_sales
        view = summary_view(sales, "Incremental sales by channel", report.interval, None)
        picture = embed(
            plot_forest(
                sales,
                heading="Incremental sales by channel",
                label="incremental sales",
                interval=report.interval,
                reference=None,
            ),
            f"Forest figure of incremental sales. {_medians(view)}",
            "Sales that each channel brought in under the question stated above. The model lets no "
            "channel lower sales, so no interval reaches below 0, whatever the data.",
        )
        blocks += [picture, view]
    if report.contributions is not None and report.baseline is not None:
        names = select_texts(report.contributions, CHANNEL)
        text = (
            "Baseline at the bottom, the channels on top of it; the lower part shows the channels "
            "alone. The black line is observed sales, added over the regions observed at each date."
        )
        blocks.append(
            embed(
                plot_contributions(report.contributions, report.baseline, report.observed),
                "Stacked areas of expected sales over time: the baseline and the channels "
                f"{_join(names)}.",
                text if report.observed is not None else text.partition(" The black")[0],
            )
        )
    if not blocks:
        return None
    return Section("contributions", "Incremental sales and contributions", tuple(blocks))


def _fit(report: MediaMixReport) -> Section | None:
    if report.expected is None or report.observed is None:
        return None
    count = report.expected.sizes.get(REGION, 1)
    words = str(report.expected.attrs.get("long_name") or "expected sales")
    words = words[:1].lower() + words[1:]
    noise = "" if "predict" in words else ", without the noise of a single observation"
    figure = embed(
        plot_fit(report.observed, report.expected, interval=report.interval),
        f"Observed sales and {words} over time for {min(count, 12)} of {count} regions.",
        f"Points: observed sales. Line and band: median and {percent(report.interval)} interval "
        f"of {words}{noise}.",
    )
    return Section("fit", "Fit by region", (figure,))


def _curves(report: MediaMixReport) -> Section | None:
    if report.response_curves is None:
        return None
    names = select_texts(report.response_curves, CHANNEL)
    figure = embed(
        plot_response_curves(report.response_curves, interval=report.interval),
        f"Incremental sales against spend, one curve for each of {_join(names)}, with an interval.",
        "A dot marks today's spend, as it was in the window of the question. Solid and "
        "blue: levels between the weakest and the strongest period in the data, all regions "
        "together. "
        "Dashed and grey: outside it, where the form of the curve and the prior decide.",
    )
    return Section("response-curves", "Response curves", (figure,))


def _frequency(report: MediaMixReport) -> Section | None:
    found = report.frequency
    if found is None:
        return None
    names = select_texts(found, CHANNEL)
    figure = embed(
        plot_frequency(found, interval=report.interval),
        f"Return by average frequency, one curve for each of {_join(names)}, with an interval.",
        "The same impressions and spend, spread over fewer people more often, or over more people "
        f"less often. Line and band: mean and {percent(report.interval)} interval. Upright line: "
        "the frequency with the highest mean. Solid and blue: frequencies seen in the data.",
    )
    return Section("frequency", "Frequency", (figure, frequency_view(found, report.interval)))


def _treatments(report: MediaMixReport) -> Section | None:
    if report.treatments is None:
        return None
    view = summary_view(report.treatments, "Contribution by control", report.interval, None)
    words = (
        f"What is not media, against {report.treatments_reference}. It has no ROI: what it costs "
        "is not in the data."
    )
    return Section("treatments", "Promotions, prices and other controls", (words, view))


def _regional(report: MediaMixReport) -> Section | None:
    if report.regional is None:
        return None
    total, shown = int(report.regional.attrs["regions"]), report.regional.sizes[REGION]
    few = f"The {shown - 1} largest of {total} regions. " if total > shown else ""
    words = f"{few}Each region's sales, what made them, and its response curves."
    blocks = (words, explore(report.regional, report.interval), regions_view(report.regional))
    return Section("regions", "Region by region", blocks)


def _adstock(report: MediaMixReport) -> Section | None:
    if report.adstock is None:
        return None
    names = select_texts(report.adstock, CHANNEL)
    figure = embed(
        plot_adstock(report.adstock, interval=report.interval),
        f"Weight of an exposure by lag, for {_join(names)}, with an interval at each lag.",
        f"Dots: median weight at each lag. Bars: {percent(report.interval)} interval.",
    )
    return Section("adstock", "Adstock decay", (figure,))


def _diagnostics(report: MediaMixReport) -> Section | None:
    if report.diagnostics is None:
        return None
    caption = "Convergence by parameter, worst first"
    text = (
        "These figures say whether the draws represent the posterior distribution. They do not "
        "say whether the model is right."
    )
    return Section(
        "diagnostics", "Diagnostics", (text, diagnostics_view(report.diagnostics, caption))
    )


def _medians(view: TableView) -> str:
    """Return the first rows of a summary in words, for a figure's alternative text."""
    _, _, _, low, high, *_ = view.columns
    parts = [
        f"{' '.join(row.labels)}: median {row.cells[2]}, from {row.cells[3]} ({low}) to "
        f"{row.cells[4]} ({high})"
        for row in view.rows[:ALT_ROWS]
    ]
    rest = len(view.rows) - len(parts)
    return "; ".join(parts) + (f"; and {rest} more." if rest else ".")


def _join(names: list[str], at_most: int = ALT_ROWS) -> str:
    if len(names) > at_most:
        return f"{', '.join(names[:at_most])} and {len(names) - at_most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
