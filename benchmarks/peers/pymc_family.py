"""The samplers that a PyMC model can be given to, on a posterior of the suite."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm

from benchmarks.peers import models
from benchmarks.peers.protocol import Drawn, Sampler, Task

_NUMBA = ("pymc", "pytensor", "numba", "numpy")
_JAX = ("pymc", "pytensor", "jax", "numpy")
PACKAGES = {
    "pymc": _NUMBA,
    "nutpie": ("nutpie", *_NUMBA),
    "nutpie_low_rank": ("nutpie", *_NUMBA),
    "numpyro": ("numpyro", *_JAX),
    "blackjax": ("blackjax", *_JAX),
}
CHAINS = 4


def pymc(model: pm.Model, task: Task) -> Sampler:
    """PyMC's own NUTS, 4 x (1000 + 1000); each call compiles, as `pm.sample` offers no other."""

    def sample(seed: int) -> Drawn:
        tree = pm.sample(
            draws=1000,
            tune=1000,
            chains=CHAINS,
            nuts_sampler="pymc",
            model=model,
            random_seed=seed,
            progressbar=False,
            quiet=True,
            compute_convergence_checks=False,
            discard_tuned_samples=False,
        )
        return _drawn(tree, model)

    return sample


def nutpie(model: pm.Model, task: Task) -> Sampler:
    """Return nutpie, 4 x (400 + 1000), or 4 x (800 + 1000) with its low-rank metric.

    The second sampling uses the compiled model of the first.
    """
    import nutpie  # type: ignore[import-not-found]  # in the environment of peers only

    low_rank = task.system == "nutpie_low_rank"
    compiled: list[Any] = []

    def sample(seed: int) -> Drawn:
        if not compiled:
            compiled.append(nutpie.compile_pymc_model(model))
        tree = nutpie.sample(
            compiled[0],
            draws=1000,
            tune=800 if low_rank else 400,
            chains=CHAINS,
            seed=seed,
            progress_bar=False,
            adaptation="low_rank" if low_rank else "diag",
        )
        return _drawn(tree, model)

    return sample


def _drawn(tree: Any, model: pm.Model) -> Drawn:
    stats, warmup = tree["sample_stats"], tree["warmup_sample_stats"]
    return Drawn(
        values=models.draws_of(tree["posterior"], models.kept(model)),
        divergences=int(np.sum(stats["diverging"].to_numpy())),
        gradients=int(np.sum(stats["n_steps"].to_numpy())),
        gradients_warmup=int(np.sum(warmup["n_steps"].to_numpy())),
    )


def jax_sampler(model: pm.Model, task: Task) -> Sampler:
    """Return NumPyro or BlackJAX on the model's JAX function."""
    from benchmarks.peers import with_jax

    return with_jax.sampler(model, task.system, CHAINS, task.platform)


SYSTEMS: dict[str, Callable[[pm.Model, Task], Sampler]] = {
    "pymc": pymc,
    "nutpie": nutpie,
    "nutpie_low_rank": nutpie,
    "numpyro": jax_sampler,
    "blackjax": jax_sampler,
}


def prepare(task: Task) -> Sampler:
    """Return what samples the task's model with the task's system."""
    return SYSTEMS[task.system](models.build(task.model, Path(task.data)), task)
