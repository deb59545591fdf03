"""Medians and spreads over repetitions, and ratios to the best peer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Row = dict[str, Any]
STAGES = ("cold", "warm")
FIGURES = (
    *(
        "seconds",
        "ess_bulk",
        "ess_tail",
        "ess_sd",
        "rhat",
        "divergences",
        "gradients",
        "gradients_warmup",
    ),
)
CONVERGED = 1.01


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Return median, smallest and largest of what is known; None if nothing is.

    Examples
    --------
    >>> spread([1.0, None, 3.0])
    {'median': 2.0, 'min': 1.0, 'max': 3.0}
    """
    known = [float(value) for value in values if value is not None]
    if not known:
        return None
    return {"median": float(np.median(known)), "min": min(known), "max": max(known)}


def by_system(records: Sequence[Mapping[str, Any]]) -> list[Row]:
    """Return one row for each posterior and system, in the order of the records."""
    cases = dict.fromkeys((one["model"], one["system"]) for one in records)
    return [_row(model, system, records) for model, system in cases]


def _row(model: str, system: str, records: Sequence[Mapping[str, Any]]) -> Row:
    own = [one for one in records if (one["model"], one["system"]) == (model, system)]
    row: Row = {"model": model, "system": system, "repetitions": len(own)}
    row["failures"] = sorted({one["failure"] for one in own if "failure" in one})
    for name in ("import_seconds", "build_seconds", "process_seconds", "peak_mib"):
        row[name] = spread(one.get(name) for one in own)
    for stage in STAGES:
        parts = [one[stage] for one in own if stage in one]
        found: dict[str, Any] = {name: spread(part.get(name) for part in parts) for name in FIGURES}
        found["ess_per_second"] = spread(part["ess_bulk"] / part["seconds"] for part in parts)
        found["runs"] = len(parts)
        row[stage] = found if parts else None
    return row


def ratios(rows: Sequence[Row], models: Sequence[str], ours: str) -> dict[str, Any]:
    """Return our ESS a second over that of the best peer, cold and warm, and the geometric means.

    The best peer is the one of the largest median on that posterior, converged or not. A
    posterior that we or all peers failed on has no ratio, and is named.

    Parameters
    ----------
    rows
        As `by_system` returns them.
    models
        Posteriors to count.
    ours
        Name of the system whose ratio is taken; variants of it, ``ours:...``, aren't peers.
    """
    out: dict[str, Any] = {}
    for stage in STAGES:
        found: dict[str, Any] = {}
        missing = []
        for model in models:
            speeds = {
                row["system"]: row[stage]["ess_per_second"]["median"]
                for row in rows
                if row["model"] == model and row[stage] is not None
            }
            peers = {name: v for name, v in speeds.items() if name.partition(":")[0] != ours}
            if not speeds.get(ours) or not any(peers.values()):
                missing.append(model)
                continue
            best = max(peers, key=lambda name: peers[name])
            found[model] = {
                "ours": speeds[ours],
                "best_peer": best,
                "peer": peers[best],
                "ratio": speeds[ours] / peers[best],
            }
        values = [part["ratio"] for part in found.values()]
        out[stage] = {
            "models": found,
            "missing": missing,
            "geometric_mean": geometric_mean(values),
            "smallest": min(values, default=None),
        }
    return out


def geometric_mean(values: Sequence[float]) -> float | None:
    """Return the geometric mean, None of nothing.

    Examples
    --------
    >>> geometric_mean([2.0, 8.0])
    4.0
    """
    if not values:
        return None
    return float(np.round(np.exp(np.mean(np.log(values))), 12))


def distances(
    shown: Mapping[str, Mapping[str, float]], truth: Mapping[str, Mapping[str, float]]
) -> tuple[float | None, float | None]:
    """Return how far draws are from the truth at most.

    Returns
    -------
    tuple
        The largest difference of a mean, in true SDs, and the largest relative difference of
        an SD; None where nothing is known.
    """
    known = {name: truth[name] for name in shown if truth.get(name, {}).get("sd", 0) > 0}
    means = [abs(shown[n]["mean"] - at["mean"]) / at["sd"] for n, at in known.items()]
    spreads = [abs(shown[n]["sd"] / at["sd"] - 1.0) for n, at in known.items()]
    return max(means, default=None), max(spreads, default=None)
