"""What a run has drawn so far, and whether that is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_mkt import seeds
from bayes_mkt.inference.chunks import chunk_length
from bayes_mkt.inference.diagnostics import MAX_RHAT, smallest_ess
from bayes_mkt.inference.evaluate import BLOCK, missing, room
from bayes_mkt.inference.judged import judged
from bayes_mkt.inference.programs import Compiled, compiling
from bayes_mkt.inference.run import STATS, Chunk
from bayes_mkt.inference.store import BATCH, Draws, Stored

if TYPE_CHECKING:
    from bayes_mkt.inference.checkpoint import Progress
    from bayes_mkt.inference.density import Density
    from bayes_mkt.inference.progress import Reporter
    from bayes_mkt.inference.sampling import Settings
    from bayes_mkt.inference.target import Target

MIN_DRAWS = 200
MUCH = 5
# Where a fourth of the draws, or fewer, are so many of each chain, and so many times what is wanted
# of all chains, they are looked at first. They say enough of all if their ESS exceeds what is
# wanted by so much, and their R-hat one by so much less than it may: in ESS and R-hat of all draws
# there is chance as well.
EACH, PLENTY, FEWEST = 500, 4, 4
MORE, LESS = 1.25, 0.5
POSITIONS = "sampled/positions"
LOG_DENSITY = "log_density"


class Collector:
    """Turns sampled draws into the stored variables, and keeps both.

    Parameters
    ----------
    posterior
        The model's target.
    density
        What is sampled of it.
    names
        Variables to store.
    seed
        For the exact draws of what was integrated out; a draw's noise follows from the number
        of its chunk and its place in there.
    draws
        Where they are kept.
    """

    def __init__(
        self,
        posterior: Target,
        density: Density,
        names: Sequence[str],
        seed: int,
        draws: Draws,
    ) -> None:
        self._density, self._names, self._seed, self._kept = density, list(names), seed, draws
        constrain = posterior.constrain(names)
        self.length = chunk_length(density)
        self._stored = _stored(constrain, density.complete, density.volume)
        self._missing = missing(posterior, density)
        self._data = posterior.arguments
        vector = jax.ShapeDtypeStruct((posterior.layout.size,), density.start.dtype)
        self._shapes = jax.eval_shape(constrain, vector, self._data)
        free = {rv.name for rv in posterior.model.free_RVs}
        self._judged = {
            name: judged(shape.shape, name in free)
            for name, shape in zip(self._names, self._shapes, strict=True)
        }
        self._broken: set[str] = set()
        self.warmup_done = self.draws = self.chunks = self.diverging = 0

    @property
    def broken(self) -> tuple[str, ...]:
        """Return the stored variables that have values which are not finite, in order."""
        return tuple(name for name in self._names if name in self._broken)

    def go_on_from(self, progress: Progress, warmup: int) -> None:
        """Count what an earlier process has drawn."""
        self.warmup_done = warmup
        self.draws, self.chunks = progress.draws, progress.chunks
        self.diverging, self._broken = progress.diverging, set(progress.broken)

    def add(self, chunk: Chunk) -> None:
        """Count a chunk; keep it unless it is warmup."""
        if chunk.warmup:
            self.warmup_done += chunk.length
            return
        self._kept.write(POSITIONS, self.draws, chunk.positions)
        for name in STATS:
            self._kept.write(f"sample_stats/{name}", self.draws, chunk.stats[name])
        first, volumes = self.draws, []
        for part in self._converted(chunk):
            *variables, volume = part
            for name, values in zip(self._names, variables, strict=True):
                self._keep(name, first, values)
            volumes.append(volume)
            first += volume.shape[1]
        log_density = chunk.stats["lp"] - np.concatenate(volumes, axis=1)
        self._kept.write(f"sample_stats/{LOG_DENSITY}", self.draws, log_density)
        # What counts comes last: an interrupted chunk leaves draws that nobody counts.
        self.draws += chunk.length
        self.chunks += 1
        self.diverging += int(chunk.stats["diverging"].sum())

    def _keep(self, name: str, first: int, values: np.ndarray) -> None:
        self._kept.write(f"posterior/{name}", first, values)
        flat = values.reshape(*values.shape[:2], -1)
        entries = self._judged[name]
        if entries.size < flat.shape[2]:
            flat = flat[:, :, entries]
            self._kept.write(f"judged/{name}", first, flat)
        if not np.isfinite(flat).all():
            self._broken.add(name)

    def _converted(self, chunk: Chunk) -> Iterator[list[np.ndarray]]:
        """Yield stored variables and log volume of a chunk, (chain, draw, ...), in even batches.

        The batches depend on nothing but shapes, for rounding may differ with their size: the last
        one of a short chunk is filled up with its last draw.
        """
        arguments = self._density.with_forms(chunk.state.forms).arguments
        program, step = (
            self.prepare(len(chunk.positions)).result(),
            self._step(len(chunk.positions)),
        )
        rng = seeds.generator(self._seed, BLOCK, self.chunks)
        for first in range(0, chunk.length, step):
            own = chunk.positions[:, first : first + step]
            count = own.shape[1]
            flat = np.pad(own, ((0, 0), (0, step - count), (0, 0)), mode="edge")
            # Draw by draw, so that it doesn't depend on how many are converted at once.
            noise = rng.normal(size=(step, len(flat), self._missing)).swapaxes(0, 1)
            parts = program(noise, flat, arguments, self._data)
            yield [np.asarray(part)[:, :count] for part in parts]

    def prepare(self, chains: int) -> Future[Compiled]:
        """Begin to compile the conversion of draws, while something else is done."""
        batch = (chains, self._step(chains), self._density.start.size)
        points = jax.ShapeDtypeStruct(batch, jnp.float64)
        noise = jax.ShapeDtypeStruct((*batch[:2], self._missing), jnp.float64)
        inputs = (noise, points, self._density.arguments, self._data)
        return compiling(self._stored, *inputs)

    def _step(self, chains: int) -> int:
        """Return how many draws of a chain are converted at once."""
        size = sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in self._shapes)
        points = min(BATCH // max(size, 1), room(self._density.arguments, self._data))
        most = max(1, points // chains)
        return max(n for n in range(1, self.length + 1) if self.length % n == 0 and n <= most)

    def probe(self, chains: int) -> dict[str, float]:
        """Return the sum of each stored variable at one point, to know the model again."""
        start, program = self._density.start, self.prepare(chains).result()
        shape = (chains, self._step(chains))
        flat = np.ascontiguousarray(np.broadcast_to(start, (*shape, start.size)))
        noise = np.ones((*shape, self._missing))
        parts = program(noise, flat, self._density.arguments, self._data)
        return {
            name: float(np.asarray(part)[0, 0].sum())
            for name, part in zip(self._names, parts[:-1], strict=True)
        }

    @property
    def much(self) -> bool:
        """Return whether what is judged is so much that the sampled vector is looked at first."""
        return sum(map(len, self._judged.values())) > MUCH * self._density.start.size

    def sampled(self) -> Iterator[np.ndarray]:
        """Yield the draws so far of the sampled vector, (chain, draw, column)."""
        return self._kept.columns([POSITIONS], self.draws)

    def judged(self) -> Iterator[np.ndarray]:
        """Yield the draws so far by which stored variables are judged, (chain, draw, column)."""
        sizes = [int(np.prod(shape.shape)) for shape in self._shapes]
        names = [
            f"{'judged' if self._judged[name].size < size else 'posterior'}/{name}"
            for name, size in zip(self._names, sizes, strict=True)
        ]
        return self._kept.columns(names, self.draws)

    def taken(self, limit: int) -> tuple[dict[str, Stored], dict[str, np.ndarray]]:
        """Return stored variables (chain, draw, ...) and statistics (chain, draw), once.

        Parameters
        ----------
        limit
            Most draws of a chain to return.
        """
        count = min(self.draws, limit)
        stats = {n: self._kept.read(f"sample_stats/{n}", count) for n in (*STATS, LOG_DENSITY)}
        values = self._kept.take([f"posterior/{name}" for name in self._names], count)
        return dict(zip(self._names, values, strict=True)), stats


@lru_cache(maxsize=64)
def _stored(
    constrain: Callable[..., list[jax.Array]],
    complete: Callable[..., jax.Array] | None,
    volume: Callable[..., jax.Array] | None,
) -> Callable[..., list[jax.Array]]:
    """Return the conversion of draws.

    ``(noise, x (chain, draw, size), arguments, data) -> stored variables, log volume``.
    """

    def one(noise: jax.Array, x: jax.Array, arguments: Any, data: Any) -> list[jax.Array]:
        vector = x if complete is None else complete(noise, x, arguments)
        log_volume = jnp.zeros(()) if volume is None else volume(x, arguments)
        return [*constrain(vector, data), log_volume]

    over_draws = jax.vmap(one, (0, 0, None, None))
    return jax.jit(jax.vmap(over_draws, (0, 0, None, None)))


class Enough:
    """Decides when to stop, and tells how far the run is."""

    def __init__(self, settings: Settings, show: Reporter) -> None:
        self._settings, self._show = settings, show
        self.next_check = MIN_DRAWS
        self.expected = float(settings.draws or 2 * MIN_DRAWS)
        # What a part of the draws showed, where that was enough.
        self.seen: dict[str, float] = {}
        self._text = "warmup"

    def go_on_from(self, progress: Progress) -> None:
        """Take up the plan of an earlier process."""
        if progress.draws:
            self.next_check, self.expected = progress.next_check, progress.expected

    def __call__(self, collected: Collector) -> bool:
        """Return whether the draws collected so far are enough."""
        done = self._decide(collected)
        warmup = max(self._settings.n_warmup, collected.warmup_done)
        share = (collected.warmup_done + collected.draws) / (warmup + self.expected)
        self._show.update(1.0 if done else min(share, 0.99), self._text)
        return done

    def _step(self, collected: Collector) -> int:
        """Return how many draws there are for each one that is looked at."""
        every = collected.draws * self._settings.n_chains
        step = int(min(collected.draws / EACH, every / (PLENTY * self._settings.target_ess)))
        return step if step >= FEWEST else 1

    def _decide(self, collected: Collector) -> bool:
        n = collected.draws
        if not n:
            return False
        self._text = f"sampling, {collected.diverging} divergences"
        if self._settings.draws is not None:
            return n >= self._settings.draws
        if n >= self._settings.max_draws:
            return True
        if n < self.next_check:
            return False
        if collected.broken:
            # No number of draws would mend it; the verdict names the variable.
            self._text = f"{collected.broken[0]} is not finite"
            return True
        wanted = self._settings.target_ess
        step = self._step(collected)
        if step > 1:
            ess, rhat = _look(collected, wanted, step)
            self._text = f"ESS {ess:.0f} of {wanted:.0f}, R-hat {rhat:.3f}"
            if ess >= MORE * wanted and rhat**2 - 1.0 <= LESS * (MAX_RHAT**2 - 1.0):
                self.seen = {"seen_ess": ess, "seen_rhat": rhat}
                return True
        ess, rhat = _look(collected, wanted, 1)
        self._text = f"ESS {ess:.0f} of {wanted:.0f}, R-hat {rhat:.3f}"
        if ess >= wanted and rhat <= MAX_RHAT:
            return True
        # R-hat squared is above one by about the number of chains over the effective draws.
        excess = (rhat**2 - 1.0) / (MAX_RHAT**2 - 1.0) if np.isfinite(rhat) else np.inf
        needed = n * max(wanted / max(ess, 1.0), excess)
        self.expected = float(np.clip(needed, n + collected.length, self._settings.max_draws))
        self.next_check = int(np.clip(0.9 * needed, n + collected.length, 1.5 * n))
        return False


def _look(collected: Collector, wanted: float, step: int) -> tuple[float, float]:
    """Return the smallest ESS and the largest R-hat of every `step`-th draw.

    The sampled vector is looked at first where that is less work, and alone where it isn't enough.
    """
    if collected.much:
        ess, rhat = _worst(collected.sampled(), step)
        if not (ess >= wanted and rhat <= MAX_RHAT):
            return ess, rhat
    return _worst(collected.judged(), step)


def _worst(blocks: Iterator[np.ndarray], step: int) -> tuple[float, float]:
    """Return the smallest ESS and the largest R-hat of all columns that move."""
    found = []
    for block in blocks:
        moving = (block != block[:1, :1]).any(axis=(0, 1))
        some = block[:, ::step]
        if (some == some[:1, :1]).all(axis=(0, 1))[moving].any():
            return 0.0, np.inf  # something so rare that it takes all draws to see it
        if moving.any():
            found.append(smallest_ess(some))
    if not found:
        return 0.0, np.inf
    least, largest = zip(*found, strict=True)
    return min(least), max(largest)
