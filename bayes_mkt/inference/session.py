"""One run of chains: from its start or a checkpoint to its end, or to Ctrl-C."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from bayes_mkt import __version__
from bayes_mkt.inference.checkpoint import Checkpoint, Progress
from bayes_mkt.inference.density import Density, gradient_of
from bayes_mkt.inference.layout import observed_value
from bayes_mkt.inference.run import Chunk
from bayes_mkt.inference.state import State

if TYPE_CHECKING:
    from bayes_mkt.inference.collect import Collector, Enough
    from bayes_mkt.inference.sampling import Settings
    from bayes_mkt.inference.target import Target

# What the bits of a draw depend on, beside this package.
PACKAGES = ("jax", "jaxlib", "blackjax", "pymc", "pytensor")
NEARBY = 0.1


class Session:
    """Follows a run chunk by chunk: collects, decides, and writes down where it stands.

    Parameters
    ----------
    collected
        Where the draws go.
    stop
        Whether they are enough.
    checkpoint
        Where it is written down; None writes nothing.
    begun
        `time.perf_counter()` when the run began.
    """

    def __init__(
        self, collected: Collector, stop: Enough, checkpoint: Checkpoint | None, begun: float
    ) -> None:
        self._collected, self._stop, self._checkpoint = collected, stop, checkpoint
        self._begun, self._before, self._warmup_seconds = begun, 0.0, 0.0
        self._gradients = self._warmup = 0
        self.finished = self.interrupted = False

    @property
    def attrs(self) -> dict[str, Any]:
        """Return what the draws' attrs say of the run."""
        about: dict[str, Any] = {
            "gradients": self._gradients,
            "warmup": self._warmup,
            "warmup_seconds": round(self._warmup_seconds, 3),
            "seconds": round(self._seconds(), 3),
            **self._stop.seen,
        }
        return {**about, "interrupted": 1} if self.interrupted else about

    def _seconds(self) -> float:
        return self._before + time.perf_counter() - self._begun

    def resume(self) -> State | None:
        """Return where the run of an earlier process stands; None if there is none."""
        found = None if self._checkpoint is None else self._checkpoint.load()
        if found is None:
            return None
        state, progress = found
        self._collected.go_on_from(progress, state.warmup)
        self._stop.go_on_from(progress)
        self._gradients, self._warmup = state.gradients, state.warmup
        self.finished = progress.finished
        self._before, self._warmup_seconds = progress.seconds, progress.warmup_seconds
        return state

    def follow(self, chunks: Iterable[Chunk]) -> None:
        """Take chunks until they are enough, or until Ctrl-C once there are draws.

        Raises
        ------
        KeyboardInterrupt
            In warmup, where there is nothing to return.
        """
        try:
            for chunk in chunks:
                self._collected.add(chunk)
                self._gradients, self._warmup = chunk.state.gradients, chunk.state.warmup
                if chunk.warmup:
                    self._warmup_seconds = self._seconds()
                self.finished = self._stop(self._collected)
                if chunk.state.done >= chunk.state.warmup:
                    self._save(chunk.state)
                if self.finished:
                    break
        except KeyboardInterrupt:
            if not self._collected.draws:
                raise
            self.interrupted = not self.finished

    def _save(self, state: State) -> None:
        if self._checkpoint is None:
            return
        collected, stop = self._collected, self._stop
        progress = Progress(
            draws=collected.draws,
            chunks=collected.chunks,
            diverging=collected.diverging,
            broken=collected.broken,
            next_check=stop.next_check,
            expected=stop.expected,
            seconds=self._seconds(),
            warmup_seconds=self._warmup_seconds,
            finished=self.finished,
        )
        self._checkpoint.save(state, progress)


def about_run(
    settings: Settings, posterior: Target, density: Density, collected: Collector, warm: bool
) -> dict[str, Any]:
    """Return what makes a run the one that it is, as plain tables.

    The model is known again by its variables, its data, and the values of its log-density and of
    what is stored, at the start.

    Parameters
    ----------
    settings, posterior, density, collected
        Of the run.
    warm
        Whether it starts from other draws.
    """
    chains, model = settings.n_chains, posterior.model
    names = ("seed", "draws", "target_ess", "max_draws", "sampler", "target_accept")
    what = settings.collapse
    values = {
        **{f"data {name}": value for name, value in posterior.data.items()},
        **{f"observed {rv.name}": observed_value(model, rv) for rv in model.observed_RVs},
    }
    points = density.start + np.linspace(0.0, NEARBY, chains)[:, None]
    heights, _ = gradient_of(density)(points)
    return {
        **{name: getattr(settings, name) for name in names},
        "chains": chains,
        "warmup": settings.n_warmup,
        "collapse": what if what is None or isinstance(what, str) else list(what),
        "warm start": warm,
        "variable": dict(zip(density.layout.names, map(list, density.layout.shapes), strict=True)),
        **{name: _digest(value) for name, value in values.items()},
        "log-density at the start": float(heights[0]),
        "log-density near the start": float(heights[-1]),
        "value at the start of": collected.probe(chains),
        "version of": {"bayes_mkt": __version__, **{name: version(name) for name in PACKAGES}},
    }


def _digest(values: np.ndarray) -> str:
    """Return shape, type and a digest of an array, in a few characters."""
    array = np.ascontiguousarray(values)
    digest = hashlib.sha256(array.tobytes()).hexdigest()[:16]
    return f"{array.dtype}{list(array.shape)} {digest}"
