"""``bm.sample`` on a posterior of the suite, in the environment of this checkout."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

import bayes_mkt as bm
import bayes_mkt.inference.sampling  # else imported when first used; imports are timed apart
from benchmarks.peers import models
from benchmarks.peers.protocol import Drawn, Sampler, Task

PACKAGES = {"bayes_mkt": ("bayes-mkt", "pymc", "pytensor", "jax", "blackjax", "numpy")}
TARGET_ESS = 1000


def prepare(task: Task) -> Sampler:
    """Return what samples the task's model; ``bayes_mkt:nuts`` asks for that sampler."""
    model = models.build(task.model, Path(task.data))
    kernel = task.system.partition(":")[2]
    options: dict[str, Any] = {"sampler": kernel} if kernel else {}

    def sample(seed: int) -> Drawn:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.ConvergenceWarning)  # figures say it
            tree = bm.sample(model, seed=seed, target_ess=TARGET_ESS, progress=False, **options)
        kept = int(np.sum(tree["sample_stats"]["n_steps"].to_numpy()))
        total = tree.attrs.get("gradients")
        return Drawn(
            values=models.draws_of(tree["posterior"], models.kept(model)),
            divergences=int(tree["sample_stats"]["diverging"].sum()),
            gradients=kept,
            gradients_warmup=None if total is None else int(total) - kept,
        )

    return sample
