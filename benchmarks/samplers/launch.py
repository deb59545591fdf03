"""One worker's process: started with empty caches, watched, and stopped in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.peers.protocol import RESULT, Task, without_paths
from benchmarks.samplers.systems import system

ROOT = Path(__file__).parents[2]
START_LIMIT = 300.0  # seconds for imports and for stating the model
POLL = 0.1
STOPPED = "stopped: "  # what the failure of a worker that took too long begins with
# Not handed on: where compiled programs lie, and which kernels a library was told to use.
DROPPED = (
    *("JAX_COMPILATION_CACHE_DIR", "PYTENSOR_FLAGS", "NUMBA_CACHE_DIR"),
    *("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"),
)


@contextmanager
def run(
    task: Task, limit: float, command: list[str] | None = None
) -> Iterator[tuple[dict[str, Any], Path]]:
    """Give the figures of a worker, and the folder of its draws, which is then removed.

    Parameters
    ----------
    task
        What to do; its folder is filled in here.
    limit
        Seconds for each sampling.
    command
        What starts the worker; None is that of the task's system.
    """
    with tempfile.TemporaryDirectory(prefix="samplers-") as name:
        folder = Path(name)
        path = folder / "task.json"
        replace(task, folder=str(folder)).write(path)
        at = datetime.now(UTC).isoformat(timespec="seconds")
        begun = time.perf_counter()
        ending = _watch(
            [*(command or system(task.system).command(task.platform)), str(path)],
            environment(folder, task.platform),
            folder,
            limit,
        )
        found = _left(folder)
        if ending and "failure" not in found:
            found["failure"] = ending
        found |= {"at": at, "process_seconds": time.perf_counter() - begun}
        yield found, folder


def environment(folder: Path, platform: str) -> dict[str, str]:
    """Return a worker's variables: no compiled program is found, no kernel is prescribed."""
    kept = {name: value for name, value in os.environ.items() if name not in DROPPED}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),
        "PYTENSOR_FLAGS": f"base_compiledir={folder / 'pytensor'}",
        "NUMBA_CACHE_DIR": str(folder / "numba"),
        "JAX_PLATFORMS": "cuda" if platform == "gpu" else "cpu",
    }


def available(name: str, platform: str) -> str:
    """Make the environment of a system, untimed; return why it can't be made, or nothing."""
    one = system(name)
    try:
        return "" if one.ours else _made(tuple(one.command(platform)))
    except OSError as error:
        return f"no environment: {error}"


@cache
def _made(command: tuple[str, ...]) -> str:
    """Run a worker without a task, so that it only imports; return why it fails, or nothing."""
    made = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    last = [line for line in ("no reason given", *made.stderr.splitlines()) if line.strip()][-1]
    return "" if made.returncode == 0 else f"no environment: {without_paths(last)}"


def _watch(command: list[str], variables: Mapping[str, str], folder: Path, limit: float) -> str:
    """Run a worker to its end, or stop it; return why it did not end well, or nothing."""
    with open(folder / "log.txt", "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            env=variables,
            cwd=ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        stage, allowed, since = "start", START_LIMIT, time.perf_counter()
        try:
            while process.poll() is None:
                time.sleep(POLL)
                now = _stage(folder)
                if now != stage:
                    stage, allowed, since = now, limit, time.perf_counter()
                if time.perf_counter() - since > allowed:
                    return f"{STOPPED}{stage} took more than {allowed:g} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return "" if process.returncode == 0 else f"the process ended with code {process.returncode}"


def _stage(folder: Path) -> str:
    """Return what a worker is at."""
    found = _left(folder)
    if "warm" in found:
        return "ending"
    if "cold" in found:
        return "warm sampling"
    return "cold sampling" if found else "start"


def _left(folder: Path) -> dict[str, Any]:
    """Return the figures that a worker has left so far."""
    path = folder / RESULT
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
