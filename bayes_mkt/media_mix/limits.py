"""What a budget decides, cell by cell, and the limits that it must keep to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from scipy import optimize

from bayes_mkt.dims import CHANNEL, DATE, REGION
from bayes_mkt.errors import SpecError
from bayes_mkt.media_mix.frequency import frequency_places
from bayes_mkt.media_mix.panel import MediaPanel
from bayes_mkt.media_mix.plan import MediaPlan

CELLS = (REGION, DATE, CHANNEL)
MOST = 600
MANY = 12  # names listed in a message
ROUNDING = 1e-9
INFEASIBLE, UNBOUNDED = 2, 3  # what SciPy's linprog calls them
Bounds = Mapping[str | tuple[str, ...], tuple[float, float]]
LOOSE = 1e-6


@dataclass(frozen=True)
class Cells:
    """The decided cells of a plan.

    Attributes
    ----------
    by
        Their dims.
    where
        (region, date, channel): the number of the cell, or -1 where spend can't change.
    spend
        Today's (cell,), > 0.
    shape, place
        Of the full grid of `by`, and where in it each cell stands.
    most
        Spend (cell,) with which a channel of known reach would reach everyone somewhere;
        infinite for the other channels.
    """

    by: tuple[str, ...]
    where: np.ndarray
    spend: np.ndarray
    shape: xr.DataArray
    place: np.ndarray
    most: np.ndarray

    @classmethod
    def of(cls, plan: MediaPlan, by: tuple[str, ...], panel: MediaPanel) -> Cells:
        """Return the cells of a plan that have spend."""
        spend = plan.spend.fillna(0.0)
        others = [d for d in CELLS if d not in by]
        totals = spend.sum(others).transpose(*by)
        flat = totals.to_numpy().ravel()
        place = np.flatnonzero(flat > 0)
        if not place.size:
            raise SpecError(f"allocate_budget: nothing is spent in {plan!r}.")
        if place.size > MOST:
            raise SpecError(
                f"allocate_budget: {place.size} cells of {by} are more than the {MOST} that can be "
                "decided at once. Decide by fewer dims, or plan shorter."
            )
        number = np.full(flat.shape, -1)
        number[place] = np.arange(place.size)
        grid = totals.copy(data=number.reshape(totals.shape))
        where = grid.broadcast_like(spend).transpose(*CELLS).to_numpy().astype(int)
        paid = np.isfinite(plan.spend.transpose(*CELLS).to_numpy())
        where = np.where(paid, where, -1)
        room = _room(plan, panel, where, len(place))
        return cls(by, where, flat[place], totals, place, flat[place] * room)

    @property
    def size(self) -> int:
        """Return the number of cells."""
        return len(self.spend)

    def along(self, dim: str) -> np.ndarray:
        """Return where each cell stands along one of its dims (cell,), by number."""
        return np.unravel_index(self.place, self.shape.shape)[self.by.index(dim)]

    def labels(self, dim: str) -> tuple[str, ...]:
        """Return the names along one of the cells' dims; dates as 2024-03-31."""
        values = self.shape[dim].values
        return tuple(str(v)[:10] if dim == DATE else str(v) for v in values)

    def laid(self, values: np.ndarray, fill: Any = 0.0) -> xr.DataArray:
        """Return values (cell,) on the grid of `by`."""
        flat = np.full(self.shape.size, fill, dtype=np.asarray(values).dtype)
        flat[self.place] = values
        return self.shape.copy(data=flat.reshape(self.shape.shape)).drop_attrs()

    def factors(self, spend: np.ndarray) -> xr.DataArray:
        """Return multiples of today's spend on the grid of `by`; 1 where nothing is decided."""
        return self.laid(spend / self.spend, 1.0)


