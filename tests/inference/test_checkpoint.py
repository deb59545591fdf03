"""A killed run goes on bit for bit; a directory of another run is refused by what differs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.inference import checkpoint, session
from bayes_mkt.inference.metric import AlongAxes, Dense, InBlocks, Metric
from bayes_mkt.inference.state import State
from bayes_mkt.inference.warmup import Tuning
from tests.inference import runs

short_run = pytest.mark.filterwarnings("ignore::bayes_mkt.errors.ConvergenceWarning")
SHORT: dict[str, Any] = {"seed": 3, "draws": 260, "progress": False}


def assert_same(first: xr.DataTree, second: xr.DataTree) -> None:
    for group in ("posterior", "sample_stats", "observed_data", "constant_data"):
        xr.testing.assert_identical(first[group].to_dataset(), second[group].to_dataset())
    assert first.attrs["gradients"] == second.attrs["gradients"]


class Killed(BaseException):
    """Stands for a process that ends at once."""


def killed_at(
    monkeypatch: pytest.MonkeyPatch, step: str, count: int, error: type[BaseException] = Killed
) -> None:
    """Let the given call of a function that writes end the run."""
    calls = iter(range(1, 10_000))
    module: Any = session.Checkpoint if step == "save" else checkpoint
    inner = getattr(module, step)

    def dying(*arguments: Any) -> Any:
        if next(calls) == count:
            raise error
        return inner(*arguments)

    monkeypatch.setattr(module, step, dying)


@short_run
def test_a_run_killed_by_a_signal_goes_on_bit_for_bit(tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 3, "target_ess": 4000, "max_draws": 3000}
    whole = bm.sample(runs.model(), progress=False, **options)
    place = str(tmp_path / "run")
    for reports in (3, 4):
        # The second process goes on from the first one, and is killed in its turn.
        with runs.process(checkpoint=place, **options) as running:
            runs.wait_for(running, "sampling", reports)
            running.send_signal(signal.SIGKILL)
            running.wait()
        assert running.returncode == -signal.SIGKILL
    resumed = bm.sample(runs.model(), progress=False, checkpoint=place, **options)
    assert_same(whole, resumed)


@short_run
@pytest.mark.parametrize("step", ["save", "_replace"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_run_that_dies_while_it_writes_goes_on_bit_for_bit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str, count: int
) -> None:
    whole = bm.sample(runs.model(), **SHORT)
    killed_at(monkeypatch, step, count)
    with pytest.raises(Killed):
        bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    monkeypatch.undo()
    assert_same(whole, bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT))


@short_run
def test_the_state_holds_what_warmup_has_learnt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = {**SHORT, "sampler": "nuts", "draws": 110, "chains": 3}
    whole = bm.sample(runs.model(), **options)
    killed_at(monkeypatch, "save", 3)
    with pytest.raises(Killed):
        bm.sample(runs.model(), checkpoint=tmp_path / "run", **options)
    monkeypatch.undo()
    about = json.loads((tmp_path / "run" / "about.json").read_text())
    found = checkpoint.Checkpoint(tmp_path / "run", about, 150).load()
    assert found is not None
    assert found[0].done == 350
    # The group effects have a form of their own, which is learnt.
    assert any(np.any(form != 0) for form in found[0].forms)
    assert_same(whole, bm.sample(runs.model(), checkpoint=tmp_path / "run", **options))


def test_a_process_killed_before_anything_was_there_begins_again(tmp_path: Path) -> None:
    (tmp_path / "about.json.new").write_text("{")
    assert checkpoint.Checkpoint(tmp_path, {"seed": 1}, 100).load() is None
    assert checkpoint.Checkpoint(tmp_path, {"seed": 1}, 100).load() is None


@short_run
def test_what_was_left_half_written_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bayes_mkt.inference.store import Files

    whole = bm.sample(runs.model(), **SHORT)
    write, calls = Files.write, iter(range(1, 10_000))

    def dying(self: Files, name: str, first: int, values: np.ndarray) -> None:
        # The eighth array of the second chunk holds nonsense when the process ends.
        if next(calls) == 18:
            write(self, name, first, np.zeros_like(values))
            raise Killed
        write(self, name, first, values)

    monkeypatch.setattr(Files, "write", dying)
    with pytest.raises(Killed):
        bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    monkeypatch.undo()
    assert_same(whole, bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT))


@short_run
def test_a_resumed_run_skips_warmup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    killed_at(monkeypatch, "save", 2)
    with pytest.raises(Killed):
        bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    monkeypatch.undo()
    steps = []
    follow = session.Session.follow

    def watched(self: session.Session, chunks: Any) -> None:
        follow(self, (steps.append(c.warmup) or c for c in chunks))

    monkeypatch.setattr(session.Session, "follow", watched)
    draws = bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    assert not any(steps)
    assert draws.attrs["warmup_seconds"] > 0


@short_run
def test_a_finished_run_is_returned_without_sampling(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    assert "checkpoint" not in first.attrs

    def never(*arguments: Any, **options: Any) -> None:
        raise AssertionError("sampled again")

    monkeypatch.setattr("bayes_mkt.inference.sampling.run", never)
    second = bm.sample(runs.model(), checkpoint=str(tmp_path / "run"), **SHORT)
    assert_same(first, second)


@short_run
def test_an_interrupted_run_goes_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = bm.sample(runs.model(), **SHORT)
    killed_at(monkeypatch, "save", 4, KeyboardInterrupt)
    some = bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    assert some.attrs["interrupted"] == 1
    assert some.posterior.sizes["draw"] == 150
    monkeypatch.undo()
    resumed = bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    assert "interrupted" not in resumed.attrs
    assert_same(whole, resumed)


@short_run
def test_the_draws_of_a_finished_run_are_plain_zarr(tmp_path: Path) -> None:
    draws = bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    place = tmp_path / "run" / "draws.zarr"
    with xr.open_dataset(place, group="posterior", engine="zarr", consolidated=False) as read:
        np.testing.assert_array_equal(read["effect"], draws.posterior["effect"])
        assert read["mean"].dims == ("chain", "draw", "mean_dim_0", "mean_dim_1")
    names = {path.name for path in tmp_path.rglob("*")}
    assert {"about.json", "state.npz"} <= names
    assert not any(name.endswith((".pkl", ".pickle")) for name in names)


OTHERS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"seed": 4}, "seed is 3 there and 4 now"),
    ({}, {"draws": 300}, "draws is 260 there and 300 now"),
    ({}, {"chains": 4}, "chains is 8 there and 4 now"),
    ({}, {"warmup": 200}, "warmup is 300 there and 200 now"),
    ({}, {"target_accept": 0.8}, "target_accept is 0.9 there and 0.8 now"),
    ({}, {"sampler": "nuts"}, "sampler is 'hmc' there and 'nuts' now"),
    ({}, {"collapse": None}, "collapse is 'auto' there and None now"),
    ({}, {"var_names": ["scale"]}, "value at the start of effect is .* there and None now"),
    ({"sd": 1.1}, {}, "log-density at the start is"),
    ({"shift": 0.5}, {}, "value at the start of mean is"),
]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs") / "run"
    with pytest.warns(bm.ConvergenceWarning):
        bm.sample(runs.model(), checkpoint=place, **{**SHORT, "draws": 50})
    about = place / "about.json"
    about.write_text(about.read_text().replace('"draws": 50', '"draws": 260'))
    return place


@pytest.mark.parametrize(("changes", "options", "message"), OTHERS)
def test_another_run_is_refused_by_what_differs(
    finished: Path, changes: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(bm.SpecError, match=message) as caught:
        bm.sample(runs.model(**changes), checkpoint=finished, **{**SHORT, **options})
    assert str(finished) in str(caught.value)
    assert "another directory" in str(caught.value)


def test_other_data_are_refused(finished: Path) -> None:
    model = runs.model()
    model.set_data("x", np.linspace(-1.0, 1.5, 40).reshape(5, 8))
    with pytest.raises(bm.SpecError, match="data x is"):
        bm.sample(model, checkpoint=finished, **SHORT)


def test_another_version_is_refused(monkeypatch: pytest.MonkeyPatch, finished: Path) -> None:
    monkeypatch.setattr(session, "__version__", "9.9")
    with pytest.raises(bm.SpecError, match=r"version of bayes_mkt is .* there and '9.9' now"):
        bm.sample(runs.model(), checkpoint=finished, **SHORT)


def test_what_is_no_checkpoint_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(bm.SpecError, match="holds files, but no run"):
        bm.sample(runs.model(), checkpoint=tmp_path, **SHORT)
    with pytest.raises(bm.SpecError, match="is a file"):
        bm.sample(runs.model(), checkpoint=tmp_path / "mine.txt", **SHORT)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "about.json").write_text("{")
    with pytest.raises(bm.SpecError, match="not valid JSON"):
        bm.sample(runs.model(), checkpoint=tmp_path, **SHORT)


@pytest.mark.parametrize("sampler", ["pymc", "laplace", "pathfinder"])
def test_samplers_without_chunks_have_no_checkpoint(
    normal: Callable[..., pm.Model], tmp_path: Path, sampler: str
) -> None:
    with pytest.raises(bm.SpecError, match=r"checkpoint=.*can't be kept with sampler="):
        bm.sample(normal(), seed=1, sampler=sampler, checkpoint=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [3, "", True, ["a"]])
def test_a_checkpoint_is_a_path(normal: Callable[..., pm.Model], value: Any) -> None:
    with pytest.raises(bm.SpecError, match="must be the path of a directory"):
        bm.sample(normal(), seed=1, checkpoint=value)


PLACES = np.array([[0, 1]])
METRICS: tuple[Metric, ...] = (
    Dense(np.random.default_rng(1).normal(size=(3, 3))),
    AlongAxes.plain(np.array([0.1, 0.2, 0.3])),
    InBlocks(
        np.ones((1, 2, 2)), np.ones((1, 2, 2)), np.ones((1, 2, 1)), np.ones((1, 1)),
        np.ones((1, 1)), PLACES, np.array([2]), np.arange(3),
    ),
)  # fmt: skip


@pytest.mark.parametrize("metric", METRICS)
def test_a_state_is_read_back_bit_for_bit(tmp_path: Path, metric: Metric) -> None:
    rng = np.random.default_rng(1)
    tuning = Tuning(metric, 0.1 + 0.2, 1 / 3)
    state = State(
        rng.normal(size=(2, 3)), tuning, (rng.normal(size=4), np.empty(0)), 350, 300, 10**12
    )
    kept = checkpoint.Checkpoint(tmp_path / "run", {}, 100)
    assert kept.load() is None
    told = checkpoint.Progress(50, 1, 2, ("a", "b"), 300, 1e3, 0.1, 0.2, False)
    kept.save(state, told)
    found = checkpoint.Checkpoint(tmp_path / "run", {}, 100).load()
    assert found is not None
    read, progress = found
    assert progress == told
    np.testing.assert_array_equal(read.positions, state.positions)
    assert type(read.tuning.metric) is type(metric)
    for field in fields(metric):
        one, other = getattr(read.tuning.metric, field.name), getattr(metric, field.name)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    for one, other in zip(read.forms, state.forms, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (read.tuning.step_size, read.tuning.reach) == (tuning.step_size, tuning.reach)
    assert (read.done, read.gradients) == (350, 10**12)


@short_run
def test_a_fit_has_a_checkpoint_too(simulated: bm.simulate.SimulatedPanel, tmp_path: Path) -> None:
    panel = bm.MediaPanel.from_frame(simulated.frame, **simulated.columns)
    spec = bm.MediaMix(adstock=bm.GeometricAdstock(max_lag=4))
    options: dict[str, Any] = {"seed": 1, "draws": 20, "warmup": 50, "progress": False}
    first = bm.fit(spec, panel, checkpoint=tmp_path / "run", **options)
    second = bm.fit(spec, panel, checkpoint=tmp_path / "run", **options)
    assert_same(first.draws, second.draws)
    assert first.draws.attrs["free_variables"] == [
        rv.name for rv in spec.build(panel).free_RVs if rv.name not in spec.on_demand
    ]
