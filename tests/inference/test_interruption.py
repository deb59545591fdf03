"""Ctrl-C returns the draws that there are, marked; in warmup there are none."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

import bayes_mkt as bm
from bayes_mkt.inference.progress import Silent
from tests.inference import runs


def interrupt_at(monkeypatch: pytest.MonkeyPatch, count: int, word: str = "") -> None:
    """Let the reporter raise as Ctrl-C does, at the given report that holds a word."""
    seen = iter(range(1, 10_000))

    def update(self: Silent, fraction: float, text: str) -> None:
        if word in text and next(seen) == count:
            raise KeyboardInterrupt

    monkeypatch.setattr(Silent, "update", update)


def test_a_signal_ends_the_run_with_what_there_is() -> None:
    with runs.process(seed=1, draws=1_000_000) as running:
        runs.wait_for(running, "sampling", 3)
        running.send_signal(signal.SIGINT)
        out, _ = running.communicate(timeout=60)
    assert running.returncode == 0
    found = json.loads(out.split("result ")[1])
    assert found["attrs"]["interrupted"] == 1
    assert found["draws"] >= 150
    assert found["draws"] % 50 == 0
    assert found["draws"] < 100_000
    assert found["finite"]


def test_too_few_draws_fail_and_say_that_they_were_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    interrupt_at(monkeypatch, 1, "sampling")
    with pytest.warns(bm.ConvergenceWarning, match="interrupted: stopped by hand after 100 draws"):
        draws = bm.sample(runs.model(), seed=1, chains=2, draws=500, progress=False)
    assert draws.attrs["interrupted"] == 1
    assert draws.posterior.sizes["draw"] == 50
    assert draws.sample_stats.sizes["draw"] == 50
    found = {f.check: f for f in bm.diagnose(draws).findings}
    assert found["interrupted"].failed
    assert "checkpoint=" in found["interrupted"].remedy
    # The mark survives a file.
    draws.to_netcdf(tmp_path / "draws.nc", engine="h5netcdf")
    import xarray as xr

    with xr.open_datatree(tmp_path / "draws.nc", engine="h5netcdf") as read:
        assert read.attrs["interrupted"] == 1
        assert not bm.diagnose(read.load()).ok


def test_enough_draws_pass_and_still_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(monkeypatch, 20, "sampling")
    draws = bm.sample(runs.model(), seed=1, draws=5000, progress=False)
    assert draws.posterior.sizes["draw"] == 1000
    verdict = bm.diagnose(draws)
    assert verdict.ok
    assert "Note: interrupted: stopped by hand after 8000 draws" in verdict.verdict


def test_the_draws_are_those_of_a_run_of_that_length(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(monkeypatch, 20, "sampling")
    some = bm.sample(runs.model(), seed=1, draws=5000, progress=False)
    monkeypatch.undo()
    same = bm.sample(runs.model(), seed=1, draws=1000, progress=False)
    assert some.posterior.to_dataset().identical(same.posterior.to_dataset())
    assert "interrupted" not in same.attrs


def test_in_warmup_there_is_nothing_to_return(monkeypatch: pytest.MonkeyPatch) -> None:
    interrupt_at(monkeypatch, 2, "warmup")
    with pytest.raises(KeyboardInterrupt):
        bm.sample(runs.model(), seed=1, progress=False)


@pytest.mark.filterwarnings("ignore::bayes_mkt.errors.ConvergenceWarning")
def test_a_bar_ends_cleanly(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from bayes_mkt.inference import session

    calls = iter(range(1, 1000))
    save = session.Session._save

    def saving(self: session.Session, state: object) -> None:
        if next(calls) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(session.Session, "_save", saving)
    draws = bm.sample(runs.model(), seed=1, draws=5000, progress=True)
    monkeypatch.setattr(session.Session, "_save", save)
    assert draws.attrs["interrupted"] == 1
    # Another bar can be shown afterwards.
    bm.sample(runs.model(), seed=1, draws=50, progress=True)
    assert "100%" in capfd.readouterr().err