def _room(plan: MediaPlan, panel: MediaPanel, where: np.ndarray, cells: int) -> np.ndarray:
    """Return by which factor each cell's reach can grow before it is the population (cell,)."""
    out = np.full(cells, np.inf)
    if "population" not in panel.data or not panel.frequency_channels:
        return out
    places = frequency_places(panel)
    reach = plan.data["exposure"].transpose(*CELLS).to_numpy()[:, :, places]
    people = panel.data["population"].to_numpy()[:, None, None]
    growth = people / np.where(reach > 0, reach, np.nan)
    number = where[:, :, places]
    known = (number >= 0) & np.isfinite(growth)
    np.minimum.at(out, number[known], growth[known])
    return out


@dataclass(frozen=True)
class Limits:
    """What a budget must keep to: cells (cell,), channels (rows), and the total.

    Attributes
    ----------
    low, high
        Of each cell.
    rows
        (row, cell): sums that are limited, the last of them the total.
    row_low, row_high
        Their limits (row,).
    names
        Of the rows.
    """

    low: np.ndarray
    high: np.ndarray
    rows: np.ndarray
    row_low: np.ndarray
    row_high: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(
        cls,
        cells: Cells,
        total: float | tuple[float, float] | None,
        bounds: Bounds,
    ) -> Limits:
        """Return the limits, after checking that a budget can keep to them."""
        rows, low, high, names = [], [], [], []
        for key, pair in bounds.items():
            name, row = _bounded(cells, key)
            if len(pair) != 2 or not 0 <= pair[0] <= pair[1]:
                raise SpecError(f"bounds[{key!r}]={pair!r} must be 0 <= lowest <= highest.")
            reachable = float((row * np.minimum(cells.most, 1e300)).sum())
            if pair[0] > reachable:
                raise SpecError(
                    f"bounds[{key!r}]={pair!r}: {reachable:,.6g} reaches everyone in a region "
                    "already. Give less, or a plan with a higher frequency."
                )
            rows.append(row)
            low.append(float(pair[0]))
            high.append(float(pair[1]))
            names.append(name)
        span = cells.spend.sum() if total is None else total
        least, most = span if isinstance(span, tuple) else (span, span)
        if not most > 0 or least > most or least < 0:
            raise SpecError(f"total={total!r} must be > 0, or a pair lowest <= highest.")
        floor, ceiling = _extent(cells, np.asarray(rows), low, high)
        # Of sums of many digits the last ones are nobody's.
        if floor > most * (1 + ROUNDING) or ceiling < least * (1 - ROUNDING):
            raise SpecError(
                f"total={most:,.6g} can't be met: bounds add up to {floor:,.6g} at least"
                + (f" and {ceiling:,.6g} at most." if np.isfinite(ceiling) else ".")
            )
        rows.append(np.ones(cells.size))
        return cls(
            low=np.zeros(cells.size),
            high=np.minimum(cells.most, float(most)),
            rows=np.asarray(rows),
            row_low=np.asarray([*low, least]),
            row_high=np.asarray([*high, most]),
            names=(*names, "total"),
        )

    def nearest(self, spend: np.ndarray) -> np.ndarray:
        """Return the closest budget that keeps to the limits."""
        scale = spend.sum() / len(spend)
        goal = spend / scale
        return minimised(
            lambda z: (0.5 * float(((z - goal) ** 2).sum()), z - goal), spend, self, scale
        )

    def constraints(self, scale: float) -> list[dict[str, Any]]:
        """Return the rows as SciPy takes them, for spend in units of `scale`."""
        out: list[dict[str, Any]] = []
        for row, low, high in zip(
            self.rows, self.row_low / scale, self.row_high / scale, strict=True
        ):
            if low == high:
                out.append(_linear("eq", row, -low))
                continue
            out.append(_linear("ineq", row, -low))
            if np.isfinite(high):
                out.append(_linear("ineq", -row, high))
        return out

    def allows(self, spend: np.ndarray, still: np.ndarray) -> bool:
        """Return whether the limits can be met with some cells as they are."""
        fixed = self.fixed(spend, still)
        near = fixed.nearest(spend)
        sums = fixed.rows @ near
        slack = LOOSE * max(1.0, float(spend.sum()))
        return bool(((sums >= fixed.row_low - slack) & (sums <= fixed.row_high + slack)).all())

    def fixed(self, spend: np.ndarray, still: np.ndarray) -> Limits:
        """Return the limits with some cells as they are."""
        low, high = (np.where(still, spend, v) for v in (self.low, self.high))
        return Limits(low, high, self.rows, self.row_low, self.row_high, self.names)

    def holding(self, spend: np.ndarray) -> list[str]:
        """Return for each cell the limit that holds it, or ""."""
        slack = 1e-4 * max(float(spend.sum()), 1.0)
        out = ["lowest spend 0" if s <= slack else "" for s in spend]
        everyone = (self.high < self.row_high[-1]) & (spend >= self.high - slack)
        for j in np.flatnonzero(everyone & (self.high > self.low)):
            out[j] = "everyone reached"
        for row, low, high, name in zip(
            self.rows[:-1], self.row_low, self.row_high, self.names, strict=False
        ):
            total = float(row @ spend)
            word = "lowest" if total <= low + slack else "highest" if total >= high - slack else ""
            for j in np.flatnonzero(row):
                out[j] = out[j] or (f"{word} of {name}" if word else "")
        return out


