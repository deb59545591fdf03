"""Group effects of a PyMC model, centred or not: priors whose parameters are sampled; graphs only.

A group effect theta ~ N(mu, s), or of another prior that has a place and a width where it is
sampled (`locations`), is written centred, as a variable with these parameters, or non-centred, as a
product s z with z ~ N(0, 1) that is used nowhere else. Correlated effects are a multivariate normal
of few entries; the steps of a Gaussian random walk are effects too.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.distributions.timeseries import RandomWalkRV
from pymc.pytensorf import constant_fold
from pytensor.graph.traversal import ancestors, io_toposort
from pytensor.scalar.basic import Mul
from pytensor.tensor.elemwise import Elemwise
from pytensor.tensor.linalg import cholesky
from pytensor.tensor.random.basic import MvNormalRV, NormalRV
from pytensor.tensor.subtensor import AdvancedSubtensor

from bayes_mkt.inference.effects import APART, CORRELATED, STEPS
from bayes_mkt.inference.locations import place_of

# A PyTensor variable; PyTensor's own types are too partial to help.
Graph = Any
# Entries of a multivariate normal up to which each is seen given those before it.
MOST_CORRELATED = 10


@dataclass(frozen=True)
class GroupGraphs:
    """One group of effects, as graphs in the model's value variables.

    Attributes
    ----------
    name
        Of the value variable that holds the effects or, non-centred, their standardised form.
    location, spread
        Mean and SD, or location and scale, that the prior gives each entry, flat (entry,).
    factor
        What each entry is multiplied by to give theta; one where the form is centred.
    scales
        Names of the value variables that `spread` and `factor` depend on.
    kind
        As `effects.Group`; of correlated effects `spread` has the Cholesky factor's rows.
    """

    name: str
    location: Graph
    spread: Graph
    factor: Graph
    scales: tuple[str, ...]
    kind: str = APART


def group_graphs(
    model: pm.Model, exclude: Collection[str], shapes: Mapping[str, tuple[int, ...]]
) -> list[GroupGraphs]:
    """Return the group effects that data inform, each after those its parameters depend on.

    Parameters
    ----------
    exclude
        Names of value variables that aren't sampled.
    shapes
        Of the value variables, by name.
    """
    free = set(model.free_RVs)
    terms = [*model.observed_RVs, *model.potentials]
    informed = set(ancestors(terms))
    used = _uses(model)
    found = []
    for rv in model.free_RVs:
        value = model.rvs_to_values[rv]
        if rv not in informed or value.name in exclude:
            continue
        shape, transform = shapes[value.name], model.rvs_to_transforms[rv]
        if (stated := _stated(rv, transform, shape)) is None:
            continue
        kind, mean, sd = stated
        if free & set(ancestors([mean, sd])):
            found.append((rv, mean, sd, pt.ones(()), kind))
        elif transform is not None or kind != APART:
            continue
        elif (factor := _factor(rv, mean, used, free, shape)) is not None:
            found.append((rv, mean, sd, factor, kind))
    groups = []
    for rv, *parameters, kind in _in_order(found):
        value = model.rvs_to_values[rv]
        shape = shapes[value.name]
        wide = (*shape, shape[-1]) if kind == CORRELATED else shape
        mean, sd, factor = (
            pt.broadcast_to(graph, length).ravel()
            for graph, length in zip(
                model.replace_rvs_by_values(parameters), (shape, wide, shape), strict=True
            )
        )
        above = set(ancestors([sd, factor]))
        scales = tuple(v.name for v in model.value_vars if v in above)
        groups.append(GroupGraphs(value.name, mean, sd, factor, scales, kind))
    return groups


def _in_order(found: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return groups, a variable and its parameters each, after those the parameters depend on.

    Two that are multiplied by each other come in any order.
    """
    above = {group[0]: set(ancestors(list(group[1:4]))) for group in found}
    ordered: list[tuple[Any, ...]] = []
    seen: set[Any] = set()

    def place(group: tuple[Any, ...]) -> None:
        if group[0] in seen:
            return
        seen.add(group[0])
        for other in simplest_first:
            if other[0] in above[group[0]]:
                place(other)
        ordered.append(group)

    simplest_first = sorted(found, key=lambda group: len(above[group[0]]))
    for group in simplest_first:
        place(group)
    return ordered


def _stated(rv: Graph, transform: Any, shape: tuple[int, ...]) -> tuple[str, Graph, Graph] | None:
    """Return kind, location and spread (or Cholesky factor) of a variable's effects, or None."""
    op = rv.owner.op
    if (place := place_of(rv, transform)) is not None:
        return APART, *place
    if transform is not None:
        return None
    if isinstance(op, MvNormalRV) and shape[-1] <= MOST_CORRELATED:
        mean, covariance = op.dist_params(rv.owner)
        return CORRELATED, mean, cholesky(covariance)
    if not isinstance(op, RandomWalkRV):
        return None
    parts = rv.owner.inputs[:2]  # where it begins, (1, ...), and its steps, (step, ...)
    if not all(isinstance(part.owner.op, NormalRV) for part in parts):
        return None
    lengths = [(count, *shape[:-1]) for count in (1, shape[-1] - 1)]
    pairs = (part.owner.op.dist_params(part.owner) for part in parts)
    wide = [
        [pt.broadcast_to(parameter, length) for parameter in pair]
        for pair, length in zip(pairs, lengths, strict=True)
    ]
    mean, sd = (
        pt.moveaxis(pt.concatenate(both, axis=0), 0, -1) for both in zip(*wide, strict=True)
    )
    return STEPS, mean, sd


def _uses(model: pm.Model) -> dict[Graph, list[Any]]:
    """Return the nodes that use each variable in the model's density."""
    outputs = [*model.basic_RVs, *model.potentials]
    used: dict[Graph, list[Any]] = {}
    for node in io_toposort([], outputs):
        for variable in set(node.inputs):
            used.setdefault(variable, []).append(node)
    return used


def _factor(
    rv: Graph,
    mean: Graph,
    used: Mapping[Graph, list[Any]],
    free: Collection[Graph],
    shape: tuple[int, ...],
) -> Graph | None:
    """Return what a non-centred effect is multiplied by, wherever it is used, or None."""
    (center,) = constant_fold([mean], raise_not_constant=False)
    if not isinstance(center, np.ndarray) or (center != 0).any():
        return None
    factor, product, chosen = pt.ones(()), rv, False
    while len(used.get(product, [])) == 1:
        (node,) = used[product]
        others = [x for x in node.inputs if x is not product]
        if len(others) != len(node.inputs) - 1 or rv in set(ancestors(others)):
            return None
        if isinstance(node.op, AdvancedSubtensor) and node.inputs[0] is product:
            # Entries are chosen for each row: what multiplies them after must be common to all.
            if set(free) & set(ancestors(others)):
                return None
            chosen = True
        elif isinstance(node.op, Elemwise) and isinstance(node.op.scalar_op, Mul):
            for other in others:
                if chosen and not all(length == 1 for length in other.type.shape):
                    return None
                if not chosen and (other.ndim != len(shape) or not _fits(other, shape)):
                    return None
                factor = factor * (other.ravel()[0] if chosen else other)
        else:
            break
        product = node.outputs[0]
    return factor if set(free) & set(ancestors([factor])) else None


def _fits(factor: Graph, shape: tuple[int, ...]) -> bool:
    """Return whether a product with `factor` has one entry for each entry of `shape`."""
    lengths = zip(factor.type.shape, shape, strict=True)
    return all(known == 1 or length != 1 for known, length in lengths)
