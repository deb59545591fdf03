"""How many draws are made between two looks at a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, jaxprs_in_params

if TYPE_CHECKING:
    from bayes_mkt.inference.density import Density

# Few variables take less time than a look at them. If the log-density takes little as well, many
# draws take less time than what comes before and after them.
CHUNK, LONG_CHUNK, LONGEST_CHUNK = 50, 400, 3600
FEW = 20
# Numbers that the log-density makes on its way.
LITTLE = 4000
# As many numbers take as long as what an equation costs by itself, each time around a loop.
TURN = 10


def chunk_length(density: Density) -> int:
    """Return the draws between two looks at a run, after warmup.

    They depend on the model alone, so that the same seed gives the same draws.
    """
    if density.start.size > FEW:
        return CHUNK
    return LONGEST_CHUNK if _work(density) <= LITTLE else LONG_CHUNK


def _work(density: Density) -> float:
    """Return how many numbers the log-density makes; infinite if a loop's end isn't foreseen."""
    leaves, tree = jax.tree.flatten((density.start, density.arguments))
    kinds = tuple((np.shape(leaf), str(jnp.result_type(leaf))) for leaf in leaves)
    return _counted(density.log_density, tree, kinds)


@lru_cache(maxsize=64)
def _counted(
    log_density: Callable[[jax.Array, Any], jax.Array],
    tree: Any,
    kinds: tuple[tuple[tuple[int, ...], str], ...],
) -> float:
    """Return the work of a log-density for inputs of these shapes and types."""
    inputs = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in kinds]
    return _numbers(jax.make_jaxpr(log_density)(*jax.tree.unflatten(tree, inputs)).jaxpr)


def _numbers(jaxpr: Jaxpr, least: int = 0) -> float:
    """Return how many numbers the equations of a program yield, with those inside of them.

    Parameters
    ----------
    least
        What an equation counts for if it yields fewer.
    """
    count = 0.0
    for equation in jaxpr.eqns:
        inside, name = list(jaxprs_in_params(equation.params)), equation.primitive.name
        if name == "while":
            return float("inf")
        if name == "scan":
            count += equation.params["length"] * sum(_numbers(part, TURN) for part in inside)
        elif inside:
            count += sum(_numbers(part, least) for part in inside)
        else:
            count += max(sum(getattr(v.aval, "size", 1) for v in equation.outvars), least)
    return count
