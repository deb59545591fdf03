"""The built site must not ask another host for anything; a page that would fails the build."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError

_FETCHED = re.compile(
    r'<(?:script|img|iframe|source|link(?![^>]*rel="(?:canonical|prev|next)"))\b[^>]*?'
    r'(?:src|href)="(?:https?:)?//[^"]*"'
)
_STYLE = re.compile(r"(?:@import\s+|url\()[\"']?(?:https?:)?//[^)\"']*")


def on_post_build(config: MkDocsConfig) -> None:
    """Look through every page and style sheet."""
    found = []
    for path in sorted(Path(config.site_dir).rglob("*")):
        pattern = {".html": _FETCHED, ".css": _STYLE}.get(path.suffix)
        if pattern is not None:
            hits = pattern.findall(path.read_text(encoding="utf-8"))
            found += [f"{path.relative_to(config.site_dir)}: {hit}" for hit in hits]
    if found:
        raise PluginError("The site would fetch from another host:\n" + "\n".join(found))
