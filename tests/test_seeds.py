"""One seed, many streams."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

from bayes_mkt import seeds
from bayes_mkt.errors import SpecError


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, np.int64(7), np.uint32(7)])
def test_a_seed_is_an_integer_of_32_bits(seed: Any) -> None:
    assert seeds.check_seed(seed) == int(seed)
    assert type(seeds.check_seed(seed)) is int


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        (1.0, r"seed=1\.0 is not an integer\. Give one such as seed=1\."),
        (True, "seed=True is not an integer"),
        ("1", "seed='1' is not an integer"),
        (None, "seed=None is not an integer"),
        (-1, r"seed=-1 lies outside 0 <= seed < 2\*\*32\."),
        (2**32, r"seed=4294967296 lies outside 0 <= seed < 2\*\*32\."),
    ],
)
def test_other_seeds_are_refused(seed: Any, message: str) -> None:
    for function in (seeds.key, seeds.generator, seeds.integer):
        with pytest.raises(SpecError, match=message):
            function(seed, "noise")


def test_a_stream_is_the_same_every_time() -> None:
    for seed in (0, 1, 12345):
        assert seeds.integer(seed, "noise") == seeds.integer(seed, "noise")
        a, b = (seeds.generator(seed, "noise").normal(size=5) for _ in range(2))
        np.testing.assert_array_equal(a, b)
        first, second = (jax.random.key_data(seeds.key(seed, "noise")) for _ in range(2))
        np.testing.assert_array_equal(first, second)


def test_streams_do_not_move_between_versions() -> None:
    """A stream that moved would change everyone's draws: it needs a line in the changelog."""
    assert seeds.integer(1, "noise") == 1010654388
    assert seeds.generator(1, "noise").integers(0, 1000, 3).tolist() == [470, 58, 61]
    assert jax.random.key_data(seeds.key(1, "noise")).tolist() == [3549691389, 2079028325]


def test_numbered_parts_of_a_stream_are_streams_of_their_own() -> None:
    parts = [(), (0,), (0, 0), (1,), (0, 1)]
    draws = [tuple(seeds.generator(1, "noise", *part).normal(size=3)) for part in parts]
    assert len(set(draws)) == len(parts)
    assert draws[1] == tuple(seeds.generator(1, "noise", 0).normal(size=3))


def test_streams_and_seeds_are_independent() -> None:
    names = [f"stream {i}" for i in range(30)]
    draws = np.array(
        [seeds.generator(seed, name).normal(size=200) for seed in range(3) for name in names]
    )
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert abs(correlation).max() < 0.4
    keys = {tuple(jax.random.key_data(seeds.key(s, n)).tolist()) for s in range(3) for n in names}
    assert len(keys) == 90
    assert len({seeds.integer(s, n) for s in range(3) for n in names}) == 90