def _bounded(cells: Cells, key: str | tuple[str, ...]) -> tuple[str, np.ndarray]:
    """Return the name of a bound, and which cells it adds up (cell,)."""
    wanted = (key,) if isinstance(key, str) else tuple(key)
    inside, named = np.ones(cells.size, dtype=bool), set()
    for word in wanted:
        dims = list(cells.by)
        found = [d for d in dims if word in cells.labels(d)]
        if not found:
            known = {d: list(cells.labels(d))[:MANY] for d in dims}
            raise SpecError(
                f"bounds: no {' or '.join(dims)} {word!r} is decided; there are {known}."
            )
        if len(found) > 1 or found[0] in named:
            raise SpecError(f"bounds[{key!r}]: name each of {', '.join(cells.by)} once at most.")
        named.add(found[0])
        inside &= cells.along(found[0]) == cells.labels(found[0]).index(word)
    if not inside.any():
        raise SpecError(f"bounds: {key!r} has no spend in the plan that could change.")
    return " ".join(wanted), inside.astype(float)


def _extent(
    cells: Cells, rows: np.ndarray, low: Sequence[float], high: Sequence[float]
) -> tuple[float, float]:
    """Return the lowest and the highest total that bounds allow.

    Raises
    ------
    SpecError
        If no budget keeps to all of them.
    """
    scale = float(cells.spend.sum())
    most = [None if np.isinf(m) else m / scale for m in cells.most]
    limited: dict[str, Any] = {}
    if len(rows):
        finite = np.isfinite(high)
        limited = {
            "A_ub": np.concatenate([-rows, rows[finite]]),
            "b_ub": np.concatenate([-np.asarray(low), np.asarray(high)[finite]]) / scale,
        }
    ends = []
    for sign in (1.0, -1.0):
        found = optimize.linprog(
            np.full(cells.size, sign), **limited, bounds=[(0.0, m) for m in most]
        )
        if found.status == INFEASIBLE:
            raise SpecError("bounds: no budget keeps to all of them; some contradict each other.")
        ends.append(np.inf if found.status == UNBOUNDED else sign * found.fun * scale)
    return ends[0], ends[1]


def _linear(kind: str, row: np.ndarray, constant: float) -> dict[str, Any]:
    return {"type": kind, "fun": lambda z: row @ z + constant, "jac": lambda z: row}


def minimised(
    loss: Callable[[np.ndarray], tuple[float, np.ndarray]],
    start: np.ndarray,
    limits: Limits,
    scale: float,
) -> np.ndarray:
    """Return the budget within the limits that a loss of spend / scale finds best, from a start."""
    find: Any = optimize.minimize  # SciPy's types don't know a loss that gives its gradient too
    found = find(
        loss,
        start / scale,
        jac=True,
        method="SLSQP",
        bounds=list(zip(limits.low / scale, limits.high / scale, strict=True)),
        constraints=limits.constraints(scale),
        options={"maxiter": 300, "ftol": 1e-7},
    )
    return np.asarray(np.clip(found.x * scale, limits.low, limits.high))
