"""Markov kernels as pure pairs `init` / `step`, over BlackJAX, on whitened coordinates.

A kernel knows a log-density and a step size; it knows nothing of metrics (coordinates come
whitened), of chains, of adaptation, or of where the draws go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import blackjax
import jax
import jax.numpy as jnp
from blackjax.mcmc.hmc import HMCState

Array = jax.Array
LogDensity = Callable[[Array], Array]


class Info(NamedTuple):
    """What one transition reports, apart from the state.

    Attributes
    ----------
    acceptance
        Mean acceptance probability over the trajectory.
    diverging
        Whether the energy error exceeded 1,000.
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
    init
        ``(position, value, gradient) -> state``, these of the log-density there.
    step
        ``(key, state, log_density, step_size, length) -> (state, info)``, with `length` the
        number of leapfrog steps, for kernels that are told it.
    """

    init: Callable[[Array, Array, Array], HMCState]
    step: Callable[[Array, HMCState, LogDensity, Array, Array], tuple[HMCState, Info]]


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

    return Kernel(HMCState, step)


def hmc() -> Kernel:
    """Return Hamiltonian Monte Carlo with the trajectory's length given from outside.

    The driver draws one length for all chains of a step, so that no chain waits for another's
    tree: batched, a gradient costs a fraction of what it costs alone.
    """
    transition = blackjax.hmc.build_kernel()

    def step(
        key: Array, state: HMCState, log_density: LogDensity, step_size: Array, length: Array
    ) -> tuple[HMCState, Info]:
        unit = jnp.ones_like(state.position)
        after, info = transition(key, state, log_density, step_size, unit, length)
        # BlackJAX reports the energy of the proposal, which may be NaN where it diverged.
        before = 0.5 * jnp.vdot(info.momentum, info.momentum) - state.logdensity
        energy = jnp.where(info.is_accepted, info.energy, before)
        return after, Info(info.acceptance_rate, info.is_divergent, length, energy)

    return Kernel(HMCState, step)
