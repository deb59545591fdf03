"""Effective sample sizes and R-hat of many parameters at once.

The estimators are those of Vehtari et al. (2021), as ArviZ computes them parameter by parameter;
here each batch of parameters is ranked once and its autocovariances come from one transform.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.special import ndtri

from bayes_mkt.inference.threads import CORES

TAIL = (0.05, 0.95)
BATCH = 2**18
REMEMBERED = 32
# Autocovariances that are computed one by one: of chains that mix well, all that are needed.
NEAR = 32


class Figures(NamedTuple):
    """Figures of each parameter, each (parameter,).

    Attributes
    ----------
    bulk, tail
        Effective sample sizes: of rank-normalised draws, and of the 5 % and 95 % quantiles (the
        smaller).
    rhat
        The larger of rank-normalised split R-hat and the same of folded draws.
    """

    bulk: np.ndarray
    tail: np.ndarray
    rhat: np.ndarray


_KNOWN: dict[bytes, Figures] = {}


def figures(values: np.ndarray) -> Figures:
    """Return the figures of draws (chain, draw, parameter), finite and not constant.

    The latest are remembered: what ends a run is what its verdict is made of.

    Raises
    ------
    ValueError
        If there are fewer than four draws.
    """
    if values.shape[1] < 4:
        raise ValueError(f"{values.shape[1]} draws are too few: at least four are needed.")
    digest = sha256(np.ascontiguousarray(values)).digest() + repr(values.shape).encode()
    found = _KNOWN.pop(digest, None) or _computed(values)
    _KNOWN[digest] = found
    while len(_KNOWN) > REMEMBERED:
        _KNOWN.pop(next(iter(_KNOWN)), None)
    return found


def _computed(values: np.ndarray) -> Figures:
    with ThreadPoolExecutor(CORES) as pool:  # NumPy sorts and transforms without the lock
        parts = list(pool.map(_figures, _batches(values)))
    if not parts:
        return Figures(*(np.empty(0) for _ in Figures._fields))
    return Figures(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def mean_ess(values: np.ndarray) -> np.ndarray:
    """Return the effective sample size (parameter,) for the mean of (chain, draw, parameter)."""
    parts = [_ess(_split(rows)) for rows in _batches(values)]
    return np.concatenate(parts) if parts else np.empty(0)


def _batches(values: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the draws of parameters, at most about 2 MiB and one core's share, chains next."""
    chains, draws, size = values.shape
    step = max(1, min(BATCH // (chains * draws), -(-size // CORES)))
    for first in range(0, size, step):
        yield np.ascontiguousarray(np.moveaxis(values[:, :, first : first + step], 2, 0))


def _split(rows: np.ndarray) -> np.ndarray:
    """Return the halves of chains as chains of their own."""
    half = rows.shape[2] // 2
    return np.concatenate([rows[:, :, :half], rows[:, :, -half:]], axis=1)


def _figures(rows: np.ndarray) -> Figures:
    """Return the figures of draws (parameter, chain, draw)."""
    split = _split(rows)
    flat = split.reshape(len(rows), -1)
    order = np.argsort(flat, axis=1)
    ordered = np.take_along_axis(flat, order, axis=1)
    scores = _scores(ordered, order).reshape(split.shape)
    # About the median sorted draws fall and then rise: two runs, which a stable sort only merges.
    middle = ordered[:, [(flat.shape[1] - 1) // 2, flat.shape[1] // 2]].mean(axis=1, keepdims=True)
    folded = np.abs(ordered - middle)
    merged = np.argsort(folded, axis=1, kind="stable")
    outward = np.take_along_axis(order, merged, axis=1)
    folded = _scores(np.take_along_axis(folded, merged, axis=1), outward).reshape(split.shape)
    # What is sorted already takes a fifth of the time; halves may leave out a draw in the middle.
    whole = ordered if ordered.size == rows.size else rows.reshape(len(rows), -1)
    bounds = np.quantile(whole, TAIL, axis=1)
    below = [_ess((split <= bound[:, None, None]).astype(float)) for bound in bounds]
    return Figures(
        bulk=_ess(scores),
        tail=np.minimum(*below),
        rhat=np.maximum(_rhat(scores), _rhat(folded)),
    )


def _scores(ordered: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Return the normal scores of each parameter's draws by rank; ties share a rank.

    Parameters
    ----------
    ordered
        (parameter, draw), ascending.
    order
        Where each of these draws stands.
    """
    size, count = ordered.shape
    # Mean ranks are multiples of a half: their scores are looked up. Blom's offset is 3/8.
    table = ndtri((np.arange(2 * count) / 2 + 1 - 0.375) / (count + 0.25))
    scores = np.tile(table[::2], (size, 1))
    again = np.zeros((size, count + 1), dtype=bool)
    again[:, 1:-1] = ordered[:, 1:] == ordered[:, :-1]
    # Runs of equal draws begin before the first that is there again, and end with the last.
    rows, first = np.nonzero(again[:, 1:] & ~again[:, :-1])
    last = np.nonzero(again[:, :-1] & ~again[:, 1:])[1]
    ties = last - first + 1
    inside = np.arange(ties.sum()) - np.repeat(np.cumsum(ties) - ties - first, ties)
    scores[np.repeat(rows, ties), inside] = np.repeat(table[first + last], ties)
    out = np.empty(ordered.shape)
    np.put_along_axis(out, order, scores, axis=1)
    return out


def _rhat(rows: np.ndarray) -> np.ndarray:
    """Return R-hat (parameter,) of draws (parameter, chain, draw)."""
    draws = rows.shape[2]
    between = rows.mean(axis=2).var(axis=1, ddof=1)
    within = rows.var(axis=2, ddof=1).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(between / within + (draws - 1) / draws))


def _ess(rows: np.ndarray) -> np.ndarray:
    """Return the effective sample size (parameter,), by Geyer's initial monotone sequence."""
    centered = rows - rows.mean(axis=2, keepdims=True)
    between = rows.mean(axis=2).var(axis=1, ddof=1) if rows.shape[1] > 1 else np.zeros(len(rows))
    total = float(rows.shape[1] * rows.shape[2])
    time, known = _time(_near(centered), between, centered.shape)
    # What still goes on after the first lags takes all of them.
    rest = np.flatnonzero(~known)
    if rest.size:
        time[rest], _ = _time(_everywhere(centered[rest]), between[rest], centered.shape)
    return np.where(np.ptp(rows, axis=(1, 2)) < 1e-15, total, total / time)


def _near(centered: np.ndarray) -> np.ndarray:
    """Return the first autocovariances (parameter, lag), means over chains, one by one."""
    draws = centered.shape[2]
    lags = [
        np.vecdot(centered[:, :, lag:], centered[:, :, : draws - lag]).mean(axis=1)
        for lag in range(min(NEAR, draws))
    ]
    return np.asarray(np.stack(lags, axis=1) / draws)


def _everywhere(centered: np.ndarray) -> np.ndarray:
    """Return all autocovariances (parameter, lag), means over chains: power spectra transformed."""
    draws = centered.shape[2]
    length = fft.next_fast_len(2 * draws, real=True)
    spectrum = fft.rfft(centered, n=length, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).mean(axis=1)
    return np.asarray(fft.irfft(power, n=length, axis=1)[:, :draws] / draws)


def _time(
    covariance: np.ndarray, between: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the autocorrelation time (parameter,), and whether these lags were enough for it.

    Parameters
    ----------
    covariance
        (parameter, lag), of the first lags or of all.
    between
        Variance of the chains' means (parameter,).
    shape
        Of the draws: parameters, chains, draws.
    """
    _, chains, draws = shape
    within = covariance[:, 0] * draws / (draws - 1.0)
    whole = covariance[:, 0] + between
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = 1.0 - (within[:, None] - covariance) / whole[:, None]
    rho[:, 0] = 1.0
    every = max(1, (draws - 1) // 2)
    pairs = min(every, covariance.shape[1] // 2)
    even, odd = rho[:, 0 : 2 * pairs : 2], rho[:, 1 : 2 * pairs : 2]
    sums = even + odd
    ended = sums <= 0
    cut = np.where(ended.any(axis=1), ended.argmax(axis=1), pairs - 1)
    monotone = np.minimum.accumulate(sums, axis=1)
    kept = np.where(np.arange(pairs) < cut[:, None], monotone, 0.0).sum(axis=1)
    at = np.arange(len(rho))
    last = np.where((even[at, cut] > 0) | (sums[at, cut] >= 0), even[at, cut], 0.0)
    time = np.maximum(-1.0 + 2.0 * kept + last, 1.0 / np.log10(chains * draws))
    return time, ended.any(axis=1) | (pairs == every)
