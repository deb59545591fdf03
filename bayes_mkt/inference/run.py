"""The driver: batched chains over devices, in chunks; warmup learns from all chains together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.step_size import dual_averaging_adaptation
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bayes_mkt.inference import warmup as adaptation
from bayes_mkt.inference.chance import chances
from bayes_mkt.inference.chunks import CHUNK, FEW, chunk_length
from bayes_mkt.inference.density import Density, gradient_of
from bayes_mkt.inference.kernels import Info, Kernel
from bayes_mkt.inference.lessons import Lessons
from bayes_mkt.inference.metric import Dense, Metric, stretched
from bayes_mkt.inference.programs import OFTEN, Compiled, compiling
from bayes_mkt.inference.runtime import CHAIN_AXIS, chain_mesh, gathered
from bayes_mkt.inference.state import State
from bayes_mkt.inference.warmup import Tuning

Array = jax.Array
Loop = tuple[Any, Any, Array, Array, Array]
LONG_LESSON = 100
REFUSED = 0.01
# The usual 0.05, around ten times the step, suits acceptance averaged over a trajectory. At its end
# it falls from one to nothing within a factor of two of the step, and the adaptation would swing.
CALM = 0.2
SHARED = 2**31 - 1
FIRST_LENGTH = 8
STATS = ("acceptance_rate", "diverging", "n_steps", "energy", "lp", "step_size")


class Carry(NamedTuple):
    """All that one chain needs to go on: position, key, log-density and its gradient."""

    position: Any
    key: Array
    value: Any
    slope: Any


class Orders(NamedTuple):
    """What a chunk is told, apart from where the chains stand.

    Attributes
    ----------
    metric
        What whitens positions.
    step_size
        The fixed step size, or the first of an adaptation.
    longest
        Leapfrog steps of the longest trajectory.
    adapt
        Whether the step size adapts.
    first, steps
        Number of the first step in the run, and how many steps to take.
    """

    metric: Metric
    step_size: Any
    longest: Any
    adapt: Any
    first: Any
    steps: Any


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
    state
        Where the run stands after these steps.
    """

    warmup: bool
    positions: np.ndarray
    stats: dict[str, np.ndarray]
    state: State

    @property
    def length(self) -> int:
        """Return the number of steps a chain took."""
        return int(self.positions.shape[1])


def run(
    density: Density,
    state: State,
    *,
    kernel: Callable[[], Kernel],
    key: Array,
    warmup: int,
    most: int,
    limit: int,
    target_accept: float,
) -> Iterator[Chunk]:
    """Yield chunks of draws: first the warmup's, then those kept, for as long as asked.

    After each chunk of warmup the density's form and the scale are learnt anew from the draws of
    all chains (the latter half of them), and the step size starts again from what it came to. The
    last chunk changes the step size only; where its draws show that the chains still creep, or are
    on their way, it counts as one more lesson, and another two follow. Where the first draws that
    would be kept show that the chains have left what the warmup knew, they count as warmup, and it
    begins again from there.

    Parameters
    ----------
    density
        What is sampled; equal shapes of its arguments share one compiled program.
    state
        Where the run begins, or goes on after warmup.
    kernel
        Constructor of the transition kernel, a module-level function.
    key
        Of the whole run; step `i` of chain `c` uses ``fold_in(fold_in(key, c), i)``.
    warmup, most
        Steps of adaptation, and how many where it hasn't settled by then.
    limit
        Draws of each chain after which it ends.
    target_accept
        Mean acceptance probability that the step size aims at.
    """
    chains, size = state.positions.shape
    length, lesson = chunk_length(density), LONG_LESSON if size <= FEW else CHUNK
    mesh = chain_mesh(chains)
    everywhere = NamedSharding(mesh, PartitionSpec())
    keys, shared = _keys(key, np.arange(chains))
    density = density.with_forms(state.forms)
    arguments = jax.device_put(density.arguments, everywhere)
    advance = _program(density, chains, state.tuning, kernel, target_accept).result()
    lessons = Lessons(lesson, warmup, most)
    state = replace(state, warmup=state.warmup or warmup)
    while (left := state.warmup + limit - state.done) > 0:
        warming = state.done < state.warmup
        count = min(lesson, state.warmup - state.done) if warming else min(length, left)
        orders = _orders(state, warming, count)
        # A second gradient in the chunk's program would take it a third longer to compile.
        carry = Carry(state.positions, keys, *gradient_of(density)(state.positions))
        last, adapted, positions, record = advance(carry, shared, orders, arguments)
        drawn = gathered(positions, count, 1).swapaxes(0, 1)
        stats = _statistics(gathered(record, count, 2))
        state = replace(
            state,
            positions=np.asarray(last),
            done=state.done + count,
            gradients=state.gradients + int(stats["n_steps"].sum()),
        )
        if warming:
            longest = float(orders.longest)
            step_size = float(np.exp(np.mean(np.asarray(adapted))))
            state, density = lessons.learnt(state, density, drawn, stats["lp"], step_size, longest)
            if density.forms:
                arguments = (*arguments[:-1], jax.device_put(density.forms, everywhere))
        elif lessons.left(state, stats["acceptance_rate"], target_accept):
            warming, state = True, lessons.again(state)
        yield Chunk(warming, drawn, stats, state)


