"""Every notebook runs from top to bottom, and was saved with its outputs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))
SECONDS_A_CELL = 300
PLACE = re.compile(r"(?:^|[\s'\"(=])(?:/(?:home|root|tmp|usr|work|opt|Users|var)/|[A-Z]:\\)")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_cells(path: Path) -> list[Any]:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell: Any) -> list[str]:
    """Return every text that a cell shows."""
    shown = []
    for output in cell.outputs:
        shown.append(output.get("text", ""))
        shown += [v for k, v in output.get("data", {}).items() if k.startswith("text/")]
    return shown


def shown(cell: Any) -> int:
    """Return how many figures and values a cell shows; text comes in any number of pieces."""
    return sum(output.output_type != "stream" for output in cell.get("outputs", []))


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@each_notebook
def test_saved_as_executed_in_order(path: Path) -> None:
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert kinds <= {"execute_result", "display_data", "stream"}
    assert path.stat().st_size < 2_000_000


@each_notebook
def test_saved_outputs_hold_no_noise_and_name_no_place(path: Path) -> None:
    for cell in code_cells(path):
        assert not any(output.get("name") == "stderr" for output in cell.outputs)
        assert cell.metadata == {}
        for text in texts(cell):
            assert "<progress" not in text
            assert PLACE.search(text) is None, text


@each_notebook
def test_runs(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    saved = list(map(shown, notebook.cells))
    client = NotebookClient(
        notebook, timeout=SECONDS_A_CELL, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert list(map(shown, notebook.cells)) == saved
