"""What a run has drawn so far, and whether that is enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from bayes_mkt.inference.diagnostics import MAX_RHAT, smallest_ess
from bayes_mkt.inference.run import CHUNK, Chunk

if TYPE_CHECKING:
    from bayes_mkt.inference.density import Density
    from bayes_mkt.inference.progress import Reporter
    from bayes_mkt.inference.sampling import Settings
    from bayes_mkt.inference.target import Target

MIN_DRAWS = 200


class Collector:
    """Keeps the sampled draws, and turns them into the stored variables once each.

    Parameters
    ----------
    posterior
        The model's target.
    density
        What is sampled of it.
    names
        Variables to store.
    key
        For the exact draws of what was integrated out.
    """

    def __init__(
        self, posterior: Target, density: Density, names: Sequence[str], key: jax.Array
    ) -> None:
        self._density = density
        self._names = list(names)
        self._key = key
        self._stored = _stored(posterior.constrain(names), density.complete)
        self._data = posterior.arguments
        self._chunks: list[Chunk] = []
        self._values: list[list[np.ndarray]] = []
        self.warmup_done = 0
        self.draws = 0
        self.diverging = 0

    def add(self, chunk: Chunk) -> None:
        """Count a chunk; keep it unless it is warmup."""
        if chunk.warmup:
            self.warmup_done += chunk.length
            return
        self._chunks.append(chunk)
        self.draws += chunk.length
        self.diverging += int(chunk.stats["diverging"].sum())

    def unconstrained(self) -> np.ndarray:
        """Return the draws so far, (chain, draw, size)."""
        return np.concatenate([chunk.positions for chunk in self._chunks], axis=1)

    def values(self, limit: int | None = None) -> dict[str, np.ndarray]:
        """Return the stored variables, each (chain, draw, ...)."""
        for index in range(len(self._values), len(self._chunks)):
            flat = jnp.asarray(self._chunks[index].positions)
            key = jax.random.fold_in(self._key, index)
            parts = self._stored(key, flat, self._density.arguments, self._data)
            self._values.append([np.asarray(part) for part in parts])
        columns = zip(*self._values, strict=True)
        return {
            name: np.concatenate(parts, axis=1)[:, :limit]
            for name, parts in zip(self._names, columns, strict=True)
        }

    def statistics(self, limit: int | None = None) -> dict[str, np.ndarray]:
        """Return the sample statistics, each (chain, draw)."""
        names = self._chunks[0].stats
        return {
            n: np.concatenate([c.stats[n] for c in self._chunks], axis=1)[:, :limit] for n in names
        }


@lru_cache(maxsize=64)
def _stored(
    constrain: Callable[..., list[jax.Array]], complete: Callable[..., jax.Array] | None
) -> Callable[..., list[jax.Array]]:
    """Return ``(key, x (chain, draw, size), arguments, data) -> stored variables``, compiled."""

    def one(key: jax.Array, x: jax.Array, arguments: Any, data: Any) -> list[jax.Array]:
        return constrain(x if complete is None else complete(key, x, arguments), data)

    def all_of(key: jax.Array, x: jax.Array, arguments: Any, data: Any) -> list[jax.Array]:
        keys = jax.random.split(key, x.shape[:2])
        over_draws = jax.vmap(one, (0, 0, None, None))
        return jax.vmap(over_draws, (0, 0, None, None))(keys, x, arguments, data)

    return jax.jit(all_of)


class Enough:
    """Decides when to stop, and tells how far the run is."""

    def __init__(self, settings: Settings, show: Reporter) -> None:
        self._settings, self._show = settings, show
        self._next_check = MIN_DRAWS
        self._expected = float(settings.draws or 2 * MIN_DRAWS)
        self._text = "warmup"

    def __call__(self, collected: Collector) -> bool:
        """Return whether the draws collected so far are enough."""
        done = self._decide(collected)
        share = (collected.warmup_done + collected.draws) / (
            self._settings.n_warmup + self._expected
        )
        self._show.update(1.0 if done else min(share, 0.99), self._text)
        return done

    def _decide(self, collected: Collector) -> bool:
        n = collected.draws
        if not n:
            return False
        self._text = f"sampling, {collected.diverging} divergences"
        if self._settings.draws is not None:
            return n >= self._settings.draws
        if n >= self._settings.max_draws:
            return True
        if n < self._next_check:
            return False
        ess, rhat = smallest_ess(collected.unconstrained())
        if ess >= self._settings.target_ess and rhat <= MAX_RHAT:
            stored = collected.values().values()
            flat = [v.reshape(*v.shape[:2], -1) for v in stored]
            ess, rhat = smallest_ess(np.concatenate(flat, axis=2))
        self._text = f"ESS {ess:.0f} of {self._settings.target_ess:.0f}, R-hat {rhat:.3f}"
        if ess >= self._settings.target_ess and rhat <= MAX_RHAT:
            return True
        needed = n * self._settings.target_ess / max(ess, 1.0)
        self._expected = float(np.clip(needed, n + CHUNK, self._settings.max_draws))
        self._next_check = int(np.clip(0.9 * needed, n + CHUNK, 1.5 * n))
        return False
