"""Hamiltonian Monte Carlo's step is BlackJAX's, with chance drawn ahead."""

from __future__ import annotations

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bayes_mkt.inference.kernels import hmc

jax.config.update("jax_enable_x64", True)
SIZE = 5


def log_density(u: jax.Array) -> jax.Array:
    return -0.25 * jnp.sum(u**4) - jnp.sum(jnp.cosh(u[1:] - u[:-1]))


@pytest.mark.parametrize("step_size", [0.05, 0.6, 3.0])  # accepted, now and then, diverging
def test_a_step_is_that_of_blackjax(step_size: float) -> None:
    kernel, theirs = hmc(), blackjax.hmc.build_kernel()
    length = jnp.asarray(7)
    accepted = diverging = 0
    for seed in range(20):
        start = jax.random.normal(jax.random.key(100 + seed), (SIZE,))
        state = blackjax.hmc.init(start, log_density)
        key = jax.random.key(seed)
        after, info = kernel.step(
            kernel.noise(key, start), state, log_density, jnp.asarray(step_size), length
        )
        known, about = theirs(key, state, log_density, step_size, jnp.ones(SIZE), length)
        np.testing.assert_allclose(after.position, known.position, rtol=1e-9)
        np.testing.assert_allclose(after.logdensity, known.logdensity, rtol=1e-9)
        np.testing.assert_allclose(after.logdensity_grad, known.logdensity_grad, rtol=1e-8)
        np.testing.assert_allclose(info.acceptance, about.acceptance_rate, rtol=1e-7, atol=1e-12)
        assert bool(info.diverging) == bool(about.is_divergent)
        assert np.isfinite(info.energy)
        accepted += bool(about.is_accepted)
        diverging += bool(about.is_divergent)
    assert {0.05: accepted == 20, 0.6: 0 < accepted < 20, 3.0: diverging > 10}[step_size]
