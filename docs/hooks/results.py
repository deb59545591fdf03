"""Tables of the benchmarks' results, written when the site is built from their JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
_MARK = re.compile(
    r"^<!-- (coverage|ranks|fits|ratios|refits|growth|run): (\w+) -->$", re.MULTILINE
)


def _load(name: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return result


def _table(columns: list[str], rows: list[list[str]]) -> str:
    aligned = ["---"] + ["---:"] * (len(columns) - 1)
    lines = [columns, aligned, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _coverage(result: dict[str, Any]) -> str:
    """Return the share of intervals that hold the truth, by quantity."""
    rows = [
        [
            part["what"],
            f"{part['held']} of {part['cases']}",
            f"{part['share']:.0%}",
            f"{part['share_low']:.0%} to {part['share_high']:.0%}",
            f"{part['mean_width']:.2f}",
        ]
        for part in result["coverage"]
    ]
    return _table(["Quantity", "Truth inside", "Share", "95 % interval", "Mean width"], rows)


def _ranks(result: dict[str, Any]) -> str:
    """Return what the ranks of the truth among the draws say, by quantity."""
    rows = [
        [
            part["what"],
            str(part["cases"]),
            f"{part['truth_below']}",
            f"{part['truth_above']}",
            f"{part['mean_rank']:.3f}",
            f"{part['rank_ks_p']:.2f}",
        ]
        for part in result["coverage"]
    ]
    columns = ["Quantity", "Cases", "Truth below", "Truth above", "Mean rank", "p, uniform"]
    return _table(columns, rows)


def _fits(result: dict[str, Any]) -> str:
    """Return a sentence on convergence and time."""
    verdicts, seconds = result["verdicts"], result["seconds"]
    return (
        f"{verdicts['converged']} of {verdicts['fits']} fits converged; {verdicts['divergences']} "
        f"divergences in all; largest R-hat {verdicts['largest_rhat']:.3f}, smallest ESS "
        f"{verdicts['smallest_ess']:.0f}. A fit took {seconds['later_median']:.0f} s (median; "
        f"{seconds['later_min']:.0f} to {seconds['later_max']:.0f} s), the first, which compiles, "
        f"{seconds['first']:.0f} s."
    )


def _ratios(result: dict[str, Any]) -> str:
    """Return the speed of each posterior beside that of the best other system."""
    cold, warm = (result["ratios"][stage]["models"] for stage in ("cold", "warm"))
    rows = []
    for name in cold:
        cells = [f"`{name}`"]
        for part in (cold[name], warm[name]):
            cells += [f"{part['ours']:,.0f}", part["best_peer"], f"{part['ratio']:.2g}"]
        rows.append(cells)
    columns = [
        "Posterior",
        "cold, ESS/s",
        "best peer",
        "ratio",
        "warm, ESS/s",
        "best peer",
        "ratio",
    ]
    return _table(columns, rows)


def _refits(result: dict[str, Any]) -> str:
    """Return a sentence on the time of a refit beside that of a cold fit."""
    share = result["ratio"]
    gap = max(row["gap"] for row in result["rows"] if "gap" in row)
    return (
        f"A refit took {share['same']:.2f} of the time of a cold fit in the process of the earlier "
        f"fit, and {share['next']:.2f} of it in a new process; no posterior mean differed by more "
        f"than {gap:.1f} Monte Carlo standard errors. The aim is {result['limit']:g}."
    )


def _growth(result: dict[str, Any]) -> str:
    """Return what a fit costs as each side of a panel grows."""
    rows = []
    for part in result["rows"]:
        row = [str(part[name]) for name in ("regions", "weeks", "channels")]
        if "failure" in part:
            row += [part["failure"], *["-"] * 4]
        else:
            row += [f"{part[f'{stage}_seconds']:.0f}" for stage in ("cold", "warm")]
            row += [f"{part['min_ess']:,.0f}", f"{part['max_rhat']:.3f}"]
            row.append(f"{part['peak_mib'] / 1024:.1f}")
        rows.append(row)
    columns = ["Regions", "Weeks", "Channels", "cold, s", "warm, s", "smallest ESS", "R-hat", "GiB"]
    return _table(columns, rows)


def _run(result: dict[str, Any]) -> str:
    """Return a sentence on when, where and with what."""
    machine, versions = result["machine"], result["versions"]
    used = ", ".join(f"{name} {version}" for name, version in versions.items())
    note = f" Note: {result['note']}." if result["note"] else ""
    return (
        f"`{result['command']}`, {result['date']}, on {machine['system']}, "
        f"{machine['processor']}, {machine['cores']} cores ({machine['jax_devices']} used by "
        f"JAX); {used}.{note}"
    )


_WRITERS = {
    "coverage": _coverage,
    "ranks": _ranks,
    "fits": _fits,
    "ratios": _ratios,
    "refits": _refits,
    "growth": _growth,
    "run": _run,
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the table or sentence where a page asks for it, as `<!-- coverage: roi_coverage -->`."""
    return _MARK.sub(lambda match: _WRITERS[match[1]](_load(match[2])), markdown)
