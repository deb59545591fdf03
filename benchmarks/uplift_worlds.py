"""Are bins of predicted uplift covered where the truth is known? Hillstrom's customers, simulated.

The customers and their features are those of the experiment; arms are permuted and visits drawn
from the model itself, so that whatever is missed is not the model's form.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, real_data, write
from benchmarks.uplift_hillstrom import SPEC, prepared, read

Array = NDArray[Any]
BINS = 5
# Spreads of how features change the e-mails' effects (log-odds): of all features, or of two.
STATED = {"none": 0.0, "weak": 0.03, "two features": 0.12, "moderate": 0.12}
# Of the same median, and never near zero: worlds like the experiment's that the default prior of
# the model didn't shape.
WIDE = bm.Uplift(
    outcome="visit",
    priors={
        "uplift_scale": bm.Prior("LogNormal", mu=-1.5, sigma=0.01),
        "uplift_local": bm.Prior("LogNormal", mu=0.0, sigma=0.8),
        "arm_local": bm.Prior("LogNormal", mu=0.0, sigma=0.8),
    },
)


def measure(
    *,
    worlds: int = 10,
    splits: int = 4,
    prior_worlds: int = 30,
    seed: int = 1,
    data: Path | None = None,
    note: str = "",
) -> None:
    """Fit one half of simulated outcomes, and hold bins of the other against it and the truth.

    Parameters
    ----------
    worlds
        Of each kind of stated spreads, one half each; and, with `splits` halves each, whose
        coefficients are a draw of the posterior of the real experiment, all of it, under a prior
        that isn't the default.
    splits
        Random halves of these.
    prior_worlds
        Whose effects of the e-mails, and their spreads, are drawn from the prior; one half each.
        Here 90 % intervals hold 90 % of the truths, unless the model or the comparison is wrong.
    seed
        From which all seeds follow.
    data
        Folder of the data sets; by default as `real_data` finds it.
    note
        A remark to keep with the result.
    """
    frame = prepared(pd.read_parquet(real_data(data, "hillstrom/hillstrom.parquet")))
    campaign = read(frame)
    fit = bm.fit(WIDE, campaign, seed=seeds.integer(seed, "uplift worlds"), progress=False)
    rows = []
    plan = [("experiment", worlds, splits), ("prior", prior_worlds, 1)]
    plan += [(kind, worlds, 1) for kind in STATED]
    for kind, count, halves in plan:
        for world, chance in enumerate(chances(fit, kind, count, seed)):
            sent = simulated(frame, campaign, chance, seeds.integer(seed, f"{kind} {world}"))
            for index in range(halves):
                own = seeds.integer(seed, f"{kind} {world} half {index}")
                rows.append({"from": kind, "world": world, **judged(sent, chance, own)})
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    result = {
        **described(
            f"python -m benchmarks uplift_worlds --worlds {worlds} --splits {splits} "
            f"--prior-worlds {prior_worlds} --seed {seed}"
        ),
        "note": note,
        "question": "90 % intervals of uplift by fifth and arm: of observed - predicted that hold "
        "0, and of predicted that hold the truth; error: truth - predicted, mean over arms",
        "summary": {kind: summary(part) for kind, part in table.groupby("from")},
        "held_by_world_of_experiment": table[table["from"] == "experiment"]
        .groupby("world")["held"].sum().tolist(),
        "rows": rows,
    }  # fmt: skip
    print(write("uplift_worlds", result))


def chances(fit: bm.Fit, kind: str, count: int, seed: int) -> Iterator[Array]:
    """Return probabilities of a visit (customer, arm) of each world."""
    design = fit.data.encoding.design(fit.data.data["code"].to_numpy())
    draws = fit.posterior.stack(sample=("chain", "draw"))
    groups = list(draws["group"].to_numpy())
    place = np.array([groups.index(group) for group in fit.data.encoding.groups])
    rng = seeds.generator(seed, f"uplift worlds {kind}")
    for _ in range(count):
        one = draws.isel(sample=int(rng.integers(draws.sizes["sample"])))
        own = one["arm_uplift"].transpose("column", "arm").to_numpy()
        baseline = one["baseline"].to_numpy()
        slope = one["uplift_slope"].to_numpy()
        lift = one["uplift"].to_numpy()[:, None] + own + baseline[:, None] * slope
        if kind != "experiment":
            sds, scale = spreads(kind, len(groups), rng)
            shared, apart = sds[:, place, None]
            lift = shared * rng.normal(size=(len(place), 1)) + apart * rng.normal(size=own.shape)
            lift = lift + baseline[:, None] * scale * rng.normal(size=own.shape[1])
        base = float(one["intercept"]) + design @ baseline
        effects = one["arm_effect"].to_numpy() + design @ lift
        yield expit(np.column_stack([base, base[:, None] + effects]))


def spreads(kind: str, features: int, rng: np.random.Generator) -> tuple[Array, float]:
    """Return SDs of effects by feature, shared by e-mails and each one's own, and of slopes."""
    if kind == "prior":
        scale = float(drawn("uplift_scale", 1, rng)[0])
        local = [drawn(f"{name}_local", features, rng) for name in ("uplift", "arm")]
        return scale / np.sqrt(features) * np.stack(local), scale
    shared, apart = np.full((2, features), STATED[kind])
    if kind == "two features":
        shared[np.arange(features) != rng.integers(features)] = 0.0
        apart[np.arange(features) != rng.integers(features)] = 0.0
    return np.stack([shared, apart]), 0.0


