"""The commands from end to end, with draws from the prior in the place of sampling."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import bayes_mkt as bm
from bayes_mkt.cli import main

Fitter = Callable[..., bm.Fit]
OUTPUTS = {
    "contributions.csv",
    "diagnostics.csv",
    "fit",
    "incremental_sales.csv",
    "marginal_roi.csv",
    "report.html",
    "roi.csv",
    "run.json",
}


@dataclass(frozen=True)
class Place:
    """Files of one run, and the words that start it."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def words(self) -> list[str]:
        data, config = str(self.folder / "data.csv"), str(self.folder / "run.toml")
        return ["media-mix", data, "--config", config, "--out", str(self.out)]

    def configure(self, **replaced: str) -> None:
        """Write the configuration, each table the default or what is given."""
        tables = {
            "data": """
                sales = "sales"
                date = "week"
                region = "region"
                population = "population"
                revenue_per_sale = "revenue_per_sale"
                currency = "EUR"
                controls = ["competitor_activity"]
                spend = { tv = "tv_spend", search = "search_spend" }
                exposure = { tv = "tv_impressions", search = "search_impressions" }
            """,
            "model": 'adstock = { type = "GeometricAdstock", max_lag = 3 }',
            "sampler": "seed = 3",
            "report": 'title = "Two channels"\ninterval = 0.8',
        } | replaced
        text = "\n".join(f"[{name}]\n{content}" for name, content in tables.items())
        (self.folder / "run.toml").write_text(text)

    def names(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    panel = bm.simulate.media_mix(regions=2, weeks=20, channels=2, controls=1, seed=1)
    panel.frame.to_csv(tmp_path / "data.csv", index=False)
    found = Place(tmp_path)
    found.configure()
    return found


def unconverged(fitter: Fitter) -> Fitter:
    """Return a fitter whose draws fail their checks."""

    def fit(*arguments: Any, **options: Any) -> bm.Fit:
        fitted = fitter(*arguments, **options)
        one_chain = fitted.draws.map_over_datasets(
            lambda part: part.isel(chain=[0]) if "chain" in part.dims else part
        )
        one_chain.attrs = fitted.draws.attrs
        return dataclasses.replace(fitted, draws=one_chain, diagnostics=bm.diagnose(one_chain))

    return fit


def test_a_run_writes_everything(
    place: Place, quick_fit: Fitter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(place.words) == 0
    assert {path.name for path in place.out.iterdir()} == OUTPUTS
    assert place.names() == {"data.csv", "run.toml", "out"}
    printed = capsys.readouterr()
    assert printed.err == ""
    for part in ("2022-01-03", "Converged", "Return on investment", "tv", "report.html"):
        assert part in printed.out
    roi = pd.read_csv(place.out / "roi.csv")
    assert roi.columns.tolist() == ["channel", "mean", "sd", "median", "10%", "90%", "P(>1)"]
    assert roi.channel.tolist() == ["tv", "search"]
    assert len(pd.read_csv(place.out / "contributions.csv")) == 20 * 2
    assert "rhat" in pd.read_csv(place.out / "diagnostics.csv").columns
    assert "Two channels" in (place.out / "report.html").read_text(encoding="utf-8")
    record = json.loads((place.out / "run.json").read_text())
    assert (record["command"], record["seed"], record["converged"]) == ("media-mix", 3, True)


def test_the_saved_fit_answers_as_the_table_does(place: Place, quick_fit: Fitter) -> None:
    assert main([*place.words, "--quiet"]) == 0
    loaded = bm.Fit.load(place.out / "fit")
    written = pd.read_csv(place.out / "roi.csv").set_index("channel")["mean"]
    again = bm.roi(loaded).mean(("chain", "draw")).to_series()
    pd.testing.assert_series_equal(again, written, check_names=False, rtol=1e-12)


def test_quiet_prints_nothing(
    place: Place, quick_fit: Fitter, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*place.words, "--quiet", "--seed", "7"]) == 0
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""
    assert json.loads((place.out / "run.json").read_text())["seed"] == 7


def test_unconverged_draws_are_written_marked_and_told(
    place: Place,
    quick_fit: Fitter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bm, "fit", unconverged(quick_fit))
    assert main(place.words) == 3
    assert "Not converged" in capsys.readouterr().out
    for name in ("roi", "marginal_roi", "incremental_sales", "contributions"):
        assert set(pd.read_csv(place.out / f"{name}.csv")["warning"]) == {"unconverged"}
    assert "Not converged" in (place.out / "report.html").read_text(encoding="utf-8")
    assert json.loads((place.out / "run.json").read_text())["converged"] is False


def test_a_panel_without_spend_has_no_roi_and_says_why(
    place: Place, quick_fit: Fitter, capsys: pytest.CaptureFixture[str]
) -> None:
    place.configure(
        data='sales = "sales"\ndate = "week"\nregion = "region"\n'
        'exposure = { tv = "tv_impressions", search = "search_impressions" }'
    )
    assert main(place.words) == 0
    assert {p.name for p in place.out.iterdir()} == OUTPUTS - {"roi.csv", "marginal_roi.csv"}
    assert "the panel has no spend" in (place.out / "report.html").read_text(encoding="utf-8")
    printed = capsys.readouterr().out
    assert "the panel has no spend" in " ".join(printed.split())
    assert "Incremental sales" in printed


def test_an_estimand_is_passed_on(place: Place, quick_fit: Fitter) -> None:
    place.configure(
        estimand='spend_window = ["2022-02-07", 2022-03-07]\ncarryover = false\nchannels = ["tv"]'
    )
    assert main([*place.words, "--quiet"]) == 0
    assert pd.read_csv(place.out / "roi.csv").channel.tolist() == ["tv"]
    page = (place.out / "report.html").read_text(encoding="utf-8")
    assert "2022-02-07 to 2022-03-07" in page


def test_parquet_gives_the_same(place: Place, quick_fit: Fitter) -> None:
    assert main([*place.words, "--quiet"]) == 0
    frame = pd.read_csv(place.folder / "data.csv")
    frame.to_parquet(place.folder / "data.parquet")
    words = [word.replace("data.csv", "data.parquet") for word in place.words]
    assert main([*words, "--quiet", "--overwrite"]) == 0


def refuse(*_: object, **__: object) -> bm.Fit:
    raise AssertionError("the run should have stopped before sampling")


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"sampler": "chain = 4"}, "[sampler] has no key 'chain'; did you mean 'chains'?"),
        ({"sampler": "chains = 4"}, "The run has no seed. Add seed = 1 under [sampler]"),
        ({"model": "knot = 3"}, "[model]: unknown key 'knot'; did you mean 'knots'?"),
        ({"model": "knots = 40"}, "knots=40"),
        ({"estimand": 'spend_window = ["2031-01-01", "2031-02-01"]'}, "no date of the panel"),
        ({"estimand": 'channels = ["tvv"]'}, "no channel 'tvv'"),
        ({"data": 'sales = "sale"\ndate = "week"\nspend = { tv = "tv_spend" }'}, "'sale'"),
    ],
)
def test_a_mistake_ends_with_its_message_before_sampling(
    place: Place,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    replaced: dict[str, str],
    message: str,
) -> None:
    monkeypatch.setattr(bm, "fit", refuse)
    place.configure(**replaced)
    assert main(place.words) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("Error: ")
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert place.names() == {"data.csv", "run.toml"}


