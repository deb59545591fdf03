"""The driver: batched chains over devices, in chunks; warmup learns from all chains together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.step_size import dual_averaging_adaptation
from jax.scipy.linalg import solve_triangular
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from bayes_mkt.inference import warmup as adaptation
from bayes_mkt.inference.density import Density, Forms, gradient_of
from bayes_mkt.inference.kernels import Info, Kernel
from bayes_mkt.inference.runtime import CHAIN_AXIS, chain_mesh
from bayes_mkt.inference.warmup import Tuning

Array = jax.Array
Record = dict[str, Array]
Loop = tuple[Any, Any, Array, Array, Record]
CHUNK = 50
# Few variables take less time than it takes to look at them.
FEW, LONG_CHUNK, LONG_LESSON = 20, 400, 100
LOOK_AGAIN = 100
REFUSED = 0.01
# The usual 0.05, around ten times the step, suits acceptance averaged over a trajectory. At its end
# it falls from one to nothing within a factor of two of the step, and the adaptation would swing.
CALM = 0.2
SHARED = 2**31 - 1
CAUTION = 1
CAUTIOUS = 0.05
LEAST_FACTOR = 0.05
FIRST_LENGTH = 8
STATS = ("acceptance_rate", "diverging", "n_steps", "energy", "lp", "step_size")


class Carry(NamedTuple):
    """All that one chain needs to go on: position, key, log-density and its gradient."""

    position: Array
    key: Array
    value: Array
    slope: Array


@dataclass(frozen=True)
class State:
    """All that a run needs to go on from between two chunks, the same bit for bit.

    Attributes
    ----------
    positions
        (chain, size), unconstrained.
    tuning
        Scale, step size and length of trajectories.
    forms
        What the density has learnt of its own form.
    done
        Steps taken, the warmup's included.
    gradients
        Gradients evaluated by all chains.
    """

    positions: np.ndarray
    tuning: Tuning
    forms: Forms = ()
    done: int = 0
    gradients: int = 0


class Orders(NamedTuple):
    """What a chunk is told, apart from where the chains stand.

    Attributes
    ----------
    scale, axes, stretch
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
    axes: Array
    stretch: Array
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


def chunk_length(size: int) -> int:
    """Return the draws between two looks at a run in `size` dimensions, after warmup."""
    return LONG_CHUNK if size <= FEW else CHUNK


