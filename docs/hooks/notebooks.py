"""The executed notebooks become pages, with the outputs that they were saved with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
LISTING = "<!-- notebooks -->"


def _found() -> dict[Path, str]:
    """Return the path of each notebook's page, and its title by the notebook's first heading."""
    found = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        text = "\n".join(c.source for c in _cells(path) if c.cell_type == "markdown")
        heading = re.search(r"^# (.+)$", text, re.MULTILINE)
        found[path] = heading[1].strip() if heading else path.stem
    return found


def _cells(path: Path) -> list[Any]:
    return list(nbformat.read(path, as_version=4).cells)


def _fenced(text: str, language: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````"


def _output(output: Any) -> str:
    """Return one output of a cell as Markdown or HTML: the richest form that needs no script."""
    if output.output_type == "stream":
        return _fenced(output.text, "text") if output.name == "stdout" else ""
    if output.output_type == "error":
        raise ValueError(f"the notebook was saved with an error: {output.ename}: {output.evalue}")
    data = output.data
    if "image/png" in data:
        image = data["image/png"].replace("\n", "")
        return f'<img alt="Figure" src="data:image/png;base64,{image}">'
    if "image/svg+xml" in data:
        return f"<div>{data['image/svg+xml']}</div>"
    if "text/html" in data and "<script" not in data["text/html"]:
        return re.sub(r"\n\s*\n", "\n", f"<div>{data['text/html']}</div>")
    return _fenced(data.get("text/plain", ""), "text")


def _page(path: Path) -> str:
    parts = []
    for cell in _cells(path):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.cell_type == "code" and cell.source.strip():
            parts.append(_fenced(cell.source, "python"))
            parts += [text for text in map(_output, cell.outputs) if text]
    return "\n\n".join(parts)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the notebooks into the navigation."""
    pages = [{title: f"notebooks/{path.stem}.md"} for path, title in _found().items()]
    if pages:
        config.nav = [*(config.nav or []), {"Notebooks": pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make a page of each notebook."""
    for path in _found():
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=_page(path)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """List the notebooks where a page asks for it."""
    if LISTING not in markdown:
        return markdown
    links = [f"- [{title}](notebooks/{path.stem}.md)" for path, title in _found().items()]
    return markdown.replace(LISTING, "\n".join(links))
