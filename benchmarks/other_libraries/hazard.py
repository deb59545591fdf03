# /// script
# requires-python = ">=3.12,<3.15"
# dependencies = [
#     "pymc==6.4.0",
#     "pytensor==3.3.7",
#     "nutpie==0.16.11",
#     "numba==0.68.0",
#     "numpy==2.5.5",
#     "scipy==1.18.1",
#     "pandas==3.1.1",
#     "xarray==2026.9.0",
# ]
# ///
"""The discrete-time hazard model by PyMC with nutpie; the lines above are its environment.

Reads a folder with `in.npz`: x (customer, column), centred; market, happened; piece and part, the
interval that ends a customer's time without event and how much of it has passed; share, of its
interval in which an event lies, 1 for others; basis and shapes, of the walk and of the markets'
curves; scale (interval,), log; and `options.json`: draws. Leaves `out.npz`: seconds of sampling,
compilation among them, gradients, those of tuning among them, draws of all free variables (chain,
draw, entry) and of the effects. With no draws, the seconds of one gradient on one core alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from pymc.blocking import DictToArrayBijection

CHAINS, TIMED = 4, 15


def model(given: Mapping[str, np.ndarray]) -> pm.Model:
    """State `SecondPurchase(effects="normal")` with its default priors, customer by customer."""
    x, market, happened = given["x"], given["market"], given["happened"]
    markets, columns = int(market.max()) + 1, x.shape[1]
    with pm.Model() as built:
        level = pm.Normal("level", 0.0, 2.0)
        walk = pm.HalfNormal("walk_sd", 1.5) * pm.Normal(
            "walk", 0.0, 1.0, shape=given["basis"].shape[1]
        )
        own = pm.HalfNormal("market_sd", 0.5) * pm.Normal("market", 0.0, 1.0, shape=markets)
        shape = pm.HalfNormal("shape_sd", 0.5) * pm.Normal(
            "shape", 0.0, 1.0, shape=(markets, given["shapes"].shape[1])
        )
        curve = level + pt.dot(given["basis"], walk)[None, :] + own[:, None]
        hazard = pt.exp(curve + pt.dot(shape, given["shapes"].T) + given["scale"])
        effect = pm.Normal("effect", 0.0, 1.0, shape=columns)
        rate = pt.exp(pt.dot(x, effect))
        never = (
            pm.Normal("never_level", 0.0, 1.5)
            + (pm.HalfNormal("never_sd", 0.5) * pm.Normal("never", 0.0, 1.0, shape=markets))[market]
            + pt.dot(x, pm.Normal("never_effect", 0.0, 0.5, shape=columns))
        )
        summed = pt.concatenate([pt.zeros((markets, 1)), pt.cumsum(hazard, axis=1)], axis=1)
        piece, part = given["piece"], given["part"]
        total = rate * (summed[market, piece] + part * hazard[market, piece])
        stayed = pt.logaddexp(-pt.softplus(-never), -pt.softplus(never) - total)
        within = rate * given["share"] * hazard[market, piece]
        came = -pt.softplus(never) - total + pt.log(-pt.expm1(-within))
        pm.Potential("spells", pt.where(happened, came, stayed).sum())
    return built


def seconds_of_a_gradient(built: pm.Model) -> float:
    """Return the median time of a gradient, compiled as nutpie compiles it, on one core."""
    function = built.logp_dlogp_function(ravel_inputs=True, mode="NUMBA")
    function.set_extra_values({})
    point = DictToArrayBijection.map(built.initial_point(random_seed=1))
    taken = []
    for _ in range(TIMED + 1):
        begun = time.perf_counter()
        function(point)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken[1:]))  # the first one is compiled


def main(folder: Path) -> None:
    options: dict[str, Any] = json.loads((folder / "options.json").read_text())
    with np.load(folder / "in.npz") as given:
        built = model(given)
    draws = int(options["draws"])
    if not draws:
        np.savez(folder / "out.npz", seconds=seconds_of_a_gradient(built))
        return
    with built:
        begun = time.perf_counter()
        found = pm.sample(
            draws=draws, tune=draws, chains=CHAINS, nuts_sampler="nutpie", random_seed=1,
            progressbar=False, compute_convergence_checks=False, discard_tuned_samples=False,
        )  # fmt: skip
        seconds = time.perf_counter() - begun
    posterior = found["posterior"]
    flat = [posterior[n].to_numpy().reshape(CHAINS, draws, -1) for n in posterior.data_vars]
    steps = [found[g]["n_steps"] for g in ("warmup_sample_stats", "sample_stats")]
    gradients = sum(int(part.sum()) for part in steps)
    np.savez(
        folder / "out.npz",
        seconds=seconds,
        gradients=gradients,
        draws=np.concatenate(flat, axis=2),
        effect=posterior["effect"].to_numpy(),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
