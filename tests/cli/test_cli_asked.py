"""What a configuration asks beyond effects: each table to its file and its part of the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bayes_mkt as bm
from bayes_mkt.cli import main
from bayes_mkt.cli.config import read_media_mix_config
from bayes_mkt.inference.diagnostics import Finding

Fitter = Callable[..., bm.Fit]
BASE = """
[data]
sales = "sales"
date = "week"
region = "region"
population = "population"
revenue_per_sale = "revenue_per_sale"
currency = "EUR"
controls = ["competitor_activity"]
spend = { tv = "tv_spend", search = "search_spend" }
exposure = { tv = "tv_impressions" }
reach = { search = "search_reach" }
frequency = { search = "search_frequency" }
[model]
adstock = { type = "GeometricAdstock", max_lag = 3 }
[sampler]
seed = 3
"""
LIFT = """
[[model.lift_tests]]
channel = "tv"
start = 2022-02-07
end = "2022-02-28"
spend_change = 10.0
lift = 5.0
se = 50.0
"""
EVERYTHING = (
    BASE
    + """
[forecast]
plan = "plan.csv"
spend = { tv = "money" }
reach = { search = "people" }
frequency = { search = "times" }
[budget]
horizon = 2
by = ["region", "channel"]
bounds = { tv = [0, 1e9], region_01 = [0, 1e9], region_02 = { tv = [0, 10] } }
starts = 1
[refutation]
checks = ["hidden_cause", "prior"]
[backtest]
origins = 1
horizon = 3
[treatments]
competitor_activity = "min"
"""
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    world = bm.simulate.media_mix(
        regions=2, weeks=20, channels=2, controls=1, seed=1, reach_frequency=1
    )
    world.frame.to_csv(tmp_path / "data.csv", index=False)
    panel = bm.MediaPanel.from_frame(world.frame, **world.columns)
    dates = bm.MediaPlan.repeat(panel, 3).dates
    index = pd.MultiIndex.from_product([panel.regions, dates], names=["region", "week"])
    plan = pd.DataFrame({"money": 100.0, "people": 10.0, "times": 2.0}, index=index)
    plan.reset_index().to_csv(tmp_path / "plan.csv", index=False)
    return tmp_path


def start(folder: Path, text: str) -> int:
    (folder / "run.toml").write_text(text, encoding="utf-8")
    words = ["media-mix", str(folder / "data.csv"), "--config", str(folder / "run.toml")]
    return main([*words, "--out", str(folder / "out"), "--quiet"])


def test_everything_asked_for_is_written_and_shown(
    folder: Path, quick_fit: Fitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bayes_mkt.media_mix import backtest

    monkeypatch.setattr(backtest, "fit", quick_fit)
    assert start(folder, EVERYTHING) in (0, 3)
    out = folder / "out"
    extra = {"forecast", "plan", "refutation", "backtest", "treatments"}
    assert {f"{name}.csv" for name in extra} <= {path.name for path in out.iterdir()}
    forecast = pd.read_csv(out / "forecast.csv")
    assert len(forecast) == 6
    plan = pd.read_csv(out / "plan.csv").set_index(["region", "channel"])
    assert plan["spend"].sum() == pytest.approx(plan["spend_today"].sum())
    assert (
        plan.loc[("region_02", "tv"), "spend"] <= 10 < plan.loc[("region_02", "tv"), "spend_today"]
    )
    scores = pd.read_csv(out / "backtest.csv")
    assert scores["crps"].gt(0).all()
    for share in ("inside 50%", "inside 80%", "inside 95%"):
        assert scores[share].between(0, 1).all()
    assert set(pd.read_csv(out / "refutation.csv")["check"]) == {"hidden_cause", "prior"}
    page = (out / "report.html").read_text("utf-8")
    for heading in ("Forecast", "Plan", "Refutation", "Frequency", "Region by region"):
        assert f"{heading}</h2>" in page
    assert "competitor_activity at its min" in page
    assert "Backtest, mean over origins" in page


def test_a_plan_from_unconverged_draws_is_marked(
    folder: Path, quick_fit: Fitter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*arguments: Any, **options: Any) -> bm.Fit:
        fitted = quick_fit(*arguments, **options)
        failed = dataclasses.replace(
            fitted.diagnostics, findings=(Finding("chains", "", "made up", "None."),)
        )
        return dataclasses.replace(fitted, diagnostics=failed)

    monkeypatch.setattr(bm, "fit", fit)
    text = EVERYTHING[: EVERYTHING.index("[refutation]")]
    assert "[budget]" in text
    assert start(folder, text) == 3
    assert set(pd.read_csv(folder / "out" / "plan.csv")["warning"]) == {"unconverged"}


def test_lift_tests_need_no_type_and_may_have_dates(folder: Path, quick_fit: Fitter) -> None:
    assert start(folder, BASE + LIFT) in (0, 3)
    found = bm.Fit.load(folder / "out" / "fit").spec.lift_tests
    assert found[0].start == "2022-02-07"
    assert (folder / "out" / "lift_tests.csv").is_file()
    assert "Experiments</h2>" in (folder / "out" / "report.html").read_text("utf-8")


MISTAKES: dict[str, tuple[str, str]] = {
    "unknown key": ("[budget]\nhorizons = 3", "did you mean 'horizon'?"),
    "bounds of no pair": ("[budget]\nbounds = { tv = [1, 2, 3] }", "the lowest and the highest"),
    "bounds of nothing": ("[budget]\nbounds = { region_01 = {} }", "region_01 is empty"),
    "bounds of no channel": ("[budget]\nbounds = { radio = [0, 1] }", "no channel 'radio'"),
    "bounds beyond the total": ("[budget]\nbounds = { tv = [1e12, 2e12] }", "can't be met"),
    "an unknown risk": ('[budget]\nrisk = "luck"', "choose from 'mean'"),
    "an unknown check": ('[refutation]\nchecks = ["luck"]', "choose from placebo"),
    "too long a backtest": ("[backtest]\norigins = 9\nhorizon = 2", "Use fewer or shorter ones"),
    "an unknown control": ("[treatments]\nprice = 0.0", "no control 'price'"),
    "a level that is none": ('[treatments]\ncompetitor_activity = "low"', '"mean", "min"'),
    "columns without a plan": ('[forecast]\nspend = { tv = "x" }', 'Add plan = "plan.csv"'),
    "a plan and a horizon": ('[forecast]\nplan = "plan.csv"\nhorizon = 3', "not both"),
    "an absent plan": ('[forecast]\nplan = "plans.csv"', "is not a file"),
    "a plan with other columns": (
        '[forecast]\nplan = "plan.csv"\nspend = { tv = "mony" }',
        "did you mean 'money'?",
    ),
    "a plan of a channel that is not there": (
        '[forecast]\nplan = "plan.csv"\nspend = { radio = "money" }',
        "channel 'radio' of the plan",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_before_anything_is_sampled(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(*_: Any, **__: Any) -> bm.Fit:
        raise AssertionError("sampled")

    monkeypatch.setattr(bm, "fit", never)
    text, message = MISTAKES[name]
    assert start(folder, f"{BASE}\n{text}\n") == 1
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (folder / "out").exists()


def test_committed_configurations_are_sound() -> None:
    folder = Path(__file__).resolve().parents[2] / "docs" / "configs"
    found = {path.stem: read_media_mix_config(path) for path in folder.glob("*.toml")}
    assert found["geo_media"].forecast is None
    assert found["national_media_rf"].data["reach"] == {"Channel3": "Channel3_reach"}
    assert found["national_media_rf"].budget is not None
