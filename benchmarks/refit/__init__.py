"""Four more weeks arrive: what does a refit cost beside a cold fit of all weeks?"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.environment import RESULTS, described, write
from benchmarks.peers.protocol import without_paths
from benchmarks.samplers import checked_folder
from benchmarks.samplers.launch import ROOT, environment

LIMIT = 0.25  # of a cold fit's time
WAYS = {
    "earlier": "fit of the weeks before, empty cache",
    "next": "refit in a new process, which loads the saved fit and finds what its fit compiled",
    "same": "refit in the process of the earlier fit",
    "cold": "fit of all weeks in a new process, empty cache",
}


def measure(
    *, data: Path | None = None, repetitions: int = 3, weeks: int = 4, seed: int = 1, note: str = ""
) -> None:
    """Time `bm.refit` with new weeks on Meridian's `geo_media` panel, beside a cold `bm.fit`.

    Parameters
    ----------
    data
        The folder of real data; else that of BAYES_MKT_DATA, or `shared/data` beside the checkout.
    repetitions
        Of all, each with seeds of its own.
    weeks
        How many weeks are new.
    seed
        Of the first repetition.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    folder = checked_folder(data, ["geo_media"])
    rows: list[dict[str, Any]] = []
    for repetition in range(repetitions):
        found = once(str(folder), weeks, seed + 10 * repetition)
        rows += [{"repetition": repetition, "way": way, **part} for way, part in found.items()]
        print(rows[-len(found) :], flush=True)
    medians = {
        way: statistics.median(r["seconds"] for r in rows if r["way"] == way) for way in WAYS
    }
    ratios = {way: medians[way] / medians["cold"] for way in ("next", "same")}
    result = {
        **described(
            f"python -m benchmarks refit --repetitions {repetitions} --weeks {weeks} --seed {seed}"
        ),
        "note": note,
        "question": (
            f"seconds of `bm.refit` with {weeks} new weeks on geo_media, spec "
            "`bm.MediaMix.meridian()`, from the call to the fit, beside `bm.fit` of all weeks; "
            "largest gap of a posterior mean in Monte Carlo SE, and largest ratio of SDs"
        ),
        "limit": LIMIT,
        "ratio": ratios,
        "rows": rows,
    }
    print(write("refit", result))
    text = RESULTS / "refit.md"
    text.write_text(page(result), encoding="utf-8")
    print(text.read_text(encoding="utf-8"))


def once(data: str, weeks: int, seed: int) -> dict[str, dict[str, Any]]:
    """Return the figures of one repetition, by way."""
    with tempfile.TemporaryDirectory(prefix="refit-") as name:
        known, again, fresh = (Path(name) / part for part in ("known", "again", "fresh"))
        for folder in (known, again, fresh):
            folder.mkdir()
        told = {"data": data, "weeks": weeks, "seed": seed, "saved": str(known / "earlier")}
        found = _process("earlier", told, known)
        found |= _process("next", told, known)
        # In a cache of its own: else one refit would find what the other has compiled.
        found |= _process("same", told | {"saved": str(again / "earlier")}, again)
        found |= _process("cold", told | {"refits": [str(known / "next")]}, fresh)
        return found


def _process(way: str, told: Mapping[str, Any], folder: Path) -> dict[str, dict[str, Any]]:
    task = folder / "task.json"
    task.write_text(json.dumps({**told, "way": way}), encoding="utf-8")
    made = subprocess.run(
        [sys.executable, "-m", "benchmarks.refit.stage", str(task)],
        env=environment(folder, "cpu"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        last = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SystemExit(f"refit: {way} failed: {without_paths(last)}")
    return dict(json.loads((folder / "result.json").read_text(encoding="utf-8")))


def page(result: Mapping[str, Any]) -> str:
    """Return the result as Markdown."""
    lines = ["| What | seconds | of a cold fit | smallest ESS | k-hat | gap, SE | SD ratio |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    cold = statistics.median(r["seconds"] for r in result["rows"] if r["way"] == "cold")
    for way, words in WAYS.items():
        rows = [r for r in result["rows"] if r["way"] == way]
        times = [r["seconds"] for r in rows]
        spread = f"{statistics.median(times):.1f} ({min(times):.1f} to {max(times):.1f})"
        cells = [spread, f"{statistics.median(times) / cold:.2f}"]
        cells.append(f"{min(r['min_ess'] for r in rows):,.0f}")
        for key in ("khat", "gap", "ratio"):
            known = [r[key] for r in rows if key in r]
            cells.append(f"{max(known):.2f}" if known else "-")
        lines.append(f"| {words} | {' | '.join(cells)} |")
    machine = result["machine"]
    note = f" Note: {result['note']}." if result["note"] else ""
    where = f"{machine['system']}, {machine['processor']}, {machine['cores']} cores"
    end = f"`{result['command']}`, {result['date']}, on {where}.{note}"
    said = f"{result['question'][0].upper()}{result['question'][1:]}."
    return "\n".join(["# Refit", "", said, "", *lines, "", end, ""])
