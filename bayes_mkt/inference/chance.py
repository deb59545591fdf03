"""What is random in the steps of a chunk, drawn ahead of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array
CAUTION = 1
CAUTIOUS = 0.05
LEAST_FACTOR = 0.05
# Of the longest trajectory. On a standard normal a trajectory of time t leaves a correlation of
# cos t in a variable and of cos^2 t in its square: times spread about the quarter period leave less
# of both, for fewer gradients, than times from nothing to the half period. They are spread by a
# factor of two so that nothing that moves faster is always brought back to where it was: at worst,
# 1.5 times as fast, a correlation of 0.72 is left in its square.
SHORTEST = 0.5


def chances(
    noise: Callable[[Array, Array], Any],
    keys: Array,
    positions: Array,
    shared: Array,
    steps: Array,
    longest: Array,
) -> tuple[Array, Any]:
    """Return leapfrog steps (step,), and for each step of each chain its noise and its caution.

    One number of leapfrog steps for all chains, so that none waits for another's: uniform from
    `SHORTEST` of the longest to the longest, to the nearest whole number, at least 1.

    Parameters
    ----------
    noise
        ``(key, position) -> noise``, of a kernel.
    keys, positions
        Of the chains, (chain,) and (chain, size).
    shared
        Key of what chains share.
    steps
        (step,) numbers of the steps in the run.
    longest
        Leapfrog steps of the longest trajectory, at least 1 and not always whole.
    """
    share = jax.vmap(lambda index: jax.random.uniform(jax.random.fold_in(shared, index)))(steps)
    of_chains = jax.vmap(partial(_chance, noise), (0, None, 0))
    chance = jax.vmap(of_chains, (None, 0, None))(keys, steps, positions)
    wanted = longest * (SHORTEST + (1.0 - SHORTEST) * share)
    return jnp.maximum(jnp.round(wanted), 1.0).astype(jnp.int32), chance


def _chance(noise: Callable[[Array, Array], Any], key: Array, index: Array, at: Array) -> Any:
    """Return what is random in step `index` of a chain: the kernel's noise, and the caution."""
    own = jax.random.fold_in(key, index)
    return noise(own, at), _caution(own)


def _caution(key: Array) -> Array:
    """Return the factor of a step: 1, or now and then a small one, for steep places.

    It depends on nothing but the key, so the chain keeps the density invariant.
    """
    now, share = jax.random.uniform(jax.random.fold_in(key, CAUTION), (2,))
    return jnp.where(now < CAUTIOUS, LEAST_FACTOR**share, 1.0)
