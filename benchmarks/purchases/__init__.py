"""Full posteriors of purchase models: this package beside pymc-marketing with nutpie."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from benchmarks.environment import described, real_data, write

ROOT = Path(__file__).parents[2]
PEER = Path(__file__).with_name("peer.py")
UV = ROOT / ".venv" / "bin" / "uv"
MARKETS = 30


def measure(
    *,
    data: Path | None = None,
    customers: int = 1_000_000,
    peer_sizes: Sequence[int] = (10_000, 30_000, 100_000),
    limit: float = 1800.0,
    seed: int = 1,
    note: str = "",
) -> None:
    """Time BG/NBD on CDNOW's master file and on simulated markets, and pymc-marketing beside it.

    The peer has one market: it fits simulated customers of `peer_sizes` together, and its time at
    `customers` is extrapolated by a line through the logs, which is said in the result.

    Parameters
    ----------
    data
        Folder of the data sets; by default as `real_data` finds it.
    customers
        Simulated customers, in 30 markets of unequal size, with daily ages.
    peer_sizes
        Customers that the peer is timed on; empty leaves it out.
    limit
        Seconds for each of the peer's fits.
    seed
        Of simulation and fits.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    folder = real_data(data, "cdnow")
    master = pd.read_parquet(folder / "cdnow_master.parquet")
    names = {c.lower(): c for c in master.columns}
    who = next(names[n] for n in ("customer_id", "id", "customer") if n in names)
    cdnow = bm.CustomerHistory.from_transactions(
        master, customer=who, date=names["date"], end="1997-09-30", unit="W"
    )
    rows = [ours("CDNOW master", bm.BGNBD(), cdnow, seed)]
    if peer_sizes:
        rows.append(theirs("CDNOW master", cdnow, seed, limit))
    print(pd.DataFrame(rows).to_string(), flush=True)
    shares = 1.0 / np.arange(1, MARKETS + 1)
    sizes = np.maximum((customers * shares / shares.sum()).astype(int), 1)
    made = bm.simulate.customers(tuple(map(int, sizes)), seed=seed, days=730, joining=540)
    history = bm.CustomerHistory.from_transactions(made.frame, **made.columns, keep_customers=False)
    rows.append(ours("simulated, 30 markets", bm.BGNBD(condense=0.05), history, seed))
    print(rows[-1], flush=True)
    for size in peer_sizes:
        rows.append(theirs("simulated, one market", sampled(history, size, seed), seed, limit))
        print(rows[-1], flush=True)
    result = {
        **described(f"python -m benchmarks purchases --customers {customers} --seed {seed}"),
        "note": note,
        "question": "seconds to a full posterior with every ESS above 400, on the same machine",
        "columns": {
            "warm_seconds": "ours: second fit of the history in the process",
            "seconds": "cold: ours with compilation; theirs the whole call of fit, 4 x (500 + 500)",
            "seconds_to_400": "theirs: seconds times 400 / ESS where the ESS is below 400",
        },
        "systems": rows,
        "ratios": ratios(rows, customers),
    }
    print(write("purchases", result))


def ours(name: str, spec: Any, history: bm.CustomerHistory, seed: int) -> dict[str, Any]:
    """Fit twice; the second time everything that can be compiled is."""
    seconds = []
    fit = None
    for k in range(2):
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.ConvergenceWarning)
            fit = bm.fit(spec, history, seed=seed + k, progress=False)
        seconds.append(time.perf_counter() - begun)
    out = {
        "system": "bayes_mkt",
        "data": name,
        "customers": history.n_customers,
        "states": int(history.data.sizes["state"]),
        "seconds": seconds[0],
        "warm_seconds": seconds[1],
    }
    if fit is not None:
        summary = fit.summary()
        out |= {"min_ess": float(summary.filter(like="ess").min().min()),
                "converged": fit.diagnostics.ok}  # fmt: skip
        if spec.condense is not None:
            attrs = bm.condensing_error(fit, draws=40, ).attrs  # fmt: skip
            out |= {"condensing_error_sd": attrs["sd"], "effective": attrs["effective"]}
    return out


def theirs(
    name: str, history: bm.CustomerHistory, seed: int, limit: float, horizon: float = 0.0
) -> dict[str, Any]:
    """Fit the customers of a history by pymc-marketing, in an environment of its own."""
    out: dict[str, Any] = {
        "system": "pymc-marketing 1.3.0, nutpie 0.16.11",
        "data": name,
        "customers": history.n_customers,
    }
    with tempfile.TemporaryDirectory(prefix="purchases-") as folder:
        path, found = Path(folder) / "customers.csv", Path(folder) / "found.json"
        histories(history).to_csv(path, index_label="customer_id")
        command = [str(UV), "run", "--no-project", "--script", str(PEER)]
        subprocess.run([*command], cwd=ROOT, check=False, capture_output=True)  # made, untimed
        try:
            done = subprocess.run(
                [*command, str(path), str(found), "500", str(seed), str(horizon)],
                cwd=ROOT, timeout=limit, check=False, capture_output=True, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return out | {"failure": f"more than {limit:g} s"}
        if not found.is_file():
            return out | {"failure": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}
        out |= json.loads(found.read_text())
        if horizon > 0:
            out["forecast"] = np.load(f"{found}.npy")
    out["seconds_to_400"] = out["seconds"] * max(1.0, 400.0 / out["min_ess"])
    return out


def histories(history: bm.CustomerHistory) -> pd.DataFrame:
    """Return frequency, recency and T of every customer, in the history's unit."""
    data = history.data
    if "customer_state" in data:
        state = data["customer_state"].to_numpy()
    else:
        state = np.repeat(np.arange(data.sizes["state"]), data["weight"].to_numpy())
    return pd.DataFrame(
        {
            "frequency": data["frequency"].to_numpy()[state],
            "recency": history.per_unit(data["recency"].to_numpy())[state],
            "T": history.per_unit(data["age"].to_numpy())[state],
        }
    )


def sampled(history: bm.CustomerHistory, size: int, seed: int) -> bm.CustomerHistory:
    """Return a history of `size` customers drawn from a larger one."""
    data = history.data
    weight = data["weight"].to_numpy()
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(weight, size, method="count")
    kept = np.flatnonzero(drawn)
    return bm.CustomerHistory(
        data.isel(state=kept).assign(weight=("state", drawn[kept].astype(np.int64)))
    )


def ratios(rows: Sequence[dict[str, Any]], customers: int) -> dict[str, Any]:
    """Return how many times longer the peer takes: measured on CDNOW, extrapolated at the top."""
    own = {row["data"]: row for row in rows if row["system"] == "bayes_mkt"}
    peer = [row for row in rows if "seconds_to_400" in row]
    out: dict[str, Any] = {}
    for row in peer:
        if row["data"] in own:
            out[f"{row['data']}, measured"] = (
                row["seconds_to_400"] / own[row["data"]]["warm_seconds"]
            )
    grown = [row for row in peer if row["data"] == "simulated, one market"]
    if len(grown) > 1:
        size, seconds = (np.log([row[n] for row in grown]) for n in ("customers", "seconds_to_400"))
        slope, level = np.polyfit(size, seconds, 1)
        there = float(np.exp(level + slope * np.log(customers)))
        out |= {
            "extrapolated_from": [row["customers"] for row in grown],
            "exponent": float(slope),
            "peer_seconds_at_the_top, extrapolated": there,
            "at_the_top, extrapolated": there / own["simulated, 30 markets"]["warm_seconds"],
        }
    return out
