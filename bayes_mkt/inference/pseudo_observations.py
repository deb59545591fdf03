"""What data say of each group effect, as if it had been observed with noise; learnt from draws.

Of theta ~ N(mu, s) data are taken to say t ~ N(theta, 1 / tau), where t may be a line in effects
of the same row. tau, t0 and the line's slopes are those under which draws of the effects are
likeliest, given their means and SDs. A line is taken only where it also foretells the draws of
chains that it wasn't fitted to: chains on their way lie along lines of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bayes_mkt.inference.effects import conditional

WEIGHTS = np.geomspace(1e-2, 1e4, 13)
# What a form must gain over the one before it, in mean log-density of an effect: the line over the
# point, the point over the non-centred form.
GAIN = 0.02
RIDGE = 1e-6
CONSTANT = 1e-8
# Rows of effects at a time, which bounds the memory of lines.
BLOCK = 500


@dataclass(frozen=True)
class Effects:
    """Draws of effects, and what their prior gives them.

    Attributes
    ----------
    effect, mean, sd, factor
        (draw, effect).
    """

    effect: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    factor: np.ndarray

    def part(self, draws: slice, effects: slice) -> Effects:
        """Return some of the draws of some of the effects."""
        at = (draws, effects)
        return Effects(self.effect[at], self.mean[at], self.sd[at], self.factor[at])

    @property
    def unit(self) -> np.ndarray:
        """Return the precision of theta's prior (effect,)."""
        return np.asarray(1.0 / np.maximum(np.median((self.sd * self.factor) ** 2, axis=0), 1e-300))

    def regression(self, tau: np.ndarray) -> Regression:
        """Return the regression that gives t where data inform each effect with precision tau."""
        center, width = conditional(tau, 0.0, self.mean, self.sd, self.factor)
        left = (self.effect - center) / width
        return Regression(tau * width * self.factor, left, np.log(width).mean(axis=0))


@dataclass(frozen=True)
class Regression:
    """Of an effect, in units of its SD given t, on t: ``left = slope t + standard normal``.

    Attributes
    ----------
    slope, left
        (draw, effect).
    log_width
        Mean over draws of the log of that SD (effect,).
    """

    slope: np.ndarray
    left: np.ndarray
    log_width: np.ndarray

    def score(self, t: np.ndarray) -> np.ndarray:
        """Return the mean log-density (effect,) of the draws, up to a constant."""
        rest = self.left - self.slope * t
        return np.asarray(-self.log_width - 0.5 * (rest**2).mean(axis=0))

    def point(self) -> np.ndarray:
        """Return the likeliest t (effect,)."""
        size = np.maximum((self.slope**2).sum(axis=0), 1e-300)
        return np.asarray((self.slope * self.left).sum(axis=0) / size)


def learn(effects: Effects, rows: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    """Return tau, t0 (effect,) and b (effect, partner) under which draws of effects are likeliest.

    Parameters
    ----------
    effects
        Their draws, one chain after the other.
    rows
        Theta of the effects' partners, by row (draw, row, partner); None where they have none.
    """
    # Draws that aren't finite, or overflow, leave their own effects as they are.
    with np.errstate(invalid="ignore", over="ignore"):
        return _learnt(effects, rows)


def _learnt(effects: Effects, rows: np.ndarray | None) -> tuple[np.ndarray, ...]:
    if rows is None:
        tau, t, _ = _points(effects)
        return tau, t, np.zeros((len(tau), 0))
    each = effects.effect.shape[1] // rows.shape[1]
    parts = []
    for first in range(0, rows.shape[1], BLOCK):
        here = slice(first * each, (first + BLOCK) * each)
        part = effects.part(slice(None), here)
        parts.append(_lines(part, rows[:, first : first + BLOCK]))
    return tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))


