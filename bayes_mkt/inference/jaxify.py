"""Graphs of a PyMC model as JAX functions, the same function for equal graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
import pytensor
from pymc.logprob.utils import CheckParameterValue
from pytensor.compile import SharedVariable
from pytensor.compile.mode import get_mode
from pytensor.graph.fg import FrozenFunctionGraph, FunctionGraph
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import graph_inputs
from pytensor.link.jax.dispatch import jax_funcify, jax_typify
from pytensor.raise_op import Assert
from pytensor.scalar import Softplus
from pytensor.tensor import constant
from pytensor.tensor.random.type import RandomType

from bayes_mkt.errors import SpecError
from bayes_mkt.inference.linear import Graph
from bayes_mkt.inference.runtime import prepare
from bayes_mkt.inference.scalars import softplus

if TYPE_CHECKING:
    import pymc as pm

Array = jax.Array
Compiled = Callable[..., list[Array]]
# Inputs and outputs of a function.
Part = tuple[Sequence[Graph], Sequence[Graph]]


@jax_funcify.register(Assert)
@jax_funcify.register(CheckParameterValue)
def _pass_through(op: Any, **kwargs: Any) -> Callable[..., Any]:
    """Drop run-time assertions: under `jit` their values are unknown.

    An impossible parameter still shows, as a log-density of -inf or NaN.
    """
    return lambda value, *conditions: value


@jax_typify.register(np.ndarray)
def _placed(data: np.ndarray, dtype: Any = None, **kwargs: Any) -> Any:
    """Place a constant on the device; PyTensor has a program compiled for each shape to do so.

    It is copied, for what is placed may be the array itself, which its owner may change.
    """
    return data.item() if data.ndim == 0 else jax.device_put(np.array(data, dtype))


@jax_funcify.register(Softplus)
def _softplus(op: Any, **kwargs: Any) -> Callable[[Array], Array]:
    return softplus


# PyTensor notes of every node where it was made, which takes a tenth of a rewrite's time.
UNTRACED = {"traceback__limit": 0}
# By the graphs, and which of the inputs each function takes, and how many outputs it has.
_COMPILED: dict[tuple[FrozenFunctionGraph, tuple[Any, ...]], list[Compiled]] = {}


def function_of(inputs: Sequence[Graph], outputs: Sequence[Graph]) -> Compiled:
    """Return the JAX function of a PyTensor graph; equal graphs give the *same* function.

    Because the function is the same object, everything that JAX has compiled for one model
    serves every later model of the same structure, whatever its data.
    """
    return functions_of([(inputs, outputs)])[0]


def functions_of(parts: Sequence[Part]) -> list[Compiled]:
    """Return the JAX functions of several graphs: what they have in common is rewritten once.

    Rewriting takes most of the time, and the graphs of one model are much alike. No part may be
    merged with another that takes other inputs: two scans of equal length might be.
    """
    prepare()
    inputs = list(dict.fromkeys(variable for inside, _ in parts for variable in inside))
    places = {variable: place for place, variable in enumerate(inputs)}
    taken = tuple(
        (tuple(places[variable] for variable in inside), len(outputs)) for inside, outputs in parts
    )
    every = [graph for _, outputs in parts for graph in outputs]
    graph = FunctionGraph(inputs=inputs, outputs=every, clone=True)
    key = graph.freeze(), taken
    if key not in _COMPILED:
        with pytensor.config.change_flags(**UNTRACED):
            get_mode("JAX").optimizer.rewrite(graph)
            _COMPILED[key] = _taken_apart(graph, taken)
    return _COMPILED[key]


def _taken_apart(
    graph: FunctionGraph, taken: Sequence[tuple[tuple[int, ...], int]]
) -> list[Compiled]:
    if len(taken) == 1:
        return [jax_funcify(graph)]
    found, first = [], 0
    for places, count in taken:
        inputs = [graph.inputs[place] for place in places]
        outputs = graph.outputs[first : first + count]
        found.append(jax_funcify(FunctionGraph(inputs=inputs, outputs=outputs, clone=True)))
        first += count
    return found


def open_data(model: pm.Model, graphs: Sequence[Graph]) -> tuple[list[Graph], list[Graph]]:
    """Return `graphs` with every `pm.Data` of the model turned into an input, and those inputs.

    The inputs stand in the order of the data's names. Other shared variables (the lengths of
    dimensions) become constants: JAX needs shapes when it compiles.

    Raises
    ------
    SpecError
        If a graph draws random numbers.
    """
    data = {v: v.type(name=v.name) for v in sorted(model.data_vars, key=lambda v: v.name)}
    substitutes: dict[Graph, Graph] = dict(data)
    for variable in graph_inputs(graphs):
        if not isinstance(variable, SharedVariable) or variable in data:
            continue
        if isinstance(variable.type, RandomType):
            raise SpecError(
                "The graph draws random numbers where a density or an expectation is needed."
            )
        substitutes[variable] = constant(variable.get_value(borrow=True))
    return list(data.values()), clone_replace(list(graphs), replace=substitutes)
