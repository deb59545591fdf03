"""The reference follows from `bayes_mkt/__init__.pyi`: one page for each room with public names."""

from __future__ import annotations

import ast
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

STUB = Path(__file__).parents[2] / "bayes_mkt" / "__init__.pyi"
TITLES = {
    "media_mix": "Media mix",
    "targeting": "Targeting",
    "fit": "Fitting",
    "refit": "Fitting",
    "inference": "Fitting",
    "publish": "Report",
    "report": "Report",
    "simulate": "Simulation",
    "priors": "Priors",
    "errors": "Errors",
    "dims": "Dimensions",
}


def public_names() -> dict[str, list[str]]:
    """Return the public names by the title of their page, in the order of `TITLES`."""
    pages: dict[str, list[str]] = {title: [] for title in TITLES.values()}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                room = (node.module or alias.name).split(".")[0]
                title = TITLES.get(room, room.replace("_", " ").capitalize())
                pages.setdefault(title, []).append(alias.name)
    return {title: names for title, names in pages.items() if names}


def _path(title: str) -> str:
    return f"reference/{title.lower().replace(' ', '_')}.md"


def _page(title: str, names: list[str]) -> str:
    package = Path(STUB).parent
    lines = [f"# {title}", ""]
    for name in names:
        is_module = (package / name / "__init__.py").exists() or (package / f"{name}.py").exists()
        lines.append(f"::: bayes_mkt.{name}")
        if is_module and f"from . import {name} as {name}" in STUB.read_text(encoding="utf-8"):
            lines += ["    options:", "      show_root_full_path: true"]
        lines.append("")
    return "\n".join(lines)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages into the navigation."""
    pages = [{title: _path(title)} for title in public_names()]
    config.nav = [*(config.nav or []), {"Reference": pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the pages."""
    for title, names in public_names().items():
        files.append(File.generated(config, _path(title), content=_page(title, names)))
    return files
