"""A directory of results: complete or absent, and never in place of someone's own files."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import bayes_mkt
from bayes_mkt.errors import SpecError

__all__ = ["MARKER", "check_target", "sign", "staged"]

MARKER: Final = "run.json"
WRITER: Final = "bayes-mkt"


def check_target(out: Path, *, overwrite: bool) -> None:
    """Raise unless results may be written to `out`.

    An existing directory is replaced only if `overwrite` is set and it is empty or was
    written by this program and holds nothing else.

    Raises
    ------
    SpecError
        If `out` is a file or a link, exists without `overwrite`, or holds other files.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise SpecError(f"--out {out} is not a directory. Name a directory to be made.")
    if not out.exists():
        return
    if not overwrite:
        raise SpecError(
            f"--out {out} exists already. Name another directory, or pass --overwrite to "
            "replace results of an earlier run."
        )
    foreign = sorted({entry.name for entry in out.iterdir()} - _written(out))
    if foreign:
        listed = ", ".join(map(repr, foreign[:3])) + (", ..." if len(foreign) > 3 else "")
        raise SpecError(
            f"--out {out} holds what bayes-mkt did not write ({listed}), so it is not "
            "replaced. Name another directory, or move those files."
        )


def _written(out: Path) -> set[str]:
    """Return the names in `out` that an earlier run recorded as its own."""
    try:
        record = json.loads((out / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    if not isinstance(record, dict) or record.get("written_by") != WRITER:
        return set()
    return {MARKER, *map(str, record.get("entries", ()))}


@contextmanager
def staged(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a directory beside `out` that becomes `out` if the block ends without an error.

    Whatever fails in the block, `out` is left as it was, and nothing else remains.

    Parameters
    ----------
    out
        The directory to make.
    overwrite
        Whether results of an earlier run at `out` may be replaced.

    Raises
    ------
    SpecError
        If `check_target` refuses `out`, or its parent can't be written to.
    """
    target = out.expanduser().absolute()
    check_target(target, overwrite=overwrite)
    made = [parent for parent in target.parents if not parent.exists()]
    holder: Path | None = None
    finished = False
    try:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            holder = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        except OSError as error:
            raise SpecError(f"--out {out} can't be written: {error.strerror}.") from error
        fresh = holder / "new"
        fresh.mkdir()
        yield fresh
        check_target(target, overwrite=overwrite)
        _swap(fresh, target, holder / "old")
        finished = True
    finally:
        if holder is not None and (finished or not (holder / "old").exists()):
            shutil.rmtree(holder, ignore_errors=True)
        if not finished:
            for parent in made:
                with contextlib.suppress(OSError):
                    parent.rmdir()


def sign(fresh: Path, record: Mapping[str, Any]) -> None:
    """Write ``run.json``: who wrote the directory, the names in it, and `record`.

    It is what lets a later run replace the directory, so it comes last.
    """
    entries = sorted(entry.name for entry in fresh.iterdir())
    content = {
        "written_by": WRITER,
        "version": bayes_mkt.__version__,
        "entries": entries,
        **record,
    }
    (fresh / MARKER).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _swap(fresh: Path, target: Path, old: Path) -> None:
    replaced = target.exists()
    if replaced:
        target.rename(old)
    try:
        fresh.rename(target)
    except OSError:
        if replaced:
            old.rename(target)
        raise
