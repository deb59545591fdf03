"""How good probabilities of a purchase are: log loss, lift, calibration error with its interval."""

from __future__ import annotations

import numpy as np

BINS = 10
REPLICATES = 500


def log_loss(chance: np.ndarray, bought: np.ndarray) -> float:
    """Return the mean of -log of the probability given to what happened."""
    p = np.clip(chance, 1e-6, 1 - 1e-6)
    return float(-np.mean(np.where(bought, np.log(p), np.log1p(-p))))


def lift(chance: np.ndarray, bought: np.ndarray, share: float = 0.1, seed: int = 1) -> float:
    """Return the rate among the best `share` over that of all; ties in random order."""
    order = np.random.default_rng(seed).permutation(len(chance))
    best = order[np.argsort(-chance[order], kind="stable")][: max(int(share * len(chance)), 1)]
    return float(bought[best].mean() / bought.mean())


def auc(chance: np.ndarray, bought: np.ndarray) -> float:
    """Return the probability that a buyer is ranked above a non-buyer, ties counting half."""
    from scipy.stats import rankdata

    ranks, buyers = rankdata(chance), bought.sum()
    above = ranks[bought].sum() - buyers * (buyers + 1) / 2
    return float(above / (buyers * (len(bought) - buyers)))


def reliability(chance: np.ndarray, bought: np.ndarray) -> list[dict[str, float]]:
    """Return mean probability and share of buyers by tenth of probability."""
    parts = np.array_split(np.argsort(chance, kind="stable"), BINS)
    return [
        {"predicted": float(chance[p].mean()), "observed": float(bought[p].mean()), "n": len(p)}
        for p in parts
    ]


def calibration_error(
    chance: np.ndarray, bought: np.ndarray, seed: int = 1
) -> tuple[float, float, float]:
    """Return the expected calibration error by tenths, and its 90 % interval (bootstrap)."""
    rng = np.random.default_rng(seed)

    def error(rows: np.ndarray) -> float:
        p, y = chance[rows], bought[rows]
        parts = np.array_split(np.argsort(p, kind="stable"), BINS)
        return sum(len(i) * abs(p[i].mean() - y[i].mean()) for i in parts) / len(rows)

    everyone = np.arange(len(chance))
    drawn = [error(rng.integers(0, len(chance), len(chance))) for _ in range(REPLICATES)]
    low, high = np.quantile(drawn, [0.05, 0.95])
    return float(error(everyone)), float(low), float(high)


def figures(chance: np.ndarray, bought: np.ndarray) -> dict[str, float]:
    """Return all of them."""
    error, low, high = calibration_error(chance, bought)
    return {
        "log loss": log_loss(chance, bought),
        "lift at 10%": lift(chance, bought),
        "AUC": auc(chance, bought),
        "calibration error": error,
        "calibration error low": low,
        "calibration error high": high,
    }
