"""The driver: batched chains over devices, in chunks, until enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.mcmc.hmc import HMCState
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bayes_mkt.inference import warmup as adaptation
from bayes_mkt.inference.kernels import Info, Kernel
from bayes_mkt.inference.runtime import CHAIN_AXIS, chain_mesh

Array = jax.Array
CHUNK = 50
STATS = ("acceptance_rate", "diverging", "n_steps", "energy", "lp", "step_size")


Record = dict[str, Array]


class Carry(NamedTuple):
    """All that one chain needs to go on: its state, its adaptation, its key."""

    state: HMCState
    adaptation: adaptation.Adaptation
    key: Array


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
        Arrays (chain, step): acceptance_rate, diverging, n_steps, energy, lp, step_size.
    """

    warmup: bool
    positions: np.ndarray
    stats: dict[str, np.ndarray]

    @property
    def length(self) -> int:
        """Return the number of steps a chain took."""
        return int(self.positions.shape[1])


def run(
    log_density: Callable[[Array, tuple[Array, ...]], Array],
    data: tuple[Array, ...],
    starts: np.ndarray,
    *,
    kernel: Callable[[], Kernel],
    key: Array,
    warmup: int,
    target_accept: float,
) -> Iterator[Chunk]:
    """Yield chunks of draws: first the warmup's, then sampling for as long as asked.

    Parameters
    ----------
    log_density
        ``(x, data) -> float`` on a flat vector.
    data
        Arguments of the density; equal shapes share one compiled program.
    starts
        (chain, size), one starting point for each chain.
    kernel
        Constructor of the transition kernel, a module-level function or a partial of one.
    key
        Of the whole run; step `i` of chain `c` uses ``fold_in(fold_in(key, c), i)``, so draws
        don't depend on how the run is cut into chunks.
    warmup
        Steps of adaptation.
    target_accept
        Mean acceptance probability that the step size aims at.
    """
    chains = starts.shape[0]
    mesh = chain_mesh(chains)
    begin, chunk = _compiled(log_density, kernel, mesh, target_accept)
    sharded = NamedSharding(mesh, PartitionSpec(CHAIN_AXIS))
    data = jax.device_put(data, NamedSharding(mesh, PartitionSpec()))
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(chains))
    carry = begin(jax.device_put(jnp.asarray(starts), sharded), jax.device_put(keys, sharded), data)
    roles = adaptation.roles(warmup)
    done = 0
    while True:
        warming = done < warmup
        count = min(CHUNK, warmup - done) if warming else CHUNK
        plan = np.zeros(CHUNK, dtype=np.int32)
        if warming:
            plan[:count] = roles[done : done + count]
        carry, positions, info = chunk(carry, jnp.asarray(plan), jnp.asarray([done, count]), data)
        done += count
        stats = {name: np.asarray(value)[:, :count] for name, value in info.items()}
        yield Chunk(warming, np.asarray(positions)[:, :count], stats)


@lru_cache(maxsize=64)
def _compiled(
    log_density: Callable[[Array, tuple[Array, ...]], Array],
    kernel: Callable[[], Kernel],
    mesh: Mesh,
    target_accept: float,
) -> tuple[Callable[..., Carry], Callable[..., tuple[Carry, Array, Record]]]:
    """Return the jitted start and chunk of a run; every run with equal arguments shares them."""
    init, step = kernel()

    def begin_one(position: Array, key: Array, data: tuple[Array, ...]) -> Carry:
        state = init(position, lambda x: log_density(x, data))
        return Carry(state, adaptation.begin(position.size), key)

    def advance_one(
        carry: Carry, index: Array, role: Array, data: tuple[Array, ...]
    ) -> tuple[Carry, Info]:
        key = jax.random.fold_in(carry.key, index)
        adapt = carry.adaptation
        state, info = step(
            key, carry.state, lambda x: log_density(x, data), adapt.step_size, adapt.inverse_mass
        )
        adapt = adaptation.advance(adapt, role, state.position, info.acceptance, target_accept)
        return Carry(state, adapt, carry.key), info

    def chunk(
        carry: Carry, plan: Array, span: Array, data: tuple[Array, ...]
    ) -> tuple[Carry, Array, Record]:
        chains, size = carry.state.position.shape
        positions = jnp.zeros((chains, CHUNK, size), carry.state.position.dtype)

        def one(i: Array, loop: tuple[Carry, Array, Record]) -> tuple[Carry, Array, Record]:
            carry, positions, record = loop
            used = carry.adaptation.step_size
            carry, info = jax.vmap(advance_one, (0, None, None, None))(
                carry, span[0] + i, plan[i], data
            )
            values = _stats(carry, info, used)
            record = {name: record[name].at[:, i].set(values[name]) for name in record}
            return carry, positions.at[:, i].set(carry.state.position), record

        dtypes: dict[str, Any] = {"diverging": bool, "n_steps": jnp.int32}
        record = {
            name: jnp.zeros((chains, CHUNK), dtypes.get(name, positions.dtype)) for name in STATS
        }
        out: tuple[Carry, Array, Record] = jax.lax.fori_loop(
            0, span[1], one, (carry, positions, record)
        )
        return out

    chain, everywhere = PartitionSpec(CHAIN_AXIS), PartitionSpec()
    spread = partial(jax.shard_map, mesh=mesh, check_vma=False)
    begin = spread(
        jax.vmap(begin_one, (0, 0, None)), in_specs=(chain, chain, everywhere), out_specs=chain
    )
    chunks = spread(
        chunk, in_specs=(chain, everywhere, everywhere, everywhere), out_specs=(chain, chain, chain)
    )
    return jax.jit(begin), jax.jit(chunks)


def _stats(carry: Carry, info: Info, step_size: Array) -> Record:
    """Return the sample statistics of one step, named `STATS`."""
    state = carry.state
    values = (
        info.acceptance,
        info.diverging,
        info.steps.astype(jnp.int32),
        info.energy,
        state.logdensity,
        step_size,
    )
    return dict(zip(STATS, values, strict=True))
