"""One task of the growth study, in its own process; prints what it found as JSON."""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

import bayes_mkt as bm

COLUMNS: dict[str, Any] = {
    "customer": "customer",
    "date": "date",
    "amount": "amount",
    "market": "market",
    "end": "2023-12-31",
    "keep_customers": False,
}
ANSWERS = {"p_alive": bm.p_alive, "purchases_90": partial(bm.expected_purchases, horizon=90)}


def peak() -> float:
    """Return the largest resident memory of this process so far, in GiB."""
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage says begins with the memory of the process before it
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def opened(log: str) -> Any:
    """Return the log as a DuckDB relation, with memory that leaves room for the rest."""
    connection = duckdb.connect()
    connection.execute("SET memory_limit = '1GB'; SET preserve_insertion_order = false")
    connection.execute(f"SET temp_directory = '{Path(log).parent}'")  # where it spills
    return connection.read_parquet(log)


def reduce_and_fit(log: str, seed: int) -> dict[str, Any]:
    """Reduce without amounts, so that histories tie as they can, and fit twice."""
    columns = {k: v for k, v in COLUMNS.items() if k != "amount"}
    begun = time.perf_counter()
    history = bm.CustomerHistory.from_transactions(opened(log), **columns)
    found: dict[str, Any] = {
        "reduce_seconds": time.perf_counter() - begun,
        "states": int(history.data.sizes["state"]),
    }
    spec = bm.BGNBD(condense=0.05)
    begun = time.perf_counter()
    model = spec.build(history)
    found["condense_seconds"] = time.perf_counter() - begun
    found["fitted_rows"] = int(model["purchase_weight"].get_value().size)
    found["condensing_error"] = float(model["condensing_error"].get_value().max())
    fit = None
    for name, own in (("cold_seconds", seed), ("warm_seconds", seed + 1)):
        begun = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bm.ConvergenceWarning)
            fit = bm.fit(spec, history, seed=own, progress=False)
        found[name] = time.perf_counter() - begun
    if fit is not None:
        found |= {"converged": fit.diagnostics.ok, "verdict": fit.diagnostics.verdict}
        fit.save(Path(log).with_suffix(".fit"))
    return found | {"peak_gib": peak()}


def export(log: str) -> dict[str, Any]:
    """Write quantiles for every customer."""
    fit = bm.Fit.load(Path(log).with_suffix(".fit"))
    with tempfile.TemporaryDirectory(dir=Path(log).parent) as folder:
        begun = time.perf_counter()
        path = bm.write_customers(
            fit, opened(log), Path(folder) / "customers.parquet", ANSWERS,
            draws=100, allow_unconverged=True,
        )  # fmt: skip
        return {
            "export_seconds": time.perf_counter() - begun,
            "export_mib": path.stat().st_size / 2**20,
            "export_peak_gib": peak(),
        }


def engines(log: str) -> dict[str, Any]:
    """Reduce on DuckDB and on Spark, and compare."""
    begun = time.perf_counter()
    ours = bm.CustomerHistory.from_transactions(opened(log), **COLUMNS)
    first = time.perf_counter() - begun
    session = bm.spark_session(spark_driver_memory="4g")
    begun = time.perf_counter()
    theirs = bm.CustomerHistory.from_transactions(session.read.parquet(log), **COLUMNS)
    second = time.perf_counter() - begun
    session.stop()
    return {
        "states": int(ours.data.sizes["state"]),
        "duckdb_seconds": first,
        "spark_seconds": second,
        "equal": ours == theirs,
    }


def main(task: Mapping[str, Any]) -> None:
    """Do a task; the export runs in a process of its own, whose memory it is to show."""
    if task["what"] == "engines":
        found = engines(task["log"])
    elif task["what"] == "export":
        found = export(task["log"])
    else:
        found = reduce_and_fit(task["log"], int(task["seed"]))
        if task["export"]:
            from benchmarks.customer_growth import run

            found |= run({"what": "export", "log": task["log"]}, 3600.0)
    print(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
