"""Effective sample sizes and R-hat of many parameters at once.

The estimators are those of Vehtari et al. (2021), as ArviZ computes them parameter by parameter;
here a batch of parameters is ranked at once, and its first autocovariances are products, which
suffice where chains mix well; else all of them come from one transform.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.special import ndtri

from bayes_mkt.inference.threads import CORES

TAIL = (0.05, 0.95)
# Numbers that are looked at together, as many as a core's cache holds with what is made of them;
# and below how many in all threads gain less than they cost.
BATCH, FEW = 2**16, 2**20
REMEMBERED = 32
# Autocovariances that are computed one by one, first the fewer: of chains that mix well, all that
# are needed.
NEAREST, NEAR = 8, 32


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

    The latest are remembered: what ends a run is mostly what its verdict is made of.

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
    if values.size < FEW:
        parts = list(map(_figures, _batches(values)))
    else:
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
    """Yield the draws of parameters, `BATCH` numbers or those of one, chains next."""
    chains, draws, size = values.shape
    step = max(1, BATCH // (chains * draws))
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
    ordered = _taken(flat, order)
    scores = _scores(ordered, order).reshape(split.shape)
    # About the median sorted draws fall and then rise: two runs, which a stable sort only merges.
    middle = ordered[:, [(flat.shape[1] - 1) // 2, flat.shape[1] // 2]].mean(axis=1, keepdims=True)
    folded = np.abs(ordered - middle)
    merged = np.argsort(folded, axis=1, kind="stable")
    folded = _scores(_taken(folded, merged), _taken(order, merged)).reshape(split.shape)
    # Halves may leave out a draw in the middle.
    whole = ordered if ordered.size == rows.size else np.sort(rows.reshape(len(rows), -1), axis=1)
    tails = [_ess(split <= _quantile(whole, share)[:, None, None]) for share in TAIL]
    return Figures(
        bulk=_ess(scores),
        tail=np.minimum(*tails),
        rhat=np.maximum(_rhat(scores), _rhat(folded)),
    )


def _taken(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the entries of each row at places of its own, (row, draw)."""
    out = np.empty_like(rows)
    for taken, row, at in zip(out, rows, places, strict=True):
        np.take(row, at, out=taken, mode="clip")  # other modes copy `out` first
    return out


def _quantile(ordered: np.ndarray, share: float) -> np.ndarray:
    """Return a quantile of each row, ascending, by linear interpolation."""
    place = share * (ordered.shape[1] - 1)
    first = int(place)
    below, above = ordered[:, first], ordered[:, min(first + 1, ordered.shape[1] - 1)]
    return np.asarray(below + (place - first) * (above - below))


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
    table = _table(count)
    scores = np.tile(table[::2], (size, 1))
    again = np.zeros(ordered.shape, dtype=bool)
    again[:, :-1] = ordered[:, :-1] == ordered[:, 1:]
    _share_ranks(scores, again, table)
    out = np.empty_like(scores)
    for row, values, at in zip(out, scores, order, strict=True):
        row[at] = values
    return out


def _share_ranks(scores: np.ndarray, again: np.ndarray, table: np.ndarray) -> None:
    """Give scores (parameter, draw), ascending, the score of their mean rank where draws are tied.

    Parameters
    ----------
    scores
        By rank; written to.
    again
        Whether the next draw is the same.
    table
        Of `_table`.
    """
    tied = np.flatnonzero(again)
    if not tied.size:
        return
    apart = np.diff(tied) != 1
    first = tied[np.concatenate([[True], apart])]
    last = tied[np.concatenate([apart, [True]])] + 1
    shared = table[(first + last) - 2 * (first // len(again[0])) * len(again[0])]
    flat = scores.reshape(-1)
    flat[tied] = np.repeat(shared, last - first)
    flat[last] = shared


@lru_cache(maxsize=4)
def _table(count: int) -> np.ndarray:
    """Return the normal scores of ranks from 0 by halves: mean ranks of ties are multiples of it.

    Blom's offset is 3/8.
    """
    return np.asarray(ndtri((np.arange(2 * count) / 2 + 1 - 0.375) / (count + 0.25)))


def _rhat(rows: np.ndarray) -> np.ndarray:
    """Return R-hat (parameter,) of draws (parameter, chain, draw)."""
    draws = rows.shape[2]
    between = rows.mean(axis=2).var(axis=1, ddof=1)
    within = rows.var(axis=2, ddof=1).mean(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.sqrt(between / within + (draws - 1) / draws))


def _ess(rows: np.ndarray) -> np.ndarray:
    """Return the effective sample size (parameter,), by Geyer's initial monotone sequence."""
    size, chains, draws = rows.shape
    means = rows.mean(axis=2)
    centered = rows - means[:, :, None]
    between = means.var(axis=1, ddof=1) if chains > 1 else np.zeros(size)
    time, open_, sums = np.empty(size), np.arange(size), np.empty((size, 0))
    for most in (NEAREST, NEAR, draws):
        if most <= NEAR:
            sums = np.concatenate([sums, _near(centered, range(sums.shape[1], most))], axis=1)
        else:
            sums = _everywhere(centered)
        time[open_], known = _time(sums / (chains * draws), between, (chains, draws))
        if known.all():
            break
        # What still goes on after the first lags takes more of them.
        open_, sums, between = open_[~known], sums[~known], between[~known]
        centered = centered[~known]
    constant = np.subtract(rows.max(axis=(1, 2)), rows.min(axis=(1, 2)), dtype=float) < 1e-15
    return np.where(constant, float(chains * draws), chains * draws / time)


def _near(centered: np.ndarray, lags: range) -> np.ndarray:
    """Return the sums over chains of products with what comes later (parameter, lag).

    Parameters
    ----------
    centered
        (parameter, chain, draw).
    lags
        How much later.
    """
    draws = centered.shape[2]
    # Chain by chain: of longer products BLAS makes threads, which then stand in the way.
    products = [
        np.vecdot(centered[:, :, lag:], centered[:, :, : max(draws - lag, 0)]).sum(axis=1)
        for lag in lags
    ]
    return np.stack(products, axis=1)


def _everywhere(centered: np.ndarray) -> np.ndarray:
    """Return all sums of `_near`, from power spectra."""
    draws = centered.shape[2]
    length = fft.next_fast_len(2 * draws, real=True)
    spectrum = fft.rfft(centered, n=length, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).sum(axis=1)
    return np.asarray(fft.irfft(power, n=length, axis=1)[:, :draws])


def _time(
    covariance: np.ndarray, between: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the autocorrelation time (parameter,), and whether these lags were enough for it.

    Parameters
    ----------
    covariance
        (parameter, lag), of the first lags or of all; means over chains.
    between
        Variance of the chains' means (parameter,).
    shape
        Of the draws: chains, draws.
    """
    chains, draws = shape
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
