"""When draws are enough: where there are plenty a part of them says so, and spares the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pymc as pm
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.inference import collect
from bayes_mkt.inference.chunks import LONGEST_CHUNK
from bayes_mkt.inference.collect import Enough
from bayes_mkt.inference.diagnostics import assured, diagnose
from bayes_mkt.inference.progress import Silent
from bayes_mkt.inference.sampling import Settings

CHAINS, DRAWS = 8, 4000


class Drawn:
    """What a collector holds, as far as `Enough` asks."""

    much, broken, diverging, length, warmup_done = False, (), 0, 50, 300

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.draws = values, values.shape[1]

    def judged(self) -> Iterator[np.ndarray]:
        yield self.values


def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of draws of a chain that are looked at, as they come."""
    seen, look = [], collect.smallest_ess

    def counted(values: np.ndarray) -> tuple[float, float]:
        seen.append(values.shape[1])
        return look(values)

    monkeypatch.setattr(collect, "smallest_ess", counted)
    return seen


def noise(draws: int = DRAWS, size: int = 3) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(CHAINS, draws, size))


def asked(values: np.ndarray, **options: Any) -> tuple[bool, dict[str, float]]:
    enough = Enough(Settings(seed=1, **options), Silent())
    return enough(Drawn(values)), enough.seen


