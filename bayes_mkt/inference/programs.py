"""Programs of JAX compiled in the background, each once, while something else is done."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, lru_cache
from itertools import count
from pathlib import Path
from typing import Any

import jax

Compiled = Callable[..., Any]


# LLVM's levels for what runs through most of a fit, what runs over its draws once, and what runs a
# few times in all. Its third level compiles for longer than `OFTEN` and was no faster; `SELDOM`
# takes two thirds of the time of `OFTEN`, and what it makes is slower by a tenth; `ONCE` takes two
# thirds of the time of `SELDOM`, and what it makes is half as fast.
OFTEN, SELDOM, ONCE = 2, 1, 0
# Share of the memory maps that a process may have at which programs are forgotten.
FULL = 0.5
# Where no program has been begun here, as many questions whether there is room share an answer:
# counting takes longer than a small fit's other preparations. Programs begun elsewhere wait for
# the next one.
COUNTED = 16
_asked = count()


def compiling(function: Any, *inputs: Any, level: int = SELDOM) -> Future[Compiled]:
    """Return the program of a jitted function for inputs of these shapes; begin to compile it.

    Parameters
    ----------
    function
        What `jax.jit` returned, without static arguments; the same one for the same program.
    inputs
        Arrays, or `jax.ShapeDtypeStruct`, in trees.
    level
        `OFTEN`, `SELDOM` or `ONCE`: how much optimisation pays. Elsewhere than on CPUs all are one.
    """
    leaves, tree = jax.tree.flatten(inputs)
    kinds = tuple((leaf.shape, leaf.dtype) for leaf in leaves)
    return _submitted(function, tree, kinds, level)


def make_room() -> bool:
    """Forget all programs if they hold half of the memory maps that a process may have.

    On Linux each program that LLVM makes holds some dozens of maps as long as it is kept, and the
    process ends without a word where it has 65,530: after a few hundred fits of different shapes.
    Programs in use go on; what is needed again is compiled again.

    Returns
    -------
    bool
        Whether programs were forgotten.
    """
    if not _full(_submitted.cache_info().misses, next(_asked) // COUNTED):
        return False
    _submitted.cache_clear()
    _full.cache_clear()
    jax.clear_caches()
    gc.collect()
    return True


@lru_cache(maxsize=1)
def _full(begun: int, times: int) -> bool:
    """Return whether half of the maps are held; counted once for the same two numbers.

    Parameters
    ----------
    begun
        Programs that have been begun.
    times
        How many times `COUNTED` questions have been asked.
    """
    held, most = _maps()
    return held >= FULL * most


def _maps() -> tuple[int, int]:
    """Return how many memory maps this process has and may have; (0, 1) where nobody counts."""
    try:
        with Path("/proc/self/maps").open("rb") as file:
            held = sum(1 for _ in file)
        return held, int(Path("/proc/sys/vm/max_map_count").read_text(encoding="ascii"))
    except OSError:
        return 0, 1


@lru_cache(maxsize=64)
def _submitted(function: Any, tree: Any, kinds: tuple[Any, ...], level: int) -> Future[Compiled]:
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in kinds]
    lowered = function.lower(*jax.tree.unflatten(tree, shapes))
    return _workers().submit(lambda: lowered.compile(_options(level)))


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=2, thread_name_prefix="compile")


def _options(level: int) -> dict[str, bool | int] | None:
    """Return what LLVM is told on a CPU, whatever JAX is set to do."""
    if jax.default_backend() != "cpu":
        return None
    return {"xla_backend_optimization_level": level, "xla_llvm_disable_expensive_passes": not level}
