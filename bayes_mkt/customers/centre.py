"""Where the posterior of very many spells has its centre, and derivatives about it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from bayes_mkt import seeds
from bayes_mkt.customers.baseline import SHAPES, walk_basis
from bayes_mkt.customers.derivatives import Terms
from bayes_mkt.customers.spell_rows import Derivatives, SpellRows
from bayes_mkt.errors import SamplingError

__all__ = ["Coefficients", "centre"]

Array = NDArray[Any]
FIRST: Final = 40_000  # rows that the search for the centre begins with
MOST: Final = 100  # steps
DRAWN: Final = 5e7  # numbers of designs that the average over draws may read
FIXED: Final = -1  # group of a coefficient whose spread isn't estimated


class Coefficients(NamedTuple):
    """What all markets have, and by how much each deviates.

    Attributes
    ----------
    common
        In the order of `Terms` (..., parameter).
    own
        Of level, smooth curves and logit of never, those that the model has (..., market,
        coefficient).
    """

    common: Array
    own: Array


def centre(
    rows: SpellRows, scale: Array, varied: tuple[str, ...]
) -> tuple[Coefficients, Derivatives, Array]:
    """Return the centre, averaged derivatives about it, and by what markets deviate.

    Newton's steps, under normal priors whose spreads are estimated on the way by EM; on some of the
    rows first. The last of the three is a matrix (parameter, coefficient): a market's parameters
    are those common to all and this times its own coefficients.

    Parameters
    ----------
    rows
        The spells.
    scale
        What log hazards are about (interval,).
    varied
        In what the curves of markets differ: level, shape.

    Raises
    ------
    SamplingError
        If the steps don't come to an end.
    """
    frame = _Frame.of(rows.terms, rows.markets, scale, varied)
    at = _At(np.zeros(len(frame.group)), np.where(frame.group == FIXED, frame.fixed, 4.0))
    if len(rows.count) > 2 * FIRST:
        rng = seeds.generator(0, "first spells")
        some = np.sort(rng.choice(len(rows.count), FIRST, replace=False))
        at, _ = _climb(rows.take(some), frame, at)
    at, found = _climb(rows, frame, at)
    at = _moved(frame, at, _averaged(rows, frame, at, found))
    return frame.apart(at.point), _averaged(rows, frame, at, found), frame.map[:, frame.shared :]


class _At(NamedTuple):
    """A point and the precisions of the priors there (coefficient,)."""

    point: Array
    precision: Array


class _Frame(NamedTuple):
    """Coefficients that all markets or one of them have, and what a market's parameters make of it.

    Attributes
    ----------
    map
        Of a market's coefficients to its parameters (parameter, own coefficient).
    offset
        Added to them (parameter,).
    place
        Where a market's coefficients stand among all (market, own coefficient).
    group, fixed
        Of each coefficient: the group whose spread is estimated together, or `FIXED`, and the
        precision that it has then.
    shared
        Number of coefficients that all markets have; a market's own stand after them.
    """

    map: Array
    offset: Array
    place: Array
    group: Array
    fixed: Array
    shared: int

    @classmethod
    def of(cls, terms: Terms, markets: int, scale: Array, varied: tuple[str, ...]) -> _Frame:
        """Return the frame of a model whose log hazards are about `scale`."""
        columns: list[Array] = []
        own: list[bool] = []
        group: list[int] = []
        fixed: list[float] = []

        def add(where: slice, basis: Array, name: int, sd: float = 1.0, *, by: bool) -> None:
            block = np.zeros((terms.size, basis.shape[1]))
            block[where] = basis
            columns.append(block)
            own.extend([by] * basis.shape[1])
            group.extend([name] * basis.shape[1])
            fixed.extend([sd**-2] * basis.shape[1])

        steps, features = terms.intervals, np.eye(terms.features)
        add(terms.curve, np.ones((steps, 1)), FIXED, 2.0, by=False)
        add(terms.curve, walk_basis(steps), 0, by=False)
        add(terms.effect, features, 1, by=False)
        if varied:
            add(terms.curve, np.ones((steps, 1)), 2, by=True)
        if "shape" in varied:
            add(terms.curve, walk_basis(steps, SHAPES), 3, by=True)
        if terms.never:
            first = np.eye(terms.size)[terms.logit]
            add(terms.logit, first[:, [terms.logit.start]], FIXED, 1.5, by=False)
            if terms.never_features:
                add(terms.logit, first[:, terms.logit.start + 1 :], FIXED, 0.5, by=False)
            if varied:
                add(terms.logit, first[:, [terms.logit.start]], 4, by=True)
        offset = np.concatenate([scale, np.zeros(terms.size - steps)])
        parts = np.concatenate(columns, axis=1), np.array(own), group, fixed, markets
        return cls(*_placed(*parts, offset), own.count(False))

    def apart(self, point: Array) -> Coefficients:
        """Return coefficients with those of all markets as parameters."""
        common = self.map[:, : self.shared] @ point[: self.shared] + self.offset
        return Coefficients(common, point[self.place[:, self.shared :]])

    def theta(self, point: Array) -> Array:
        """Return each market's parameters (market, parameter)."""
        return np.asarray(point[self.place] @ self.map.T + self.offset)

    def gathered(self, found: Derivatives) -> tuple[Array, Array]:
        """Return gradient and negative Hessian by all coefficients."""
        gradient = np.zeros(len(self.group))
        curvature = np.zeros((len(self.group), len(self.group)))
        for m, place in enumerate(self.place):
            gradient[place] += found.gradient[m] @ self.map
            curvature[np.ix_(place, place)] += self.map.T @ found.curvature[m] @ self.map
        return gradient, curvature


