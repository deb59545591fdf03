"""One size: a panel simulated, fitted twice, and its gradient timed, in this process."""

from __future__ import annotations

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

import bayes_mkt as bm
from benchmarks.peers.protocol import leave, peak_mib

CHAINS, ROUNDS = 8, 50
# What the panels are simulated with: a trend and a season beside the media. Without these the media
# would have to explain them, region by region.
SPEC = bm.MediaMix(knots=2, seasonality=bm.Fourier(2))


def figures(regions: int, weeks: int, channels: int, seed: int) -> dict[str, Any]:
    """Return what two fits to a panel of that size cost, and the worse of their diagnostics."""
    market = bm.simulate.media_mix(regions=regions, weeks=weeks, channels=channels, seed=seed)
    panel = bm.MediaPanel.from_frame(market.frame, **market.columns)
    cold, warm = (fitted(panel, seed + repeat) for repeat in range(2))
    return {
        "cold_seconds": cold["seconds"],
        "warm_seconds": warm["seconds"],
        "gradient_microseconds": gradient_microseconds(SPEC.build(panel)),
        "min_ess": min(cold["min_ess"], warm["min_ess"]),
        "max_rhat": max(cold["max_rhat"], warm["max_rhat"]),
        "converged": cold["converged"] and warm["converged"],
        "draws": max(cold["draws"], warm["draws"]),
        "peak_mib": peak_mib(),
        "fits": {"cold": cold, "warm": warm},
    }


def fitted(panel: bm.MediaPanel, seed: int) -> dict[str, Any]:
    """Return seconds and diagnostics of one fit."""
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # figures say it
        fit = bm.fit(SPEC, panel, seed=seed, progress=False)
    seconds = time.perf_counter() - begun
    found = fit.diagnostics
    return {
        "seconds": seconds,
        "min_ess": min(found.min_ess_bulk, found.min_ess_tail),
        "max_rhat": found.max_rhat,
        "converged": found.ok,
        "draws": fit.posterior.sizes["draw"],
        "gradients": fit.draws.attrs.get("gradients"),
    }


def gradient_microseconds(model: Any) -> float:
    """Return the median time of value and gradient, for one chain of a batch of them."""
    import jax

    from bayes_mkt.inference.collapse import collapse
    from bayes_mkt.inference.target import target

    posterior = target(model)
    density = collapse(posterior) or posterior.density()
    function = jax.jit(jax.vmap(jax.value_and_grad(density.log_density), (0, None)))
    jitter = 0.1 * np.random.default_rng(0).normal(size=(CHAINS, density.start.size))
    points = jax.numpy.asarray(density.start + jitter)
    times = []
    for _ in range(ROUNDS + 1):
        begun = time.perf_counter()
        jax.block_until_ready(function(points, density.arguments))
        times.append(time.perf_counter() - begun)
    return float(1e6 * np.median(times[1:]) / CHAINS)


if __name__ == "__main__":
    task = Path(sys.argv[1])
    leave(task.parent, figures(**json.loads(task.read_text(encoding="utf-8"))))
