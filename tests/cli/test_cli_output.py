"""The directory of results: all or nothing, and only over an earlier run's."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from bayes_mkt.cli.output import MARKER, check_target, sign, staged
from bayes_mkt.errors import SpecError


def make(out: Path, content: str = "one", *, overwrite: bool = False) -> None:
    with staged(out, overwrite=overwrite) as folder:
        (folder / "report.html").write_text(content)
        (folder / "fit").mkdir()
        (folder / "fit" / "draws.nc").write_text(content)
        sign(folder, {"command": "media-mix", "seed": 1})


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_finished_run_leaves_its_directory_and_nothing_else(tmp_path: Path) -> None:
    make(tmp_path / "a" / "b" / "out")
    expected = ["fit", "fit/draws.nc", "report.html", MARKER]
    assert tree(tmp_path / "a" / "b" / "out") == sorted(expected)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["out"]
    record = json.loads((tmp_path / "a" / "b" / "out" / MARKER).read_text())
    assert record["written_by"] == "bayes-mkt"
    assert record["entries"] == ["fit", "report.html"]
    assert record["seed"] == 1


def test_the_directory_has_ordinary_permissions(tmp_path: Path) -> None:
    make(tmp_path / "out")
    (tmp_path / "plain").mkdir()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out", "plain")]
    assert modes[0] == modes[1]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_run_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        with staged(tmp_path / "a" / "out", overwrite=False) as folder:
            (folder / "report.html").write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert tree(tmp_path) == []


def test_a_failed_run_leaves_the_earlier_results(tmp_path: Path) -> None:
    make(tmp_path / "out", "one")
    before = tree(tmp_path)

    def fail() -> None:
        with staged(tmp_path / "out", overwrite=True) as folder:
            (folder / "report.html").write_text("two")
            raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        fail()
    assert tree(tmp_path) == before
    assert (tmp_path / "out" / "report.html").read_text() == "one"


def test_existing_results_need_overwrite(tmp_path: Path) -> None:
    make(tmp_path / "out", "one")
    with pytest.raises(SpecError, match=r"exists already.*--overwrite"):
        make(tmp_path / "out", "two")
    make(tmp_path / "out", "two", overwrite=True)
    assert (tmp_path / "out" / "report.html").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_directory_may_be_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    make(tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("marker", [None, "{", "[]", '{"written_by": "someone"}'])
def test_a_directory_of_someone_else_is_never_replaced(tmp_path: Path, marker: str | None) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("ten years")
    if marker is not None:
        (out / MARKER).write_text(marker)
    before = tree(out)
    with pytest.raises(SpecError, match=r"bayes-mkt did not write.*thesis\.tex"):
        make(out, overwrite=True)
    assert tree(out) == before


def test_a_file_added_to_results_protects_them(tmp_path: Path) -> None:
    make(tmp_path / "out")
    (tmp_path / "out" / "notes.md").write_text("mine")
    with pytest.raises(SpecError, match=r"notes\.md"):
        make(tmp_path / "out", "two", overwrite=True)
    assert (tmp_path / "out" / "notes.md").read_text() == "mine"
    assert (tmp_path / "out" / "report.html").read_text() == "one"


def test_a_file_added_while_the_run_goes_on_protects_them(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def race() -> None:
        with staged(out, overwrite=False) as folder:
            sign(folder, {})
            out.mkdir()
            (out / "mine").touch()

    with pytest.raises(SpecError, match="exists already"):
        race()
    assert tree(tmp_path) == ["out", "out/mine"]


def test_a_file_or_a_link_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    make(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("file", "link"):
        with pytest.raises(SpecError, match="is not a directory"):
            check_target(tmp_path / name, overwrite=True)


def test_a_parent_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SpecError, match="can't be written"):
        make(tmp_path / "file" / "out")
    assert tree(tmp_path) == ["file"]