def _points(effects: Effects) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tau, t and score (effect,) of the likeliest form without partners."""
    unit = effects.unit
    tau, t = np.zeros(len(unit)), np.zeros(len(unit))
    # The non-centred form stays where the other is hardly better.
    best = effects.regression(tau).score(t) + GAIN
    for weight in WEIGHTS:
        trial = weight * unit
        regression = effects.regression(trial)
        place = regression.point()
        score = regression.score(place)
        better = np.isfinite(score) & (score > best)
        best = np.where(better, score, best)
        tau, t = np.where(better, trial, tau), np.where(better, place, t)
    return tau, t, best


def _lines(effects: Effects, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return tau, t0 and b of the likeliest form, with theta (draw, row, partner) if it pays."""
    tau, t, score = _points(effects)
    line, unit = Line.of(rows), effects.unit
    steep, best = np.zeros(len(tau)), score
    for weight in WEIGHTS:
        trial = weight * unit
        regression = effects.regression(trial)
        found = regression.score(line.at(line.fitted(regression)))
        better = np.isfinite(found) & (found > best)
        best, steep = np.where(better, found, best), np.where(better, trial, steep)
    start, slopes = line.plain(line.fitted(effects.regression(steep)))
    pays = (steep > 0) & np.isfinite(start) & np.isfinite(slopes).all(axis=1)
    pays &= _foretold(effects, rows, tau, steep) > GAIN
    return (
        np.where(pays, steep, tau),
        np.where(pays, start, t),
        np.where(pays[:, None], slopes, 0.0),
    )


def _foretold(effects: Effects, rows: np.ndarray, tau: np.ndarray, steep: np.ndarray) -> np.ndarray:
    """Return by how much a line foretells one half of the chains better than a point does.

    Each is fitted to the other half; the mean over both ways (effect,).

    Parameters
    ----------
    effects, rows
        All draws, one chain after the other.
    tau, steep
        Precisions of the point and of the line (effect,).
    """
    half = len(rows) // 2
    gain = np.zeros(len(tau))
    for known, asked in (
        (slice(None, half), slice(half, None)),
        (slice(half, None), slice(None, half)),
    ):
        given, held = (effects.part(draws, slice(None)) for draws in (known, asked))
        line = Line.of(rows[known])
        start, slopes = line.plain(line.fitted(given.regression(steep)))
        by_row = slopes.reshape(rows.shape[1], -1, rows.shape[2])
        moved = np.einsum("drk,rek->dre", rows[asked], by_row).reshape(held.effect.shape)
        point = held.regression(tau).score(given.regression(tau).point())
        gain += 0.5 * (held.regression(steep).score(start + moved) - point)
    return np.where(np.isfinite(gain), gain, -np.inf)


@dataclass(frozen=True)
class Line:
    """Regressions on theta of partners, row by row.

    Attributes
    ----------
    middle, spread
        Of theta over draws (row, partner); a spread of inf leaves a partner out.
    x
        One, and theta in these units (row, draw, 1 + partner).
    products
        Of x with itself, at each draw (row, draw, (1 + partner)^2).
    """

    middle: np.ndarray
    spread: np.ndarray
    x: np.ndarray
    products: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray) -> Line:
        """Return what the regressions on theta (draw, row, partner) have in common."""
        middle, spread = rows.mean(axis=0), rows.std(axis=0)
        spread = np.where(spread > CONSTANT * np.abs(middle), spread, np.inf)
        scaled = ((rows - middle) / spread).transpose(1, 0, 2)
        x = np.concatenate([np.ones((*scaled.shape[:2], 1)), scaled], axis=2)
        products = (x[..., :, None] * x[..., None, :]).reshape(*x.shape[:2], -1)
        return cls(middle, spread, x, products)

    def fitted(self, regression: Regression) -> np.ndarray:
        """Return the coefficients on x of t (row, effect of the row, 1 + partner)."""
        slope, left = self._by_row(regression.slope), self._by_row(regression.left)
        count = self.x.shape[2]
        moments = (slope**2 @ self.products).reshape(*slope.shape[:2], count, count)
        sums = (slope * left) @ self.x
        size = np.maximum(np.trace(moments, axis1=2, axis2=3), 1e-300)
        moments = moments + (RIDGE * size)[..., None, None] * np.eye(count)
        return np.asarray(np.linalg.solve(moments, sums[..., None])[..., 0])

    def at(self, coefficients: np.ndarray) -> np.ndarray:
        """Return t at each draw (draw, effect)."""
        places = coefficients @ self.x.transpose(0, 2, 1)
        return np.asarray(places.transpose(2, 0, 1).reshape(self.x.shape[1], -1))

    def plain(self, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return t0 (effect,) and b (effect, partner) of coefficients on x."""
        slopes = coefficients[..., 1:] / self.spread[:, None]
        start = coefficients[..., 0] - (slopes * self.middle[:, None]).sum(axis=2)
        return start.ravel(), slopes.reshape(-1, slopes.shape[2])

    def _by_row(self, values: np.ndarray) -> np.ndarray:
        """Return values (draw, effect) as (row, effect of the row, draw)."""
        return values.reshape(len(values), len(self.x), -1).transpose(1, 2, 0)
