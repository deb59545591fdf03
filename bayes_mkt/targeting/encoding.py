"""Customer features as codes: labels and bins, kept so that other customers are read alike."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import helmert

from bayes_mkt.frames import Column, Problems, counted, listed

__all__ = ["Encoding", "Feature"]

Array = NDArray[Any]
MISSING = "(missing)"
SLOPED = 6  # levels, at most, that need no slope
FINE = 64  # bins of a number whose effect is linear


@dataclass(frozen=True)
class Feature:
    """How one column becomes codes 0, 1, ..., and codes become columns of a design matrix.

    Parameters
    ----------
    name
        Of the column.
    kind
        `"label"` or `"number"`.
    levels
        Names of the codes.
    cuts
        Numbers only: code j holds values from cut j - 1 up to, not including, cut j.
    scores
        Numbers only: the mean of the values of each code, standardised over customers.
    share
        Share of customers with each code, by which columns are centred.
    exact
        Whether each code stands for one value, so that binning loses nothing.
    linear
        Whether the effect is linear in the value, by the means of fine bins: the design then holds
        the slope, and a column for missing values if there are any.
    """

    name: str
    kind: Literal["number", "label"]
    levels: tuple[str, ...]
    share: tuple[float, ...]
    cuts: tuple[float, ...] = ()
    scores: tuple[float, ...] = ()
    exact: bool = True
    linear: bool = False

    @property
    def sloped(self) -> bool:
        """Whether the design holds a slope beside a column for each of many levels."""
        return self.kind == "number" and len(self.levels) > SLOPED

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the feature's columns in the design."""
        if self.linear:
            lost = (f"{self.name} {MISSING}",) if MISSING in self.levels else ()
            return (f"{self.name} (slope)", *lost)
        contrasts = tuple(f"{self.name} [{j}]" for j in range(1, len(self.levels)))
        return (f"{self.name} (slope)", *contrasts) if self.sloped else contrasts

    @property
    def groups(self) -> tuple[str, ...]:
        """For each column, the group of columns whose effects share a spread."""
        return tuple(c if c == f"{self.name} (slope)" else self.name for c in self.columns)

    @property
    def table(self) -> Array:
        """Return the columns of each code, centred over customers (code, column).

        Independent effects of equal spread of each level, less their mean over customers, are
        those of orthonormal contrasts between levels: one dimension fewer, of which nothing could
        be learned. Of two levels one column is the second's indicator.
        """
        count = len(self.levels)
        if self.linear:
            lost = [float(level == MISSING) for level in self.levels]
            both = np.column_stack([self.scores, lost] if any(lost) else [self.scores])
            return np.asarray(both - np.asarray(self.share) @ both)
        parts = np.eye(count)[:, 1:] if count < 3 else helmert(count).T
        if self.sloped:
            parts = np.column_stack([self.scores, parts])
        return np.asarray(parts - np.asarray(self.share) @ parts)

    def encode(self, values: Array, problems: Problems) -> Array:
        """Return the code of each value (n,), noting labels that are not among the levels."""
        if self.kind == "number":
            codes = np.searchsorted(np.asarray(self.cuts), values, side="right")
            absent = np.isnan(values)
            values = np.where(absent, "", values.astype(object))
        else:
            order = np.argsort(np.asarray(self.levels, dtype=object))
            known = np.asarray(self.levels, dtype=object)[order]
            at = np.minimum(np.searchsorted(known, values), len(known) - 1)
            codes, absent = order[at], known[at] != values
        if absent.any():
            if MISSING in self.levels:
                lost = values == ""
                codes = np.where(lost, self.levels.index(MISSING), codes)
                absent &= ~lost
            new = [repr(v) if v != "" else "a missing value" for v in values[absent]]
            if new:
                what = listed(dict.fromkeys(new))
                problems.add(
                    f"feature {self.name!r} has {counted(len(new), 'value')} that the model was "
                    f"not made with: {what}. Map them to known ones ({listed(self.levels)}), or "
                    "make the campaign from a frame that has them."
                )
        return codes.astype(np.int16)


