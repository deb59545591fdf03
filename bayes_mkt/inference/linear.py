"""Which variables of a PyMC model enter a Normal likelihood's mean as Normals: graphs only.

What is found here by the form of the graph (Normal, untransformed, no other use) is only a
candidate; `collapse` decides by numbers whether it is linear.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.pytensorf import constant_fold
from pytensor.compile.ops import TypeCastingOp
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import ancestors, io_toposort
from pytensor.tensor.basic import Alloc, Join, MakeVector
from pytensor.tensor.blockwise import Blockwise
from pytensor.tensor.elemwise import DimShuffle, Elemwise
from pytensor.tensor.extra_ops import CumOp
from pytensor.tensor.math import Dot, Sum
from pytensor.tensor.random.basic import NormalRV
from pytensor.tensor.shape import Reshape, SpecifyShape
from pytensor.tensor.subtensor import AdvancedSubtensor, Subtensor

# A PyTensor variable; PyTensor's own types are too partial to help.
Graph = Any


@dataclass(frozen=True)
class LinearGraphs:
    """Graphs, in the model's value variables, of a Normal likelihood with a Normal block.

    Attributes
    ----------
    block
        Names of the block's value variables, in the model's order.
    mean, base
        Mean of the likelihood, and the same with the block at zero; flat (row,).
    noise, observed
        SD of the likelihood and the observed values (row,).
    prior_mean, prior_sd
        Of the block's entries, flat (entry,).
    prior_offset
        The prior mean with the block at zero; None where that is zero.
    rest
        Log-density of all other terms of the model: a scalar without the block.
    own
        Log-density of the likelihood and of the block: what the other parts are held against.
    """

    block: tuple[str, ...]
    mean: Graph
    base: Graph
    noise: Graph
    observed: Graph
    prior_mean: Graph
    prior_sd: Graph
    prior_offset: Graph | None
    rest: Graph
    own: Graph


# Operations that are linear in one argument whatever the others, by how many may depend on it.
_ADDS = {"Add", "Sub", "Neg", "Identity", "Cast", "Second"}
_MOVES = (
    Alloc,
    AdvancedSubtensor,
    DimShuffle,
    Join,
    MakeVector,
    Reshape,
    SpecifyShape,
    Subtensor,
    Sum,
    TypeCastingOp,
)


def is_linear(graph: Graph, rv: Graph, free: set[Graph]) -> bool:
    """Return whether `graph` is linear in `rv` by its form, with coefficients free of variables.

    Numbers at a few points can't tell a straight line from one with a bend elsewhere, so only
    operations that are linear everywhere may lie between the two.
    """
    random, reached = set(free), {rv}
    for node in io_toposort(list(free), [graph]):
        inside = [x for x in node.inputs if x in reached]
        if any(x in random for x in node.inputs):
            random.update(node.outputs)
        if not inside:
            continue
        others = [x for x in node.inputs if x not in reached]
        if not _passes(node.op, node.inputs, inside, any(x in random for x in others)):
            return False
        reached.update(node.outputs)
    return True


def _passes(op: Any, inputs: list[Graph], inside: list[Graph], others_random: bool) -> bool:
    """Return whether an operation keeps linearity in the inputs that depend on a variable."""
    op = op.core_op if isinstance(op, Blockwise) else op
    if isinstance(op, Elemwise):
        kind = type(op.scalar_op).__name__
        if kind in _ADDS:
            return True
        if kind == "TrueDiv":
            return len(inside) == 1 and inputs[0] is inside[0] and not others_random
        return kind == "Mul" and len(inside) == 1 and not others_random
    if isinstance(op, Dot):
        return len(inside) == 1 and not others_random
    if isinstance(op, CumOp):
        return bool(op.mode == "add")
    if isinstance(op, (AdvancedSubtensor, Subtensor)):
        return len(inside) == 1 and inputs[0] is inside[0] and not others_random
    return isinstance(op, _MOVES)


def likelihood_of(model: pm.Model) -> Graph | None:
    """Return the model's Normal likelihood, the one with most observations where it has several.

    The others count among the rest of the density.
    """
    normals = [rv for rv in model.observed_RVs if isinstance(rv.owner.op, NormalRV)]
    if len(normals) < 2:
        return normals[0] if normals else None
    sizes = [int(model.rvs_to_values[rv].size.eval(mode="FAST_COMPILE")) for rv in normals]
    return normals[int(np.argmax(sizes))]


def candidates(model: pm.Model, likelihood: Graph, exclude: Collection[str] = ()) -> list[Graph]:
    """Return the Normal free variables that could be a linear block of `likelihood`.

    A candidate is Normal and untransformed, lies upstream of the likelihood's mean, linearly by
    the form of the graph, and is no
    part of any other term: not of a scale, another likelihood, a potential, or the prior of a
    variable outside the block.
    """
    mean, noise = likelihood.owner.op.dist_params(likelihood.owner)
    free = set(model.free_RVs)
    upstream = set(ancestors([mean]))
    block = [
        rv
        for rv in model.free_RVs
        if isinstance(rv.owner.op, NormalRV)
        and model.rvs_to_transforms[rv] is None
        and rv in upstream
        and rv.name not in exclude
        and is_linear(mean, rv, free)
    ]
    while True:
        terms = [noise, *model.potentials]
        for rv in model.basic_RVs:
            if rv is not likelihood:
                inputs = rv.owner.op.dist_params(rv.owner) if rv in block else rv.owner.inputs
                terms.extend(inputs[1:] if rv in block else inputs)
        used = set(ancestors(terms, blockers=free))
        means = [rv.owner.op.dist_params(rv.owner)[0] for rv in block]
        kept = [
            rv
            for rv in block
            if rv not in used and all(is_linear(center, rv, free) for center in means)
        ]
        if len(kept) == len(block):
            return block
        block = kept


def linear_graphs(
    model: pm.Model,
    likelihood: Graph,
    block: Collection[Graph],
    shapes: Mapping[str, tuple[int, ...]],
) -> LinearGraphs:
    """Return the graphs of a likelihood and of a block of its variables.

    Parameters
    ----------
    shapes
        Of the value variables, by name.
    """
    values = [model.rvs_to_values[rv] for rv in block]
    mean, noise = likelihood.owner.op.dist_params(likelihood.owner)
    observed = model.rvs_to_values[likelihood]
    mean, noise = model.replace_rvs_by_values([mean, noise])
    mean, noise = (pt.broadcast_to(x, observed.shape).ravel() for x in (mean, noise))
    zeros = {v: v.type.filter_variable(pt.zeros(shapes[v.name], dtype=v.dtype)) for v in values}
    parameters: list[list[Any]] = [[], []]
    for rv, value in zip(block, values, strict=True):
        pair = model.replace_rvs_by_values(list(rv.owner.op.dist_params(rv.owner)))
        for into, graph in zip(parameters, pair, strict=True):
            into.append(pt.broadcast_to(graph, shapes[value.name]).ravel())
    inside = {likelihood, *block}
    terms = [*model.free_RVs, *model.observed_RVs, *model.potentials]
    factors = [
        (term, pt.as_tensor(factor, allow_xtensor_conversion=True).sum())
        for term, factor in zip(terms, model.logp(vars=terms, sum=False), strict=True)
    ]
    own, others = (
        sum((factor for term, factor in factors if (term in inside) == of_both), pt.zeros(()))
        for of_both in (True, False)
    )
    prior_mean = pt.concatenate(parameters[0])
    return LinearGraphs(
        block=tuple(value.name for value in values),
        mean=mean,
        base=_without(mean, zeros),
        noise=noise,
        observed=observed.ravel(),
        prior_mean=prior_mean,
        prior_sd=pt.concatenate(parameters[1]),
        prior_offset=_unless_zero(clone_replace(prior_mean, replace=zeros)),
        rest=others,
        own=own,
    )


def _without(graph: Graph, zeros: Mapping[Graph, Graph]) -> Graph:
    """Return `graph` with variables replaced by zeros, and no product of a matrix with zeros."""
    replaced, gone = dict(zeros), set(zeros)
    node: Any
    for node in io_toposort(list(zeros), [graph]):
        op = node.op.core_op if isinstance(node.op, Blockwise) else node.op
        if isinstance(op, Dot) and gone & set(node.inputs) and all(x.ndim > 1 for x in node.inputs):
            left, right = node.inputs
            shape = (*pt.broadcast_shape(left[..., 0, 0], right[..., 0, 0]), left.shape[-2])
            nothing = pt.zeros((*shape, right.shape[-1]))
            replaced[node.outputs[0]] = clone_replace(nothing, replace=zeros)
            gone.add(node.outputs[0])
        elif isinstance(node.op, DimShuffle) and node.inputs[0] in gone:
            gone.add(node.outputs[0])
    return clone_replace(graph, replace=replaced)


def _unless_zero(graph: Graph) -> Graph | None:
    """Return the graph, or None if it is known to be zero."""
    (value,) = constant_fold([graph], raise_not_constant=False)
    return None if isinstance(value, np.ndarray) and not value.any() else graph
