"""The covariance of a posterior from curvature, draws and gradients together."""

from __future__ import annotations

import numpy as np

FLOOR = 1e-12
# By curvature no direction is longer than so many times what the draws span: at one point there can
# be as good as none where the density is not at all flat.
SPAN = 2.0


def fisher_covariance(hessian: np.ndarray, draws: np.ndarray, slopes: np.ndarray) -> np.ndarray:
    r"""Return the covariance under which draws and gradients look most alike.

    Curvature at one point, H = R^-T R^-1, whitens x = R u. With D and G the covariances of draws
    and of gradients in u, each shrunk towards I by the same weight, the covariance of u is their
    geometric mean

        M = D # G^-1 = G^-1/2 (G^1/2 D G^1/2)^1/2 G^-1/2,

    which minimises the Fisher divergence from the standard normal (Seyboldt, Carlson & Carpenter
    2026). For a normal density gradients are a linear map of draws: chance that makes a direction
    look long in D makes it look as steep in G and drops out, so that fewer draws than dimensions
    do. Where the density isn't normal, both count over all draws, and not the curvature at one.
    Along no eigenvector of H is curvature taken to say more than `SPAN` times what the draws span.

    Parameters
    ----------
    hessian
        (size, size), minus the second derivatives at a point; directions that curve the wrong way
        are taken by the size of their curvature.
    draws, slopes
        (draw, size), points and the gradients of the log-density there.

    Returns
    -------
    ndarray
        (size, size), in the units of the draws, squared.
    """
    count, size = draws.shape
    values, vectors = np.linalg.eigh(hessian)
    along = (draws - draws.mean(axis=0)) @ vectors
    least = 1.0 / np.maximum(SPAN**2 * along.var(axis=0), FLOOR)
    lengths = np.maximum(np.abs(values), least) ** -0.5
    root = vectors * lengths
    weight = count / (count + size)
    far = _shrunk(along / lengths, weight)
    near = _shrunk((slopes - slopes.mean(axis=0)) @ root, weight)
    half, back = _power(near, 0.5), _power(near, -0.5)
    return np.asarray(root @ back @ _power(half @ far @ half, 0.5) @ back @ root.T)


def _shrunk(values: np.ndarray, weight: float) -> np.ndarray:
    """Return the covariance of centred values (draw, size), shrunk towards the identity."""
    covariance = values.T @ values / len(values)
    return np.asarray(weight * covariance + (1.0 - weight) * np.eye(values.shape[1]))


def _power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """Return a power of a symmetric, positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.maximum(values, FLOOR) ** exponent @ vectors.T)
