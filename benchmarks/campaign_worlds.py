"""Does the interval of what a model gains over segments hold the truth? Simulated campaigns."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from bayes_mkt import seeds
from benchmarks.environment import described, write

TARGET = (0.85, 0.95)
INTERVAL = 0.9
SHARE = 0.3
TRAIN, TEST = 20_000, 20_000


def measure(*, worlds: int = 50, seed: int = 1, note: str = "") -> None:
    """Count how often 90 % intervals of model less segments hold the true difference.

    Each world has two or three arms, customers whose response to them differs more or less, and six
    segments of recency and value. A half of the customers is fitted to; on the other half the arms
    that the model and the segments' own differences in means give to the best 30 % are compared:
    as the room estimates it, and by the world's own expected revenue of every customer.

    Parameters
    ----------
    worlds
        Number of simulated worlds.
    seed
        From which all seeds follow.
    note
        A remark to keep with the result.
    """
    rows = []
    for index in range(worlds):
        row = answer(seed, index)
        rows.append(row)
        print(index, {k: v if isinstance(v, bool) else round(v, 3) for k, v in row.items()},
              flush=True)  # fmt: skip
    frame = pd.DataFrame(rows)
    share = float(frame["inside"].mean())
    result = {
        **described(f"python -m benchmarks campaign_worlds --worlds {worlds} --seed {seed}"),
        "note": note,
        "question": (
            f"share of {INTERVAL:.0%} intervals of the difference in incremental revenue, model "
            f"less segments, best {SHARE:.0%} contacted, that hold the true difference"
        ),
        "model": "Uplift(spend='gamma'), target_accept 0.95",
        "target": {"share": list(TARGET)},
        "target_met": TARGET[0] <= share <= TARGET[1],
        "held": int(frame["inside"].sum()),
        "held_relative": int(frame["relative inside"].sum()),
        "worlds": worlds,
        "not_converged": int((~frame["ok"]).sum()),
        "gain_percent": {
            "what": "true incremental revenue of the model's choice over that of segments",
            "median": float(frame["true percent"].median()),
            "smallest": float(frame["true percent"].min()),
            "largest": float(frame["true percent"].max()),
        },
        "rows": rows,
    }
    print(result["held"], "of", worlds, "hold;", result["gain_percent"])
    print(write("campaign_worlds", result))


def answer(seed: int, index: int) -> dict[str, Any]:
    """Return estimate, interval and truth of one world."""
    rng = seeds.generator(seed, f"campaign_worlds {index}")
    world = bm.simulate.campaign(
        customers=TRAIN + TEST,
        arms=int(rng.integers(2, 4)),
        base_rate=float(rng.uniform(0.05, 0.2)),
        effect=float(rng.uniform(0.1, 0.5)),
        heterogeneity=float(rng.uniform(0.3, 1.2)),
        seed=seeds.integer(seed, f"campaign_worlds world {index}"),
    )
    campaign = bm.Campaign.from_frame(world.frame, **world.columns, bins=6)
    fit_seed = seeds.integer(seed, f"campaign_worlds fit {index}")
    train, test = campaign.split(TRAIN / (TRAIN + TEST), seed=fit_seed)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # verdicts are counted
        fit = bm.fit(
            bm.Uplift(spend="gamma"), train, seed=fit_seed, target_accept=0.95, progress=False
        )
    found = bm.compare_targeting(fit, test, share=SHARE, allow_unconverged=True)
    revenue = world.truth["expected_revenue"].sel(customer=test.data["customer"])
    gain = revenue - revenue.sel(arm="none", drop=True)
    true = {
        name: float(gain.sel(arm=found[f"{name}_arm"].astype(object)).sum())
        for name in ("model", "segments")
    }
    tails = [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2]
    low, high = found["difference"].quantile(tails, ("chain", "draw")).to_numpy()
    difference = true["model"] - true["segments"]
    first, last = found["relative"].quantile(tails, ("chain", "draw")).to_numpy()
    relative = difference / true["segments"]
    return {
        "ok": fit.diagnostics.ok,
        "seconds": time.perf_counter() - begun,
        "estimate": float(found["difference"].mean()),
        "low": float(low),
        "high": float(high),
        "truth": difference,
        "inside": bool(low <= difference <= high),
        "percent": 100 * float(found["relative"].median()),
        "true percent": 100 * relative,
        "relative inside": bool(first <= relative <= last),
        "random": SHARE * float(np.max(gain.mean("customer"))) * test.n_customers,
    }
