"""A logistic likelihood of very many customers as a quadratic form, and what that leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from bayes_mkt import seeds
from bayes_mkt.errors import SamplingError
from bayes_mkt.inference import correction
from bayes_mkt.inference.threads import threads
from bayes_mkt.targeting.cells import Cells
from bayes_mkt.targeting.learned import coefficients

if TYPE_CHECKING:
    import xarray as xr

    from bayes_mkt.targeting.campaign import Campaign
    from bayes_mkt.targeting.encoding import Encoding

__all__ = ["Expansion", "Rows", "corrected", "expansion", "pays"]

Array = NDArray[Any]
BLOCK = 2**22  # numbers of a design matrix that are held at a time
FIRST = 40_000  # rows that the search for the mode begins with
WEIGHED = 2000  # draws
ROWS, DRAWS = 500, 200  # that are taken at a time, for the processor's cache
MOST = 60  # steps
# Numbers in the design matrix of all cells above which an expansion pays, where each arm has so
# many responses for each coefficient that the likelihood is nearly a quadratic form; and the same
# with what an earlier campaign taught for a prior, which may draw them away from where it is.
LARGE, RESPONSES, LARGE_WITH_PRIOR = 1e6, 60, 2e7


def pays(campaign: Campaign, outcome: str, cells: int, *, prior: bool) -> bool:
    """Return whether a campaign is so large that its likelihood had better be expanded.

    Parameters
    ----------
    campaign, outcome
        The campaign, and which of its outcomes is modelled.
    cells
        Number of cells of customers who look alike.
    prior
        Whether an earlier campaign's posterior is the prior.
    """
    columns, arms = len(campaign.encoding.columns), len(campaign.arms)
    if cells * columns <= (LARGE_WITH_PRIOR if prior else LARGE):
        return False
    answers, arm = campaign.values(outcome), campaign.data["assignment"].to_numpy()
    came = np.bincount(arm, answers, minlength=arms)
    stayed = np.bincount(arm, minlength=arms) - came
    return bool(np.minimum(came, stayed).min() >= RESPONSES * (1 + columns))


@dataclass(frozen=True, eq=False)
class Rows:
    """Customers by cell and arm, where there are any, and their responses; sorted by arm.

    Coefficients stand in the order intercept, arm effects, baseline by column, uplift by column and
    arm.

    Parameters
    ----------
    encoding
        Of the codes.
    codes, arm, customers, responses
        Of each row.
    arms
        Number of arms, the control among them.
    """

    encoding: Encoding
    codes: Array
    arm: Array
    customers: Array
    responses: Array
    arms: int

    @classmethod
    def of(cls, campaign: Campaign, outcome: str) -> Rows:
        """Return the rows of a campaign."""
        cells = Cells.of(campaign)
        total = cells.total(campaign, campaign.values(outcome))
        arm, cell = np.nonzero(cells.customers.T)
        n = cells.customers[cell, arm].astype(float)
        arms = cells.customers.shape[1]
        return cls(campaign.encoding, cells.codes[cell], arm, n, total[cell, arm], arms)

    @property
    def size(self) -> int:
        """Number of coefficients."""
        columns = len(self.encoding.columns)
        return self.arms * (1 + columns)

    def take(self, rows: Array) -> Rows:
        """Return some rows, in ascending order."""
        parts = (self.codes[rows], self.arm[rows], self.customers[rows], self.responses[rows])
        return Rows(self.encoding, *parts, self.arms)

    def blocks(self) -> Iterator[tuple[int, Array, Array, Array]]:
        """Yield arm, design with a first column of ones, customers and responses, by parts."""
        length = max(BLOCK // (1 + len(self.encoding.columns)), 1)
        edges = np.searchsorted(self.arm, np.arange(self.arms + 1))
        for a in range(self.arms):
            for start in range(edges[a], edges[a + 1], length):
                rows = slice(start, min(start + length, edges[a + 1]))
                design = self.encoding.design(self.codes[rows])
                ones = np.ones((len(design), 1))
                part = np.concatenate([ones, design], axis=1)
                yield a, part, self.customers[rows], self.responses[rows]

    def by_arm(self, theta: Array) -> Array:
        """Return the intercept and slopes of each arm (arm, 1 + column, ...) of coefficients."""
        treatments, columns = self.arms - 1, len(self.encoding.columns)
        rest = theta.shape[1:]
        control = np.concatenate([theta[:1], theta[self.arms : self.arms + columns]])
        lift = theta[self.arms + columns :].reshape(columns, treatments, *rest)
        found = [control]
        for a in range(treatments):
            found.append(control + np.concatenate([theta[1 + a : 2 + a], lift[:, a]]))
        return np.stack(found)

    def log_likelihood(self, theta: Array) -> Array:
        """Return the log-likelihood (draw,), up to a constant, of coefficients (draw, ...).

        What a customer adds is in single precision, as thousands of passes are made: the sum over a
        million customers errs by about 0.01.
        """
        slopes = self.by_arm(np.ascontiguousarray(theta.T))
        parts = [slice(start, start + DRAWS) for start in range(0, len(theta), DRAWS)]
        total = np.zeros(len(theta))
        with threads() as pool:
            for a, design, n, k in self.blocks():
                single = design.astype(np.float32), n
                each = [slopes[a][:, part].astype(np.float32) for part in parts]
                total += (k @ design) @ slopes[a]
                total -= np.concatenate(list(pool.map(_log_total, repeat(single), each)))
        return total

    def derivatives(self, theta: Array) -> tuple[float, Array, Array]:
        """Return the log-likelihood, its gradient and its negative Hessian."""
        slopes = self.by_arm(theta)
        width = slopes.shape[1]
        value, gradient = 0.0, np.zeros((self.arms, width))
        curvature = np.zeros((self.arms, width, width))
        for a, design, n, k in self.blocks():
            logit = design @ slopes[a]
            chance = expit(logit)
            value += float(k @ logit - n @ np.logaddexp(0.0, logit))
            gradient[a] += (k - n * chance) @ design
            curvature[a] += (design * (n * chance * (1 - chance))[:, None]).T @ design
        return value, self._joined(gradient), self._assembled(curvature)

    def _places(self) -> list[Array]:
        """Return where intercept and slopes of the control, and what each arm adds, stand."""
        columns, treatments = len(self.encoding.columns), self.arms - 1
        control = np.concatenate([[0], self.arms + np.arange(columns)])
        start = self.arms + columns
        lifts = [
            np.concatenate([[1 + a], start + np.arange(columns) * treatments + a])
            for a in range(treatments)
        ]
        return [control, *lifts]

    def _joined(self, gradient: Array) -> Array:
        places = self._places()
        found = np.zeros(self.size)
        found[places[0]] = gradient.sum(axis=0)
        for a in range(1, self.arms):
            found[places[a]] = gradient[a]
        return found

    def _assembled(self, curvature: Array) -> Array:
        places = self._places()
        found = np.zeros((self.size, self.size))
        found[np.ix_(places[0], places[0])] = curvature.sum(axis=0)
        for a in range(1, self.arms):
            found[np.ix_(places[a], places[a])] = curvature[a]
            found[np.ix_(places[0], places[a])] = curvature[a]
            found[np.ix_(places[a], places[0])] = curvature[a].T
        return found


@dataclass(frozen=True, eq=False)
class Expansion:
    r"""The log-likelihood about a point c: value + g'(theta - c) - (theta - c)' H (theta - c) / 2.

    Parameters
    ----------
    center, gradient, curvature
        c, g and H.
    value
        At c.
    """

    center: Array
    gradient: Array
    curvature: Array
    value: float

    def __call__(self, theta: Array) -> Array:
        """Return the expansion (draw,) at coefficients (draw, coefficient)."""
        step = theta - self.center
        bent = np.einsum("dp,dp->d", step @ self.curvature, step)
        return np.asarray(self.value + step @ self.gradient - bent / 2)


@lru_cache(maxsize=2)
def expansion(campaign: Campaign, outcome: str) -> Expansion:
    """Return the expansion of a campaign's likelihood about its posterior's centre, nearly.

    Newton's steps, with the spreads of the coefficients' groups estimated on the way by EM; on
    some of the rows first.

    Raises
    ------
    SamplingError
        If the steps don't come to an end.
    """
    rows = Rows.of(campaign, outcome)
    groups = _groups(rows)
    theta, precision = np.zeros(rows.size), _first_precision(groups)
    if len(rows.arm) > 2 * FIRST:
        rng = seeds.generator(0, "first rows")
        some = np.sort(rng.choice(len(rows.arm), FIRST, replace=False))
        theta, precision, _ = _climb(rows.take(some), theta, precision, groups)
    _, _, found = _climb(rows, theta, precision, groups)
    return found


def corrected(
    draws: xr.DataTree, campaign: Campaign, outcome: str, seed: int, ess: float
) -> xr.DataTree:
    """Return draws under the expansion, resampled by the ratio of the exact likelihood to it."""
    found, rows = expansion(campaign, outcome), Rows.of(campaign, outcome)

    def log_ratios(posterior: xr.Dataset) -> Array:
        theta = coefficients(posterior, campaign)
        return rows.log_likelihood(theta) - found(theta)

    return correction.corrected(draws, log_ratios, seed, ess, weighed=WEIGHED)


def _log_total(rows: tuple[Array, Array], slopes: Array) -> Array:
    """Return the sum over rows of n log(1 + exp(x'b)) (draw,), for slopes (column, draw)."""
    design, n = rows
    total = np.zeros(slopes.shape[1])
    for start in range(0, len(n), ROWS):
        part = slice(start, start + ROWS)
        logit = design[part] @ slopes
        softplus = np.maximum(logit, 0.0) + np.log(1.0 + np.exp(-np.abs(logit)))
        total += n[part] @ softplus
    return total


def _groups(rows: Rows) -> Array:
    """Return the group of each coefficient whose spread is estimated together, -1 for none."""
    names = list(dict.fromkeys(rows.encoding.groups))
    own = np.array([names.index(g) for g in rows.encoding.groups], dtype=int)
    lift = np.repeat(own + len(names), rows.arms - 1)
    return np.concatenate([np.full(rows.arms, -1), own, lift])


def _first_precision(groups: Array) -> Array:
    return np.where(groups < 0, 1 / 25.0, 4.0)


def _climb(
    rows: Rows, theta: Array, precision: Array, groups: Array
) -> tuple[Array, Array, Expansion]:
    """Return where Newton's steps end, the precision of the prior there, and the expansion."""
    value, gradient, curvature = rows.derivatives(theta)
    for _ in range(MOST):
        factor = cho_factor(curvature + np.diag(precision), lower=True)
        step = cho_solve(factor, gradient - precision * theta)
        # In units of posterior SDs, squared.
        size = float(step @ (gradient - precision * theta))
        if size < 1e-2 * max(len(theta), 10):
            return theta, precision, Expansion(theta, gradient, curvature, value)
        before = value - 0.5 * precision @ theta**2
        for _ in range(30):
            trial = theta + step
            found = rows.derivatives(trial)
            if found[0] - 0.5 * precision @ trial**2 >= before - 1e-6 * abs(before):
                break
            step = step / 2
        theta, (value, gradient, curvature) = trial, found
        variance = np.diag(cho_solve(factor, np.eye(len(theta))))
        precision = _learned(theta, variance, precision, groups)
    raise SamplingError(
        "The mode of the likelihood was not found, so it can't be expanded. Look for a feature "
        "that tells the outcome, or use Uplift(likelihood='exact')."
    )


def _learned(theta: Array, variance: Array, precision: Array, groups: Array) -> Array:
    """Return precisions with each group's spread by one step of EM."""
    found = precision.copy()
    for g in range(int(groups.max(initial=-1)) + 1):
        inside = groups == g
        found[inside] = 1 / max(float(np.mean(theta[inside] ** 2 + variance[inside])), 1e-6)
    return found
