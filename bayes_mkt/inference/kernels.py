"""Markov kernels as pure pairs `init` / `step`, over BlackJAX.

A kernel knows a log-density, a step size and a metric; it knows nothing of chains, of
adaptation, or of where the draws go.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import blackjax
import jax
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
        ``(position, log_density) -> state``.
    step
        ``(key, state, log_density, step_size, inverse_mass) -> (state, info)``.
    """

    init: Callable[[Array, LogDensity], HMCState]
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
        key: Array, state: HMCState, log_density: LogDensity, step_size: Array, inverse_mass: Array
    ) -> tuple[HMCState, Info]:
        state, info = transition(key, state, log_density, step_size, inverse_mass, max_doublings)
        return state, Info(
            info.acceptance_rate, info.is_divergent, info.num_integration_steps, info.energy
        )

    return Kernel(blackjax.nuts.init, step)
