"""The driver: batched chains over devices, in chunks; warmup learns from all chains together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.step_size import dual_averaging_adaptation
from jax.scipy.linalg import solve_triangular
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bayes_mkt.inference import warmup as adaptation
from bayes_mkt.inference.kernels import Info, Kernel
from bayes_mkt.inference.runtime import CHAIN_AXIS, chain_mesh
from bayes_mkt.inference.warmup import Tuning

Array = jax.Array
Record = dict[str, Array]
CHUNK = 50
FIRST_LENGTH = 8
STATS = ("acceptance_rate", "diverging", "n_steps", "energy", "lp", "step_size")


class Carry(NamedTuple):
    """All that one chain needs to go on: position and key."""

    position: Array
    key: Array


class Orders(NamedTuple):
    """What a chunk is told, apart from where the chains stand.

    Attributes
    ----------
    scale
        As in `Tuning`.
    step_size
        The fixed step size, or the first of an adaptation.
    longest
        Largest number of leapfrog steps.
    adapt
        Whether the step size adapts.
    first, steps
        Number of the first step in the run, and how many steps to take.
    """

    scale: Array
    step_size: Array
    longest: Array
    adapt: Array
    first: Array
    steps: Array


@dataclass(frozen=True)
class Chunk:
    """Draws of consecutive steps.

    Attributes
    ----------
    warmup
        Whether these steps adapted; their draws are not kept.
    positions
        (chain, step, size), unconstrained.
    stats
        Arrays (chain, step), named `STATS`.
    """

    warmup: bool
    positions: np.ndarray
    stats: dict[str, np.ndarray]

    @property
    def length(self) -> int:
        """Return the number of steps a chain took."""
        return int(self.positions.shape[1])


def run(
    log_density: Callable[[Array, Any], Array],
    arguments: Any,
    starts: np.ndarray,
    tuning: Tuning,
    *,
    kernel: Callable[[], Kernel],
    key: Array,
    warmup: int,
    target_accept: float,
) -> Iterator[Chunk]:
    """Yield chunks of draws: first the warmup's, then sampling for as long as asked.

    After each chunk of warmup the scale is learnt anew from the draws of all chains (the
    latter half of them), and the step size starts again from what it came to.

    Parameters
    ----------
    log_density
        ``(x, arguments) -> float`` on a flat vector.
    arguments
        Data of the density; equal shapes share one compiled program.
    starts
        (chain, size), one starting point for each chain.
    tuning
        What warmup begins with.
    kernel
        Constructor of the transition kernel, a module-level function.
    key
        Of the whole run; step `i` of chain `c` uses ``fold_in(fold_in(key, c), i)``.
    warmup
        Steps of adaptation.
    target_accept
        Mean acceptance probability that the step size aims at.
    """
    chains = starts.shape[0]
    mesh = chain_mesh(chains)
    advance = _compiled(log_density, kernel, mesh, target_accept)
    sharded = NamedSharding(mesh, PartitionSpec(CHAIN_AXIS))
    arguments = jax.device_put(arguments, NamedSharding(mesh, PartitionSpec()))
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(chains))
    carry = jax.device_put(Carry(jnp.asarray(starts), keys), sharded)
    history: list[np.ndarray] = []
    done = 0
    while True:
        warming = done < warmup
        count = min(CHUNK, warmup - done) if warming else CHUNK
        # Before the scale is known long trajectories are wasted: they are allowed bit by bit.
        longest = min(tuning.longest, FIRST_LENGTH << len(history)) if warming else tuning.longest
        orders = _orders(tuning, longest, warming, done, count)
        carry, adapted, positions, info = advance(carry, key, orders, arguments)
        done += count
        drawn = np.asarray(positions)[:, :count]
        yield Chunk(warming, drawn, {n: np.asarray(v)[:, :count] for n, v in info.items()})
        if warming:
            history.append(drawn)
            step_size = float(np.exp(np.mean(np.asarray(adapted))))
            tuning = adaptation.learn(
                tuning,
                np.concatenate(history, axis=1)[:, done // 2 :],
                step_size,
                final=warmup - done < CHUNK,
            )


def _per_chain(state: Any, chains: int) -> Any:
    """Return an adaptation state with every entry given for each chain."""
    return jax.tree.map(lambda v: jnp.broadcast_to(jnp.asarray(v), (chains,)), state)


def _orders(tuning: Tuning, longest: int, adapt: bool, first: int, count: int) -> Orders:
    return Orders(
        scale=jnp.asarray(tuning.scale),
        step_size=jnp.asarray(tuning.step_size),
        longest=jnp.asarray(longest),
        adapt=jnp.asarray(adapt),
        first=jnp.asarray(first),
        steps=jnp.asarray(count),
    )


@lru_cache(maxsize=64)
def _compiled(
    log_density: Callable[[Array, Any], Array],
    kernel: Callable[[], Kernel],
    mesh: Mesh,
    target_accept: float,
) -> Callable[[Carry, Array, Orders, Any], tuple[Carry, Array, Array, Record]]:
    """Return the jitted chunk of a run; every run with equal arguments shares it."""
    init, step = kernel()
    step_begin, step_update, _ = dual_averaging_adaptation(target_accept)

    def chunk(
        carry: Carry, shared: Array, orders: Orders, arguments: Any
    ) -> tuple[Carry, Array, Array, Record]:
        chains, size = carry.position.shape

        def density(u: Array) -> Array:
            return log_density(_stretch(orders.scale, u), arguments)

        def one(i: Array, loop: tuple[Any, Any, Array, Record]) -> tuple[Any, Any, Array, Record]:
            states, adapting, positions, record = loop
            index = orders.first + i
            # One length for all chains: uniform up to the longest, so that no period resonates.
            share = jax.random.uniform(jax.random.fold_in(shared, index))
            length = jnp.ceil(share * orders.longest).astype(jnp.int32)
            keys = jax.vmap(jax.random.fold_in, (0, None))(carry.key, index)
            size_used = jnp.where(orders.adapt, jnp.exp(adapting.log_step_size), orders.step_size)
            states, info = jax.vmap(
                lambda key, state, size: step(key, state, density, size, length)
            )(keys, states, size_used)
            # Chains of a device share one step size: their mean acceptance is a calmer guide.
            mean = jnp.mean(jnp.nan_to_num(info.acceptance))
            adapting = jax.vmap(step_update, (0, None))(adapting, mean)
            values = _stats(states.logdensity, info, size_used)
            record = {name: record[name].at[:, i].set(values[name]) for name in record}
            at = jax.vmap(partial(_stretch, orders.scale))(states.position)
            return states, adapting, positions.at[:, i].set(at), record

        whitened = jax.vmap(partial(_shrink, orders.scale))(carry.position)
        states = jax.vmap(lambda u: init(u, density))(whitened)
        adapting = _per_chain(step_begin(orders.step_size), chains)
        positions = jnp.zeros((chains, CHUNK, size), carry.position.dtype)
        dtypes: dict[str, Any] = {"diverging": bool, "n_steps": jnp.int32}
        record = {n: jnp.zeros((chains, CHUNK), dtypes.get(n, positions.dtype)) for n in STATS}
        states, adapting, positions, record = jax.lax.fori_loop(
            0, orders.steps, one, (states, adapting, positions, record)
        )
        last = jax.vmap(partial(_stretch, orders.scale))(states.position)
        return Carry(last, carry.key), adapting.log_step_size_avg, positions, record

    chain, everywhere = PartitionSpec(CHAIN_AXIS), PartitionSpec()
    spread = jax.shard_map(
        chunk,
        mesh=mesh,
        in_specs=(chain, everywhere, everywhere, everywhere),
        out_specs=(chain, chain, chain, chain),
        check_vma=False,
    )
    return jax.jit(spread)


def _stretch(scale: Array, u: Array) -> Array:
    """Return x = scale u."""
    return scale @ u if scale.ndim == 2 else scale * u


def _shrink(scale: Array, x: Array) -> Array:
    """Return u with x = scale u."""
    return solve_triangular(scale, x, lower=True) if scale.ndim == 2 else x / scale


def _stats(log_density: Array, info: Info, step_size: Array) -> Record:
    """Return the sample statistics of one step, named `STATS`."""
    steps = jnp.broadcast_to(info.steps, info.acceptance.shape).astype(jnp.int32)
    values = (info.acceptance, info.diverging, steps, info.energy, log_density, step_size)
    return dict(zip(STATS, values, strict=True))
