"""What a run has so far, on disk after each case, so that one cut short isn't lost."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.samplers.launch import STOPPED

Record = dict[str, Any]
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Partial:
    """The cases that are done, in a file of their own.

    Attributes
    ----------
    path
        The file; gone once the result is written, unless it is kept for further commands.
    key
        Settings and sources of the run: other ones begin anew.
    records
        One for each case.
    commands
        That have added to it.
    """

    path: Path
    key: str
    records: list[Record]
    commands: list[str]

    @classmethod
    def open(cls, path: Path, settings: Mapping[str, Any], *, fresh: bool = False) -> Partial:
        """Return what an earlier run with equal settings and sources left, or nothing."""
        key = json.dumps({**settings, "sources": sources()}, sort_keys=True)
        if path.is_file() and not fresh:
            left = json.loads(path.read_text(encoding="utf-8"))
            if left["key"] == key:
                print(f"going on after {len(left['records'])} cases, kept in {path.name}")
                return cls(path, key, left["records"], left["commands"])
            print(f"beginning anew: {path.name} is of other settings or sources")
        return cls(path, key, [], [])

    def has(self, system: str, model: str, repetition: int, limit: float) -> bool:
        """Return whether a case is done: it ended, or was stopped after no fewer seconds."""
        case = (system, model, repetition)
        return any(_case(one) == case and _allowed(one) >= limit for one in self.records)

    def add(self, record: Record) -> None:
        """Keep a case, in place of an earlier try of it."""
        self.records[:] = [one for one in self.records if _case(one) != _case(record)]
        self.records.append(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".new")
        text = json.dumps({**vars(self), "path": self.path.name})
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(self.path)

    def ordered(self, systems: Sequence[str], models: Sequence[str]) -> list[Record]:
        """Return a copy of all records: by posterior, system and repetition, in the order given.

        Those of a name that isn't given come last.
        """

        def place(one: Record) -> tuple[int, int, int]:
            model, system = one["model"], one["system"]
            return (
                models.index(model) if model in models else len(models),
                systems.index(system) if system in systems else len(systems),
                one["repetition"],
            )

        return [dict(one) for one in sorted(self.records, key=place)]

    @staticmethod
    def environments(records: Iterable[Record]) -> dict[str, dict[str, str]]:
        """Return the versions that each system ran with, taking them out of the records."""
        found: dict[str, dict[str, str]] = {}
        for one in records:
            found.setdefault(one["system"], {}).update(one.pop("versions", {}))
        return found

    def close(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


def _case(record: Record) -> tuple[str, str, int]:
    return record["system"], record["model"], record["repetition"]


def _allowed(record: Record) -> float:
    """Return the seconds for a sampling that this record answers for: any, if it wasn't stopped."""
    stopped = record.get("failure", "").startswith(STOPPED)
    return float(record["limit"]) if stopped else math.inf


def sources() -> str:
    """Return a digest of the package and of what is sampled."""
    digest = hashlib.sha256()
    files = (*ROOT.glob("bayes_mkt/**/*.py"), *ROOT.glob("benchmarks/peers/*.py"))
    for path in sorted(files):
        digest.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()[:16]
