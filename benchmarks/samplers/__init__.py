"""How fast, and how right? The default sampler and its peers on the same posteriors.

Each system samples each posterior in a process of its own, twice: cold, with everything still to be
compiled, and warm, with another seed in the same process. Draws of all systems are judged here, by
one function.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from benchmarks.environment import RESULTS, data_folder, described, write
from benchmarks.peers.protocol import Task
from benchmarks.samplers.catalogue import POSTERIORS, QUICK, SUITE
from benchmarks.samplers.launch import available, run
from benchmarks.samplers.markdown import page
from benchmarks.samplers.partial import Partial
from benchmarks.samplers.summary import by_system, ratios
from benchmarks.samplers.systems import OURS, QUICK_SYSTEMS, SYSTEMS, system
from benchmarks.samplers.verdict import judged

BESIDE = Path(__file__).parents[2].parent / "shared"


def measure(
    *,
    systems: list[str] | None = None,
    models: list[str] | None = None,
    repetitions: int | None = None,
    seed: int = 1,
    limit: float = 600.0,
    platform: Literal["cpu", "gpu"] = "cpu",
    data: Path | None = None,
    reference: Path | None = None,
    quick: bool = False,
    fresh: bool = False,
    keep: bool = False,
    note: str = "",
) -> None:
    """Compare `bm.sample` with other samplers: cold and warm time, ESS, R-hat, and the answers.

    A run that was cut short goes on where it stopped when it is started again with the same
    options and the same sources.

    Parameters
    ----------
    systems
        Which samplers; `bayes_mkt:nuts` is `bm.sample(sampler="nuts")`. All by default.
    models
        Which posteriors; the suite by default.
    repetitions
        Of each; 3 by default, 1 with `quick`.
    seed
        Of the first repetition.
    limit
        Seconds that one sampling may take before it is stopped and recorded as such. What was
        stopped after fewer is tried again.
    platform
        What JAX computes on.
    data
        The folder of real data; else that of BAYES_MKT_DATA, or `shared/data` beside the checkout.
    reference
        The folder of published answers, shown beside the means where it is found; else that
        of BAYES_MKT_REFERENCE, or `shared/reference` beside the checkout.
    quick
        Three small posteriors and three systems, once, into `samplers_quick`.
    fresh
        Whether to forget what a run that was cut short left.
    keep
        Whether further commands may add to this result, as other posteriors or more repetitions,
        if their seed and platform and the sources are the same.
    note
        A remark to keep with the result, such as what else the machine was doing.
    """
    chosen = models or list(QUICK if quick else SUITE)
    names = systems or list(QUICK_SYSTEMS if quick else SYSTEMS)
    count = repetitions or (1 if quick else 3)
    for name in names:
        system(name)
    folder = checked_folder(data, chosen)
    stem = "samplers_quick" if quick else "samplers"
    settings = {"seed": seed, "platform": platform, "quick": quick}
    partial = Partial.open(RESULTS / f"{stem}.partial.json", settings, fresh=fresh)
    command = _command(names, chosen, count, seed, limit, platform, quick)
    partial.commands.extend({command}.difference(partial.commands))
    missing = {name: available(name, platform) for name in names}
    for repetition in range(count):
        for model in chosen:
            for name in names:
                done = partial.has(name, model, repetition, limit)
                if done or not system(name).samples(model):
                    continue
                task = Task(name, model, seed + 10 * repetition, str(folder or ""), "", platform)
                record = _record(task, repetition, limit, missing[name])
                partial.add(record)
                print(told(record), flush=True)
    records = partial.ordered(list(SYSTEMS), list(POSTERIORS))
    rows = by_system(records)
    chosen = list(dict.fromkeys(row["model"] for row in rows))
    result = {
        **described("; ".join(partial.commands)),
        "note": note,
        "settings": settings,
        "environments": partial.environments(records),
        "posteriors": {name: POSTERIORS[name].about for name in chosen},
        "truth": {n: POSTERIORS[n].truth(reference_folder(reference)) for n in chosen},
        "summary": rows,
        "ratios": ratios(rows, chosen, OURS),
        "records": records,
    }
    print(write(stem, result))
    text = RESULTS / f"{stem}.md"
    text.write_text(page(result), encoding="utf-8")
    print(text)
    if not keep:
        partial.close()


def _record(task: Task, repetition: int, limit: float, missing: str) -> dict[str, Any]:
    """Return all that is kept of one system on one posterior in one repetition."""
    head: dict[str, Any] = {"system": task.system, "model": task.model}
    head |= {"repetition": repetition, "limit": limit}
    if missing:
        return {**head, "failure": missing}
    with run(task, limit) as (found, folder):
        stages: dict[str, Any] = {
            s: found[s] | judged(folder, s, task.model) for s in ("cold", "warm") if s in found
        }
        return {**head, **found, **stages}


def told(record: dict[str, Any]) -> str:
    """Return a record in one line."""
    head = f"{record['repetition']} {record['model']:18s} {record['system']:16s}"
    for stage in ("cold", "warm"):
        if stage in record:
            part = record[stage]
            head += (
                f" {stage} {part['seconds']:7.2f} s, ESS {part['ess_bulk']:6.0f}, "
                f"R-hat {part['rhat']:.3f};"
            )
    return f"{head} {record.get('failure', '')}".rstrip()


def checked_folder(given: Path | None, models: list[str]) -> Path | None:
    """Return the folder of real data, or end the run if a posterior needs it and it is absent."""
    folder = data_folder(given)
    for name in models:
        for file in POSTERIORS[name].files:
            if not folder.joinpath(file).is_file():
                raise SystemExit(
                    f"{name} needs {file}, which is not in {folder}. Name the folder that holds it "
                    "with --data or in BAYES_MKT_DATA, or choose other posteriors with --models."
                )
    return folder.resolve() if folder.is_dir() else None


def reference_folder(given: Path | None) -> Path | None:
    """Return the folder of published answers, None where there is none."""
    folder = given or Path(os.environ.get("BAYES_MKT_REFERENCE", BESIDE / "reference"))
    return folder if folder.is_dir() else None


def _command(
    names: list[str],
    models: list[str],
    count: int,
    seed: int,
    limit: float,
    platform: str,
    quick: bool,
) -> str:
    words = [f"--repetitions {count} --seed {seed} --limit {limit:g} --platform {platform}"]
    words += ["--quick"] * quick
    if names != list(QUICK_SYSTEMS if quick else SYSTEMS):
        words += [f"--systems {name}" for name in names]
    if models != list(QUICK if quick else SUITE):
        words += [f"--models {name}" for name in models]
    return "python -m benchmarks samplers " + " ".join(words)
