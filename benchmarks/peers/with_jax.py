"""NumPyro and BlackJAX on a PyMC model, as `pymc.sampling.jax` runs them, compiled once.

`pm.sample(nuts_sampler="numpyro")` traces and compiles at every call. Here the same steps are
written out around functions that are kept, so that a second sampling is as warm as the libraries
allow. On a CPU each chain has a host device of its own; on a GPU the chains are batched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pymc as pm
from pymc.initial_point import make_initial_point_fn
from pymc.sampling.jax import get_jaxified_graph, get_jaxified_logp

from benchmarks.peers import models
from benchmarks.peers.protocol import Drawn, Sampler

TUNE, DRAWS, TARGET_ACCEPT = 1000, 1000, 0.8
Raw = tuple[list[Any], dict[str, np.ndarray]]
Starts = Callable[[int], list[np.ndarray]]
Run = Callable[[int, list[np.ndarray]], Raw]


def sampler(model: pm.Model, system: str, chains: int, platform: str) -> Sampler:
    """Return what samples `model`, all traced and compiled at its first call.

    Parameters
    ----------
    model
        The PyMC model.
    system
        `"numpyro"` or `"blackjax"`.
    chains
        Their number.
    platform
        `"cpu"` or `"gpu"`.
    """
    if platform == "cpu":
        jax.config.update("jax_num_cpu_devices", chains)
    make = _numpyro if system == "numpyro" else _blackjax
    kept: list[tuple[Starts, Run, Callable[..., list[Any]]]] = []

    def sample(seed: int) -> Drawn:
        if not kept:
            outputs = [model[name] for name in models.kept(model)]
            outputs = model.replace_rvs_by_values(outputs)
            back = get_jaxified_graph(inputs=model.value_vars, outputs=outputs)
            run = make(model, chains, platform)
            kept.append((_starts(model, chains), run, jax.jit(jax.vmap(jax.vmap(back)))))
        starts, run, back = kept[0]
        positions, stats = run(seed, starts(seed))
        values = [np.asarray(value) for value in back(*positions)]
        early = stats.get("warmup_steps")
        return Drawn(
            values=dict(zip(models.kept(model), values, strict=True)),
            divergences=int(np.sum(stats["diverging"])),
            gradients=int(np.sum(stats["steps"])),
            gradients_warmup=None if early is None else int(np.sum(early)),
        )

    return sample


def _starts(model: pm.Model, chains: int) -> Starts:
    """Return what draws jittered starting points, one array (chain, ...) for each variable."""
    draw = make_initial_point_fn(
        model=model, jitter_rvs=set(model.free_RVs), return_transformed=True
    )
    names = [v.name for v in model.value_vars]

    def starts(seed: int) -> list[np.ndarray]:
        seeds = np.random.default_rng(seed).integers(2**30, size=chains)
        points = [draw(int(one)) for one in seeds]
        return [np.stack([np.asarray(p[name], float) for p in points]) for name in names]

    return starts


def _numpyro(model: pm.Model, chains: int, platform: str) -> Run:
    from numpyro.infer import (  # type: ignore[import-not-found]  # in the peers' environment only
        MCMC,
        NUTS,
    )

    potential = get_jaxified_logp(model, negative_logp=False)

    def chain(key: Any, start: list[Any]) -> tuple[Any, Any]:
        kernel = NUTS(potential_fn=potential, target_accept_prob=TARGET_ACCEPT)
        mcmc = MCMC(kernel, num_warmup=TUNE, num_samples=DRAWS, progress_bar=False)
        mcmc.run(key, init_params=start, extra_fields=("num_steps", "diverging"))
        return mcmc.get_samples(), mcmc.get_extra_fields()

    spread = _spread(chain, platform)

    def run(seed: int, starts: list[np.ndarray]) -> Raw:
        keys = jax.random.split(jax.random.PRNGKey(seed), chains)
        positions, extra = jax.block_until_ready(spread(keys, starts))
        stats = {"steps": extra["num_steps"], "diverging": extra["diverging"]}
        return list(positions), {name: np.asarray(value) for name, value in stats.items()}

    return run


def _blackjax(model: pm.Model, chains: int, platform: str) -> Run:
    import blackjax
    from blackjax.adaptation.base import get_filter_adapt_info_fn

    log_density = get_jaxified_logp(model)
    keep = get_filter_adapt_info_fn(info_keys={"num_integration_steps"})

    def chain(key: Any, start: list[Any]) -> tuple[Any, Any, Any, Any]:
        key_warmup, key_sampling = jax.random.split(key)
        adaptation = blackjax.window_adaptation(
            blackjax.nuts,
            log_density,
            target_acceptance_rate=TARGET_ACCEPT,
            adaptation_info_fn=keep,
        )
        (state, tuned), early = adaptation.run(key_warmup, start, num_steps=TUNE)
        step = blackjax.nuts(log_density, **tuned).step

        def one(state: Any, key: Any) -> tuple[Any, Any]:
            state, info = step(key, state)
            return state, (state.position, info.num_integration_steps, info.is_divergent)

        _, (positions, steps, diverging) = jax.lax.scan(
            one, state, jax.random.split(key_sampling, DRAWS)
        )
        return positions, steps, diverging, early.info.num_integration_steps

    spread = _spread(chain, platform)

    def run(seed: int, starts: list[np.ndarray]) -> Raw:
        keys = jax.random.split(jax.random.PRNGKey(seed), chains)
        positions, steps, diverging, early = jax.block_until_ready(spread(keys, starts))
        stats = {"steps": steps, "diverging": diverging, "warmup_steps": early}
        return list(positions), {name: np.asarray(value) for name, value in stats.items()}

    return run


def _spread(chain: Callable[..., Any], platform: str) -> Callable[..., Any]:
    """Return `chain` for several chains at once: each on its own device, or batched on a GPU."""
    spread: Callable[..., Any] = jax.pmap(chain) if platform == "cpu" else jax.jit(jax.vmap(chain))
    return spread