def drawn(name: str, size: int, rng: np.random.Generator) -> Array:
    """Return draws of a variable's default prior (size,)."""
    prior = SPEC.prior_of(name)
    variable = getattr(pm, prior.dist).dist(**dict(prior.parameters), shape=size)
    return np.asarray(pm.draw(variable, random_seed=rng))


def simulated(frame: pd.DataFrame, campaign: bm.Campaign, chance: Array, seed: int) -> pd.DataFrame:
    """Return the customers with arms permuted and visits drawn."""
    rng = np.random.default_rng(seed)
    arm = rng.permutation(campaign.data["assignment"].to_numpy())
    visits = rng.random(len(arm)) < chance[np.arange(len(arm)), arm]
    names = np.array(campaign.arms, dtype=object)
    return frame.assign(segment=names[arm], visit=visits.astype(int))


def judged(frame: pd.DataFrame, chance: Array, seed: int) -> dict[str, Any]:
    """Return what the bins of one half held."""
    train, test = read(frame).split(0.5, seed=seed)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)
        fit = bm.fit(SPEC, train, seed=seed, progress=False)
    seconds = time.perf_counter() - begun
    effect = bm.uplift(fit, test, allow_unconverged=True)
    bins = bm.uplift_calibration(effect, test, bins=BINS)
    lift = (chance[:, 1:] - chance[:, :1])[test.data["customer"].to_numpy()].T
    truth = true_means(effect, lift)
    predicted = bins["predicted"]
    return {
        "ok": fit.diagnostics.ok,
        "seconds": seconds,
        "held": inside(bins["observed"] - predicted),
        "held_truth": inside(truth - predicted),
        "cases": truth.size,
        "error": (truth - predicted).mean(("chain", "draw", "arm")).to_numpy().tolist(),
    }


def true_means(effect: xr.DataArray, lift: Array) -> xr.DataArray:
    """Return the true mean uplift of bins of the predicted one (arm, bin)."""
    score = effect.mean(("chain", "draw")).transpose("arm", "customer").to_numpy()
    order = np.argsort(-score, axis=1, kind="stable")
    edges = np.round(np.arange(BINS + 1) * (lift.shape[1] / BINS)).astype(int)
    sums = np.add.reduceat(np.take_along_axis(lift, order, axis=1), edges[:-1], axis=1)
    return xr.DataArray(sums / np.diff(edges), dims=("arm", "bin"))


def inside(error: xr.DataArray) -> int:
    """Return how many 90 % intervals of an error hold zero."""
    low, high = error.quantile([0.05, 0.95], ("chain", "draw"))
    return int(((low <= 0) & (high >= 0)).sum())


def summary(rows: pd.DataFrame) -> dict[str, Any]:
    """Return what fits of one kind of world held together."""
    return {
        "fits": len(rows),
        "not_converged": int((~rows["ok"]).sum()),
        "held": int(rows["held"].sum()),
        "held_truth": int(rows["held_truth"].sum()),
        "cases": int(rows["cases"].sum()),
        "mean_error_by_fifth": np.mean(np.stack(rows["error"].to_list()), axis=0).tolist(),
    }
