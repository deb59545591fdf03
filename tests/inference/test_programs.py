"""Programs are compiled once for their shapes, in the background, and are the ones that run."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm

import bayes_mkt as bm
from bayes_mkt.inference import programs
from bayes_mkt.inference.programs import compiling


def test_equal_shapes_share_one_program() -> None:
    function = jax.jit(lambda x, data: jnp.sum(x) + data["a"])
    data = {"a": jnp.asarray(2.0)}
    first = compiling(function, jax.ShapeDtypeStruct((3,), jnp.float64), data)
    assert compiling(function, np.ones(3), data) is first
    assert compiling(function, np.ones(4), data) is not first
    assert float(first.result()(np.ones(3), data)) == 5.0


def test_a_run_compiles_nothing_that_was_not_begun_before_it(monkeypatch) -> None:
    """What is begun early for the shapes expected is what the run then asks for."""
    begun = []
    submitted = programs._submitted

    def counted(*what):
        before = submitted.cache_info().misses
        found = submitted(*what)
        begun.append(submitted.cache_info().misses > before)
        return found

    counted.cache_info = submitted.cache_info
    monkeypatch.setattr(programs, "_submitted", counted)
    with pm.Model() as model:
        spread = pm.HalfNormal("spread", 1.0)
        pm.Normal("y", 0.0, spread, observed=[0.1, -1.2, 0.7])
    bm.sample(model, seed=1, target_ess=400, progress=False, collapse=None)
    # Gradient, chunk and conversion; every later question finds its program.
    assert begun[:3] == [True, True, True]
    assert not any(begun[3:])
    assert len(begun) > 3


def test_programs_are_forgotten_where_memory_maps_run_out(monkeypatch) -> None:
    """What is compiled already goes on, and what is asked for again is compiled again."""
    function = jax.jit(lambda x: 3.0 * x)
    first = compiling(function, np.ones(5))
    first.result()
    monkeypatch.setattr(programs, "_maps", lambda: (100, 1000))
    assert not any(programs.make_room() for _ in range(programs.COUNTED))
    assert compiling(function, np.ones(5)) is first
    monkeypatch.setattr(programs, "_maps", lambda: (501, 1000))
    # No program has been begun since: only after some questions are the maps counted again.
    assert any(programs.make_room() for _ in range(programs.COUNTED))
    again = compiling(function, np.ones(5))
    assert again is not first
    assert float(first.result()(np.ones(5))[0]) == float(again.result()(np.ones(5))[0]) == 3.0


def test_maps_of_this_process_are_counted_where_linux_tells() -> None:
    held, most = programs._maps()
    assert 0 <= held < most
