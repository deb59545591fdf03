"""Few weighted histories whose log-likelihood is that of all, within a stated error.

A market's log-likelihood is a sum over its histories of a smooth function of few hyperparameters.
Where its posterior lies, such functions span a space of few dimensions. So there are about as many
of the histories, with weights above 0, whose weighted sum agrees with that of all for every
function in the space, and therefore for all hyperparameters there (a cubature: Tchakaloff's
theorem; the empirical cubature of reduced-order modelling).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from scipy import linalg, optimize

from bayes_mkt import seeds
from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.customers.states import Rows, filled
from bayes_mkt.errors import SpecError
from bayes_mkt.inference.threads import alone

__all__ = ["Evaluate", "check_condense", "condensed", "condensed_once", "counted_rows", "evaluator"]

Array = NDArray[Any]
# (logs of the hyperparameters (..., parameter), columns) -> log-likelihood of each row (..., row)
Evaluate = Callable[[Array, dict[str, Array]], Array]

LEAST: Final = 400  # rows of a market that are left as they are
PILOT: Final = 8_000  # rows that say where the posterior lies
WIDER: Final = 4  # times as many where these say it too roughly
CANDIDATES: Final = 3_000  # rows to choose from
POINTS: Final = 130  # hyperparameters that span the functions
REACH: Final = 6.0  # standard deviations of the pilot's posterior
WEAK: Final = 2.0  # SD of a normal prior on the logs that keeps the pilot's mode finite
HELD: Final = 12  # hyperparameters kept apart, to measure the error
BATCH: Final = 2**16  # values that are computed at once, so that they stay in the processor's cache
STEP: Final = 1e-6  # of the logs, for slopes


@dataclass(frozen=True)
class Region:
    """Where a market's posterior lies: mode and Cholesky factor of the covariance, of the logs."""

    centre: Array
    factor: Array

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Return points at all distances up to `REACH` SDs (point, parameter)."""
        direction = rng.normal(size=(count, self.centre.size))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        far = REACH * rng.uniform(size=(count, 1)) ** 0.5
        return np.asarray(self.centre + (far * direction) @ self.factor.T)


def condensed_once(
    history: CustomerHistory,
    model: type,
    rows: Rows,
    evaluate: Evaluate,
    start: Array,
    error: float,
) -> tuple[Rows, Array]:
    """Return what `condensed` does; a history keeps it for the next model of that type.

    It depends on the likelihood alone, so that other priors and seeds have it at once.
    """
    kept: dict[tuple[type, float], tuple[Rows, Array]] = vars(history).setdefault("_condensed", {})
    key = model, error
    if key not in kept:
        with alone():
            kept[key] = condensed(rows, evaluate, start, error)
    return kept[key]


def condensed(rows: Rows, evaluate: Evaluate, start: Array, error: float) -> tuple[Rows, Array]:
    """Return rows with weights that stand for all, and the error found in each profile, in nats.

    Parameters
    ----------
    rows
        Unique rows with weights.
    evaluate
        ``(logs of the hyperparameters (..., parameter), columns) -> log-likelihood`` of rows
        (..., row).
    start
        Logs of hyperparameters to start from.
    error
        The largest error of a profile's log-likelihood, up to a constant, in nats. A profile in
        which it can't be reached keeps its rows.
    """
    kept, weights, found, near = [], [], [], start
    rng = seeds.generator(0, "customers: condense")
    for profile in range(int(rows.profile.max()) + 1):
        own = np.flatnonzero((rows.profile == profile) & (rows.weight > 0))
        chosen, weight, wrong = own, rows.weight[own], 0.0
        if own.size > LEAST:
            columns = {name: values[own] for name, values in rows.columns.items()}
            # Where a large market's posterior is far narrower than the pilot's, too much is asked.
            for size in _pilots(own.size):
                pilot = _sample(weight, size, rng)
                region = _region(_taken(columns, pilot[0]), pilot[1], evaluate, start, near)
                near = region.centre  # markets are alike: the next one's is not far
                few = _cubature(columns, weight, evaluate, region, error, rng)
                if few is not None:
                    picked, weight, wrong = few
                    chosen = own[picked]
                    break
        kept.append(chosen)
        weights.append(weight)
        found.append(wrong)
    place = np.concatenate(kept)
    columns = {name: values[place] for name, values in rows.columns.items()}
    fewer = Rows(columns, np.concatenate(weights), rows.profile[place], np.empty(0, dtype=int))
    return filled(fewer), np.array(found)


def _pilots(rows: int) -> Iterator[int]:
    """Yield sizes of pilots to be tried one after another, the last of them all rows."""
    size = PILOT
    yield size
    while size < rows:
        size *= WIDER
        yield size


@lru_cache(maxsize=8)
def evaluator(model: Any) -> Evaluate:
    """Return ``(logs of the hyperparameters, columns) -> log-likelihood`` of rows.

    Of a `PurchaseModel`: its own graph, whose terms of the count are computed once a count. A call
    of a small graph costs more than a few thousand rows, so points are taken together, each with
    its own copy of the rows, up to `BATCH` values.
    """
    alone = _compiled(model, 1)
    together = _compiled(model, None)

    def evaluate(points: Array, columns: dict[str, Array]) -> Array:
        values = np.exp(np.atleast_2d(points))
        count = columns["frequency"]
        most = max(1, BATCH // max(count.size, 1))
        parts = []
        for first in range(0, len(values), most):
            some = values[first : first + most]
            compute = alone if len(some) == 1 else together
            parts.append(compute(some, count, columns["recency"], columns["age"]))
        found = np.concatenate(parts)
        return np.asarray(found.reshape(*np.shape(points)[:-1], count.size))

    return evaluate


def _compiled(model: Any, length: int | None) -> Callable[..., Array]:
    """Return ``(hyperparameters (point, parameter), x, seen, age) -> log-likelihoods``.

    (point, row), for points of which there are `length`: one, or any number.
    """
    at = {name: pt.tensor(name, shape=(length,), dtype="float64") for name in model.parameters}
    x, seen, age = pt.vectors("x", "seen", "age")
    inputs = list(at.values())
    fates = list(model.fates(at, x, seen, age))
    rest = pytensor.function([*inputs, x, seen, age], fates, mode="FAST_COMPILE")
    # Not every hyperparameter has a part in the terms of the count.
    counted = pytensor.function(
        [*inputs, x], model.count_terms(at, x), mode="FAST_COMPILE", on_unused_input="ignore"
    )

    def compute(values: Array, *columns: Array) -> Array:
        points, rows = len(values), columns[0].size
        counts = np.arange(columns[0].max(initial=0.0) + 1.0)
        by_count = values.T if points == 1 else np.repeat(values.T, counts.size, axis=1)
        by_row = values.T if points == 1 else np.repeat(values.T, rows, axis=1)
        common = counted(*by_count, np.tile(counts, points)).reshape(points, -1)
        alive, gone = rest(*by_row, *(np.tile(column, points) for column in columns))
        own = np.asarray(alive + np.logaddexp(0.0, gone)).reshape(points, rows)
        return np.asarray(common[:, columns[0].astype(int)] + own)

    return compute


def counted_rows(rows: Rows) -> Rows:
    """Return rows that agree in profile and count as one, with their weights summed."""
    frame = pd.DataFrame(
        {"profile": rows.profile, "frequency": rows.columns["frequency"], "weight": rows.weight}
    )
    summed = frame.groupby(["profile", "frequency"], sort=True)["weight"].sum().reset_index()
    columns = {"frequency": summed["frequency"].to_numpy()}
    index = np.empty(0, dtype=int)
    return filled(Rows(columns, summed["weight"].to_numpy(), summed["profile"].to_numpy(), index))


def check_condense(error: float | None) -> None:
    """Raise unless an error is None or a number above 0."""
    if error is None:
        return
    if isinstance(error, bool) or not isinstance(error, int | float) or not 0 < error < np.inf:
        raise SpecError(f"condense={error!r} must be None, or an error in nats above 0: 0.05, say.")


def _cubature(
    columns: dict[str, Array],
    weight: Array,
    evaluate: Evaluate,
    region: Region,
    error: float,
    rng: np.random.Generator,
) -> tuple[Array, Array, float] | None:
    """Return which rows of one profile stand for all, their weights, and the error in nats.

    None if the error is larger than it may be.
    """
    total = weight.sum()
    few = _sample(weight, CANDIDATES, rng)[0]
    choice = _taken(columns, few)
    points = region.draw(POINTS, rng)
    base = evaluate(region.centre, choice)
    functions = np.stack([np.ones(few.size), base, *(evaluate(points, choice) - base)])
    # Differences from the centre are what matters; those that others span say nothing new.
    basis, triangle, order = linalg.qr(functions.T, mode="economic", pivoting=True)
    size = np.abs(np.diag(triangle)) / np.sqrt(few.size)
    rank = int((size > 0.02 * error / total).sum())
    selected = order[:rank]
    every = evaluate(region.centre, columns)
    sums = np.array([_total(weight, columns, every, k, points, evaluate) for k in selected])
    target = linalg.solve_triangular(triangle[:rank, :rank], sums, trans="T")
    found, _ = optimize.nnls(basis[:, :rank].T, target, maxiter=40 * rank)
    used = np.flatnonzero(found > 0)
    picked, factors = few[used], found[used]
    wrong = 0.0
    part = _taken(columns, picked)
    for point in region.draw(HELD, rng):
        exact = weight @ (evaluate(point, columns) - every)
        near = factors @ (evaluate(point, part) - every[picked])
        wrong = max(wrong, abs(float(near - exact)))
    if not wrong <= error:
        return None
    return picked, factors, wrong


def _total(
    weight: Array,
    columns: dict[str, Array],
    base: Array,
    which: int,
    points: Array,
    evaluate: Evaluate,
) -> float:
    """Return a function's sum over all rows: of 1, of the centre's, or of a difference to it."""
    if which == 0:
        return float(weight.sum())
    if which == 1:
        return float(weight @ base)
    return float(weight @ (evaluate(points[which - 2], columns) - base))


def _region(
    columns: dict[str, Array], weight: Array, evaluate: Evaluate, start: Array, near: Array
) -> Region:
    """Return mode and spread of the pilot's posterior under a weak prior around `start`."""
    n, width = start.size, 2e-2

    def cost(points: Array) -> Array:
        far = 0.5 * np.sum(((points - start) / WEAK) ** 2, axis=-1)
        value = evaluate(points, columns) @ weight - far
        return np.where(np.isfinite(value), -value, 1e300)

    def with_slope(point: Array) -> tuple[float, Array]:
        here, *ahead = cost(np.vstack([point, point + STEP * np.eye(n)]))
        return float(here), (np.array(ahead) - here) / STEP

    centre = optimize.minimize(
        with_slope, near, jac=True, method="L-BFGS-B", options={"maxiter": 60}
    ).x
    pairs = [(i, j) for i in range(n) for j in range(i + 1)]
    signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))
    shifts = width * np.eye(n)
    corners = [centre + s * shifts[i] + t * shifts[j] for i, j in pairs for s, t in signs]
    curve = np.empty((n, n))
    found = cost(np.array(corners)).reshape(-1, 4) @ [1.0, -1.0, -1.0, 1.0] / (4 * width**2)
    for (i, j), value in zip(pairs, found, strict=True):
        curve[i, j] = curve[j, i] = value
    values, vectors = np.linalg.eigh(curve)
    spread = 1.0 / np.sqrt(np.maximum(values, 1.0 / WEAK**2))
    return Region(centre, vectors * spread)


def _sample(weight: Array, count: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return rows drawn without replacement, and weights that add up to all or the rows' number."""
    if weight.size <= count:
        return np.arange(weight.size), weight
    rows = np.sort(rng.choice(weight.size, count, replace=False))
    return rows, weight[rows]


def _taken(columns: dict[str, Array], rows: Array) -> dict[str, Array]:
    """Return some rows of columns."""
    return {name: values[rows] for name, values in columns.items()}
