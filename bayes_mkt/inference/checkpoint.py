"""Where a run stands, on disk after every chunk, so that a killed run goes on bit for bit.

A checkpoint is a directory of three things: `about.json`, what the run was asked for and of which
model; `draws.zarr`, its draws; `state.npz`, where it stands. The last is replaced as a whole, after
the draws that it counts are written, and nothing is pickled.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bayes_mkt.errors import SpecError
from bayes_mkt.inference.metric import AlongAxes, Dense, InBlocks
from bayes_mkt.inference.state import State
from bayes_mkt.inference.store import Files, Folder
from bayes_mkt.inference.warmup import Tuning

ABOUT, STATE = "about.json", "state.npz"
FRESH = ".new"
FORMAT = 5
CLASSES = {kind.__name__: kind for kind in (State, Tuning, Dense, AlongAxes, InBlocks)}
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Progress:
    """How far a run has come, beside the state of its chains.

    Attributes
    ----------
    draws, chunks
        Drawn by each chain after warmup, and in how many chunks.
    diverging
        Number of diverging transitions.
    broken
        Stored variables with values that are not finite.
    next_check, expected
        Number of draws at the next check of the ESS, and at the end, as far as is known.
    seconds, warmup_seconds
        Since the run began, and of its warmup.
    finished
        Whether the run came to its end.
    """

    draws: int = 0
    chunks: int = 0
    diverging: int = 0
    broken: tuple[str, ...] = ()
    next_check: int = 0
    expected: float = 0.0
    seconds: float = 0.0
    warmup_seconds: float = 0.0
    finished: bool = False


class Checkpoint:
    """The directory of one run.

    Parameters
    ----------
    path
        The directory; made if it is absent.
    about
        What makes the run the one that it is: nested tables of plain values.
    capacity
        Most draws of a chain.

    Raises
    ------
    SpecError
        If the directory holds something else, or another run; names what differs.
    """

    def __init__(self, path: str | Path, about: Mapping[str, Any], capacity: int) -> None:
        self._path = Path(path)
        if self._path.exists() and not self._path.is_dir():
            raise SpecError(f"checkpoint={str(path)!r} is a file. Give a directory.")
        file = self._path / ABOUT
        if file.is_file():
            self._compare(file, {"format": FORMAT, **about})
        elif self._path.is_dir() and {f.name for f in self._path.iterdir()} - {ABOUT + FRESH}:
            raise SpecError(
                f"checkpoint={str(path)!r} holds files, but no run. Give a new directory."
            )
        else:
            self._path.mkdir(parents=True, exist_ok=True)
            text = json.dumps({"format": FORMAT, **about}, indent=2) + "\n"
            _replace(file, text.encode())
        self.files = Files(Folder(self._path), capacity)

    def _compare(self, file: Path, about: Mapping[str, Any]) -> None:
        try:
            found = json.loads(file.read_text())
        except ValueError as error:
            raise SpecError(f"{file} is not valid JSON: {error}.") from error
        unlike = _differences(found, json.loads(json.dumps(about)))
        if unlike:
            raise SpecError(
                f"checkpoint={str(self._path)!r} is of another run: {'; '.join(unlike)}. Give "
                "another directory, or delete this one."
            )

    def load(self) -> tuple[State, Progress] | None:
        """Return where the run stands; None at its beginning."""
        file = self._path / STATE
        if not file.is_file():
            return None
        with np.load(file, allow_pickle=False) as saved:
            first, *arrays = [saved[f"arr_{i}"] for i in range(len(saved.files))]
        table = json.loads(str(first))
        told = table["progress"]
        progress = Progress(**{**told, "broken": tuple(told["broken"])})
        return _unpacked(table["state"], arrays), progress

    def save(self, state: State, progress: Progress) -> None:
        """Write where the run stands, in place of what was there."""
        arrays: list[np.ndarray] = []
        told = {f.name: getattr(progress, f.name) for f in fields(progress)}
        about = json.dumps({"state": _packed(state, arrays), "progress": told})
        buffer = io.BytesIO()
        np.savez(buffer, np.asarray(about), *arrays)
        _replace(self._path / STATE, buffer.getvalue())


def _replace(file: Path, content: bytes) -> None:
    """Write a file such that it is there as a whole, or as it was before."""
    fresh = file.with_name(file.name + FRESH)
    with fresh.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)


def _packed(value: Any, arrays: list[np.ndarray]) -> Any:
    """Return a value for JSON; its arrays are added to `arrays`, and numbered."""
    if is_dataclass(value) and type(value).__name__ in CLASSES:
        inside = {f.name: _packed(getattr(value, f.name), arrays) for f in fields(value)}
        return {"class": type(value).__name__, "fields": inside}
    if isinstance(value, tuple):
        return {"tuple": [_packed(item, arrays) for item in value]}
    if value is None or type(value) in (bool, int, float, str):
        return value
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise TypeError(f"A run's state holds a {type(value).__name__}, which can't be saved.")
    arrays.append(array)
    return {"array": len(arrays) - 1}


def _unpacked(value: Any, arrays: list[np.ndarray]) -> Any:
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]][()]
    if "tuple" in value:
        return tuple(_unpacked(item, arrays) for item in value["tuple"])
    inside = {name: _unpacked(item, arrays) for name, item in value["fields"].items()}
    return CLASSES[value["class"]](**inside)


def _differences(found: Any, wanted: Any, where: str = "") -> list[str]:
    """Return in words where two nested tables differ; numbers of a model only nearly agree."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = list(dict.fromkeys([*found, *wanted]))
        return [
            difference
            for name in names
            for difference in _differences(
                found.get(name), wanted.get(name), f"{where} {name}".strip()
            )
        ]
    if (
        isinstance(found, float)
        and isinstance(wanted, float)
        and np.isclose(found, wanted, rtol=TOLERANCE, atol=0.0, equal_nan=True)
    ):
        return []
    return [] if found == wanted else [f"{where} is {_short(found)} there and {_short(wanted)} now"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
