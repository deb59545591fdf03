"""Ratios of gamma functions against sums of logarithms, and likelihoods far from the data."""

from __future__ import annotations

import math

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

import bayes_mkt as bm
from bayes_mkt.customers.gammas import log_rising
from bayes_mkt.customers.purchases import PurchaseModel


@pytest.mark.parametrize("y", [1e-3, 0.7, 30.0, 999.0, 1001.0, 1e6, 1e9, 1e15, 1e80])
@pytest.mark.parametrize("n", [0, 1, 7, 300])
def test_whole_numbers_by_products(y: float, n: int) -> None:
    exact = math.fsum(math.log(y + i) for i in range(n))
    at = pt.dscalar()
    assert log_rising(at, float(n)).eval({at: y}) == pytest.approx(exact, rel=2e-13, abs=2e-11)


@pytest.mark.parametrize("y", [5.0, 2e3, 1e100])
def test_its_slope_is_finite_and_right(y: float) -> None:
    at = pt.dscalar()
    slope = pytensor.grad(log_rising(at, 3.0), at).eval({at: y})
    assert slope == pytest.approx(sum(1.0 / (y + i) for i in range(3)), rel=1e-6)


@pytest.mark.parametrize("spec", [bm.BGNBD(), bm.MBGNBD(), bm.ParetoNBD()])
def test_equal_customers_are_a_limit_and_no_noise(spec: PurchaseModel) -> None:
    """As shapes grow at fixed means, customers become equal and the likelihood settles."""
    names = spec.parameters
    at = {name: pt.dvector(name) for name in names}
    x, seen, age = (np.array(v) for v in ([0.0, 2.0, 9.0], [0.0, 30.0, 80.0], [90.0, 90.0, 80.0]))
    alive, gone = spec.fates(at, x, seen, age)
    value = pytensor.function(
        list(at.values()), spec.count_terms(at, x) + alive + pt.softplus(gone)
    )
    found = {}
    for shape in (1e7, 1e30, 1e80):
        # The mean rate is 0.05, the mean chance or rate of leaving 0.1.
        second = (0.1 * shape, 0.9 * shape) if "a" in names else (shape, shape / 0.1)
        given = (shape, shape / 0.05, *second)
        found[shape] = value(*(np.full(3, v) for v in given))
    np.testing.assert_allclose(found[1e30], found[1e7], atol=1e-4)
    np.testing.assert_allclose(found[1e80], found[1e30], atol=1e-9)
