"""Where variables begin is where PyMC says that they do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
from pytensor.conditional.op import ifelse

from bayes_mkt.inference.initial import initial_point


def transformed() -> None:
    scale = pm.HalfNormal("scale", 2.0)
    pm.Dirichlet("share", np.arange(1.0, 5.0))
    low = pm.Beta("low", 2.0, 5.0)
    pm.Uniform("between", low, low + 3.0)
    pm.ZeroSumNormal("sum", scale, shape=4)
    ordered = pm.distributions.transforms.ordered
    pm.Normal("cuts", 0.0, 1.0, shape=3, transform=ordered, initval=[-1.0, 0.0, 2.0])


def of_data() -> None:
    rows = pm.Data("rows", np.arange(4.0))
    pm.Normal("start", rows.mean(), 1.0)
    pm.GaussianRandomWalk("walk", sigma=1.0, init_dist=pm.Normal.dist(3.0, 1.0), steps=5)
    pm.MvNormal("vector", rows, np.eye(4))


def chosen() -> None:
    x = pm.Normal("x", -1.0, 2.0)
    pm.Normal("y", ifelse(pt.gt(x, 0.0), x, -x), 1.0)
    pm.Normal("moved", 0.0, 1.0, initval=pt.exp(1.0))


def random() -> None:
    x = pm.Normal("x", 1.0, 2.0, initval="prior", shape=3)
    pm.Gamma("y", 2.0, pt.exp(x[0]))


@pytest.mark.parametrize("content", [transformed, of_data, chosen, random])
def test_values_are_pymcs(content: Callable[[], None]) -> None:
    with pm.Model() as model:
        content()
    expected, found = model.initial_point(random_seed=0), initial_point(model)
    assert list(found) == list(expected) == [v.name for v in model.value_vars]
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, strict=True)
