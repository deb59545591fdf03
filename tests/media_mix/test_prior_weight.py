"""How much of a posterior is its prior's: against normals, where all is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import integrate, stats

import bayes_mkt as bm
from bayes_mkt.media_mix.prior_weight import contraction, log_density, scaling, sensitivity
from tests.media_mix.cases import MODELS, panel


def posterior(power: float, prior_sd: float, data: float = 1.0, data_sd: float = 1.0) -> object:
    """The posterior of a normal mean whose prior, about zero, is raised to a power."""
    precision = power / prior_sd**2 + 1 / data_sd**2
    return stats.norm(data / data_sd**2 / precision, precision**-0.5)


def distance(one: object, other: object, ends: tuple[float, float]) -> float:
    """The cumulative Jensen-Shannon distance of two normals, by quadrature between two ends."""

    def toward(p: Callable[[float], float], q: Callable[[float], float]) -> float:
        def inside(x: float) -> float:
            a, b = p(x), q(x)
            return a * np.log2(2 * a / (a + b)) + (b - a) / (2 * np.log(2)) if a > 0 else 0.0

        return float(integrate.quad(inside, *ends, limit=400)[0])

    def both(p: Callable[[float], float], q: Callable[[float], float]) -> float:
        size = integrate.quad(lambda x: p(x) + q(x), *ends, limit=400)[0]
        return float(np.sqrt((toward(p, q) + toward(q, p)) / size))

    forward = both(one.cdf, other.cdf)  # type: ignore[attr-defined]
    backward = both(one.sf, other.sf)  # type: ignore[attr-defined]
    return max(forward, backward)


@pytest.mark.parametrize("prior_sd", [0.7, 3.0])
def test_the_sensitivity_is_that_of_its_definition(prior_sd: float) -> None:
    known = posterior(1.0, prior_sd)
    grid = (np.arange(8000) + 0.5) / 8000
    draws = np.random.default_rng(1).permutation(known.ppf(grid)).reshape(4, 2000)  # type: ignore[attr-defined]
    found = sensitivity(draws, stats.norm.logpdf(draws, 0.0, prior_sd))
    ends = float(draws.min()), float(draws.max())
    exact = 0.5 * sum(
        distance(known, posterior(power, prior_sd), ends) / abs(np.log2(power))
        for power in (0.8, 1.25)
    )
    assert found == pytest.approx(exact, rel=0.05)
    assert (found > 0.05) == (prior_sd < 1)


def test_a_flat_prior_moves_nothing() -> None:
    draws = np.random.default_rng(1).standard_normal((4, 500))
    assert sensitivity(draws, np.zeros((4, 500))) == 0.0


@pytest.mark.parametrize(
    ("prior", "law"),
    [
        (bm.Prior("LogNormal", mu=0.2, sigma=0.9), stats.lognorm(0.9, scale=np.exp(0.2))),
        (bm.Prior("LogNormal", mu=[9.0, 0.2], sigma=0.9), stats.lognorm(0.9, scale=np.exp(0.2))),
        (bm.Prior("HalfNormal", sigma=2.0), stats.halfnorm(scale=2.0)),
    ],
)
def test_the_density_is_that_of_the_entry(prior: bm.Prior, law: object) -> None:
    values = np.asarray([[0.3, 1.0], [2.0, 4.0]])
    expected = law.logpdf(values)  # type: ignore[attr-defined]
    np.testing.assert_allclose(log_density(prior, values, ((1,), (2,))), expected)


def test_draws_of_the_prior_are_prior_driven(prior_fit: Callable[..., bm.Fit]) -> None:
    spec, kind = MODELS["no pooling"]
    fit = prior_fit(spec, panel(kind), chains=4, draws=500)
    kept, moved = list(contraction(fit)), list(scaling(fit))
    labels = [label for _, label, _ in moved]
    assert labels == [label for _, label, _ in kept]
    assert len(labels) == len(set(labels)) == 3 * 3
    assert all(abs(value) < 0.3 for _, _, value in kept)
    assert all(value > 0.05 for _, _, value in moved)
