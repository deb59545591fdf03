"""What a hazard model of 20 covariates costs as the customers grow, beside PyMC with nutpie."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from arviz_stats.base import array_stats

import bayes_mkt as bm
from bayes_mkt import seeds
from bayes_mkt.customers import expansion
from bayes_mkt.customers.baseline import SHAPES, walk_basis
from bayes_mkt.customers.spell_rows import SpellRows
from bayes_mkt.customers.spells import crude_rate
from bayes_mkt.inference.threads import CORES
from benchmarks.environment import described, write
from benchmarks.other_libraries import run

ROOT = Path(__file__).parents[1]
MARKETS, FEATURES, INTERVALS, WEEK = 30, 20, 60, 7
ESS = 400.0
START = pd.Timestamp("2023-01-02")
ACQUIRED, FOLLOWED = 300, 120  # days
COLUMNS = [f"x{j}" for j in range(FEATURES)]


def measure(
    *,
    customers: Sequence[int] = (10_000, 100_000, 300_000, 1_000_000),
    peer_customers: Sequence[int] = (2_000, 5_000, 10_000),
    timed: int = 0,
    draws: int = 1000,
    seed: int = 1,
    note: str = "",
) -> None:
    """Fit `SecondPurchase` to customers of 30 markets, 60 weeks and 20 covariates.

    Each size runs in a process of its own, which fits twice: cold, compilation included, and warm.
    nutpie samples the same model, written in PyMC, of the same rows.

    Parameters
    ----------
    customers, peer_customers
        Sizes for bayes_mkt and for nutpie.
    timed
        A size at which nutpie's gradients are timed alone; what 400 effective draws take there is
        that times the gradients that they took at its largest size. 0 times none.
    draws
        nutpie's draws of each of four chains, after as many of tuning.
    seed
        From which all seeds follow.
    note
        A remark to keep with the result.
    """
    if timed and not peer_customers:
        raise SystemExit("timed needs peer_customers: gradients are counted at the largest.")
    rows = []
    for size in customers:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.hazard_growth", str(size), str(seed)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        last = (done.stdout if not done.returncode else done.stderr).strip().splitlines()[-1]
        found = {"failure": last} if done.returncode else json.loads(last)
        rows.append({"customers": size, "system": "bayes_mkt", **found})
        print(rows[-1], flush=True)
    for size in peer_customers:
        rows.append({"customers": size, "system": "nutpie", **theirs(size, seed, draws)})
        print(rows[-1], flush=True)
    if timed:
        sampled = next(row for row in reversed(rows) if row["system"] == "nutpie")
        # Chains run side by side on all cores.
        gradient = float(by_nutpie(timed, seed, 0)["seconds"]) / CORES
        rows.append(
            {
                "customers": timed,
                "system": "nutpie, gradients timed",
                "seconds_per_gradient": gradient,
                "seconds_per_gradient_sampled": sampled["seconds"] / sampled["gradients"],
                "to_ess_400": gradient * sampled["gradients"] * ESS / sampled["ess_bulk"],
            }
        )
        print(rows[-1], flush=True)
    result = {
        **described(
            f"python -m benchmarks hazard_growth {_sizes('customers', customers)} "
            f"{_sizes('peer-customers', peer_customers)} --timed {timed} --draws {draws} "
            f"--seed {seed}"
        ),
        "note": note,
        "question": (
            f"seconds to {ESS:g} effective draws of all parameters, {MARKETS} markets, "
            f"{INTERVALS} intervals, {FEATURES} covariates"
        ),
        "model": 'SecondPurchase(effects="normal")',
        "target": {"warm_seconds_at_1_000_000": 60, "ratio": 20},
        "ratios": ratios(rows),
        "rows": rows,
    }
    print(write("hazard_growth", result))


def _sizes(name: str, sizes: Sequence[int]) -> str:
    return " ".join(f"--{name} {size}" for size in sizes)


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return nutpie's seconds over ours, warm, at the sizes of both."""
    ours = {r["customers"]: r for r in rows if r["system"] == "bayes_mkt"}
    return {
        f"{row['system']}, over bayes_mkt, {size}": row["to_ess_400"] / ours[size]["warm_seconds"]
        for row in rows
        if row["system"] != "bayes_mkt" and "warm_seconds" in ours.get(size := row["customers"], {})
    }


