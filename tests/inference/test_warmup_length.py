"""How long warmup is: as given, or by default for as long as chains creep, up to a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference import warmup
from bayes_mkt.inference.checkpoint import Checkpoint
from bayes_mkt.inference.sampling import MOST_WARMUP
from tests.inference import runs

pytestmark = pytest.mark.filterwarnings("ignore::bayes_mkt.ConvergenceWarning")
SHORT: dict[str, Any] = {"seed": 1, "chains": 2, "draws": 50, "progress": False}


def creeping(monkeypatch: pytest.MonkeyPatch, times: int) -> list[tuple[int, ...]]:
    """Have the chains creep at the given number of looks; return the shapes looked at."""
    seen: list[tuple[int, ...]] = []

    def settled(lesson: np.ndarray) -> bool:
        seen.append(lesson.shape)
        return len(seen) > times

    monkeypatch.setattr(warmup, "settled", settled)
    return seen


def test_a_warmup_goes_on_while_chains_creep(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = creeping(monkeypatch, 2)
    tree = bm.sample(runs.model(), **SHORT)
    # Each time, the last lesson counts as one more, and two follow.
    assert tree.attrs["warmup"] == 300 + 2 * 100
    assert tree.posterior.sizes["draw"] == 50
    assert [length for _, length, _ in seen] == [50, 50, 50]


def test_a_warmup_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    creeping(monkeypatch, 100)
    assert bm.sample(runs.model(), **SHORT).attrs["warmup"] == MOST_WARMUP


def test_a_given_warmup_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = creeping(monkeypatch, 100)
    assert bm.sample(runs.model(), warmup=100, **SHORT).attrs["warmup"] == 100
    assert not seen


def test_a_longer_warmup_is_resumed_as_such(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    creeping(monkeypatch, 1)
    whole = bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    again = bm.sample(runs.model(), checkpoint=tmp_path / "run", **SHORT)
    assert whole.attrs["warmup"] == again.attrs["warmup"] == 400
    np.testing.assert_array_equal(whole.posterior["scale"], again.posterior["scale"])


def shelf() -> pm.Model:
    """A wide normal far above which, within a long walk, a narrow one holds nearly everything."""
    with pm.Model() as model:
        x = pm.Flat("x", shape=2, initval=np.array([4.0, 4.0]))
        narrow = pm.logp(pm.Normal.dist(0.0, 0.4), x).sum()
        wide = pm.logp(pm.Normal.dist(4.0, 1.5), x).sum()
        pm.Potential("two", pm.math.logaddexp(narrow, wide - 6.0))
    return model


@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_a_warmup_goes_on_until_the_chains_are_where_they_stay(seed: int) -> None:
    draws = bm.sample(shelf(), seed=seed, progress=False)
    assert draws.attrs["warmup"] > 300
    bm.diagnose(draws).require_ok()
    assert abs(float(draws.posterior["x"].mean())) < 0.1


def test_chains_that_fall_from_the_shelf_after_warmup_begin_it_again(tmp_path: Path) -> None:
    options: dict[str, Any] = {"seed": 9, "progress": False, "draws": 3000}
    whole = bm.sample(shelf(), checkpoint=tmp_path / "run", **options)
    # The first draws are no draws: they are warmup, and one as long as any follows.
    assert whole.attrs["warmup"] >= 3000 + 2 * 300
    assert whole.posterior.sizes == {"chain": 8, "draw": 3000, "x_dim_0": 2}
    again = bm.sample(shelf(), checkpoint=tmp_path / "run", **options)
    np.testing.assert_array_equal(whole.posterior["x"], again.posterior["x"])
    given = bm.sample(shelf(), warmup=300, **options)
    assert given.attrs["warmup"] == 300
    assert not bm.diagnose(given).ok


@pytest.mark.parametrize("saved", [1, 2])
def test_a_run_that_dies_around_a_second_warmup_goes_on_bit_for_bit(
    saved: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"seed": 9, "progress": False, "draws": 3000}
    whole = bm.sample(shelf(), **options)
    save, calls = Checkpoint.save, []

    def dying(self: Checkpoint, *parts: Any) -> None:
        calls.append(parts)
        if len(calls) > saved:
            raise MemoryError
        save(self, *parts)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", dying)
        with pytest.raises(MemoryError):
            bm.sample(shelf(), checkpoint=tmp_path / "run", **options)
    again = bm.sample(shelf(), checkpoint=tmp_path / "run", **options)
    assert again.attrs["warmup"] == whole.attrs["warmup"] > 3000
    np.testing.assert_array_equal(whole.posterior["x"], again.posterior["x"])
