"""Where priors have effects: about right, in order, and of the same posterior in any form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference.locations import place_of
from bayes_mkt.inference.prepared import prepared
from bayes_mkt.inference.target import target
from tests.inference.families import FAMILIES, GROUPS, Y, family


def test_a_prior_s_parameters_come_before_it() -> None:
    with pm.Model() as model:
        effect = FAMILIES["Gamma"](pm.Normal("a"), pm.HalfNormal("b"))
        child = pm.Normal("child", 0.0, effect, shape=GROUPS)
        pm.Normal("y", child, 1.0, observed=Y)
    posterior = target(model)
    names = [name for name, *_ in posterior.groups(posterior.layout)]
    assert names == ["effect_log__", "child"]


def test_small_integers_don_t_overflow() -> None:
    with pm.Model() as model:
        effect = pm.Gamma("effect", 16, pm.HalfNormal("b"), shape=GROUPS)
    place = place_of(effect, model.rvs_to_transforms[effect])
    assert place is not None
    np.testing.assert_allclose(place[1].eval(), np.sqrt(1 / 16 + 0.5 / 16**2))


@pytest.mark.parametrize("name", ["Beta", "LogNormal", "HalfNormal"])
def test_draws_as_they_are_sampled_keep_their_meaning(name: str) -> None:
    with pm.Model() as model:
        family(name)()
    density = prepared(model).density
    draws = np.random.default_rng(2).normal(size=(2, 300, density.start.size))
    at = slice(*density.layout.place(next(n for n in density.layout.names if "effect" in n)))
    draws[..., at] = 1.5 + 0.1 * draws[..., at]  # as of effects that data know well
    new, moved = density.reformed(draws)
    assert abs(moved[..., at] - draws[..., at]).mean() > 0.5
    assert density.complete is not None
    assert new.complete is not None
    for before, after in zip(draws[1, :3], moved[1, :3], strict=True):
        x = density.complete(np.zeros(0), jnp.asarray(before), density.arguments)
        y = new.complete(np.zeros(0), jnp.asarray(after), new.arguments)
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), atol=1e-8)


@pytest.mark.parametrize("name", ["Gamma", "InverseGamma", "Weibull", "Beta"])
@pytest.mark.parametrize("shape", [0.7, 3.0, 40.0])
def test_place_and_width_are_those_of_the_logarithm(name: str, shape: float) -> None:
    with pm.Model() as model:
        effect = FAMILIES[name](pm.math.log(shape), 1.7)
    transform = model.rvs_to_transforms[effect]
    place = place_of(effect, transform)
    assert place is not None
    draws = pm.draw(transform.forward(effect, *effect.owner.inputs), 20_000, random_seed=1)
    location, spread = (float(np.mean(part.eval())) for part in place)
    assert abs(location - draws.mean()) < 0.15 * draws.std()
    assert spread == pytest.approx(draws.std(), rel=0.2)


HIERARCHIES: dict[str, Callable[[Any, Any], Any]] = {
    "LogNormal": lambda a, b: pm.LogNormal("rate", a, b, shape=40),
    "Gamma": lambda a, b: pm.Gamma("rate", 1.0 / b**2, pm.math.exp(-a) / b**2, shape=40),
}


@pytest.mark.parametrize("name", HIERARCHIES)
def test_rates_that_counts_say_little_of_converge(name: str) -> None:
    """Climbs to the mode of such a model end where all rates are one."""
    rng = np.random.default_rng(1)
    counts = rng.poisson(np.exp(rng.normal(0.5, 0.3, 40)))
    with pm.Model() as model:
        rate = HIERARCHIES[name](pm.Normal("a", 0.0, 2.0), pm.HalfNormal("b", 1.0))
        pm.Poisson("y", rate, observed=counts)
    draws = bm.sample(model, seed=1, progress=False)
    bm.diagnose(draws).require_ok()
    assert float(draws.posterior["b"].min()) < 0.1
    assert 0.2 < float(draws.posterior["b"].mean()) < 0.5
