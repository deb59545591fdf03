"""What does a fit cost as the panel grows? Time and memory against regions, weeks and channels."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import RESULTS, described, write
from benchmarks.peers.protocol import without_paths
from benchmarks.samplers.launch import ROOT, environment

CENTRE = {"regions": 50, "weeks": 104, "channels": 4}
GRID = {
    "regions": (10, 25, 50, 100, 200),
    "weeks": (52, 104, 156, 208),
    "channels": (2, 4, 8, 12),
}
# A retailer's whole market.
LARGEST = {"regions": 200, "weeks": 156, "channels": 10}
QUICK_CENTRE = {"regions": 10, "weeks": 52, "channels": 2}
QUICK_GRID = {"regions": (5, 10), "weeks": (52,), "channels": (2, 3)}
COLUMNS = {
    "cold_seconds": "cold, s",
    "warm_seconds": "warm, s",
    "gradient_microseconds": "gradient of one chain, µs",
    "min_ess": "smallest ESS",
    "max_rhat": "R-hat",
    "draws": "draws a chain",
    "peak_mib": "peak memory, MiB",
}


def measure(
    *,
    sizes: list[str] | None = None,
    seed: int = 1,
    limit: float = 1800.0,
    quick: bool = False,
    note: str = "",
) -> None:
    """Fit a media mix to simulated panels of growing size, each in a process of its own.

    Regions, weeks and channels grow one at a time from 50 x 104 x 4; 200 x 156 x 10 comes last.

    Parameters
    ----------
    sizes
        Only these, each as regions x weeks x channels without spaces (200x156x10), into
        `growth_sizes`.
    seed
        Of panels and fits.
    limit
        Seconds that a point may take before it is stopped and recorded as such.
    quick
        A few tiny panels, into `growth_quick`.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    if quick and sizes:
        raise SystemExit("--quick has sizes of its own: leave out --sizes, or --quick.")
    rows = []
    asked = [size_of(text) for text in sizes or []]
    grid = points(QUICK_CENTRE, QUICK_GRID) if quick else [*points(CENTRE, GRID), LARGEST]
    for size in asked or grid:
        rows.append({**size, **costs(size, seed, limit)})
        print(rows[-1], flush=True)
    words = f"--seed {seed} --limit {limit:g}" + " --quick" * quick
    words += "".join(f" --sizes {text}" for text in sizes or [])
    result = {
        **described(f"python -m benchmarks growth {words}"),
        "note": note,
        "question": (
            "seconds of `bm.fit(MediaMix(knots=2, seasonality=Fourier(2)), panel)`, cold "
            "(compilation included, empty cache) and again with another seed; microseconds of "
            "value and gradient of what is sampled, per chain of a batch of 8; the worse ESS and "
            "R-hat and the most draws of the two fits; peak memory of the process"
        ),
        "rows": rows,
    }
    stem = "growth_quick" if quick else "growth_sizes" if asked else "growth"
    print(write(stem, result))
    (RESULTS / f"{stem}.md").write_text(page(result), encoding="utf-8")


def points(centre: Mapping[str, int], grid: Mapping[str, Sequence[int]]) -> list[dict[str, int]]:
    """Return the sizes to measure: each dimension on its own, from the centre.

    Examples
    --------
    >>> points({"regions": 2, "weeks": 5}, {"regions": (1, 2), "weeks": (5, 6)})
    [{'regions': 1, 'weeks': 5}, {'regions': 2, 'weeks': 5}, {'regions': 2, 'weeks': 6}]
    """
    sizes = [{**centre, name: value} for name, values in grid.items() for value in values]
    return [size for i, size in enumerate(sizes) if size not in sizes[:i]]


def size_of(text: str) -> dict[str, int]:
    """Return the size that ``regions x weeks x channels`` states.

    Examples
    --------
    >>> size_of("200x156x10")
    {'regions': 200, 'weeks': 156, 'channels': 10}
    """
    parts = text.split("x")
    if len(parts) != len(CENTRE) or not all(part.isdecimal() and int(part) for part in parts):
        raise SystemExit(
            f"--sizes {text!r} isn't regions x weeks x channels: write three whole numbers "
            "above zero, such as 200x156x10."
        )
    return dict(zip(CENTRE, map(int, parts), strict=True))


def costs(size: Mapping[str, int], seed: int, limit: float) -> dict[str, Any]:
    """Return the figures of one size, measured in a new process with empty caches."""
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        folder = Path(name)
        task = folder / "task.json"
        task.write_text(json.dumps({**size, "seed": seed}), encoding="utf-8")
        try:
            made = subprocess.run(
                [sys.executable, "-m", "benchmarks.growth.point", str(task)],
                env=environment(folder, "cpu"),
                cwd=ROOT,
                capture_output=True,
                text=True,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return {"failure": f"stopped: more than {limit:g} s"}
        result = folder / "result.json"
        if made.returncode or not result.is_file():
            last = (made.stderr.strip().splitlines() or ["no reason given"])[-1]
            return {"failure": without_paths(last)}
        return dict(json.loads(result.read_text(encoding="utf-8")))


def page(result: Mapping[str, Any]) -> str:
    """Return the result as Markdown."""
    sizes = list(CENTRE)
    lines = [f"| {' | '.join([*sizes, *COLUMNS.values()])} |"]
    lines += [f"|{' ---: |' * (len(sizes) + len(COLUMNS))}"]
    for row in result["rows"]:
        cells = [str(row[name]) for name in sizes]
        if "failure" in row:
            cells += [row["failure"], *["-"] * (len(COLUMNS) - 1)]
        else:
            cells += [f"{row[name]:,.4g}" for name in COLUMNS]
        lines.append(f"| {' | '.join(cells)} |")
    machine = result["machine"]
    note = f" Note: {result['note']}." if result["note"] else ""
    said = f"{result['question'][0].upper()}{result['question'][1:]}."
    where = f"{machine['system']}, {machine['processor']}, {machine['cores']} cores"
    end = f"`{result['command']}`, {result['date']}, on {where}.{note}"
    return "\n".join(["# Growth", "", said, "", *lines, "", end, ""])