def simulated(size: int, seed: int) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return a log of first and second purchases, and how to read it."""
    rng = np.random.default_rng(seeds.integer(seed, f"hazard growth {size}"))
    weight = np.exp(rng.normal(size=MARKETS))
    market = np.sort(rng.choice(MARKETS, size, p=weight / weight.sum()))
    x = np.round(rng.normal(size=(size, FEATURES)), 2)
    half = FEATURES // 2
    x[:, half:] = rng.random((size, half)) < np.linspace(0.1, 0.5, half)
    signs = np.where(np.arange(FEATURES) % 2, 1.0, -1.0)
    effect = np.where(np.arange(FEATURES) % 3 == 0, 0.3, 0.0) * signs
    week = np.arange(INTERVALS)
    curve = -3.6 - 1.2 * week / INTERVALS + 0.8 * np.exp(-0.5 * ((week - 20) / 4) ** 2)
    hazard = np.exp(curve + 0.3 * rng.normal(size=(MARKETS, 1)))
    total = np.concatenate([np.zeros((MARKETS, 1)), hazard.cumsum(axis=1)], axis=1)
    reached = rng.exponential(size=size) / np.exp((x - x.mean(axis=0)) @ effect)
    wait = np.empty(size)
    ends = WEEK * np.arange(INTERVALS + 1.0)
    for m in range(MARKETS):
        wait[market == m] = np.interp(reached[market == m], total[m], ends, right=np.inf)
    logit = -0.85 + 0.3 * rng.normal(size=MARKETS)[market] + 0.3 * x[:, 0]
    wait[rng.random(size) < 1 / (1 + np.exp(-logit))] = np.inf
    wait = np.maximum(np.ceil(wait), 1.0)
    first = rng.integers(0, ACQUIRED, size)
    again = first + wait <= ACQUIRED + FOLLOWED
    people = pd.DataFrame(x, columns=COLUMNS).assign(
        customer=np.arange(size), market=np.char.add("m", market.astype(str)), day=first
    )
    log = pd.concat([people, people[again].assign(day=(first + wait)[again].astype(int))])
    log["date"] = START + pd.to_timedelta(log.pop("day"), unit="D")
    return log, {
        "customer": "customer", "date": "date", "market": "market", "profile": COLUMNS,
        "intervals": WEEK, "horizon": WEEK * INTERVALS,
        "end": START + pd.Timedelta(days=ACQUIRED + FOLLOWED),
    }  # fmt: skip


def ours(size: int, seed: int) -> dict[str, Any]:
    """Return what two fits took, and what they are worth."""
    log, columns = simulated(size, seed)
    begun = time.perf_counter()
    data = bm.FirstPurchases.from_transactions(log, **columns)
    found: dict[str, Any] = {"read_seconds": time.perf_counter() - begun}
    found["rows"] = int(data.data.sizes["row"])
    spec = bm.SecondPurchase(effects="normal")
    for name in ("cold", "warm"):
        # Nothing that was learnt of the data is kept from fit to fit.
        expansion._expansion.cache_clear()
        expansion.spell_rows.cache_clear()
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.ConvergenceWarning)  # the verdict is kept
            fit = bm.fit(spec, data, seed=seeds.integer(seed, name), progress=False)
        found[f"{name}_seconds"] = time.perf_counter() - begun
    table = fit.diagnostics.table
    return found | {
        "expanded": spec.expands(data),
        "ok": fit.diagnostics.ok,
        "verdict": fit.diagnostics.verdict.splitlines()[0],
        "ess_bulk": float(table["ess_bulk"].min()),
        "ess_tail": float(table["ess_tail"].min()),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def theirs(size: int, seed: int, draws: int) -> dict[str, Any]:
    """Return seconds, gradients and ESS of nutpie."""
    found = by_nutpie(size, seed, draws)
    ess = array_stats.ess(found["draws"], chain_axis=0, draw_axis=1, method="bulk")
    seconds, smallest = float(found["seconds"]), float(np.min(ess))
    return {
        "seconds": seconds,
        "gradients": int(found["gradients"]),
        "ess_bulk": smallest,
        "to_ess_400": seconds * ESS / smallest,
    }


def by_nutpie(size: int, seed: int, draws: int) -> dict[str, np.ndarray]:
    """Return what nutpie leaves of a size; without draws, how long one gradient takes."""
    log, columns = simulated(size, seed)
    data = bm.FirstPurchases.from_transactions(log, **columns)
    rows = SpellRows.of(data, never=True, never_features=True)
    arrays = {
        "x": rows.design, "market": rows.market, "happened": rows.happened, "piece": rows.piece,
        "part": rows.part, "share": np.where(rows.happened, rows.share, 1.0),
        "basis": walk_basis(INTERVALS), "shapes": walk_basis(INTERVALS, SHAPES),
        "scale": np.full(INTERVALS, np.log(crude_rate(data) * WEEK)),
    }  # fmt: skip
    return run("hazard", arrays, draws=draws)


if __name__ == "__main__":
    print(json.dumps(ours(int(sys.argv[1]), int(sys.argv[2]))))
