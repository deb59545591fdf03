"""What a decision under a posterior maximises: a measure of the gains, and its slope by draw."""

from __future__ import annotations

import numpy as np

RISKS = ("mean", "quantile", "cvar", "probability")
# A quantile is the mean of the draws within this share of the level: a single draw has no slope.
BAND = 0.05


def weights_of(
    gains: np.ndarray, risk: str, level: float, scale: float = 1.0
) -> tuple[float, np.ndarray]:
    """Return a measure of gains (draw,), and the weights (draw,) that are its gradient.

    `scale` is the size of what the gains are gains of.

    Examples
    --------
    >>> value, weights = weights_of(np.array([1.0, 2.0, 3.0, 6.0]), "cvar", 0.5)
    >>> value, weights.tolist()
    (1.5, [0.5, 0.5, 0.0, 0.0])
    """
    count = len(gains)
    if risk == "mean":
        return float(gains.mean()), np.full(count, 1.0 / count)
    if risk == "probability":
        # A logistic in place of the step, narrow against the spread of the gains.
        width = 0.1 * float(gains.std()) + 1e-3 * scale
        soft = 1.0 / (1.0 + np.exp(-np.clip(gains / width, -500, 500)))
        return float(soft.mean()), soft * (1.0 - soft) / (width * count)
    rank = np.argsort(np.argsort(gains, kind="stable"), kind="stable")
    share = (rank + 0.5) / count
    if risk == "cvar":
        inside = share <= max(level, 1.0 / count)
    else:
        inside = np.abs(share - level) <= max(BAND, 1.0 / count)
    weights = inside / inside.sum()
    return float(weights @ gains), weights