@jax.jit
def _keys(key: Array, chains: Array) -> tuple[Array, Array]:
    """Return the keys of chains, and that of what they share."""
    of_chains = jax.vmap(partial(jax.random.fold_in, key))(chains)
    return of_chains, jax.random.fold_in(key, SHARED)


def prepare_run(
    density: Density, chains: int, kernel: Callable[[], Kernel], target_accept: float
) -> None:
    """Begin to compile what `run` needs, while something else is done.

    In many dimensions the form of the metric depends on the curvature, and so does the program.
    """
    size = density.start.size
    if size <= adaptation.MAX_DENSE:
        _program(density, chains, Tuning(Dense(np.eye(size))), kernel, target_accept)


def _program(
    density: Density,
    chains: int,
    tuning: Tuning,
    kernel: Callable[[], Kernel],
    target_accept: float,
) -> Future[Compiled]:
    """Return the compiled chunk of a run: ``(carry, key, orders, arguments)``."""
    positions = np.zeros((chains, density.start.size))
    carry = Carry(
        positions, jax.random.split(jax.random.key(0), chains), positions[:, 0], positions
    )
    orders = _orders(State(positions, tuning), True, 1)
    mesh, length = chain_mesh(chains), chunk_length(density)
    function = _compiled(density.log_density, kernel, mesh, target_accept, length)
    inputs = (carry, jax.random.key(0), orders, density.arguments)
    return compiling(function, *inputs, level=OFTEN)


