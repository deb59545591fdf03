"""Where a PyMC model says that its variables begin."""

from __future__ import annotations

import numpy as np
import pymc as pm
import pytensor
from pymc.initial_point import make_initial_point_expression
from pytensor.compile.mode import Mode
from pytensor.graph.traversal import graph_inputs
from pytensor.link.basic import PerformLinker
from pytensor.tensor.random.type import RandomType


def initial_point(model: pm.Model) -> dict[str, np.ndarray]:
    """Return ``model.initial_point(random_seed=0)``, by value variable.

    PyMC compiles a function of the values; evaluated once, node by node, they take a fraction of
    that. Where a value is random, PyMC's own function draws it.
    """
    graphs = make_initial_point_expression(
        free_rvs=model.free_RVs,
        rvs_to_transforms=model.rvs_to_transforms,
        initval_strategies=model.rvs_to_initial_values,
        return_transformed=True,
    )
    if any(isinstance(variable.type, RandomType) for variable in graph_inputs(graphs)):
        return dict(model.initial_point(random_seed=0))
    plain = Mode(linker=PerformLinker(), optimizer="None")
    values = pytensor.function([], graphs, mode=plain)()
    names = [model.rvs_to_values[rv].name for rv in model.free_RVs]
    return {name: np.asarray(value) for name, value in zip(names, values, strict=True)}
