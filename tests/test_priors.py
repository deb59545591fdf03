"""Priors as data."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.priors import DISTRIBUTIONS
from tests.densities import LOG_DENSITY, log_density

PRIORS = {
    prior.dist: prior
    for prior in (
        bm.Prior("Beta", alpha=2, beta=3.5),
        bm.Prior("Exponential", lam=2.5),
        bm.Prior("Gamma", alpha=2, beta=0.5),
        bm.Prior("HalfCauchy", beta=1.5),
        bm.Prior("HalfNormal", sigma=0.7),
        bm.Prior("HalfStudentT", nu=4, sigma=0.7),
        bm.Prior("LogNormal", mu=0.2, sigma=0.9),
        bm.Prior("Normal", mu=-1, sigma=2),
        bm.Prior("StudentT", nu=3, mu=-1, sigma=2),
        bm.Prior("TruncatedNormal", mu=0.8, sigma=0.8, lower=0.1, upper=10),
        bm.Prior("Uniform", lower=-1, upper=2),
    )
}
POSITIVE = set(DISTRIBUTIONS) - {"Normal", "StudentT", "Uniform"}
every = pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)


def test_every_distribution_is_in_the_registry() -> None:
    assert set(PRIORS) == set(LOG_DENSITY) == set(DISTRIBUTIONS)


@every
def test_the_variable_has_the_density_of_its_name(prior: bm.Prior) -> None:
    with pm.Model():
        variable = prior.variable("x")
    points = pm.draw(variable, draws=7, random_seed=1, mode="FAST_COMPILE")
    found = pm.logp(variable, points).eval(mode="FAST_COMPILE")
    # PyMC's constants of some distributions carry nine digits.
    np.testing.assert_allclose(found, log_density(prior, points), rtol=1e-10, atol=1e-8)


@every
def test_a_prior_survives_as_a_table(prior: bm.Prior) -> None:
    assert bm.Prior.from_dict(prior.to_dict()) == prior
    assert hash(bm.Prior.from_dict(prior.to_dict())) == hash(prior)
    assert eval(repr(prior), {"Prior": bm.Prior}) == prior


@every
def test_support_above_zero_is_known(prior: bm.Prior) -> None:
    assert prior.positive is (prior.dist in POSITIVE)


def test_bounds_decide_whether_a_prior_is_positive() -> None:
    assert bm.Prior("Uniform", lower=0, upper=1).positive
    assert not bm.Prior("Uniform", lower=[0, -1], upper=1).positive
    assert not bm.Prior("TruncatedNormal", mu=1, sigma=1, lower=-0.1, upper=2).positive


def test_the_order_of_parameters_does_not_matter() -> None:
    assert bm.Prior("Normal", sigma=2, mu=-1) == PRIORS["Normal"]
    assert repr(bm.Prior("Normal", sigma=2, mu=-1)) == "Prior('Normal', mu=-1.0, sigma=2.0)"


def test_a_prior_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PRIORS["Normal"].dist = "StudentT"


@pytest.mark.parametrize("mu", [[0.0, 1.0, 2.0], (0, 1, 2), np.arange(3), np.arange(3.0)])
def test_a_vector_gives_each_entry_its_own(mu: Any) -> None:
    prior = bm.Prior("Normal", mu=mu, sigma=np.float64(2.0))
    assert dict(prior.parameters) == {"mu": (0.0, 1.0, 2.0), "sigma": 2.0}
    assert prior.to_dict() == {"dist": "Normal", "mu": [0.0, 1.0, 2.0], "sigma": 2.0}
    assert hash(prior) == hash(bm.Prior.from_dict(prior.to_dict()))
    with pm.Model(coords={"region": ["a", "b"], "channel": ["x", "y", "z"]}):
        one = prior.variable("one", dims="channel")
        two = prior.variable("two", dims=("region", "channel"))
    for variable, shape in ((one, (3,)), (two, (2, 3))):
        draws = pm.draw(variable, draws=400, random_seed=1, mode="FAST_COMPILE")
        assert draws.shape == (400, *shape)
        np.testing.assert_allclose(draws.reshape(-1, 3).mean(axis=0), [0, 1, 2], atol=0.4)


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        (None, r"Prior of 'x': mu has 3 numbers, but x has one\. Give one number for each, or"),
        ("region", r"Prior of 'x': mu has 3 numbers, but x has 2 \(region\)\."),
        (("channel", "region"), r"Prior of 'x': mu has 3 numbers, but x has 2 \(region\)\."),
    ],
)
def test_a_vector_fits_the_variable(dims: Any, message: str) -> None:
    prior = bm.Prior("Normal", mu=[0, 1, 2], sigma=1)
    with (
        pm.Model(coords={"region": ["a", "b"], "channel": ["x", "y", "z"]}),
        pytest.raises(bm.SpecError, match=message),
    ):
        prior.variable("x", dims=dims)


@pytest.mark.parametrize(
    ("dist", "parameters", "message"),
    [
        ("Gauss", {}, r"Prior 'Gauss' is unknown; choose from Beta, Exponential, Gamma, "),
        ("Normal", {}, r"Prior Normal takes mu, sigma; got nothing\."),
        ("Normal", {"mu": 0}, r"Prior Normal takes mu, sigma; got mu\."),
        ("Normal", {"mu": 0, "sd": 1}, r"Prior Normal takes mu, sigma; got mu, sd\."),
        ("Normal", {"mu": 0, "sigma": 0}, r"Prior Normal: sigma=0 must be > 0\."),
        ("Normal", {"mu": 0, "sigma": [1, -1]}, r"Prior Normal: sigma=\[1, -1\] must be > 0\."),
        ("Gamma", {"alpha": -1, "beta": 1}, r"Prior Gamma: alpha=-1 must be > 0\."),
        ("Exponential", {"lam": 0.0}, r"Prior Exponential: lam=0\.0 must be > 0\."),
        ("HalfStudentT", {"nu": 0, "sigma": 1}, r"Prior HalfStudentT: nu=0 must be > 0\."),
        ("Normal", {"mu": "0", "sigma": 1}, r"Prior Normal: mu='0' is not a number\."),
        ("Normal", {"mu": True, "sigma": 1}, r"Prior Normal: mu=True is not a number\."),
        ("Normal", {"mu": None, "sigma": 1}, r"Prior Normal: mu=None is not a number\."),
        ("Normal", {"mu": float("nan"), "sigma": 1}, r"Prior Normal: mu=nan is not a number\."),
        ("Normal", {"mu": [], "sigma": 1}, r"Prior Normal: mu=\[\] is not a number\."),
        ("Normal", {"mu": [0, "1"], "sigma": 1}, r"Prior Normal: mu=\[0, '1'\] is not a number"),
        (
            "Normal",
            {"mu": [0, 1], "sigma": [1, 2, 3]},
            r"Prior Normal: parameters of different lengths: mu 2, sigma 3\.",
        ),
        (
            "Uniform",
            {"lower": 1, "upper": 1},
            r"Prior Uniform: lower=1\.0 must lie below upper=1\.0\.",
        ),
        (
            "Uniform",
            {"lower": [0, 0.9], "upper": [1, 0.5]},
            r"Prior Uniform: lower=\(0\.0, 0\.9\) must lie below upper=\(1\.0, 0\.5\)\.",
        ),
        (
            "TruncatedNormal",
            {"mu": 0, "sigma": 1, "lower": [0, 2], "upper": 2},
            r"Prior TruncatedNormal: lower=\(0\.0, 2\.0\) must lie below upper=2\.0\.",
        ),
    ],
)
def test_priors_that_make_no_sense(dist: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        bm.Prior(dist, **parameters)


def test_a_table_needs_the_name_of_a_distribution() -> None:
    with pytest.raises(bm.SpecError, match=r"A prior needs 'dist', the name of a distribution"):
        bm.Prior.from_dict({"mu": 0, "sigma": 1})
