"""What the tests of hazards share: small data, points of a model, and stand-ins for fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import pytensor
import xarray as xr

import bayes_mkt as bm


def small(episodes: bool = False, resolution: float = 1.0) -> bm.Subscriptions:
    """Spells of three markets with two covariates, some truncated or in episodes."""
    rng = np.random.default_rng(7)
    count = 40
    frame = pd.DataFrame(
        {
            "who": [f"c{i:02d}" for i in range(count)],
            "start": np.where(np.arange(count) % 5 == 0, 2, 0),
            "stop": rng.integers(3, 20, count),
            "left": rng.integers(0, 2, count),
            "land": rng.choice(["n", "s", "w"], count),
            "age": np.round(rng.normal(40, 10, count)),
            "kind": rng.choice(["x", "y"], count),
        }
    )
    if episodes:  # a second episode, of another kind, for those that were censored
        open_ = frame[frame["left"] == 0]
        more = open_.assign(start=open_["stop"], stop=open_["stop"] + 3, left=1, kind="x")
        frame = pd.concat([frame, more], ignore_index=True)
    return bm.Subscriptions.from_frame(
        frame, duration="stop", entry="start", event="left", market="land", customer="who",
        features=["age", "kind"], intervals=[3, 6, 12, 24], unit="week", resolution=resolution,
    )  # fmt: skip


def at_a_point(model: pm.Model, names: list[str], seed: int = 1) -> dict[str, np.ndarray]:
    """Return named quantities and the sum of the potentials at a random point."""
    rng = np.random.default_rng(seed)
    graphs = model.replace_rvs_by_values([*(model[n] for n in names), sum(model.potentials)])
    function = pytensor.function(
        model.value_vars, graphs, mode="FAST_COMPILE", on_unused_input="ignore"
    )
    start = model.initial_point(random_seed=0)
    point = [0.5 * rng.normal(size=np.shape(start[v.name])) for v in model.value_vars]
    return dict(zip([*names, "potential"], function(*point), strict=True))


def stand_in(spec: Any, data: Any, chains: int = 2, draws: int = 600) -> bm.Fit:
    """Return independent draws of the prior in place of a fit; they pass the verdict."""
    model = spec.build(data)
    kept = [v for v in model.unobserved_RVs if v.name not in spec.on_demand]
    values = pm.draw(kept, draws=chains * draws, random_seed=1, mode="FAST_COMPILE")
    variables = {}
    for v, drawn in zip(kept, values, strict=True):
        dims = model.named_vars_to_dims.get(v.name) or ()
        shape = (chains, draws, *np.shape(drawn)[1:])
        variables[v.name] = (("chain", "draw", *dims), np.asarray(drawn).reshape(shape))
    coords = {d: list(c) for d, c in model.coords.items() if c is not None}
    posterior = xr.Dataset(variables, coords={"chain": range(chains), "draw": range(draws)})
    used = {d: c for d, c in coords.items() if d in posterior.dims}
    posterior = posterior.assign_coords(used)
    stats = xr.Dataset({"diverging": (("chain", "draw"), np.zeros((chains, draws), dtype=bool))})
    tree = xr.DataTree.from_dict({"/posterior": posterior, "/sample_stats": stats})
    tree.attrs = {"seed": 1}
    return bm.Fit(spec, data, tree, bm.diagnose(tree))