def run(
    density: Density,
    state: State,
    *,
    kernel: Callable[[], Kernel],
    key: Array,
    warmup: int,
    target_accept: float,
) -> Iterator[Chunk]:
    """Yield chunks of draws: first the warmup's, then sampling for as long as asked.

    After each chunk of warmup the density's form and the scale are learnt anew from the draws of
    all chains (the latter half of them), and the step size starts again from what it came to.

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
    warmup
        Steps of adaptation.
    target_accept
        Mean acceptance probability that the step size aims at.
    """
    chains, size = state.positions.shape
    length, lesson = chunk_length(size), LONG_LESSON if size <= FEW else CHUNK
    mesh = chain_mesh(chains)
    advance = _compiled(density.log_density, kernel, mesh, target_accept)
    along = NamedSharding(mesh, PartitionSpec(CHAIN_AXIS))
    everywhere = NamedSharding(mesh, PartitionSpec())
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(chains))
    shared = jax.random.fold_in(key, SHARED)
    density = density.with_forms(state.forms)
    arguments = jax.device_put(density.arguments, everywhere)
    history: np.ndarray | None = None
    while True:
        warming = state.done < warmup
        count = min(lesson, warmup - state.done) if warming else length
        orders = _orders(state, warming, count)
        # The chunk's program holds the gradient once, not a second time for where it begins: that
        # would take a third longer to compile.
        value, slope = map(jnp.asarray, gradient_of(density)(state.positions))
        carry = jax.device_put(Carry(jnp.asarray(state.positions), keys, value, slope), along)
        last, adapted, positions, info = advance(carry, shared, orders, arguments)
        drawn = np.asarray(positions)[:, :count]
        stats = {n: np.asarray(v)[:, :count] for n, v in info.items()}
        state = replace(
            state,
            positions=np.asarray(last),
            done=state.done + count,
            gradients=state.gradients + int(stats["n_steps"].sum()),
        )
        if warming:
            history = drawn if history is None else np.concatenate([history, drawn], axis=1)
            step_size = float(np.exp(np.mean(np.asarray(adapted))))
            final = warmup - state.done < lesson
            if not final:
                density, history = density.reformed(history)
                arguments = jax.device_put(density.arguments, everywhere)
            tuning = state.tuning
            if state.done == LOOK_AGAIN and not final:
                tuning = adaptation.look_again(
                    tuning, history[:, state.done // 2 :], gradient_of(density)
                )
            latest = history[:, -count:]
            tuning = adaptation.learn(
                tuning,
                history[:, state.done // 2 :],
                latest,
                step_size,
                final=final,
                capped=int(orders.longest) < tuning.longest,
            )
            state = replace(state, positions=history[:, -1], tuning=tuning, forms=density.forms)
        yield Chunk(warming, drawn, stats, state)


def _per_chain(state: Any, chains: int) -> Any:
    """Return an adaptation state with every entry given for each chain."""
    return jax.tree.map(lambda v: jnp.broadcast_to(jnp.asarray(v), (chains,)), state)


def _orders(state: State, adapt: bool, count: int) -> Orders:
    longest = state.tuning.longest
    if adapt:
        # Before the scale is known long trajectories are wasted: they are allowed bit by bit.
        longest = min(longest, FIRST_LENGTH << (state.done // CHUNK))
    tuning = state.tuning
    none = np.zeros((tuning.scale.shape[0], 0))
    return Orders(
        scale=jnp.asarray(tuning.scale),
        axes=jnp.asarray(none if tuning.axes is None else tuning.axes),
        stretch=jnp.asarray(none[0] if tuning.stretch is None else tuning.stretch),
        step_size=jnp.asarray(state.tuning.step_size),
        longest=jnp.asarray(longest),
        adapt=jnp.asarray(adapt),
        first=jnp.asarray(state.done),
        steps=jnp.asarray(count),
    )


@lru_cache(maxsize=64)
def _compiled(
    log_density: Callable[[Array, Any], Array],
    kernel: Callable[[], Kernel],
    mesh: Mesh,
    target_accept: float,
) -> Callable[[Carry, Array, Orders, Any], tuple[Array, Array, Array, Record]]:
    """Return the jitted chunk of a run; every run with equal arguments shares it."""
    init, step = kernel()
    step_begin, step_update, _ = dual_averaging_adaptation(target_accept, gamma=CALM)

    def chunk(
        carry: Carry, shared: Array, orders: Orders, arguments: Any
    ) -> tuple[Array, Array, Array, Record]:
        chains, size = carry.position.shape

        def density(u: Array) -> Array:
            return log_density(_stretch(orders, u), arguments)

        def one(i: Array, loop: Loop) -> Loop:
            states, adapting, refusals, positions, record = loop
            index = orders.first + i
            # One length for all chains: uniform up to the longest, so that no period resonates.
            share = jax.random.uniform(jax.random.fold_in(shared, index))
            length = jnp.ceil(share * orders.longest).astype(jnp.int32)
            keys = jax.vmap(jax.random.fold_in, (0, None))(carry.key, index)
            size_used = _sizes(orders, adapting.log_step_size, refusals, keys)
            states, info = jax.vmap(
                lambda key, state, size: step(key, state, density, size, length)
            )(keys, states, size_used)
            # Chains of a device share one step size: their mean acceptance is a calmer guide.
            mean = jnp.mean(jnp.nan_to_num(info.acceptance))
            adapting = jax.vmap(step_update, (0, None))(adapting, mean)
            # A chain where the density is steep comes away with smaller steps than the others.
            refusals = jnp.where(info.acceptance > REFUSED, 0, refusals + 1)
            values = _stats(states.logdensity, info, size_used)
            record = {name: record[name].at[:, i].set(values[name]) for name in record}
            at = jax.vmap(partial(_stretch, orders))(states.position)
            return states, adapting, refusals, positions.at[:, i].set(at), record

        whitened = jax.vmap(partial(_shrink, orders))(carry.position)
        pulled = jax.vmap(partial(_pull, orders))(carry.slope)
        states = jax.vmap(init)(whitened, carry.value, pulled)
        first = step_begin(orders.step_size)._replace(mu=jnp.log(orders.step_size))
        adapting = _per_chain(first, chains)
        refusals = jnp.zeros(chains, jnp.int32)
        positions, record = _blank(chains, size, carry.position.dtype)
        states, adapting, _, positions, record = jax.lax.fori_loop(
            0, orders.steps, one, (states, adapting, refusals, positions, record)
        )
        last = jax.vmap(partial(_stretch, orders))(states.position)
        return last, adapting.log_step_size_avg, positions, record

    chain, everywhere = PartitionSpec(CHAIN_AXIS), PartitionSpec()
    spread = jax.shard_map(
        chunk,
        mesh=mesh,
        in_specs=(chain, everywhere, everywhere, everywhere),
        out_specs=(chain, chain, chain, chain),
        check_vma=False,
    )
    return jax.jit(spread)


def _sizes(orders: Orders, adapted: Array, refusals: Array, keys: Array) -> Array:
    """Return the step size of each chain: while adapting, and after."""
    fixed = orders.step_size * jax.vmap(_caution)(keys)
    return jnp.where(orders.adapt, jnp.exp(adapted) * 0.5**refusals, fixed)


def _blank(chains: int, size: int, dtype: Any) -> tuple[Array, Record]:
    """Return arrays for the positions and statistics of a chunk."""
    dtypes: dict[str, Any] = {"diverging": bool, "n_steps": jnp.int32}
    length = chunk_length(size)
    record = {name: jnp.zeros((chains, length), dtypes.get(name, dtype)) for name in STATS}
    return jnp.zeros((chains, length, size), dtype), record


def _caution(key: Array) -> Array:
    """Return the factor of a step: 1, or now and then a small one, for steep places.

    It depends on nothing but the key, so the chain keeps the density invariant.
    """
    now, share = jax.random.uniform(jax.random.fold_in(key, CAUTION), (2,))
    return jnp.where(now < CAUTIOUS, LEAST_FACTOR**share, 1.0)


def _stretch(orders: Orders, u: Array) -> Array:
    """Return x = scale u."""
    if orders.scale.ndim == 2:
        return orders.scale @ u
    return orders.scale * _along(orders.axes, orders.stretch, u)


def _shrink(orders: Orders, x: Array) -> Array:
    """Return u with x = scale u."""
    if orders.scale.ndim == 2:
        return solve_triangular(orders.scale, x, lower=True)
    return _along(orders.axes, 1.0 / orders.stretch, x / orders.scale)


def _pull(orders: Orders, slope: Array) -> Array:
    """Return the gradient in u of a gradient in x = scale u."""
    if orders.scale.ndim == 2:
        return orders.scale.T @ slope
    return _along(orders.axes, orders.stretch, orders.scale * slope)


def _along(axes: Array, stretch: Array, u: Array) -> Array:
    """Return u stretched along orthonormal axes."""
    return u + axes @ ((stretch - 1.0) * (u @ axes)) if stretch.shape[0] else u


def _stats(log_density: Array, info: Info, step_size: Array) -> Record:
    """Return the sample statistics of one step, named `STATS`."""
    steps = jnp.broadcast_to(info.steps, info.acceptance.shape).astype(jnp.int32)
    values = (info.acceptance, info.diverging, steps, info.energy, log_density, step_size)
    return dict(zip(STATS, values, strict=True))
