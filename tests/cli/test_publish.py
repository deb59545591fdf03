"""What is handed on of a fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

import bayes_mkt as bm
from bayes_mkt.publish import answer_media_mix

Fitter = Callable[..., bm.Fit]


@pytest.fixture(scope="module")
def panel() -> bm.MediaPanel:
    simulated = bm.simulate.media_mix(regions=2, weeks=16, channels=2, controls=0, seed=1)
    return bm.MediaPanel.from_frame(simulated.frame, **simulated.columns)


def test_a_report_is_one_file(tmp_path: Path, quick_fit: Fitter, panel: bm.MediaPanel) -> None:
    fit = quick_fit(bm.MediaMix(), panel, seed=1)
    path = bm.report_media_mix(fit, None, tmp_path / "page.html", truth={"tv": 1.25})
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    page = path.read_text(encoding="utf-8")
    for part in ("Media mix, 2022-01-03 to", "Known truth", "Response curves", "max_lag"):
        assert part in page
    again = bm.report_media_mix(fit, None, tmp_path / "again.html", truth={"tv": 1.25})
    assert again.read_bytes() == path.read_bytes()


def test_unconverged_draws_are_refused_unless_allowed(
    tmp_path: Path, quick_fit: Fitter, panel: bm.MediaPanel
) -> None:
    fit = quick_fit(bm.MediaMix(), panel, seed=1)
    draws = fit.draws.map_over_datasets(lambda d: d.isel(chain=[0]) if "chain" in d.dims else d)
    draws.attrs = fit.draws.attrs
    bad = dataclasses.replace(fit, draws=draws, diagnostics=bm.diagnose(draws))
    with pytest.raises(bm.SamplingError, match="allow_unconverged=True"):
        bm.report_media_mix(bad, None, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
    page = bm.report_media_mix(bad, None, tmp_path / "page.html", allow_unconverged=True)
    assert "Not converged" in page.read_text(encoding="utf-8")


def test_the_prior_of_roi_is_shown_only_for_the_roi_that_has_it(
    quick_fit: Fitter, panel: bm.MediaPanel
) -> None:
    fit = quick_fit(bm.MediaMix(), panel, seed=1)
    whole = answer_media_mix(fit).roi_prior
    assert whole is not None
    assert abs(float(whole.median()) - 1.2214) < 0.06
    part = bm.Estimand(spend_window=("2022-01-03", "2022-02-28"))
    assert answer_media_mix(fit, part).roi_prior is None
    coefficient = quick_fit(bm.MediaMix(media_prior="coefficient"), panel, seed=1)
    assert answer_media_mix(coefficient).roi_prior is None


def test_decisions_are_shown_where_they_were_made(
    tmp_path: Path, quick_fit: Fitter, panel: bm.MediaPanel
) -> None:
    """A model with regions' own curves and a lift test; a plan, its forecast and a refutation."""
    test = bm.LiftTest(
        channel="tv",
        start="2022-02-07",
        end="2022-02-28",
        spend_change=100.0,
        lift=5.0,
        se=1e6,
        name="<b>test</b>",
    )
    spec = bm.MediaMix(adstock_pooling="partial", lift_tests=[test])
    fit = quick_fit(spec, panel, seed=1)
    plan = bm.MediaPlan.repeat(panel, 3)
    page = bm.report_media_mix(
        fit,
        None,
        tmp_path / "page.html",
        forecast=bm.forecast(fit, plan, seed=1),
        allocation=bm.allocate_budget(fit, plan, draws=20, starts=1),
        refutation=bm.refute(fit, seed=1, checks=["hidden_cause", "prior", "prior_scaling"]),
    ).read_text(encoding="utf-8")
    for part in ("Experiments", "Predicted sales by region", "Plan", "Next unit in plan"):
        assert part in page
    for part in (
        "Refutation",
        "An unseen cause",
        "A stronger or weaker prior",
        "&lt;b&gt;test&lt;/b&gt;",
    ):
        assert part in page
    assert "<b>test" not in page
    assert "Backtest" not in page
