"""Data and truths made from a seed: what the suite samples besides real data. NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

CORRELATION = 0.9
SCALES = (0.1, 10.0)
FUNNEL_SD = 3.0
FUNNEL_SIZE = 9

SCHOOL_EFFECTS = (28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0)
SCHOOL_ERRORS = (15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0)


@dataclass(frozen=True)
class NormalTruth:
    """A normal distribution: mean (size,), sd (size,) and lower Cholesky factor (size, size)."""

    mean: np.ndarray
    sd: np.ndarray
    cholesky: np.ndarray


def correlated_normal(size: int, seed: int = 20) -> NormalTruth:
    """Return a normal whose neighbours in a random order correlate by 0.9 (AR(1)).

    Signs of the correlations are random; standard deviations are log-uniform from 0.1 to 10. The
    eigenvalues of the correlation matrix span a factor of 361.
    """
    rng = np.random.default_rng(seed)
    place = rng.permutation(size)
    sign = rng.choice([-1.0, 1.0], size)
    sd = np.exp(rng.uniform(np.log(SCALES[0]), np.log(SCALES[1]), size))
    mean = sd * rng.normal(size=size)
    correlation = CORRELATION ** np.abs(place[:, None] - place[None, :]) * np.outer(sign, sign)
    return NormalTruth(mean, sd, np.linalg.cholesky(correlation * np.outer(sd, sd)))


@dataclass(frozen=True)
class LogisticData:
    """Binary outcomes in groups, and what they were drawn with."""

    outcome: np.ndarray
    group: np.ndarray
    covariates: np.ndarray
    mean: float
    sd: float
    slopes: np.ndarray
    offsets: np.ndarray


def grouped_outcomes(groups: int, per_group: int = 20, seed: int = 30) -> LogisticData:
    """Return outcomes with logit p = -1 + 0.8 z_g + x'(0.5, -0.3, 0.2), z and x standard normal."""
    rng = np.random.default_rng(seed)
    slopes, offsets = np.array([0.5, -0.3, 0.2]), rng.normal(size=groups)
    group = np.repeat(np.arange(groups), per_group)
    covariates = rng.normal(size=(group.size, slopes.size))
    logit = -1.0 + 0.8 * offsets[group] + covariates @ slopes
    outcome = (rng.uniform(size=group.size) < 1.0 / (1.0 + np.exp(-logit))).astype(int)
    return LogisticData(outcome, group, covariates, -1.0, 0.8, slopes, offsets)
