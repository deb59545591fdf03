# /// script
# requires-python = ">=3.12,<3.15"
# dependencies = [
#     "pymc==6.4.0",
#     "pytensor==3.3.7",
#     "nutpie==0.16.11",
#     "numpyro==0.22.0",
#     "jax==0.12.0.1",
#     "jaxlib==0.12.0.1",
#     "numba==0.68.0",
#     "numpy==2.5.5",
#     "scipy==1.18.1",
#     "pandas==3.1.1",
#     "xarray==2026.9.0",
# ]
# ///
"""The hierarchical logistic model by nutpie and NumPyro; the lines above are their environment.

Reads a folder with `in.npz`: x (customer, column), arm (customer,) of 0 and 1, y; and
`options.json`: system, draws. Leaves `out.npz`: seconds of sampling, compilation among them, and
the draws of baseline and uplift, (chain, draw, column) each.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm

CHAINS = 4


def model(x: np.ndarray, arm: np.ndarray, y: np.ndarray) -> pm.Model:
    """State the model of `bayes_mkt.Uplift` with linear features, with its default priors."""
    columns = x.shape[1]
    with pm.Model() as built:
        intercept = pm.Normal("intercept", 0.0, 5.0)
        effect = pm.Normal("arm_effect", 0.0, 2.5)
        baseline_sd = pm.HalfNormal("baseline_sd", 1.0, shape=columns)
        scale = pm.HalfNormal("uplift_scale", 0.25)
        uplift_sd = scale / np.sqrt(columns) * pm.HalfNormal("uplift_local", 1.0, shape=columns)
        baseline = pm.Normal("baseline", 0.0, 1.0, shape=columns) * baseline_sd
        slope = pm.Normal("uplift_slope", 0.0, 1.0) * scale
        uplift = pm.Normal("uplift", 0.0, 1.0, shape=columns) * uplift_sd + slope * baseline
        both = pm.math.stack([baseline, uplift], axis=1)
        pm.Deterministic("effects", both)
        found = pm.math.dot(x, both)
        logit = intercept + found[:, 0] + arm * (effect + found[:, 1])
        pm.Bernoulli("y", logit_p=logit, observed=y)
    return built


def main(folder: Path) -> None:
    options: dict[str, Any] = json.loads((folder / "options.json").read_text())
    with np.load(folder / "in.npz") as given:
        built = model(*(given[name] for name in ("x", "arm", "y")))
    draws = int(options["draws"])
    with built:
        begun = time.perf_counter()
        found = pm.sample(
            draws=draws, tune=draws, chains=CHAINS, nuts_sampler=options["system"], random_seed=1,
            progressbar=False, compute_convergence_checks=False,
        )  # fmt: skip
        seconds = time.perf_counter() - begun
    effects = found["posterior"]["effects"].to_numpy()
    np.savez(folder / "out.npz", seconds=seconds, effects=effects)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
