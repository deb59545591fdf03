"""`MediaMix.meridian()` beside Meridian on its largest panel: time, memory, and the ROI table.

40 regions, 156 weeks, 5 paid channels, an organic one and a promotion. Each library fits as its
users would, in a process of its own, everything still to be compiled; draws are judged here,
by one function, over all that was sampled.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import bayes_mkt as bm
from benchmarks.environment import data_folder, described, real_data, write
from benchmarks.peers.columns import GEO_ALL_CHANNELS
from benchmarks.peers.protocol import Task
from benchmarks.samplers.catalogue import POSTERIORS
from benchmarks.samplers.launch import available, run
from benchmarks.samplers.systems import PEERS, SYSTEMS
from benchmarks.samplers.verdict import tree

MODEL = "geo_all_channels"
OURS, THEIRS = "bayes_mkt", "meridian"
SETTINGS = {
    OURS: "bm.fit(MediaMix.meridian(treatments={'Promo': 'min'}), panel, target_ess=400)",
    THEIRS: SYSTEMS[THEIRS].settings,
}
ROI = {OURS: "roi", THEIRS: "roi_m"}
INTERVAL = (0.05, 0.95)


def measure(
    *,
    seed: int = 1,
    limit: float = 3600.0,
    data: Path | None = None,
    note: str = "",
) -> None:
    """Fit Meridian's default model by both libraries, and show what each says of ROI.

    Parameters
    ----------
    seed
        Of both.
    limit
        Seconds that a fit may take before it is stopped.
    data
        Folder of the data sets; by default as `real_data` finds it.
    note
        A remark to keep with the result.
    """
    real_data(data, "/".join(GEO_ALL_CHANNELS.file))
    folder = str(data_folder(data).resolve())
    systems: dict[str, Any] = {}
    columns: dict[str, Any] = {}
    for name in (OURS, THEIRS):
        command = [sys.executable, str(PEERS / "run_preset.py")] if name == OURS else None
        if lacking := "" if command else available(name, "cpu"):
            raise SystemExit(f"{name}: {lacking}")
        task = Task(name, MODEL, seed, folder, "", again=False)
        with run(task, limit, command) as (found, left):
            systems[name], columns[name] = _judged(name, found, left)
        print(name, json.dumps(systems[name], indent=1), flush=True)
    rows = [
        {"channel": channel, **{f"{name}_{key}": values[i] for name, key, values in _flat(columns)}}
        for i, channel in enumerate(GEO_ALL_CHANNELS.channels)
    ]
    result = {
        **described(f"python -m benchmarks meridian_preset --seed {seed}"),
        "note": note,
        "question": "Meridian's default geo model on geo_all_channels: what does a fit cost, and "
        "do both libraries say the same of ROI?",
        "columns": {
            "seconds": "from imports' end to draws: stating the model, compiling, sampling",
            "min_ess": "the smallest of all that was sampled, bulk and tail",
            "roi": "mean, SD and 90 % interval",
        },
        "systems": systems,
        "rows": rows,
    }
    print(write("meridian_preset", result))


def _judged(name: str, found: dict[str, Any], folder: Path) -> tuple[dict[str, Any], Any]:
    """Return how a fit went, and what it says of ROI."""
    about = {"settings": SETTINGS[name], "versions": found.get("versions", {})}
    if "cold" not in found:
        return {**about, "failure": found.get("failure", "no draws")}, {}
    with np.load(folder / "cold.npz") as file:
        values = {key: file[key].astype(float) for key in file.files}
    judged = list(values) if name == OURS else POSTERIORS[MODEL].free
    verdict = bm.diagnose(tree({key: values[key] for key in judged}))
    cold = found["cold"]
    about |= {
        "seconds": found["build_seconds"] + cold["seconds"],
        "import_seconds": found["import_seconds"],
        "peak_mib": found["peak_mib"],
        "parameters": sum(int(np.prod(values[key].shape[2:])) for key in judged),
        "draws": int(np.prod(values[judged[0]].shape[:2])),
        "gradients": cold["gradients"],
        "divergences": cold["divergences"],
        "min_ess_bulk": verdict.min_ess_bulk,
        "min_ess_tail": verdict.min_ess_tail,
        "max_rhat": verdict.max_rhat,
    }
    roi = values[ROI[name]].reshape(-1, len(GEO_ALL_CHANNELS.channels))
    low, high = np.quantile(roi, INTERVAL, axis=0)
    told = {"mean": roi.mean(axis=0), "sd": roi.std(axis=0), "low": low, "high": high}
    return about, {key: value.tolist() for key, value in told.items()}


def _flat(columns: dict[str, dict[str, list[float]]]) -> list[tuple[str, str, list[float]]]:
    return [(name, key, v) for name, told in columns.items() for key, v in told.items()]
