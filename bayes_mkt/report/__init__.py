"""Tables, figures and HTML pages from draws; xarray in, nothing about models computed."""

from __future__ import annotations

from bayes_mkt.report.html import MediaMixReport, Verdict, media_mix_html
from bayes_mkt.report.plot_contributions import plot_contributions
from bayes_mkt.report.plot_curves import plot_adstock, plot_response_curves
from bayes_mkt.report.plot_fit import plot_fit
from bayes_mkt.report.plot_forecast import plot_forecast
from bayes_mkt.report.plot_forest import plot_forest, plot_roi
from bayes_mkt.report.plot_frequency import plot_frequency
from bayes_mkt.report.table import format_table, table

__all__ = [
    "MediaMixReport",
    "Verdict",
    "format_table",
    "media_mix_html",
    "plot_adstock",
    "plot_contributions",
    "plot_fit",
    "plot_forecast",
    "plot_forest",
    "plot_frequency",
    "plot_response_curves",
    "plot_roi",
    "table",
]
