"""What moves all customers at once, learnt from a history's periods, and carried into sums."""

from __future__ import annotations

import json
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Final

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.asked import flat, purchase_model, thinned
from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.customers.reduction import daily_repeats
from bayes_mkt.customers.states import purchase_rows
from bayes_mkt.days import day_number
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.transactions import Transactions, collect

__all__ = ["CalendarSwings", "calendar_swings", "expected_repeats"]

Array = NDArray[Any]
DRAWS: Final = 100
LEAST_EXPECTED: Final = 5.0
LEAST_PERIODS: Final = 4
MOST_PERIODS: Final = 120  # the latest; earlier ones say nothing of what comes
SCALE: Final = 0.3  # of the half-normal prior of the swings' standard deviation
SIZES: Final = 60
CORRELATIONS: Final = 20


@dataclass(frozen=True, eq=False)
class CalendarSwings:
    """How far periods lay from what was expected of customers, and how such swings go on.

    Parameters
    ----------
    table
        By period, its first day as index: `actual` and `expected` repeat purchases, and `factor`,
        the posterior mean of exp(c).
    end
        Last day of the history.
    every
        Length of a period in days.
    residual, variance
        log((actual + 1/2) / (expected + 1/2)) of the periods, and 1 / (expected + 1/2).
    sd, correlation, weight
        Grid of the standard deviation of c and of its correlation from one period to the next, and
        their posterior.
    """

    table: pd.DataFrame
    end: str
    every: int
    residual: Array
    variance: Array
    sd: Array
    correlation: Array
    weight: Array

    def pace(self, days: float, count: int, rng: np.random.Generator) -> Array:
        """Return drawn factors on the pace of purchases, (count, period), of periods to come.

        Parameters
        ----------
        days
            How far after the history's end the periods reach.
        count
            Draws.
        """
        ahead = max(int(np.ceil(days / self.every)), 1)
        past = self.residual.size
        lag = np.abs(np.subtract.outer(np.arange(past + ahead), np.arange(past + ahead)))
        out = np.empty((count, ahead))
        chosen = rng.choice(self.weight.size, count, p=self.weight)
        for place in np.unique(chosen):
            own = np.flatnonzero(chosen == place)
            sd, correlation = self.sd[place], self.correlation[place]
            shared = sd**2 * correlation**lag
            seen = shared[:past, :past] + np.diag(self.variance)
            gain = np.linalg.solve(seen, shared[:past, past:]).T
            centre = -0.5 * sd**2
            mean = centre + gain @ (self.residual - centre)
            left = shared[past:, past:] - gain @ shared[:past, past:]
            root = np.linalg.cholesky(left + 1e-12 * np.eye(ahead))
            out[own] = np.exp(mean + rng.normal(size=(own.size, ahead)) @ root.T)
        return out

    def warped(self, bounds: Array, pace: Array) -> Array:
        """Return how far customers have come by each bound where time runs at `pace`.

        Parameters
        ----------
        bounds
            Days after the history's end, ascending (bound,).
        pace
            Of each period to come (period,).
        """
        edges = self.every * np.arange(pace.size + 1.0)
        run = np.concatenate([[0.0], np.cumsum(pace * self.every)])
        return np.asarray(np.interp(bounds, edges, run))