@pytest.mark.parametrize(
    ("draws", "target", "kept"),
    [(4000, 400, 500), (4000, 1200, 667), (4000, 2000, 1000), (4000, 3000, 4000), (1990, 50, 1990)],
)
def test_a_part_is_looked_at_where_it_is_many_times_what_is_wanted(
    draws: int, target: float, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = looks(monkeypatch)
    done, _ = asked(noise(draws), target_ess=target)
    assert done
    assert seen == [kept]


def test_all_draws_are_looked_at_where_a_part_does_not_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = looks(monkeypatch)
    values = noise()
    values[:, ::8] += np.arange(CHAINS)[:, None, None]  # what the part would be
    _, figures = asked(values, target_ess=400)
    assert seen == [500, 4000]
    assert not figures


@pytest.mark.parametrize(
    ("part", "looks"),
    [
        ((500.0, 1.0049), 1),
        ((499.0, 1.0), 2),  # 400 are wanted; of all draws they might be 399
        ((9e9, 1.0051), 2),
        ((np.nan, 1.0), 2),
        ((9e9, np.nan), 2),
        ((0.0, np.inf), 2),
    ],
)
def test_a_part_is_enough_by_a_margin(
    part: tuple[float, float], looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def look(values: np.ndarray) -> tuple[float, float]:
        seen.append(values.shape[1])
        return part if values.shape[1] < DRAWS else (400.0, 1.01)

    monkeypatch.setattr(collect, "smallest_ess", look)
    done, figures = asked(noise(), target_ess=400)
    assert done
    assert len(seen) == looks
    expected = {"seen_ess": part[0], "seen_rhat": part[1]} if looks == 1 else {}
    assert figures == expected


def test_the_sampled_vector_is_looked_at_first_where_that_is_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = looks(monkeypatch)
    drawn = Drawn(noise())
    drawn.much, drawn.sampled = True, lambda: iter([noise(size=2)])
    assert Enough(Settings(seed=1), Silent())(drawn)
    assert seen == [500, 500]
    stuck = noise(size=2)
    stuck[0, :, 0] = 0.0
    drawn.sampled = lambda: iter([stuck])
    assert not Enough(Settings(seed=1), Silent())(drawn)
    assert seen == [500, 500, 500, 4000]  # and never what is stored


def test_a_run_that_ends_without_a_look_has_seen_nothing() -> None:
    enough = Enough(Settings(seed=1, target_ess=400, max_draws=DRAWS), Silent())
    assert enough(Drawn(noise()))
    assert not enough.seen
    broken = Drawn(noise())
    broken.broken = ("a",)
    enough = Enough(Settings(seed=1), Silent())
    assert enough(broken)
    assert not enough.seen


def test_what_is_too_rare_for_a_part_is_looked_for_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = looks(monkeypatch)
    values = noise()
    values[:, :, 1] = 0.0
    values[0, 1:3001:4, 1] = 1.0  # in one chain alone, where each eighth draw doesn't look
    done, _ = asked(values, target_ess=400)
    assert not done
    assert seen == [4000]


def test_a_chain_that_is_stuck_is_never_enough() -> None:
    values = noise()
    values[3, :, 2] = 1.0
    done, figures = asked(values, target_ess=400)
    assert not done
    assert not figures


def tree(**attrs: Any) -> xr.DataTree:
    """Good draws, and what their run saw of them."""
    dims, rng = ("chain", "draw"), np.random.default_rng(2)
    stats = {"diverging": np.zeros((CHAINS, 900), bool), "energy": rng.normal(size=(CHAINS, 900))}
    found = xr.DataTree.from_dict(
        {
            "/posterior": xr.Dataset({"a": (dims, noise(900, 1)[:, :, 0])}),
            "/sample_stats": xr.Dataset({name: (dims, value) for name, value in stats.items()}),
        }
    )
    found.attrs = {"seen_ess": 3000.0, "seen_rhat": 1.002, **attrs}
    return found


def diverging(draws: xr.DataTree) -> None:
    draws["sample_stats"]["diverging"][:, :2] = True


def sluggish(draws: xr.DataTree) -> None:
    draws["sample_stats"]["energy"][:] = np.cumsum(draws["sample_stats"]["energy"], axis=1)


def test_good_draws_are_known_to_be_good() -> None:
    assert assured(tree())
    assert diagnose(tree()).ok


@pytest.mark.parametrize(
    "attrs",
    [
        {"seen_ess": 499.0},
        {"seen_ess": np.nan},
        {"interrupted": 1},
    ],
    ids=str,
)
def test_what_a_run_saw_may_not_be_enough_to_know(attrs: dict[str, Any]) -> None:
    assert not assured(tree(**attrs))


@pytest.mark.parametrize("spoil", [diverging, sluggish])
def test_transitions_that_fail_are_seen(spoil: Callable[[xr.DataTree], None]) -> None:
    draws = tree()
    spoil(draws)
    assert not assured(draws)
    assert not diagnose(draws).ok


def test_one_chain_and_draws_of_other_runs_are_not_known() -> None:
    assert not assured(tree().isel(chain=[0]))
    draws = tree()
    del draws.attrs["seen_ess"]
    assert not assured(draws)


def schools() -> pm.Model:
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 5.0)
        tau = pm.HalfNormal("tau", 5.0)
        theta = pm.Normal("theta", mu, tau, shape=8)
        pm.Normal("y", theta, 12.0, observed=[28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    return model


def test_a_verdict_that_is_known_is_not_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[xr.DataTree] = []
    monkeypatch.setattr(
        import_module("bayes_mkt.fit"), "diagnose", lambda tree: made.append(tree) or diagnose(tree)
    )
    draws = bm.sample(schools(), seed=1, progress=False, collapse=None)
    assert not made
    assert draws.posterior.sizes["draw"] == LONGEST_CHUNK
    found = bm.diagnose(draws)
    assert found.ok
    # What the run saw is of a part of the draws: all of them are worth more.
    assert 500 <= draws.attrs["seen_ess"] < min(found.min_ess_bulk, found.min_ess_tail)
    bm.sample(schools(), seed=1, progress=False, collapse=None, draws=500)
    assert len(made) == 1  # nobody has looked at a given number of draws


def test_two_values_evenly_drawn_do_not_hide_the_others() -> None:
    values = noise(size=2)
    values[:, :, 0] = np.arange(DRAWS) % 2
    assert collect.smallest_ess(values)[1] < 1.01
    values[:, :, 1] += np.arange(CHAINS)[:, None]
    assert collect.smallest_ess(values)[1] > 1.5
