"""Few weighted histories whose log-likelihood is that of all, within a stated error.

A market's log-likelihood is a sum over its histories of a smooth function of few hyperparameters.
Where its posterior lies, such functions span a space of few dimensions. So there are about as many
of the histories, with weights above 0, whose weighted sum agrees with that of all for every
function in the space, and therefore for all hyperparameters there (a cubature: Tchakaloff's
theorem; the empirical cubature of reduced-order modelling).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from scipy import linalg, optimize

from bayes_mkt import seeds
from bayes_mkt.customers.states import Rows, filled
from bayes_mkt.errors import SpecError

__all__ = ["Evaluate", "check_condense", "condensed", "counted_rows", "evaluator"]

Array = NDArray[Any]
# (logs of the hyperparameters, columns) -> log-likelihood of each row
Evaluate = Callable[[Array, dict[str, Array]], Array]

LEAST: Final = 400  # rows of a market that are left as they are
PILOT: Final = 8_000  # rows that say where the posterior lies
CANDIDATES: Final = 3_000  # rows to choose from
POINTS: Final = 260  # hyperparameters that span the functions
REACH: Final = 6.0  # standard deviations of the pilot's posterior
WEAK: Final = 2.0  # SD of a normal prior on the logs that keeps the pilot's mode finite
HELD: Final = 12  # hyperparameters kept apart, to measure the error


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


def condensed(rows: Rows, evaluate: Evaluate, start: Array, error: float) -> tuple[Rows, Array]:
    """Return rows with weights that stand for all, and the error found in each profile, in nats.

    Parameters
    ----------
    rows
        Unique rows with weights.
    evaluate
        ``(logs of the hyperparameters, columns) -> log-likelihood`` of rows.
    start
        Logs of hyperparameters to start from.
    error
        The largest error of a profile's log-likelihood, up to a constant, in nats. A profile in
        which it can't be reached keeps its rows.
    """
    kept, weights, found = [], [], []
    rng = seeds.generator(0, "customers: condense")
    for profile in range(int(rows.profile.max()) + 1):
        own = np.flatnonzero((rows.profile == profile) & (rows.weight > 0))
        chosen, weight, wrong = own, rows.weight[own], 0.0
        if own.size > LEAST:
            columns = {name: values[own] for name, values in rows.columns.items()}
            picked, weight, wrong = _cubature(columns, weight, evaluate, start, error, rng)
            chosen = own[picked]
        kept.append(chosen)
        weights.append(weight)
        found.append(wrong)
    place = np.concatenate(kept)
    columns = {name: values[place] for name, values in rows.columns.items()}
    fewer = Rows(columns, np.concatenate(weights), rows.profile[place], np.empty(0, dtype=int))
    return filled(fewer), np.array(found)


def evaluator(model: Any) -> Evaluate:
    """Return ``(logs of the hyperparameters, columns) -> log-likelihood`` of rows.

    Of a `PurchaseModel`: its own graph, whose terms of the count are computed once a count.
    """
    at = {name: pt.tensor(name, shape=(1,)) for name in model.parameters}
    x, seen, age = pt.vectors("x", "seen", "age")
    inputs = list(at.values())
    fates = list(model.fates(at, x, seen, age))
    rest = pytensor.function([*inputs, x, seen, age], fates, mode="FAST_COMPILE")
    # Not every hyperparameter has a part in the terms of the count.
    counted = pytensor.function(
        [*inputs, x], model.count_terms(at, x), mode="FAST_COMPILE", on_unused_input="ignore"
    )

    def evaluate(point: Array, columns: dict[str, Array]) -> Array:
        values = [np.exp(point[i : i + 1]) for i in range(len(inputs))]
        count = columns["frequency"]
        common = counted(*values, np.arange(count.max() + 1.0))[count.astype(int)]
        alive, gone = rest(*values, count, columns["recency"], columns["age"])
        return np.asarray(common + alive + np.logaddexp(0.0, gone))

    return evaluate


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
    start: Array,
    error: float,
    rng: np.random.Generator,
) -> tuple[Array, Array, float]:
    """Return which rows of one profile stand for all, their weights, and the error in nats."""
    total = weight.sum()
    pilot = _sample(weight, PILOT, rng)
    region = _region(_taken(columns, pilot[0]), pilot[1], evaluate, start)
    few = _sample(weight, CANDIDATES, rng)[0]
    choice = _taken(columns, few)
    points = region.draw(POINTS, rng)
    base = evaluate(region.centre, choice)
    functions = np.stack([np.ones(few.size), base, *(evaluate(p, choice) - base for p in points)])
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
        return np.arange(weight.size), weight, 0.0
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


def _region(columns: dict[str, Array], weight: Array, evaluate: Evaluate, start: Array) -> Region:
    """Return mode and spread of the pilot's posterior under a weak prior."""

    def cost(point: Array) -> float:
        value = weight @ evaluate(point, columns) - 0.5 * np.sum(((point - start) / WEAK) ** 2)
        return -float(value) if np.isfinite(value) else 1e300

    centre = optimize.minimize(cost, start, method="L-BFGS-B", options={"maxiter": 60}).x
    n, step = start.size, 2e-2
    curve = np.empty((n, n))
    shifts = step * np.eye(n)
    for i in range(n):
        for j in range(i + 1):
            corners = [
                cost(centre + s * shifts[i] + t * shifts[j])
                for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1))
            ]
            curve[i, j] = curve[j, i] = (corners[0] - corners[1] - corners[2] + corners[3]) / (
                4 * step**2
            )
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