def calendar_swings(
    fit: Fit,
    frame: object,
    *,
    every: int = 28,
    allow_unconverged: bool = False,
) -> CalendarSwings:
    """Learn how periods differ from what was expected, for forecasts of sums over customers.

    Models of purchase histories take customers for independent given the hyperparameters: a season,
    a campaign or a strike moves all of them, and sums over customers are then less sure than they
    look. With n_k repeat purchases in period k of the history and m_k those expected from the
    hyperparameters,

        log(n_k / m_k) ~ N(c_k, 1 / m_k),   c_k stationary AR(1), sd s, correlation rho,

    s ~ N+(0, 0.3), rho ~ Beta(2, 2), E[exp(c)] = 1: (s, rho) on a grid, c exactly. In a forecast,
    `revenue`, `future_purchases` or `check` with ``swings=``, customers' time runs at the pace
    exp(c) of the periods to come, one path for each draw, shared by all.

    Parameters
    ----------
    fit
        A fitted `Lifetime`, `BGNBD`, `MBGNBD` or `ParetoNBD`.
    frame
        The log that its history was read from.
    every
        Length of a period in days: long enough for several purchases, short enough for several
        periods, of which the latest 120 count; they end with the history.
    allow_unconverged
        Whether to answer from draws whose verdict failed.

    Raises
    ------
    SpecError
        If the log isn't the history's, or there are fewer than four periods from the first with
        five expected purchases on.

    Notes
    -----
    A swing is a change of pace that lasts and goes; a trend or a season longer than the history
    can't be told from the customers' own behaviour. Under Pareto/NBD the pace holds for lifetimes
    too. With few periods the prior of s says most: its interval is then that of a business whose
    months differ by some 20 %.
    """
    usable(fit, allow_unconverged)
    purchase_model(fit)
    history: CustomerHistory = fit.data
    if isinstance(every, bool) or not (isinstance(every, Integral) and every > 0):
        raise SpecError(f"every={every!r} must be a number of days, such as 28.")
    every = int(every)
    days, repeats = _daily(history, frame)
    end = str(history.data.attrs["end"])
    known = int((history.data["weight"] * history.data["frequency"]).sum())
    if int(repeats.sum()) != known:
        raise SpecError(
            f"calendar_swings: the log has {int(repeats.sum())} repeat purchases up to {end}, the "
            f"fit's history {known}. Give the log that the history was read from."
        )
    first = -float(history.data["age"].max())
    periods = int(-first // every)
    edges = -every * np.arange(periods, -1, -1.0)
    posterior = thinned(fit.posterior, DRAWS)
    expected = np.diff(expected_repeats(fit, posterior, edges).mean(axis=0))
    actual = np.histogram(days - 0.5, edges, weights=repeats)[0]
    enough = np.flatnonzero(expected >= LEAST_EXPECTED)
    start = int(enough[0]) if enough.size else periods  # before it, nothing to tell
    if periods - start < LEAST_PERIODS:
        raise SpecError(
            f"every={every}: from the first with {LEAST_EXPECTED:g} expected repeat purchases on, "
            f"the history has {periods - start} periods; {LEAST_PERIODS} are needed. Take shorter "
            "periods, or do without swings."
        )
    start = max(start, periods - MOST_PERIODS)
    residual = np.log((actual + 0.5) / (expected + 0.5))[start:]
    variance = 1.0 / (expected[start:] + 0.5)
    sd, correlation, weight, factor = _posterior(residual, variance)
    begins = history.end + pd.to_timedelta(edges[start:-1] + 1, unit="D")
    table = pd.DataFrame(
        {"actual": actual[start:], "expected": expected[start:], "factor": factor},
        index=pd.DatetimeIndex(begins, name="from"),
    )
    return CalendarSwings(table, end, every, residual, variance, sd, correlation, weight)


def expected_repeats(fit: Fit, posterior: xr.Dataset, days: Array) -> Array:
    """Return expected cumulative repeat purchases from the hyperparameters alone, (draw, day).

    Parameters
    ----------
    posterior
        Draws to use.
    days
        After the history's end; negative within it.
    """
    history, model = fit.data, purchase_model(fit)
    cohorts = purchase_rows(history, ("age",))
    born = -cohorts.columns["age"]
    at = {n: flat(posterior, n)[:, cohorts.profile] for n in model.parameters}
    alive, future = model.newcomer(at)
    columns = []
    for day in history.per_unit(days):
        lived = np.maximum(day - born, 0.0)
        columns.append((alive * future.expected(lived)) @ cohorts.weight)
    return np.stack(columns, axis=1)


def _daily(history: CustomerHistory, frame: object) -> tuple[Array, Array]:
    """Return days after the history's end, 0 at most, and repeat purchases of each."""
    if "log" not in history.data.attrs:
        raise SpecError("calendar_swings: the history wasn't read from a log.")
    roles = json.loads(history.data.attrs["log"])
    roles.pop("bins")
    end = str(history.data.attrs["end"])
    log = Transactions.from_frame(frame, **roles)
    daily = collect(daily_repeats(log, end, end), order=["day"])
    return daily["day"].to_numpy() - day_number(end, "end"), daily["repeats"].to_numpy()


def _posterior(residual: Array, variance: Array) -> tuple[Array, Array, Array, Array]:
    """Return the grid of SD and correlation, its posterior, and E[exp(c)] of each period."""
    sds = SCALE * 3.5 * (np.arange(SIZES) + 0.5) / SIZES
    correlations = (np.arange(CORRELATIONS) + 0.5) / CORRELATIONS
    sd, correlation = (v.ravel() for v in np.meshgrid(sds, correlations, indexing="ij"))
    lag = np.abs(np.subtract.outer(np.arange(residual.size), np.arange(residual.size)))
    # One matrix for each point of the grid.
    shared = sd[:, None, None] ** 2 * correlation[:, None, None] ** lag
    root = np.linalg.cholesky(shared + np.diag(variance))
    centre = -0.5 * sd[:, None] ** 2
    half = np.linalg.solve(root, (residual - centre)[:, :, None])[:, :, 0]
    gain = np.linalg.solve(root, shared)
    prior = -0.5 * (sd / SCALE) ** 2 + np.log(correlation * (1 - correlation))
    scale = np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1)
    density = prior - 0.5 * (half**2).sum(axis=1) - scale
    left = np.diagonal(shared, axis1=1, axis2=2) - (gain**2).sum(axis=1)
    factors = np.exp(centre + np.einsum("kij,ki->kj", gain, half) + 0.5 * left)
    weight = np.exp(density - density.max())
    weight = weight / weight.sum()
    return sd, correlation, weight, weight @ factors
