"""A run in a process of its own, to be watched, interrupted and killed.

As a program it takes the options of `bm.sample` as JSON, prints a line at each report of progress,
and at last what came of the run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm

import bayes_mkt as bm
from bayes_mkt.inference.progress import Silent

ROOT = Path(__file__).resolve().parents[2]


def model(sd: float = 1.0, shift: float = 0.0) -> pm.Model:
    """Return a model with a block that is integrated out, group effects, and a derived array.

    It has so many variables that chunks are short.
    """
    with pm.Model(coords={"group": list("abcde"), "cell": range(20)}) as built:
        x = pm.Data("x", np.linspace(-1.0, 1.0, 40).reshape(5, 8))
        scale = pm.HalfNormal("scale", sd)
        effect = pm.Normal("effect", 0.0, 1.0, dims="group")
        mean = effect[:, None] * x
        pm.Deterministic("mean", mean + shift)
        spread = pm.HalfNormal("spread", 1.0)
        level = pm.Normal("level", 0.0, spread, dims="cell")
        pm.Poisson("count", pm.math.exp(level), observed=3 * np.arange(20) % 8)
        pm.Normal("y", mean, scale, observed=np.sin(np.arange(40.0)).reshape(5, 8))
    return built


@contextmanager
def process(**options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run `model` with the options in another process; it is gone afterwards."""
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.inference.runs", json.dumps(options)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        assert running.stdout is not None
        running.stdout.close()


def wait_for(running: subprocess.Popen[str], word: str, times: int = 1) -> None:
    """Read what the process prints up to the line with a word, for the given time."""
    assert running.stdout is not None
    for line in running.stdout:
        times -= word in line
        if times <= 0:
            return
    raise AssertionError(f"the process ended without another {word!r}")


def main() -> None:
    """Sample, and print what came of it."""

    def update(self: Silent, fraction: float, text: str) -> None:
        sys.stdout.write(text + "\n")

    signal.signal(signal.SIGINT, signal.default_int_handler)
    Silent.update = update
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tree = bm.sample(model(), progress=False, **json.loads(sys.argv[1]))
    found = {
        "attrs": {k: v for k, v in tree.attrs.items() if isinstance(v, int | str | float)},
        "draws": tree.posterior.sizes["draw"],
        "warnings": [str(w.message) for w in caught if w.category is bm.ConvergenceWarning],
        "finite": bool(np.isfinite(tree.posterior["mean"]).all()),
    }
    sys.stdout.write("result " + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
