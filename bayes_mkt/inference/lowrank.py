"""Normal distributions whose covariance is a diagonal plus a few directions, from L-BFGS steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

LOG_2PI = float(np.log(2.0 * np.pi))
HISTORY = 10


@dataclass(frozen=True)
class LowRank:
    """N(center, S) with S = A (I + Q (L L' - I) Q') A, A = diag(sd), Q orthonormal.

    Attributes
    ----------
    center, sd
        (size,).
    directions
        Q (size, rank).
    factor
        L (rank, rank), lower triangular.
    """

    center: np.ndarray
    sd: np.ndarray
    directions: np.ndarray
    factor: np.ndarray

    @property
    def log_det(self) -> float:
        """Return log det(S) / 2."""
        return float(np.log(self.sd).sum() + np.log(np.diag(self.factor)).sum())

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return draws (count, size)."""
        noise = rng.normal(size=(count, self.center.size))
        along = noise @ self.directions
        turned = noise + (along @ self.factor.T - along) @ self.directions.T
        return np.asarray(self.center + self.sd * turned)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """Return the log-density (count,) at points (count, size)."""
        v = (x - self.center) / self.sd
        along = v @ self.directions
        back = solve_triangular(self.factor, along.T, lower=True).T
        square = (v**2).sum(axis=1) - (along**2).sum(axis=1) + (back**2).sum(axis=1)
        return np.asarray(-0.5 * square - self.log_det - 0.5 * self.center.size * LOG_2PI)


def along_path(points: np.ndarray, slopes: np.ndarray) -> list[LowRank]:
    r"""Return the normal distribution that L-BFGS implies at each point of its path but the first.

    With steps s, changes of the downhill gradient z, and the last `HISTORY` of both in S and Z,

        H = diag(alpha) + B G B',    B = [diag(alpha) Z, S],    center = x + H grad log p(x),

    (Zhang et al. 2022, algorithms 3 and 4). Steps along which the density doesn't curve downwards
    are left out.

    Parameters
    ----------
    points, slopes
        (point, size): the path, and the gradient of the log-density along it.
    """
    found: list[LowRank] = []
    steps: list[np.ndarray] = []
    changes: list[np.ndarray] = []
    alpha = np.ones(points.shape[1])
    for index in range(1, len(points)):
        step, change = points[index] - points[index - 1], slopes[index - 1] - slopes[index]
        if step @ change > 1e-12 * (change @ change):
            alpha = diagonal(alpha, step, change)
            steps, changes = [*steps, step][-HISTORY:], [*changes, change][-HISTORY:]
        normal = _normal(points[index], slopes[index], alpha, steps, changes)
        if normal is not None:
            found.append(normal)
    return found


def diagonal(alpha: np.ndarray, step: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return the diagonal of the inverse Hessian after a step (Gilbert & Lemarechal 1989)."""
    a, b, c = alpha @ change**2, step @ change, (step**2 / alpha).sum()
    inverse = a / (b * alpha) + change**2 / b - a * step**2 / (b * c * alpha**2)
    return np.asarray(1.0 / inverse)


def factors(
    alpha: np.ndarray, steps: np.ndarray, changes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return B and G with the inverse Hessian ``diag(alpha) + B G B'``.

    Parameters
    ----------
    alpha
        (size,).
    steps, changes
        S and Z, (size, history).
    """
    inner = steps.T @ changes
    upper = np.linalg.inv(np.triu(inner))
    scaled = changes.T @ (alpha[:, None] * changes) + np.diag(np.diag(inner))
    zero = np.zeros_like(inner)
    form = np.block([[zero, -upper], [-upper.T, upper.T @ scaled @ upper]])
    return np.hstack([alpha[:, None] * changes, steps]), form


def _normal(
    point: np.ndarray,
    slope: np.ndarray,
    alpha: np.ndarray,
    steps: list[np.ndarray],
    changes: list[np.ndarray],
) -> LowRank | None:
    """Return the normal distribution at a point; None where its covariance isn't positive."""
    if not (np.isfinite(alpha).all() and (alpha > 0).all()):
        return None
    sd, size = np.sqrt(alpha), point.size
    if not steps:
        return LowRank(point + alpha * slope, sd, np.zeros((size, 0)), np.eye(0))
    try:
        basis, form = factors(alpha, np.stack(steps, axis=1), np.stack(changes, axis=1))
        directions, r = np.linalg.qr(basis / sd[:, None])
        factor = np.linalg.cholesky(np.eye(len(r)) + r @ form @ r.T)
    except np.linalg.LinAlgError:
        return None
    center = point + alpha * slope + basis @ (form @ (basis.T @ slope))
    normal = LowRank(center, sd, directions, factor)
    return normal if np.isfinite(center).all() and np.isfinite(normal.log_det) else None
