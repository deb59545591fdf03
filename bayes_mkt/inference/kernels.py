"""Markov kernels as pure functions `noise` / `init` / `step`, on whitened coordinates.

A kernel knows a log-density and a step size; it knows nothing of metrics (coordinates come
whitened), of chains, of adaptation, or of where the draws go. Chance is apart from what is done
with it: the noise of many transitions is drawn at once, for one at a time it would cost a small
model more than its gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
from blackjax.mcmc.hmc import HMCState

Array = jax.Array
LogDensity = Callable[[Array], Array]
DIVERGING = 1000.0


class Info(NamedTuple):
    """What one transition reports, apart from the state.

    Attributes
    ----------
    acceptance
        Mean acceptance probability over the trajectory.
    diverging
        Whether the energy error exceeded `DIVERGING`.
    steps
        Gradients evaluated.
    energy
        Hamiltonian of the accepted point.
    """

    acceptance: Array
    diverging: Array
    steps: Array
    energy: Array


class Kernel(NamedTuple):
    """A transition that leaves a density invariant.

    Attributes
    ----------
    noise
        ``(key, position) -> noise``, all that is random in one transition from such a position.
    init
        ``(position, value, gradient) -> state``, these of the log-density there.
    step
        ``(noise, state, log_density, step_size, length) -> (state, info)``, with `length` the
        number of leapfrog steps, for kernels that are told it.
    """

    noise: Callable[[Array, Array], Any]
    init: Callable[[Array, Array, Array], HMCState]
    step: Callable[[Any, HMCState, LogDensity, Array, Array], tuple[HMCState, Info]]


def nuts(max_doublings: int = 10) -> Kernel:
    """Return the No-U-Turn sampler (Hoffman & Gelman 2014; multinomial, Betancourt 2017).

    Parameters
    ----------
    max_doublings
        A trajectory has at most ``2 ** max_doublings`` gradients.
    """
    transition = blackjax.nuts.build_kernel()

    def step(
        key: Array, state: HMCState, log_density: LogDensity, step_size: Array, length: Array
    ) -> tuple[HMCState, Info]:
        unit = jnp.ones_like(state.position)
        state, info = transition(key, state, log_density, step_size, unit, max_doublings)
        return state, Info(
            info.acceptance_rate, info.is_divergent, info.num_integration_steps, info.energy
        )

    # How much is random depends on the tree.
    return Kernel(lambda key, position: key, HMCState, step)


def hmc() -> Kernel:
    r"""Return Hamiltonian Monte Carlo with the trajectory's length given from outside.

    From (u, p), p ~ N(0, I), leapfrog steps lead to (u', p'), accepted with probability
    min(1, exp(H(u, p) - H(u', p'))), H = |p|^2 / 2 - log density (Neal 2011).

    The driver draws one length for all chains of a step, so that no chain waits for another's
    tree: batched, a gradient costs a fraction of what it costs alone.
    """

    def noise(key: Array, position: Array) -> tuple[Array, Array]:
        momentum, threshold = jax.random.split(key)
        return (
            jax.random.normal(momentum, position.shape, position.dtype),
            jax.random.uniform(threshold, (), position.dtype),
        )

    def step(
        noise: tuple[Array, Array],
        state: HMCState,
        log_density: LogDensity,
        step_size: Array,
        length: Array,
    ) -> tuple[HMCState, Info]:
        momentum, threshold = noise
        rise = jax.value_and_grad(log_density)

        def leap(_: Array, at: tuple[HMCState, Array]) -> tuple[HMCState, Array]:
            (position, _, slope), velocity = at
            position = position + step_size * velocity
            value, slope = rise(position)
            return HMCState(position, value, slope), velocity + step_size * slope

        # Each leap ends with a whole kick: the first lacks half of one, the last has half too much.
        half = 0.5 * step_size
        begun = (state, momentum + half * state.logdensity_grad)
        end, velocity = jax.lax.fori_loop(0, length, leap, begun)
        velocity = velocity - half * end.logdensity_grad
        before = 0.5 * jnp.vdot(momentum, momentum) - state.logdensity
        after = 0.5 * jnp.vdot(velocity, velocity) - end.logdensity
        loss = jnp.where(jnp.isnan(after), jnp.inf, after - before)
        acceptance = jnp.exp(jnp.minimum(-loss, 0.0))
        accepted = threshold < acceptance
        after_all = jax.tree.map(partial(jnp.where, accepted), end, state)
        energy = jnp.where(accepted, after, before)
        return after_all, Info(acceptance, loss > DIVERGING, length, energy)

    return Kernel(noise, HMCState, step)
