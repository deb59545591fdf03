"""The part of the report that answers a reader: pick a region, point at a week."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
import xarray as xr

from bayes_mkt.dims import CHANNEL, DATE, REGION
from bayes_mkt.report import style
from bayes_mkt.report.formats import number
from bayes_mkt.report.summary import percent, select_texts
from bayes_mkt.report.views import Row, TableView

__all__ = ["ExploreView", "explore", "regions_view"]


@dataclass(frozen=True)
class ExploreView:
    """What the browser draws.

    Parameters
    ----------
    data
        JSON that can stand inside a page: no character in it begins a tag.
    code
        The script.
    caption
        What the marks mean.
    """

    data: str
    code: str
    caption: str
    kind: str = "explore"

    @property
    def allowed(self) -> str:
        """Return the source of the script for the page's content security policy."""
        digest = hashlib.sha256(self.code.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"


def explore(regional: xr.Dataset, interval: float) -> ExploreView:
    """Return the interactive part for what `bayes_mkt.media_mix.regional` summarised."""
    names = select_texts(regional, CHANNEL)
    money = str(regional["spend"].attrs["units"])
    colours = [style.PALETTE[i % len(style.PALETTE)] for i in range(len(names))]
    content = {
        "units": str(regional["observed"].attrs["units"]),
        "dates": [str(day)[:10] for day in regional[DATE].values],
        "channels": names,
        "media": [f"spend ({money})" if paid else "exposure" for paid in regional["paid"].values],
        "multipliers": [float(f) for f in regional["multiplier"].values],
        "colours": [style.BASELINE, *colours],
        "regions": [
            _region(regional.isel({REGION: g}), name)
            for g, name in enumerate(select_texts(regional, REGION))
        ],
    }
    code = (resources.files("bayes_mkt.report") / "templates" / "explore.js").read_text("utf-8")
    return ExploreView(
        data=escaped(content),
        code=code,
        caption=f"Points: observed sales. Line and band: median and {percent(interval)} interval "
        "of expected sales, and of incremental sales against spend; the dot is today's. Areas: "
        "posterior means of the baseline and of what each channel contributed. Where a region's "
        "sales are missing at a date, all regions together are the others.",
    )


def regions_view(regional: xr.Dataset) -> TableView:
    """Return the same in a table, for readers on paper or without a script."""
    names = select_texts(regional, CHANNEL)
    rows = []
    for g, name in enumerate(select_texts(regional, REGION)):
        own = regional.isel({REGION: g})
        values = [own["observed"].sum(DATE), own["baseline"].sum(DATE)]
        values += [own["contribution"].isel({CHANNEL: m}).sum(DATE) for m in range(len(names))]
        rows.append(Row((name,), tuple(number(float(value)) for value in values)))
    units = regional["observed"].attrs["units"]
    return TableView(
        f"Sales by region over all dates, posterior means, in {units}",
        ("Region",),
        ("Observed", "Baseline", *names),
        tuple(rows),
    )


def escaped(content: object) -> str:
    r"""Return JSON that no HTML parser reads as markup.

    Examples
    --------
    >>> print(escaped("</script>"))
    "\u003c/script\u003e"
    """
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _region(own: xr.Dataset, name: str) -> dict[str, Any]:
    low, middle, high = (own["expected"].isel(bound=i).values for i in range(3))
    curves = own["curve"].transpose(CHANNEL, "multiplier", "bound").values
    return {
        "name": name,
        "observed": _rounded(own["observed"].values),
        "low": _rounded(low),
        "middle": _rounded(middle),
        "high": _rounded(high),
        "baseline": _rounded(own["baseline"].values),
        "parts": [_rounded(part) for part in own["contribution"].transpose(CHANNEL, DATE).values],
        "curves": [
            {
                "spend": _rounded(np.atleast_1d(own["spend"].values[m]))[0],
                **{word: _rounded(curve[:, i]) for i, word in enumerate(("low", "middle", "high"))},
            }
            for m, curve in enumerate(curves)
        ],
    }


def _rounded(values: np.ndarray) -> list[float | None]:
    """Return values with five significant digits, None for those that aren't finite."""
    return [float(f"{v:.5g}") if np.isfinite(v) else None for v in np.asarray(values, dtype=float)]
