"""The result as a page of tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.samplers.catalogue import COMPARABLE
from benchmarks.samplers.summary import CONVERGED, STAGES, distances
from benchmarks.samplers.systems import system

NOTE = (
    "Times are seconds, median (smallest to largest) over repetitions. *Cold* is the first "
    "sampling of a fresh process with empty compilation caches, compilation included, imports and "
    "the statement of the model not; *warm* is a second sampling in that process, with another "
    "seed. ESS (bulk, tail, and for the SD) are the smallest, R-hat is the largest, over all free "
    "parameters, the same for all systems, from the draws they left; ESS/s is bulk ESS over time. "
    "Gradients are those of all chains, warm-up included where the system tells (otherwise marked "
    "+). Those of bayes_mkt are of the density it samples, which may be the model with its "
    "linear-Gaussian part integrated out. A cross marks a median R-hat above 1.01."
)


def page(result: Mapping[str, Any]) -> str:
    """Return the whole page."""
    models = list(result["posteriors"])
    names = list(dict.fromkeys(row["system"] for row in result["summary"]))
    parts = ["# Samplers", _head(result), NOTE, "## Ratio to the best peer", _ratios(result)]
    for model in models:
        parts += [f"## {model}", f"{_sentence(result['posteriors'][model])}"]
        rows = [row for row in result["summary"] if row["model"] == model]
        for stage in STAGES:
            parts += [f"### {model}, {stage}", _speeds(rows, stage)]
        parts += [_failures(rows), f"### {model}, posterior means", _means(result, model)]
    parts += ["## Systems", _systems(result, names)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(columns) - 1)
    return "\n".join(f"| {' | '.join(line)} |" for line in (columns, rule, *rows))


def _head(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    note = f" Note: {result['note']}." if result["note"] else ""
    return (
        f"`{result['command']}`, {result['date']}, on {machine['system']}, "
        f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB.{note}"
    )


def number(value: float | None, digits: int = 3) -> str:
    """Return a figure with that many significant digits, in full where it is large."""
    if value is None:
        return "-"
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def _spread(part: Mapping[str, float] | None) -> str:
    if part is None:
        return "-"
    middle = number(part["median"])
    if part["min"] == part["max"]:
        return middle
    return f"{middle} ({number(part['min'])} to {number(part['max'])})"


def _title(name: str) -> str:
    return system(name).title


def _ratios(result: Mapping[str, Any]) -> str:
    columns = ["Posterior"]
    for stage in STAGES:
        columns += [f"{stage}: ESS/s", "best peer", "its ESS/s", "ratio"]
    rows = []
    for model in result["posteriors"]:
        line = [model]
        for stage in STAGES:
            one = result["ratios"][stage]["models"].get(model)
            line += (
                ["-"] * 4
                if one is None
                else [
                    number(one["ours"]),
                    _title(one["best_peer"]),
                    number(one["peer"]),
                    f"{one['ratio']:.2f}",
                ]
            )
        rows.append(line)
    means = ["geometric mean"]
    for stage in STAGES:
        mean = result["ratios"][stage]["geometric_mean"]
        means += ["", "", "", "-" if mean is None else f"{mean:.2f}"]
    text = _table(columns, [*rows, means])
    gaps = sorted({m for stage in STAGES for m in result["ratios"][stage]["missing"]})
    return text + (f"\n\nWithout a ratio: {', '.join(gaps)}." if gaps else "")


def _speeds(rows: Sequence[Mapping[str, Any]], stage: str) -> str:
    columns = [
        "System",
        "seconds",
        "ESS bulk",
        "ESS tail",
        "ESS sd",
        "R-hat",
        "divergences",
        "gradients",
    ]
    columns += ["ESS/s"] + (["imports", "process", "peak MiB"] if stage == "cold" else [])
    lines = []
    for row in rows:
        part = row[stage]
        if part is None:
            lines.append([_title(row["system"]), *["-"] * (len(columns) - 1)])
            continue
        cross = " ✗" if part["rhat"]["median"] > CONVERGED else ""
        lines.append(
            [
                _title(row["system"]),
                _spread(part["seconds"]),
                _spread(part["ess_bulk"]),
                _spread(part["ess_tail"]),
                _spread(part["ess_sd"]),
                f"{part['rhat']['median']:.3f}{cross}",
                _spread(part["divergences"]),
                _gradients(part),
                _spread(part["ess_per_second"]),
            ]
        )
        if stage == "cold":
            others = (row[name] for name in ("import_seconds", "process_seconds", "peak_mib"))
            lines[-1] += [_spread(value) for value in others]
    return _table(columns, lines)


def _gradients(part: Mapping[str, Any]) -> str:
    after, before = part["gradients"], part["gradients_warmup"]
    if after is None:
        return "-"
    if before is None:
        return f"{number(after['median'])} +"
    return number(after["median"] + before["median"])


def _failures(rows: Sequence[Mapping[str, Any]]) -> str:
    said = [f"- {_title(row['system'])}: {why}" for row in rows for why in row["failures"]]
    return "\n".join(said)


def _means(result: Mapping[str, Any], model: str) -> str:
    """Return posterior means (SD) of all systems side by side, from the first warm sampling."""
    found: dict[str, Mapping[str, Any]] = {}
    for one in result["records"]:
        part = one.get("warm") or one.get("cold")
        if one["model"] == model and part and one["system"] not in found:
            found[one["system"]] = part["shown"]
    if not found:
        return "No system has draws."
    truth = result["truth"][model]
    known = truth.get("values", {})
    names = list(dict.fromkeys(name for shown in found.values() for name in shown))
    columns = ["Parameter", *(["known"] if known else []), *map(_title, found)]
    rows = []
    for name in names:
        line = [name] + ([_pair(known.get(name))] if known else [])
        rows.append(line + [_pair(shown.get(name)) for shown in found.values()])
    text = _table(columns, rows)
    if not known:
        return text
    if truth["kind"] == COMPARABLE:
        gaps = [distances(shown, known) for shown in found.values()]
        rows.append(["largest error of a mean, SDs", "", *(number(gap, 2) for gap, _ in gaps)])
        rows.append(["largest error of an SD", "", *(_percent(gap) for _, gap in gaps)])
        text = _table(columns, rows)
    return f"{text}\n\nMean (SD). Known: {truth['source']}."


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _pair(entry: Mapping[str, float] | None) -> str:
    if entry is None:
        return "-"
    mean = f"{entry['mean']:.3f}"
    return f"{mean} ({entry['sd']:.3f})" if "sd" in entry else mean


def _systems(result: Mapping[str, Any], names: Sequence[str]) -> str:
    rows = []
    for name in names:
        used = result["environments"].get(name, {})
        versions = ", ".join(f"{package} {version}" for package, version in used.items())
        rows.append([_title(name), system(name).settings, versions or "-"])
    columns = ["System", "Settings", "Versions"]
    return "\n".join(f"| {' | '.join(r)} |" for r in (columns, ["---"] * 3, *rows))
