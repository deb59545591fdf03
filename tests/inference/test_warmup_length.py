"""How long warmup is: as given, or by default for as long as chains creep, up to a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bayes_mkt as bm
from bayes_mkt.inference import warmup
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
