"""What passes between the driver and the process that samples: a task in, figures and draws out.

A worker is called with the path of a task. In the task's folder it leaves ``result.json``, written
anew after each stage so that a process that is stopped leaves what it had, and the draws of both
samplings as ``cold.npz`` and ``warm.npz``.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

RESULT = "result.json"


@dataclass(frozen=True)
class Task:
    """One system, one posterior, one repetition.

    Attributes
    ----------
    system, model
        Their names.
    seed
        Of the first sampling; the second takes the next.
    data
        The folder of real data sets, or an empty string.
    folder
        Where figures and draws are left.
    platform
        `"cpu"` or `"gpu"`, for the systems that use JAX.
    again
        Whether it samples a second time, in the same process.
    """

    system: str
    model: str
    seed: int
    data: str
    folder: str
    platform: str = "cpu"
    again: bool = True

    def write(self, path: Path) -> None:
        """Write the task as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Task:
        """Return the task written at `path`."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class Drawn:
    """What one sampling brought.

    Attributes
    ----------
    values
        Draws by variable, each (chain, draw, ...).
    divergences
        Diverging transitions after warmup.
    gradients
        Gradients after warmup, over all chains; None where the system doesn't tell.
    gradients_warmup
        Those of warmup, likewise.
    """

    values: Mapping[str, np.ndarray]
    divergences: int
    gradients: int | None
    gradients_warmup: int | None


Sampler = Callable[[int], Drawn]


def serve(module: str, argv: Sequence[str]) -> None:
    """Sample once or twice as the task says, and leave figures and draws.

    Parameters
    ----------
    module
        Holds ``prepare(task)``, which states the model and returns what samples it with a
        given seed, and `PACKAGES`: by system, the packages whose versions are noted. Imported
        here, timed.
    argv
        The worker's arguments: the path of the task; without one, only the imports are made.
    """
    if len(argv) < 2:
        import_module(module)
        return
    task = Task.read(Path(argv[1]))
    folder = Path(task.folder)
    begun = time.perf_counter()
    worker = import_module(module)
    result: dict[str, Any] = {
        "import_seconds": time.perf_counter() - begun,
        "versions": versions(worker.PACKAGES[task.system.partition(":")[0]]),
    }
    try:
        at = time.perf_counter()
        sample = worker.prepare(task)
        result["build_seconds"] = time.perf_counter() - at
        stages = (("cold", task.seed), ("warm", task.seed + 1))
        for stage, seed in stages if task.again else stages[:1]:
            leave(folder, result)
            result[stage] = _timed(sample, seed, folder / f"{stage}.npz")
    except Exception as error:
        result["failure"] = _reason(error)
    result["peak_mib"] = peak_mib()
    leave(folder, result)


def _timed(sample: Sampler, seed: int, path: Path) -> dict[str, Any]:
    begun = time.perf_counter()
    drawn = sample(seed)
    seconds = time.perf_counter() - begun
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in drawn.values.items()}
    np.savez(path, **arrays)
    return {
        "seconds": seconds,
        "divergences": drawn.divergences,
        "gradients": drawn.gradients,
        "gradients_warmup": drawn.gradients_warmup,
    }


def leave(folder: Path, result: Mapping[str, Any]) -> None:
    """Write the figures so far: whole, or not at all."""
    temporary = folder / f".{RESULT}"
    temporary.write_text(json.dumps(result), encoding="utf-8")
    temporary.replace(folder / RESULT)


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of Python and of those packages that are installed."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_mib() -> float:
    """Return the largest memory of this process or of one of its children, in MiB."""
    unit = 1.0 if sys.platform == "darwin" else 1024.0
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) * unit / 2**20


def _reason(error: Exception) -> str:
    """Return the error in one line."""
    first = next((line for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {without_paths(first)}"


def without_paths(line: str) -> str:
    """Return a line of at most 300 characters, without the paths of this machine."""
    for path in (os.getcwd(), sys.prefix, str(Path.home())):
        line = line.replace(path, "...")
    return line.strip()[:300]
