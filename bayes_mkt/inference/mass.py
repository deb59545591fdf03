"""Of the modes that chains climbed to, those that hold any of the posterior."""

from __future__ import annotations

import numpy as np

from bayes_mkt.inference.mode import Gradient, curvature

# Modes whose heights differ by less are all kept, unasked.
UNLIKE = 20.0
# A mode with less than this share of the mass of another, as a logarithm, holds none.
NOTHING = -20.0
# Chains that could climb by more than this have not arrived at a mode.
ARRIVED = 1.0
# Draws of a normal lie half their number of dimensions below its top; these may lie by so much
# more below it, or above.
DEPTH = 10.0
# A few draws show the mean of the weights' logarithms, the mass has the logarithm of their mean. Of
# a product of Student's t with one or two degrees of freedom that is 3.0 and 2.7 times as much.
SHOWN = 4.0


def with_mass(
    gradient: Gradient, tops: np.ndarray, values: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    r"""Return for each chain whose place it begins at: its own, unless that holds no mass.

    The mass of a mode is that of the Gaussian with its height and curvature (Tierney & Kadane
    1986), with precision H at a point a Newton step below the top,

    .. math:: \log m = \log p + g^T H^{-1} g / 2 - \log \det H / 2.

    Chains would hardly come away from there, or only long after what they learnt of the scale has
    been spoilt by it: they begin at the mode of most mass. A chain isn't judged that isn't at a
    mode, or whose mode isn't curved all ways, or is no such Gaussian by most of a few draws from
    it; and how far these leave the Gaussian is counted, fourfold, in favour of a mode that would
    be left, and against the one that would be gone to. What is left then holds less than e^-20 of
    the mass of another mode by this reckoning, which isn't a bound: draws couldn't show it.

    Parameters
    ----------
    gradient
        Points (chain, size) to log-densities and gradients.
    tops, values
        (chain, size) and (chain,): where chains climbed to, and the log-density there.
    rng
        Source of the draws.

    Returns
    -------
    ndarray
        (chain,), numbers of chains.
    """
    places = np.arange(len(tops))
    if not np.ptp(values) > UNLIKE:
        return places
    _, slopes = gradient(tops)
    masses = np.array(
        [
            _log_mass(gradient, top, value, slope, rng.normal(size=tops.shape))
            for top, value, slope in zip(tops, values, slopes, strict=True)
        ]
    )
    least, most = np.nan_to_num(masses[:, 0], nan=-np.inf), masses[:, 1]
    best = int(np.argmax(least))
    # NaN, of a chain that isn't judged, is below nothing.
    return np.where(most < least[best] + NOTHING, best, places)


def _log_mass(
    gradient: Gradient, top: np.ndarray, value: float, slope: np.ndarray, noise: np.ndarray
) -> tuple[float, float]:
    """Return the logarithm of a mode's mass but for a constant, at least and at most, or NaN."""
    unknown = np.nan, np.nan
    hessian = curvature(gradient, top, len(noise))
    if hessian is None or not (np.diag(hessian) > 0).all():
        return unknown
    # Measured by its own scale, so that what is curved little by its unit counts as curved.
    unit = np.diag(hessian) ** -0.5
    curved, axes = np.linalg.eigh(hessian * unit[:, None] * unit)
    if curved.min() <= 1e-8:
        return unknown
    climb = 0.5 * float((((slope * unit) @ axes) ** 2 / curved).sum())
    drawn, _ = gradient(top + (noise / np.sqrt(curved)) @ axes.T * unit)
    below = value - drawn - 0.5 * top.size
    if climb > ARRIVED or not np.median(np.abs(below)) < 0.5 * top.size + DEPTH:
        return unknown
    mass = float(value + climb - 0.5 * np.log(curved).sum() + np.log(unit).sum())
    # Logarithms of the weights that would make the draws of the Gaussian those of the mode.
    weights = np.nan_to_num(drawn - value + 0.5 * (noise**2).sum(axis=1), nan=-np.inf)
    least, most = min(float(np.median(weights)), 0.0), max(float(weights.max()), 0.0)
    return mass + SHOWN * least, mass + SHOWN * most
