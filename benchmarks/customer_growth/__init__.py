"""What do purchase models cost as customers grow: reduction, sampling, answers, memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_mkt as bm
from benchmarks.environment import RESULTS, described, write

ROOT = Path(__file__).parents[2]
MARKETS = 30
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
EXPORT = 10_000_000


def measure(
    *,
    sizes: Sequence[int] = SIZES,
    seed: int = 1,
    spark: bool = True,
    limit: float = 3600.0,
    note: str = "",
) -> None:
    """Simulate customers of 30 markets, reduce their log on DuckDB, fit, and answer.

    Every size runs in a process of its own. With Spark, ten million transactions are reduced by
    DuckDB and by Spark on this machine too, and the tables are compared.

    Parameters
    ----------
    sizes
        Customers.
    seed
        Of the simulation and the fits.
    spark
        Whether to reduce ten million transactions on Spark; needs Java 17 or later.
    limit
        Seconds for each process.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    rows = []
    with tempfile.TemporaryDirectory(prefix="customer-growth-") as name:
        for size in sizes:
            log = Path(name) / f"{size}.parquet"
            transactions = simulate(size, seed, log)
            task = {"what": "fit", "log": str(log), "seed": seed, "export": size >= EXPORT}
            found = run(task, limit)
            rows.append({"customers": size, "transactions": transactions, **found})
            print(rows[-1], flush=True)
            log.unlink()
        engines = {}
        if spark:
            log = Path(name) / "engines.parquet"
            count = simulate(int(10_000_000 / 4.2), seed, log)
            engines = {"transactions": count, **run({"what": "engines", "log": str(log)}, limit)}
            print(engines)
    result = {
        **described(f"python -m benchmarks customer_growth --seed {seed}"),
        "note": note,
        "model": "BG/NBD of 30 markets of unequal size, daily ages, condense=0.05; target_ess 400",
        "columns": {
            "reduce_seconds": "log in Parquet -> distinct histories, on DuckDB",
            "states": "distinct histories",
            "fitted_rows": "rows of the likelihood after condensing, with those that only fill up",
            "condense_seconds": "stating the model, condensing included",
            "cold_seconds": "whole fit, first in the process; condensing included",
            "warm_seconds": "whole fit with another seed, condensing included",
            "peak_gib": "largest resident memory of the process that reduced and fitted",
            "export_peak_gib": "of the process that wrote quantiles for every customer",
        },
        "growth": rows,
        "same_table_on_duckdb_and_spark": engines,
    }
    print(write("customer_growth", result))
    plot(rows, RESULTS / "customer_growth.png")


def simulate(size: int, seed: int, path: Path) -> int:
    """Write a log of so many customers to Parquet, market by market; return its rows."""
    import pyarrow
    import pyarrow.parquet

    shares = 1.0 / np.arange(1, MARKETS + 1)
    sizes = np.maximum((size * shares / shares.sum()).astype(int), 5)
    sizes[0] += size - sizes.sum()
    rows, first, writer = 0, 0, None
    for market, count in enumerate(sizes):
        made = bm.simulate.customers((int(count),), seed=seed * 1000 + market).frame
        made["customer"] += first
        made["market"] = f"market {market + 1:02d}"
        first, rows = first + int(count), rows + len(made)
        table = pyarrow.Table.from_pandas(made, preserve_index=False)
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(path, table.schema)
        writer.write_table(table.cast(writer.schema))
    if writer is not None:
        writer.close()
    return rows


def run(task: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """Run one task in a process of its own; return what it found, or why it failed."""
    command = [sys.executable, "-m", "benchmarks.customer_growth.point", json.dumps(task)]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failure": f"more than {limit:g} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        return {"failure": last[:300]}
    return dict(json.loads(lines[-1]))


def plot(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw seconds against customers."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    frame = pd.DataFrame(rows)
    figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
    for name in ("reduce_seconds", "condense_seconds", "warm_seconds"):
        if name in frame:
            axes.loglog(frame["customers"], frame[name], marker="o", label=name.split("_")[0])
    axes.set(xlabel="customers", ylabel="seconds")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
