"""Scalar functions that replace PyTensor's have their values and slopes."""

from __future__ import annotations

import jax
import numpy as np
import pymc as pm
import pytest
from scipy.special import expit

from bayes_mkt.inference.scalars import softplus
from bayes_mkt.inference.target import target

POINTS = np.array([-800.0, -40.0, -1.0, 0.0, 1e-9, 3.0, 40.0, 800.0])


def test_softplus_and_its_slope() -> None:
    np.testing.assert_allclose(jax.vmap(softplus)(POINTS), np.logaddexp(0.0, POINTS), rtol=1e-14)
    np.testing.assert_allclose(jax.vmap(jax.grad(softplus))(POINTS), expit(POINTS), rtol=1e-14)


def test_a_logistic_likelihood_has_the_density_of_pymc() -> None:
    with pm.Model() as model:
        eta = pm.Normal("eta", 0.0, 5.0, shape=3)
        pm.Bernoulli("y", logit_p=eta, observed=[0, 1, 1])
    posterior = target(model)
    at = np.array([-30.0, 0.3, 50.0])
    expected = float(model.compile_logp()({"eta": at}))
    assert float(posterior.log_density(at, posterior.arguments)) == pytest.approx(expected)