def test_bad_data_end_with_every_problem(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bm, "fit", refuse)
    frame = pd.read_csv(place.folder / "data.csv")
    frame.loc[3, "tv_spend"] = -1.0
    frame.loc[5, "population"] = 0.0
    frame.to_csv(place.folder / "data.csv", index=False)
    assert main(place.words) == 1
    printed = capsys.readouterr()
    assert "problems in the data" in printed.err
    assert "tv_spend" in printed.err
    assert printed.out == ""
    assert place.names() == {"data.csv", "run.toml"}


def test_a_failure_after_sampling_leaves_nothing(
    place: Place,
    quick_fit: Fitter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise bm.SamplingError("no luck")

    monkeypatch.setattr(bm.Fit, "save", fail)
    assert main(place.words) == 1
    assert capsys.readouterr().err == "Error: no luck\n"
    assert place.names() == {"data.csv", "run.toml"}


def test_an_interrupt_leaves_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> bm.Fit:
        raise KeyboardInterrupt

    monkeypatch.setattr(bm, "fit", interrupt)
    assert main(place.words) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert place.names() == {"data.csv", "run.toml"}


def test_an_existing_directory_ends_before_anything_is_read(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.out.mkdir()
    (place.out / "mine").touch()
    (place.folder / "data.csv").unlink()
    assert main(place.words) == 1
    assert "exists already" in capsys.readouterr().err
    assert main([*place.words, "--overwrite"]) == 1
    assert "bayes-mkt did not write ('mine')" in capsys.readouterr().err
    assert [path.name for path in place.out.iterdir()] == ["mine"]


def test_the_demo_prints_the_truth_and_replaces_only_itself(
    tmp_path: Path,
    quick_fit: Fitter,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    simulate = bm.simulate.media_mix

    def small(**sizes: int) -> Any:
        return simulate(**(sizes | {"regions": 2, "weeks": 30}))

    monkeypatch.setattr(bm.simulate, "media_mix", small)
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    truth = simulate(regions=2, weeks=30, channels=4, seed=1).truth
    assert "Estimates beside the known truth" in printed
    assert all(f"{value:.2f}" in printed for value in truth.roi.to_numpy())
    assert {path.name for path in Path("out").iterdir()} == OUTPUTS | {"panel.csv"}
    assert "Known truth" in Path("out/report.html").read_text(encoding="utf-8")
    assert main(["demo", "--seed", "2", "--quiet"]) == 0
    assert json.loads(Path("out/run.json").read_text())["seed"] == 2
    Path("out/mine").touch()
    assert main(["demo"]) == 1
    assert Path("out/mine").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["media-mix"], "DATA"),
        (["media-mix", "data.csv", "--out", "out"], "--config"),
        (["demo", "--sed", "1"], "--seed"),
        (["demo", "--seed", "one"], "one"),
        (["dmo"], "demo"),
    ],
)
def test_wrong_usage_is_status_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == bm.__version__
    for words in ([], ["--help"]):
        assert main(words) == 0
        printed = capsys.readouterr().out
        assert "media-mix" in printed
        assert "demo" in printed
        assert "Exit status" in printed
    assert main(["media-mix", "--help"]) == 0
    assert "--overwrite" in capsys.readouterr().out


def test_the_words_of_the_process_are_the_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bayes-mkt", "--version"])
    assert main() == 0
    assert capsys.readouterr().out.strip() == bm.__version__
