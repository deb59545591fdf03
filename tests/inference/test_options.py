"""Options that can't be are refused before anything is compiled, each with its range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pymc as pm
import pytest

import bayes_mkt as bm

BAD: list[tuple[str, Any, str]] = [
    ("seed", -1, "outside 0 <= seed"),
    ("seed", 2**32, "outside 0 <= seed"),
    ("seed", 1.5, "is not an integer"),
    ("seed", None, "is not an integer"),
    ("seed", True, "is not an integer"),
    ("chains", 0, "must be an integer >= 1"),
    ("chains", 2.0, "must be an integer >= 1"),
    ("chains", True, "must be an integer >= 1"),
    ("draws", 3, "must be an integer >= 4"),
    ("draws", -10, "must be an integer >= 4"),
    ("draws", 100.0, "must be an integer >= 4"),
    ("max_draws", 0, "must be an integer >= 4"),
    ("warmup", 0, "must be an integer >= 20"),
    ("warmup", "500", "must be an integer >= 20"),
    ("target_ess", 0, "must be > 0"),
    ("target_ess", -400.0, "must be > 0"),
    ("target_ess", float("nan"), "must be > 0"),
    ("target_accept", 0.0, "between 0 and 1"),
    ("target_accept", 1.0, "between 0 and 1"),
    ("target_accept", float("nan"), "between 0 and 1"),
    ("sampler", "gibbs", "choose from 'nuts'"),
    ("collapse", "always", "'auto', None, or a list"),
]


@pytest.mark.parametrize(("option", "value", "message"), BAD)
def test_an_option_out_of_range_is_named(
    normal: Callable[..., pm.Model], option: str, value: Any, message: str
) -> None:
    with pytest.raises(bm.SpecError, match=message) as caught:
        bm.sample(normal(), **{"seed": 1, option: value})
    assert str(caught.value).startswith(f"{option}=")
    assert str(value) in str(caught.value)


def test_an_unknown_option_is_refused(normal: Callable[..., pm.Model]) -> None:
    with pytest.raises(TypeError, match="tune"):
        bm.sample(normal(), seed=1, tune=100)


def test_a_seed_is_required(normal: Callable[..., pm.Model]) -> None:
    with pytest.raises(TypeError, match="seed"):
        bm.sample(normal())


def test_unknown_names_to_store_are_refused(normal: Callable[..., pm.Model]) -> None:
    with pytest.raises(bm.SpecError, match=r"no \['sigma', 'y'\]; it has \['variance', 'mu'\]"):
        bm.sample(normal(), seed=1, var_names=["mu", "y", "sigma"])