@dataclass(frozen=True)
class Encoding:
    """The features of a campaign's customers, in order.

    Parameters
    ----------
    features
        One for each column.

    Examples
    --------
    >>> ages = np.array([20.0, 30, 40, 50, 60, 70])
    >>> made = Encoding.of({"age": ages}, bins=3)
    >>> made.features[0].levels
    ('20 to 36.67', '36.67 to 53.33', '53.33 to 70')
    >>> made.encode({"age": np.array([25.0, 90.0])}, Problems())[:, 0].tolist()
    [0, 2]
    """

    features: tuple[Feature, ...]

    @classmethod
    def of(cls, values: Mapping[str, Array], bins: int, linear: Collection[str] = ()) -> Encoding:
        """Return the encoding that suits these columns: float64 numbers, or text.

        Parameters
        ----------
        values
            Column -> values (n,); NaN or '' where missing.
        bins
            Numbers with more distinct values than this are cut at their quantiles into as many
            bins.
        linear
            Names of numbers whose effect is linear.
        """
        return cls(
            tuple(
                _number(name, column, bins, linear=name in linear)
                if column.dtype.kind == "f"
                else _label(name, column)
                for name, column in values.items()
            )
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(feature.name for feature in self.features)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the design."""
        return tuple(column for feature in self.features for column in feature.columns)

    @property
    def groups(self) -> tuple[str, ...]:
        """The group of each column of the design."""
        return tuple(group for feature in self.features for group in feature.groups)

    def wanted(self) -> dict[str, Column]:
        """Return the columns that a frame of customers must have."""
        return {f"feature:{f.name}": feature_column(f.name, f.kind) for f in self.features}

    def encode(self, values: Mapping[str, Array], problems: Problems) -> Array:
        """Return codes (n, feature) of columns given by name."""
        codes = [f.encode(values[f.name], problems) for f in self.features]
        n = len(next(iter(values.values()))) if values else 0
        return np.stack(codes, axis=1) if codes else np.zeros((n, 0), dtype=np.int16)

    def design(self, codes: Array) -> Array:
        """Return the design matrix (n, column) of codes (n, feature)."""
        parts = [f.table[codes[:, j]] for j, f in enumerate(self.features)]
        return np.concatenate([np.zeros((len(codes), 0)), *parts], axis=1)

    def cell(self, codes: Array) -> Array:
        """Return one integer for each customer (n,), equal where all features are equal."""
        radix = np.zeros(len(codes), dtype=np.int64)
        for j, feature in enumerate(self.features):
            radix = radix * len(feature.levels) + codes[:, j]
            if radix.size and radix.max() > 2**40:
                radix = np.unique(radix, return_inverse=True)[1]
        return radix

    def to_json(self) -> str:
        """Return the encoding as text."""
        return json.dumps([asdict(feature) for feature in self.features])

    @classmethod
    def from_json(cls, text: str) -> Encoding:
        """Return the encoding that `to_json` wrote."""
        return cls(tuple(Feature(**_tuples(table)) for table in json.loads(text)))


def feature_column(name: str, kind: Literal["number", "label"]) -> Column:
    """Return what is read of a frame for one feature."""
    return Column(
        name, "feature", kind, part=f"{name!r}", missing="keep", shares=frozenset({"segment"})
    )


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in table.items()}


def _label(name: str, values: Array) -> Feature:
    found, counts = np.unique(np.where(values == "", MISSING, values), return_counts=True)
    share = tuple(float(c) / len(values) for c in counts)
    return Feature(name, "label", tuple(str(v) for v in found), share)


def _number(name: str, values: Array, bins: int, *, linear: bool) -> Feature:
    bins = FINE if linear else bins
    known = values[~np.isnan(values)]
    distinct = np.unique(known)
    exact = len(distinct) <= bins
    if exact:
        cuts = (distinct[1:] + distinct[:-1]) / 2
        levels = [f"{v:.4g}" for v in distinct]
        if len(set(levels)) < len(levels):
            levels = [f"{v:.10g}" for v in distinct]
    else:
        cuts = np.unique(np.quantile(known, np.arange(1, bins) / bins))
        # A cut at the smallest value would leave its bin empty.
        cuts = cuts[cuts > distinct[0]]
        levels = _intervals([distinct[0], *cuts, distinct[-1]])
    codes = np.searchsorted(cuts, known, side="right")
    counts = np.bincount(codes, minlength=len(levels))
    means = np.bincount(codes, known, minlength=len(levels)) / np.maximum(counts, 1)
    spread = known.std() or 1.0
    scores = list((means - known.mean()) / spread)
    if len(known) < len(values):
        levels, scores = [*levels, MISSING], [*scores, 0.0]
        counts = np.append(counts, len(values) - len(known))
    return Feature(
        name,
        "number",
        tuple(levels),
        tuple(float(c) / len(values) for c in counts),
        tuple(float(c) for c in cuts),
        tuple(float(s) for s in scores),
        exact,
        linear,
    )


def _intervals(edges: Sequence[float]) -> list[str]:
    for digits in (4, 6, 10, 17):
        texts = [f"{edge:.{digits}g}" for edge in edges]
        if len(set(texts)) == len(texts):
            break
    return [f"{a} to {b}" for a, b in pairwise(texts)]


def kinds_of(frame: Any, names: Iterable[str]) -> dict[str, Literal["number", "label"]]:
    """Return whether each feature that the frame has is read as numbers or as labels."""
    import narwhals as nw

    opened = frame if isinstance(frame, nw.DataFrame | nw.LazyFrame) else nw.from_native(frame)
    schema = opened.collect_schema()
    return {
        name: "number"
        if name in schema and (schema[name].is_numeric() or schema[name] == nw.Boolean)
        else "label"
        for name in names
    }