def _orders(state: State, adapt: bool, count: int) -> Orders:
    longest = state.tuning.longest
    if adapt:
        # Before the scale is known long trajectories are wasted: they are allowed bit by bit.
        longest = float(min(longest, FIRST_LENGTH << (state.done // CHUNK)))
    tuning = state.tuning
    return Orders(
        metric=tuning.metric,
        step_size=np.asarray(tuning.step_size),
        longest=np.asarray(longest),
        adapt=np.asarray(adapt),
        first=np.asarray(state.done),
        steps=np.asarray(count),
    )


@lru_cache(maxsize=64)
def _compiled(
    log_density: Callable[[Array, Any], Array],
    kernel: Callable[[], Kernel],
    mesh: Mesh,
    target_accept: float,
    length: int,
) -> Callable[[Carry, Array, Orders, Any], tuple[Array, Array, Array, Array]]:
    """Return the chunk of a run; every run with equal arguments shares it."""
    noise, init, step = kernel()
    step_begin, step_update, _ = dual_averaging_adaptation(target_accept, gamma=CALM)

    def chunk(
        carry: Carry, shared: Array, orders: Orders, arguments: Any
    ) -> tuple[Array, Array, Array, Array]:
        chains, size = carry.position.shape
        ahead = min(length, LONG_LESSON)

        def density(u: Array) -> Array:
            return log_density(stretched(orders.metric, u), arguments)

        def some(block: Array, loop: Loop) -> Any:
            begin = block * ahead
            steps = orders.first + begin + jnp.arange(ahead)
            random = chances(noise, carry.key, carry.position, shared, steps, orders.longest)
            end = jnp.minimum(begin + ahead, orders.steps)
            return jax.lax.fori_loop(begin, end, partial(one, begin, random), loop)

        def one(begin: Array, random: tuple[Array, Any], i: Array, loop: Loop) -> Loop:
            states, adapting, refusals, positions, record = loop
            steps, (drawn, caution) = jax.tree.map(lambda v: v[i - begin], random)
            # While adapting a chain has its own step size where the density is steep.
            adapted = jnp.exp(adapting.log_step_size) * 0.5**refusals
            size_used = jnp.where(orders.adapt, adapted, orders.step_size * caution)
            states, info = jax.vmap(
                lambda noise, state, size: step(noise, state, density, size, steps)
            )(drawn, states, size_used)
            # Chains of a device share one step size: their mean acceptance is a calmer guide.
            adapting = step_update(adapting, jnp.mean(jnp.nan_to_num(info.acceptance)))
            # A chain where the density is steep comes away with smaller steps than the others.
            refusals = jnp.where(info.acceptance > REFUSED, 0, refusals + 1)
            record = record.at[i].set(_stats(states.logdensity, info, size_used))
            return states, adapting, refusals, positions.at[i].set(states.position), record

        at_rest = jax.vmap(orders.metric.whitened)(carry.position)
        slopes = jax.vmap(orders.metric.pulled)(carry.slope)
        begun = (
            jax.vmap(init)(at_rest, carry.value, slopes),
            step_begin(orders.step_size)._replace(mu=jnp.log(orders.step_size)),
            jnp.zeros(chains, jnp.int32),
            jnp.zeros((length, chains, size), at_rest.dtype),
            jnp.zeros((length, len(STATS), chains), at_rest.dtype),
        )
        blocks = (orders.steps + ahead - 1) // ahead
        states, adapting, _, positions, record = jax.lax.fori_loop(0, blocks, some, begun)
        at = partial(stretched, orders.metric)
        positions = jax.vmap(jax.vmap(at))(positions)
        return jax.vmap(at)(states.position), adapting.log_step_size_avg[None], positions, record

    return _over_devices(chunk, mesh)


def _over_devices(
    chunk: Callable[..., tuple[Array, ...]], mesh: Mesh
) -> Callable[..., tuple[Array, Array, Array, Array]]:
    """Return the compiled chunk, with chains spread over the devices of a mesh."""
    chain, everywhere = PartitionSpec(CHAIN_AXIS), PartitionSpec()
    spread = jax.shard_map(
        chunk,
        mesh=mesh,
        in_specs=(chain, everywhere, everywhere, everywhere),
        out_specs=(chain, chain, PartitionSpec(None, *chain), PartitionSpec(None, None, *chain)),
        check_vma=False,
    )
    shardings = (NamedSharding(mesh, chain), *3 * (NamedSharding(mesh, everywhere),))
    return jax.jit(spread, in_shardings=shardings)


def _stats(log_density: Array, info: Info, step_size: Array) -> Array:
    """Return the sample statistics (statistic, chain) of one step, in the order of `STATS`."""
    values = (info.acceptance, info.diverging, info.steps, info.energy, log_density, step_size)
    return jnp.stack([jnp.broadcast_to(v, step_size.shape).astype(step_size.dtype) for v in values])


def _statistics(record: np.ndarray) -> dict[str, np.ndarray]:
    """Return sample statistics (chain, step) by name, of a record (step, statistic, chain)."""
    kinds = {"diverging": bool, "n_steps": np.int32}
    columns = zip(STATS, record.transpose(1, 2, 0), strict=True)
    return {name: values.astype(kinds.get(name, values.dtype)) for name, values in columns}
