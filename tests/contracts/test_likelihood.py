"""What holds for every likelihood: one registry, the same checks."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pymc as pm
import pytest
from scipy import stats

import bayes_mkt as bm
from bayes_mkt.media_mix.likelihood import Likelihood
from bayes_mkt.specs import from_table, to_table

UNIT = 2.0
CASES: dict[str, tuple[Likelihood, dict[str, float], Any]] = {
    "normal": (
        bm.NormalLikelihood(),
        {"sigma": 0.7},
        lambda m: stats.norm(m, 0.7 * UNIT),
    ),
    "student": (
        bm.StudentTLikelihood(),
        {"sigma": 0.7, "nu": 6.0},
        lambda m: stats.t(7.0, m, 0.7 * UNIT),
    ),
    "log-normal": (
        bm.LogNormalLikelihood(),
        {"log_sd": 0.4},
        lambda m: stats.lognorm(0.4, scale=m * np.exp(-0.08)),
    ),
    "negative binomial": (
        bm.NegativeBinomialLikelihood(),
        {"dispersion": 3.0},
        lambda m: stats.nbinom(3.0, 3.0 / (3.0 + m)),
    ),
}
every = pytest.mark.parametrize(("family", "parameters", "law"), CASES.values(), ids=CASES)


def test_every_family_is_here() -> None:
    assert {type(family) for family, _, _ in CASES.values()} == set(get_args(Likelihood))


@every
def test_the_density_is_that_of_the_law(
    family: Likelihood, parameters: dict[str, float], law: Any
) -> None:
    mean, sales = np.array([3.0, 8.0, 20.0]), np.array([2.0, 9.0, 31.0])
    with pm.Model() as model:
        values = {name: np.float64(value) for name, value in parameters.items()}
        family.observe(mean, np.float64(UNIT), values, observed=sales)
    found = model.compile_logp(mode="FAST_COMPILE")({})
    frozen = law(mean)
    density = frozen.logpmf if hasattr(frozen.dist, "pmf") else frozen.logpdf
    assert found == pytest.approx(density(sales).sum(), rel=1e-7)  # gammaln


@every
def test_draws_scatter_by_the_law_with_the_mean_asked_for(
    family: Likelihood, parameters: dict[str, float], law: Any
) -> None:
    rng = np.random.default_rng(1)
    mean = np.full(40_000, 20.0)
    drawn = family.scatter(rng, mean, np.asarray(UNIT), parameters)
    frozen = law(20.0)
    assert drawn.mean() == pytest.approx(20.0, abs=4.5 * frozen.std() / 200.0)
    for p in (0.05, 0.5, 0.95):
        below = (drawn <= frozen.ppf(p)).mean()
        assert below == pytest.approx(frozen.cdf(frozen.ppf(p)), abs=0.006)


@every
def test_its_parameters_have_priors_on_positive_numbers(
    family: Likelihood, parameters: dict[str, float], law: Any
) -> None:
    assert set(family.priors) == set(parameters)
    assert all(prior.positive for prior in family.priors.values())
    assert from_table(to_table(family)) == family


def test_impossible_sales_are_refused_with_the_remedy() -> None:
    sales = np.array([1.0, 0.0, 2.5])
    with pytest.raises(bm.SpecError, match=r"sales > 0; 1 observed .* lowest is 0\. Use Normal"):
        bm.LogNormalLikelihood().check(sales)
    with pytest.raises(bm.SpecError, match=r"whole numbers >= 0; 1 observed .* such as 2\.5"):
        bm.NegativeBinomialLikelihood().check(sales)
    bm.NegativeBinomialLikelihood().check(sales[:2])
    bm.LogNormalLikelihood().check(sales[[0, 2]])


@pytest.mark.parametrize("mean", [0.0, -5.0, 1e-4])
def test_an_expectation_of_nothing_has_a_density_that_leads_back(mean: float) -> None:
    with pm.Model() as model:
        level = pm.Flat("level")
        bm.LogNormalLikelihood().observe(level, UNIT, {"log_sd": 0.3}, observed=10.0)
    value, slope = model.compile_logp(mode="FAST_COMPILE"), model.compile_dlogp(mode="FAST_COMPILE")
    at = {"level": np.asarray(mean)}
    assert np.isfinite(value(at))
    assert slope(at)[0] > 0
    assert value(at) < value({"level": np.asarray(10.0)}) - 100
