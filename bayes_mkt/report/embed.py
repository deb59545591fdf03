"""Figures as text inside one HTML file."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass

from matplotlib.figure import Figure

__all__ = ["FigureView", "embed"]

PIXELS_PER_INCH = 96


@dataclass(frozen=True)
class FigureView:
    """One figure as the page shows it.

    Parameters
    ----------
    source
        ``data:`` address with the drawing itself.
    alt
        What the figure shows, for readers who do not see it.
    caption
        What the marks mean, shown below the figure.
    width, height
        Size in CSS pixels before it is fitted to the page.
    """

    source: str
    alt: str
    caption: str
    width: int
    height: int
    kind: str = "figure"


def embed(figure: Figure, alt: str, caption: str) -> FigureView:
    """Draw a figure as SVG and pack it into a ``data:`` address.

    Text is drawn as outlines, so that the page needs no font, and the drawing stands in an
    ``img`` element, where a browser runs no script and loads nothing. The same figure gives
    the same bytes: the drawing carries no date, and its random identifiers are numbered.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", facecolor="white", metadata={"Date": None})
    drawing = _numbered(buffer.getvalue())
    packed = base64.b64encode(drawing.encode()).decode("ascii")
    width, height = figure.get_size_inches()
    return FigureView(
        source=f"data:image/svg+xml;base64,{packed}",
        alt=alt,
        caption=caption,
        width=round(width * PIXELS_PER_INCH),
        height=round(height * PIXELS_PER_INCH),
    )


def _numbered(drawing: str) -> str:
    """Replace the random identifiers of clip paths, hatches and markers by numbers."""
    found = dict.fromkeys(re.findall(r'id="([a-z]+[0-9a-f]{10})"', drawing))
    names = {name: f"n{i}" for i, name in enumerate(found)}
    if not names:
        return drawing
    pattern = re.compile("|".join(map(re.escape, names)))
    return pattern.sub(lambda match: names[match.group()], drawing)
