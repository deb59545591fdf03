from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from bayes_mkt.errors import SpecError
from bayes_mkt.report import (
    plot_adstock,
    plot_contributions,
    plot_fit,
    plot_forest,
    plot_response_curves,
    plot_roi,
    style,
)
from bayes_mkt.report.plot_contributions import _stack
from bayes_mkt.report.plot_curves import _between

Make = Callable[..., Any]


def drawn(figure: Figure) -> str:
    """Save as PNG, check that something is on it, and return all its text."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=50)
    assert buffer.getvalue().startswith(b"\x89PNG")
    assert len(buffer.getvalue()) > 2_000
    return "\n".join(text.get_text() for text in figure.findobj(Text))


def every_figure(r: Any) -> list[Figure]:
    return [
        plot_fit(r.observed, r.expected),
        plot_contributions(r.contributions, r.baseline, r.observed),
        plot_contributions(r.contributions, r.baseline),
        plot_roi(r.roi, truth=r.truth, prior=r.roi_prior),
        plot_roi(r.roi),
        plot_forest(r.incremental_sales, heading="Incremental sales"),
        plot_response_curves(r.response_curves),
        plot_adstock(r.adstock),
    ]


@pytest.mark.parametrize(
    ("names", "regions", "dates"),
    [
        (("tv", "radio"), 3, 60),
        (("only",), 1, 10),
        (tuple(f"c{i}" for i in range(17)), 2, 20),
        (("pays $5 or $6", r"\$x_1$ ^"), 2, 20),
    ],
    ids=["two", "national", "many", "signs"],
)
def test_every_figure_draws(
    report_of: Make, names: tuple[str, ...], regions: int, dates: int
) -> None:
    for figure in every_figure(report_of(names, regions=regions, dates=dates)):
        assert drawn(figure)


def test_pyplot_is_never_loaded() -> None:
    code = "import sys, bayes_mkt.report; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_fit_shows_the_largest_regions_and_states_the_rest(report_of: Make) -> None:
    r = report_of(regions=7, dates=20)
    text = drawn(plot_fit(r.observed, r.expected, max_regions=4))
    assert "4 of 7 regions are drawn, those with the largest observed sales; 3 are not." in text
    totals = r.observed.sum("date")
    largest = set(totals.region.values[np.argsort(-totals.values)][:4])
    assert {name for name in r.observed.region.values if name in text} == largest
    assert "not." not in drawn(plot_fit(r.observed, r.expected))
    assert "(4 dates missing)" in drawn(plot_fit(r.observed, r.expected))
    assert "Sales (EUR)" in text


def test_fit_accepts_a_region_that_was_never_observed(report_of: Make) -> None:
    r = report_of(regions=2, dates=20)
    text = drawn(plot_fit(r.observed.where(r.observed.region == "region 01"), r.expected))
    assert "region 01" in text


def test_labels_must_agree(report_of: Make) -> None:
    r = report_of(regions=3, dates=20)
    with pytest.raises(SpecError, match="different labels along 'region'"):
        plot_fit(r.observed.isel(region=slice(0, 2)), r.expected)
    with pytest.raises(SpecError, match="different labels along 'date'"):
        plot_contributions(r.contributions, r.baseline, r.observed.isel(date=slice(1, None)))
    with pytest.raises(SpecError, match="lack 'region'"):
        plot_fit(r.observed.isel(region=0), r.expected)


def test_averages_and_missing_dimensions_are_refused(report_of: Make) -> None:
    r = report_of(regions=2, dates=20)
    with pytest.raises(SpecError, match="not an average"):
        plot_roi(r.roi.mean("draw"))
    with pytest.raises(SpecError, match="lacks 'channel'"):
        plot_roi(r.roi.isel(channel=0))
    with pytest.raises(SpecError, match="besides chain and draw"):
        plot_forest(r.roi.isel(channel=0), heading="x")
    with pytest.raises(SpecError, match="lacks 'lag'"):
        plot_adstock(r.adstock.isel(lag=0))
    with pytest.raises(SpecError, match="lack the variables 'spend'"):
        plot_response_curves(r.response_curves.drop_vars("spend"))
    with pytest.raises(SpecError, match="Sum over the other dimensions first"):
        plot_contributions(r.contributions.expand_dims(region=["a"]), r.baseline)


def test_contributions_stack_to_their_sum() -> None:
    rng = np.random.default_rng(0)
    layers = [rng.normal(size=30) for _ in range(5)]
    edges = _stack(layers)
    for values, (lower, upper) in zip(layers, edges, strict=True):
        np.testing.assert_allclose(upper - lower, np.abs(values), atol=1e-12)
    total = np.max([e[1] for e in edges], axis=0) + np.min([e[0] for e in edges], axis=0)
    np.testing.assert_allclose(total, np.sum(layers, axis=0), atol=1e-12)


def test_contributions_name_every_layer(report_of: Make) -> None:
    r = report_of(regions=2, dates=20)
    text = drawn(plot_contributions(r.contributions, r.baseline, r.observed))
    for name in ("baseline", "observed sales", *map(str, r.contributions.channel.values)):
        assert name in text.splitlines()
    negative = r.contributions * (1.0 - 2.0 * (r.contributions.channel == "tv"))
    drawn(plot_contributions(negative, r.baseline))


def test_roi_marks_break_even_truth_and_prior(report_of: Make) -> None:
    r = report_of(regions=1, dates=10)
    full = drawn(plot_roi(r.roi, truth=r.truth, prior=r.roi_prior))
    bare = drawn(plot_roi(r.roi, reference=None))
    for word in ("known truth", "prior, 90%", "break-even (1)", "P(>1)"):
        assert word in full
        assert word not in bare
    one_prior = r.roi_prior.isel(channel=0, drop=True)
    drawn(plot_roi(r.roi, prior=one_prior))
    drawn(plot_roi(r.roi, truth={"radio": 2.0}, prior=r.roi_prior.isel(channel=[1])))


def test_forest_states_rows_that_it_leaves_out(report_of: Make) -> None:
    r = report_of(tuple(f"channel {i}" for i in range(9)), regions=1, dates=10)
    text = drawn(plot_forest(r.roi, heading="ROI", max_rows=5))
    assert "5 of 9 rows are drawn; 4 are not." in text
    by_region = r.roi.expand_dims(region=["north", "south"], axis=2)
    assert "south · channel 8" in drawn(plot_forest(by_region, heading="ROI"))


def test_curves_split_where_the_data_end() -> None:
    grid = np.linspace(0.0, 2.0, 5)
    values = np.vstack([grid, grid**2])
    x, y = _between(grid, values, 0.25, 1.75)
    assert (x[0], x[-1]) == (0.25, 1.75)
    assert y[1] == 0.25
    x, _ = _between(grid, values, -np.inf, np.inf)
    np.testing.assert_array_equal(x, grid)
    assert _between(grid, values, 3.0, 4.0)[0].size == 0


def test_curves_say_what_lies_outside_the_data(report_of: Make) -> None:
    r = report_of(regions=1, dates=10)
    assert "median, outside that range" in drawn(plot_response_curves(r.response_curves))
    unknown = r.response_curves.drop_vars(["observed_min", "observed_max"])
    assert "outside" not in drawn(plot_response_curves(unknown))
    units = ("channel", ["EUR", "EUR", "GRP", "displays"])
    text = drawn(plot_response_curves(r.response_curves.assign_coords(spend_units=units)))
    assert "Spend (EUR)" in text
    assert "displays" in text


def test_unconverged_draws_are_marked_in_figures(report_of: Make) -> None:
    r = report_of(regions=1, dates=10)
    mark = {"unconverged": "R-hat is 1.2"}
    words = "Unconverged draws: not to be used for decisions."
    assert words in drawn(plot_roi(r.roi.assign_attrs(mark)))
    assert words in drawn(plot_fit(r.observed, r.expected.assign_attrs(mark)))
    assert words in drawn(plot_contributions(r.contributions.assign_attrs(mark), r.baseline))
    assert words in drawn(plot_response_curves(r.response_curves.assign_attrs(mark)))
    assert words in drawn(plot_adstock(r.adstock.assign_attrs(mark)))


def test_adstock_shows_every_weight_on_the_shared_axis(report_of: Make) -> None:
    """Also where a later channel's weights are larger than the first one's."""
    adstock = report_of(("tv", "radio"), regions=1, dates=10).adstock.copy()
    adstock[..., 0, :] = adstock[..., 0, :] * 0.1
    figure = plot_adstock(adstock)
    assert drawn(figure)
    for axes in figure.axes:
        assert axes.get_ylim()[0] == 0.0
        assert axes.get_ylim()[1] >= float(adstock.quantile(0.95, ("chain", "draw")).max())


def test_keys_take_as_many_columns_as_fit() -> None:
    labels = ["mean, frequency seen in the data", "mean, outside", "90% interval", "highest mean"]
    assert style._columns(labels, 12.0) == 4
    assert style._columns(labels, 6.0) == 3
    assert style._columns(labels, 2.0) == 1
    assert style._columns(["one"], 6.0) == 1


def test_no_draw_is_needed_to_be_finite_in_every_row(report_of: Make) -> None:
    r = report_of(regions=1, dates=10)
    text = drawn(plot_roi(r.roi.where(r.roi.channel != "tv")))
    assert all(str(channel) in text for channel in r.roi.channel.values)