def _placed(
    columns: Array,
    own: Array,
    group: list[int],
    fixed: list[float],
    markets: int,
    offset: Array,
) -> tuple[Array, Array, Array, Array, Array]:
    """Return the parts of a `_Frame`: shared coefficients stand first, then market by market."""
    shared, each = np.flatnonzero(~own), np.flatnonzero(own)
    order = np.concatenate([shared, each])
    first = len(shared) + np.arange(markets)[:, None] * len(each) + np.arange(len(each))
    common = np.broadcast_to(np.arange(len(shared)), (markets, len(shared)))
    place = np.concatenate([common, first], axis=1)
    kinds, sds = np.array(group), np.array(fixed)
    spread = [np.concatenate([v[shared], np.tile(v[each], markets)]) for v in (kinds, sds)]
    return columns[:, order], offset, place, spread[0].astype(int), spread[1]


def _climb(rows: SpellRows, frame: _Frame, at: _At) -> tuple[_At, Derivatives]:
    """Return where Newton's steps end, and the derivatives there."""
    point, precision = at
    found = rows.derivatives(frame.theta(point))
    for _ in range(MOST):
        gradient, curvature = frame.gathered(found)
        slope = gradient - precision * point
        factor = _factor(curvature + np.diag(precision))
        step = cho_solve(factor, slope)
        # In units of posterior SDs, squared.
        if float(step @ slope) < 1e-2 * len(point):
            return _At(point, precision), found
        before = found.value - 0.5 * precision @ point**2
        for _ in range(30):
            trial = point + step
            new = rows.derivatives(frame.theta(trial))
            if new.value - 0.5 * precision @ trial**2 >= before - 1e-6 * abs(before):
                break
            step = step / 2
        point, found = trial, new
        variance = np.diag(cho_solve(factor, np.eye(len(point))))
        precision = _learned(point, variance, precision, frame.group)
    raise SamplingError(
        "The centre of the likelihood was not found, so it can't be expanded. Look for a covariate "
        "that tells who comes, or use likelihood='exact'."
    )


def _averaged(rows: SpellRows, frame: _Frame, at: _At, found: Derivatives) -> Derivatives:
    """Return gradient and curvature averaged over the posterior that they imply.

    Of all normal approximations that of least Kullback-Leibler divergence has them (Opper and
    Archambeau 2009); to it, what is of third order in the log-likelihood matters less. Draws come
    in pairs about the centre, so that what is odd in them cancels.
    """
    pairs = int(np.clip(DRAWN / (rows.design.size + len(rows.count)), 2, 32))
    factor, _ = _factor(frame.gathered(found)[1] + np.diag(at.precision))
    normal = seeds.generator(0, "spells").normal(size=(len(at.point), pairs))
    steps = solve_triangular(factor, normal, lower=True, trans="T").T
    each = [
        rows.derivatives(frame.theta(at.point + sign * step)) for step in steps for sign in (-1, 1)
    ]
    return Derivatives(
        found.value,
        np.mean([e.gradient for e in each], axis=0),
        np.mean([e.curvature for e in each], axis=0),
    )


def _moved(frame: _Frame, at: _At, found: Derivatives) -> _At:
    """Return the centre of the posterior under the expansion with these derivatives."""
    gradient, curvature = frame.gathered(found)
    factor = _factor(curvature + np.diag(at.precision))
    return at._replace(point=at.point + cho_solve(factor, gradient - at.precision * at.point))


def _factor(matrix: Array) -> tuple[Array, bool]:
    """Return the Cholesky factor of a matrix, made positive definite if it isn't."""
    ridge = 0.0
    for _ in range(20):
        try:
            ridged = matrix + ridge * np.diag(np.abs(np.diag(matrix)) + 1.0)
            return np.linalg.cholesky(ridged), True
        except LinAlgError:
            ridge = max(10 * ridge, 1e-3)
    raise SamplingError("The curvature of the likelihood is no number. Use likelihood='exact'.")


def _learned(point: Array, variance: Array, precision: Array, group: Array) -> Array:
    """Return precisions with each group's spread by one step of EM."""
    found = precision.copy()
    for g in range(int(group.max(initial=FIXED)) + 1):
        inside = group == g
        if inside.any():
            found[inside] = 1 / max(float(np.mean(point[inside] ** 2 + variance[inside])), 1e-6)
    return found
