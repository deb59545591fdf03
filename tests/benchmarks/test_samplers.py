"""The comparison of samplers: its arithmetic, its protocol and its files. No peers, no network."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks.peers import simulated
from benchmarks.peers.models import MODELS, build, kept
from benchmarks.peers.protocol import Task
from benchmarks.samplers import checked_folder, told
from benchmarks.samplers.catalogue import POSTERIORS, SUITE
from benchmarks.samplers.launch import run
from benchmarks.samplers.markdown import number, page
from benchmarks.samplers.partial import Partial
from benchmarks.samplers.summary import by_system, distances, ratios, spread
from benchmarks.samplers.systems import PEERS, SYSTEMS, system
from benchmarks.samplers.verdict import figures, judged


def stage(seconds: float, ess: float, rhat: float = 1.0) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "ess_bulk": ess,
        "ess_tail": ess,
        "ess_sd": ess,
        "rhat": rhat,
        "divergences": 0,
        "gradients": 10,
        "gradients_warmup": None,
        "shown": {"mu": {"mean": 1.0, "sd": 2.0, "mcse": 0.1}},
    }


def record(name: str, model: str, repetition: int, **stages: Any) -> dict[str, Any]:
    return {"system": name, "model": model, "repetition": repetition, **stages}


@pytest.fixture
def records() -> list[dict[str, Any]]:
    return [
        record("bayes_mkt", "funnel", 0, cold=stage(10, 1000), warm=stage(1, 1000)),
        record("bayes_mkt", "funnel", 1, cold=stage(20, 1000), warm=stage(1, 1000)),
        record("bayes_mkt:nuts", "funnel", 0, cold=stage(1, 9000), warm=stage(1, 9000)),
        record("pymc", "funnel", 0, cold=stage(10, 250, 1.2), warm=stage(10, 250)),
        record("nutpie", "funnel", 0, cold=stage(10, 500), failure="stopped"),
        record("bayes_mkt", "normal", 0, failure="stopped"),
        record("pymc", "normal", 0, cold=stage(1, 100), warm=stage(1, 100)),
    ]


def test_every_name_is_a_benchmark() -> None:
    for name in command.NAMES:
        assert callable(import_module(f"benchmarks.{name}").measure)


def test_medians_and_spread(records: list[dict[str, Any]]) -> None:
    ours = by_system(records)[0]
    assert ours["cold"]["seconds"] == {"median": 15.0, "min": 10.0, "max": 20.0}
    assert ours["cold"]["ess_per_second"] == {"median": 75.0, "min": 50.0, "max": 100.0}
    assert ours["repetitions"] == 2
    assert spread([None]) is None


def test_the_ratio_is_to_the_best_peer(records: list[dict[str, Any]]) -> None:
    found = ratios(by_system(records), ["funnel", "normal"], "bayes_mkt")
    assert found["cold"]["models"]["funnel"] == {
        "ours": 75.0,
        "best_peer": "nutpie",
        "peer": 50.0,
        "ratio": 1.5,
    }
    assert found["warm"]["models"]["funnel"]["best_peer"] == "pymc"
    assert found["warm"]["geometric_mean"] == 40.0
    assert found["cold"]["missing"] == ["normal"]


def test_a_failure_keeps_its_reason(records: list[dict[str, Any]]) -> None:
    rows = {(row["model"], row["system"]): row for row in by_system(records)}
    assert rows["normal", "bayes_mkt"]["failures"] == ["stopped"]
    assert rows["normal", "bayes_mkt"]["cold"] is None
    assert rows["funnel", "nutpie"]["warm"] is None
    assert "stopped" in told(records[4])


def test_distance_from_the_truth() -> None:
    shown = {"a": {"mean": 1.5, "sd": 1.8}, "b": {"mean": 0.0, "sd": 1.0}}
    truth = {"a": {"mean": 1.0, "sd": 2.0}, "b": {"mean": 3.0}}
    mean, sd = distances(shown, truth)
    assert (mean, sd) == (pytest.approx(0.25), pytest.approx(0.1))
    assert distances(shown, {}) == (None, None)


def test_the_page_shows_what_failed(records: list[dict[str, Any]]) -> None:
    rows = by_system(records)
    models = ["funnel", "normal"]
    result = {
        "command": "python -m benchmarks samplers",
        "date": "2026-01-01",
        "machine": {"system": "Linux", "processor": "x", "cores": 2, "memory_gib": 4.0},
        "note": "",
        "posteriors": {name: POSTERIORS[name].about for name in models},
        "truth": {name: POSTERIORS[name].truth(None) for name in models},
        "summary": rows,
        "ratios": ratios(rows, models, "bayes_mkt"),
        "records": records,
        "environments": {"pymc": {"pymc": "6.4.0"}},
    }
    text = page(result)
    assert "- nutpie: stopped" in text
    assert "1.200 ✗" in text
    assert "Without a ratio: normal." in text
    widths = [line.count("|") for line in text.splitlines() if line.startswith("| funnel")]
    assert widths == [10]


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (1234.5, "1,234"), (0.012345, "0.0123"), (12.345, "12.3")]
)
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_run_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "run.partial.json"
    first = Partial.open(path, {"seed": 1})
    first.add(record("pymc", "funnel", 0, versions={"pymc": "6.4.0"}))
    again = Partial.open(path, {"seed": 1})
    assert again.has("pymc", "funnel", 0, 600.0)
    assert not again.has("pymc", "funnel", 1, 600.0)
    again.add(record("nutpie", "funnel", 0))
    again.add(record("pymc", "funnel", 1))
    kept = again.ordered(["nutpie", "pymc"], ["funnel"])
    assert [(one["system"], one["repetition"]) for one in kept] == [
        ("nutpie", 0),
        ("pymc", 0),
        ("pymc", 1),
    ]
    assert Partial.environments(kept)["pymc"] == {"pymc": "6.4.0"}
    assert again.records[0]["versions"]
    assert not Partial.open(path, {"seed": 2}).records
    assert not Partial.open(path, {"seed": 1}, fresh=True).records
    again.close()
    assert not path.exists()


def test_what_was_stopped_is_tried_again_for_longer(tmp_path: Path) -> None:
    partial = Partial.open(tmp_path / "run.partial.json", {"seed": 1})
    partial.add(record("pymc", "funnel", 0, limit=60.0, failure="stopped: cold sampling took"))
    partial.add(record("nutpie", "funnel", 0, limit=60.0, failure="ValueError: no draws"))
    assert partial.has("pymc", "funnel", 0, 30.0)
    assert partial.has("pymc", "funnel", 0, 60.0)
    assert not partial.has("pymc", "funnel", 0, 600.0)
    assert partial.has("nutpie", "funnel", 0, 600.0)
    partial.add(record("pymc", "funnel", 0, limit=600.0))
    assert partial.has("pymc", "funnel", 0, 9999.0)
    assert [one["system"] for one in partial.records] == ["nutpie", "pymc"]


def test_absent_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"cdnow_customers_summary\.csv.*--data"):
        checked_folder(tmp_path, ["bgnbd"])
    assert checked_folder(tmp_path, ["funnel"]) == tmp_path.resolve()


def test_an_unknown_system_is_refused() -> None:
    with pytest.raises(SystemExit, match="choose from bayes_mkt"):
        system("stan")
    assert system("bayes_mkt:nuts").ours


def test_peers_are_pinned() -> None:
    scripts = {one.script for one in SYSTEMS.values() if not one.ours}
    assert scripts == {"run_pymc.py", "run_meridian.py"}
    for script in scripts:
        text = (PEERS / script).read_text(encoding="utf-8")
        block = text[text.index("dependencies = [") : text.index("# ]\n")]
        assert re.findall(r'"([^"]+)"', block)
        assert all("==" in pin for pin in re.findall(r'"([^"]+)"', block))


def test_the_catalogue_names_what_the_models_have() -> None:
    assert set(POSTERIORS) == set(MODELS)
    assert set(SUITE) <= set(MODELS)
    for name in ("eight_schools", "funnel", "normal_100", "logistic"):
        model = build(name, Path())
        assert {v.name for v in model.free_RVs} == set(POSTERIORS[name].free)
        assert set(POSTERIORS[name].shown) <= set(kept(model))


def test_the_catalogue_names_what_the_real_data_models_have(shared_data: Path) -> None:
    for name in ("geo_media", "geo_media_centred", "geo_all_channels", "bgnbd"):
        model = build(name, shared_data)
        assert {v.name for v in model.free_RVs} == set(POSTERIORS[name].free)
        assert set(POSTERIORS[name].shown) <= set(kept(model))


def test_the_normal_is_what_it_says() -> None:
    made = simulated.correlated_normal(50)
    covariance = made.cholesky @ made.cholesky.T
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), made.sd)
    correlation = covariance / np.outer(made.sd, made.sd)
    off = np.sort(np.abs(correlation - np.eye(50)).max(axis=0))
    np.testing.assert_allclose(off, 0.9)
    assert 0.1 <= made.sd.min() < made.sd.max() <= 10.0


def test_purchases_have_the_published_likelihood(shared_data: Path) -> None:
    model = build("bgnbd", shared_data)
    r, alpha, a, b = 0.242594, 4.413532, 0.792919, 2.425895
    point = {
        "r_log__": np.log(r),
        "alpha_log__": np.log(alpha),
        "phi_interval__": np.log(a / b),
        "kappa_interval__": np.log(a + b - 1.0),
    }
    likelihood = model.compile_logp(vars=model.potentials, mode="FAST_COMPILE")(point)
    assert float(likelihood) == pytest.approx(-9582.43, abs=0.01)


def test_figures_of_independent_draws() -> None:
    rng = np.random.default_rng(1)
    values = {"v": rng.normal(size=(4, 500)), "z": rng.normal(size=(4, 500, 9))}
    found = figures(values, POSTERIORS["funnel"])
    assert found["parameters"] == 10
    assert min(found["ess_bulk"], found["ess_sd"]) > 1000
    assert found["rhat"] < 1.01
    assert len(found["shown"]) == 10
    values["v"][0] = 0.0  # a chain that never moves
    assert figures(values, POSTERIORS["funnel"])["ess_bulk"] == 0.0


def test_a_worker_leaves_figures_and_draws() -> None:
    task = Task("bayes_mkt", "funnel", 1, "", "")
    with run(task, 120.0) as (found, folder):
        assert "failure" not in found, found
        cold = judged(folder, "cold", "funnel")
    assert not folder.exists()
    assert cold["ess_bulk"] >= 1000
    assert found["versions"]["pymc"]
    assert 0 < found["cold"]["seconds"] < found["process_seconds"]
    json.dumps({**found, "cold": cold})


def test_a_worker_that_takes_too_long_is_stopped() -> None:
    with run(Task("bayes_mkt", "funnel", 1, "", ""), 0.0) as (found, _):
        assert found["failure"].startswith("stopped: cold sampling took more than")


def test_a_worker_says_why_it_failed() -> None:
    with run(Task("bayes_mkt", "no_such", 1, "", ""), 60.0) as (found, _):
        assert found["failure"] == "KeyError: 'no_such'"
