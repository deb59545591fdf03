"""How observed sales scatter about their expectation: four families, with one contract.

Each has `priors`, `observe` (a term of the model) and `scatter` (the same law in NumPy, for
predictions; with `alike`, each region scatters as before, but regions of one date together). The
expectation m, in units of sales, is that of the model whatever the family, so that contributions
and returns are sums in all of them. `unit` is one SD of sales per head times the region's heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from scipy import special

from bayes_mkt.errors import SpecError
from bayes_mkt.priors import Prior

SIGMA = Prior("HalfNormal", sigma=1.0)
Parameters = Mapping[str, Any]


@dataclass(frozen=True)
class NormalLikelihood:
    """Normal: y ~ N(m, sigma unit).

    Examples
    --------
    >>> sorted(NormalLikelihood().priors)
    ['sigma']
    """

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType({"sigma": SIGMA})

    def observe(self, mean: Any, unit: Any, parameters: Parameters, **observed: Any) -> None:
        """Add the likelihood `sales` to the model in context."""
        pm.Normal("sales", mean, parameters["sigma"] * unit, **observed)

    def scatter(
        self,
        rng: np.random.Generator,
        mean: np.ndarray,
        unit: np.ndarray,
        parameters: Parameters,
        alike: float = 0.0,
    ) -> np.ndarray:
        """Return sales drawn about `mean`; all arguments broadcast."""
        return np.asarray(mean + parameters["sigma"] * unit * _normals(rng, mean.shape, alike))

    def check(self, sales: np.ndarray) -> None:
        """Raise `SpecError` if observed sales are impossible under this family."""


@dataclass(frozen=True)
class StudentTLikelihood:
    """Student t: (y - m) / (sigma unit) ~ t(nu), for weeks far off that should not decide.

    Notes
    -----
    Parameters `sigma`, and `nu`, the degrees of freedom (prior Gamma(2, 0.1), Juarez & Steel 2010,
    above 1 so that the mean exists).
    """

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType(
        {"sigma": SIGMA, "nu": Prior("Gamma", alpha=2.0, beta=0.1)}
    )

    def observe(self, mean: Any, unit: Any, parameters: Parameters, **observed: Any) -> None:
        """Add the likelihood `sales` to the model in context."""
        pm.StudentT(
            "sales",
            nu=1.0 + parameters["nu"],
            mu=mean,
            sigma=parameters["sigma"] * unit,
            **observed,
        )

    def scatter(
        self,
        rng: np.random.Generator,
        mean: np.ndarray,
        unit: np.ndarray,
        parameters: Parameters,
        alike: float = 0.0,
    ) -> np.ndarray:
        """Return sales drawn about `mean`; all arguments broadcast."""
        freedom = np.broadcast_to(1.0 + parameters["nu"], mean.shape)
        if alike == 0.0:
            return np.asarray(mean + parameters["sigma"] * unit * rng.standard_t(freedom))
        t = _normals(rng, mean.shape, alike) / np.sqrt(rng.chisquare(freedom) / freedom)
        return np.asarray(mean + parameters["sigma"] * unit * t)

    def check(self, sales: np.ndarray) -> None:
        """Raise `SpecError` if observed sales are impossible under this family."""


@dataclass(frozen=True)
class LogNormalLikelihood:
    """Log-normal: log y ~ N(log m - s^2 / 2, s), so that E[y] = m and noise grows with sales.

    Notes
    -----
    Parameter `log_sd`, s.
    """

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType(
        {"log_sd": Prior("HalfNormal", sigma=0.5)}
    )

    def observe(self, mean: Any, unit: Any, parameters: Parameters, **observed: Any) -> None:
        """Add the likelihood `sales` to the model in context."""
        sd = parameters["log_sd"]
        pm.LogNormal("sales", _log(mean, unit) - 0.5 * sd**2, sd, **observed)

    def scatter(
        self,
        rng: np.random.Generator,
        mean: np.ndarray,
        unit: np.ndarray,
        parameters: Parameters,
        alike: float = 0.0,
    ) -> np.ndarray:
        """Return sales drawn about `mean`; all arguments broadcast."""
        sd = np.broadcast_to(parameters["log_sd"], mean.shape)
        noise = sd * _normals(rng, mean.shape, alike) - 0.5 * sd**2
        return np.asarray(np.maximum(mean, 0.0) * np.exp(noise))

    def check(self, sales: np.ndarray) -> None:
        """Raise `SpecError` if observed sales are impossible under this family."""
        low = int((sales <= 0).sum())
        if low:
            raise SpecError(
                f"LogNormalLikelihood needs sales > 0; {low} observed values are not, the lowest "
                f"is {sales.min():g}. Use NormalLikelihood, or mask these region-weeks."
            )


@dataclass(frozen=True)
class NegativeBinomialLikelihood:
    """Negative binomial for counts: mean m, variance m + m^2 / dispersion.

    Notes
    -----
    Parameter `dispersion` (prior LogNormal(3, 1.5)); large is close to Poisson.
    """

    priors: ClassVar[Mapping[str, Prior]] = MappingProxyType(
        {"dispersion": Prior("LogNormal", mu=3.0, sigma=1.5)}
    )

    def observe(self, mean: Any, unit: Any, parameters: Parameters, **observed: Any) -> None:
        """Add the likelihood `sales` to the model in context."""
        pm.NegativeBinomial(
            "sales", mu=pt.exp(_log(mean, unit)), alpha=parameters["dispersion"], **observed
        )

    def scatter(
        self,
        rng: np.random.Generator,
        mean: np.ndarray,
        unit: np.ndarray,
        parameters: Parameters,
        alike: float = 0.0,
    ) -> np.ndarray:
        """Return sales drawn about `mean`; all arguments broadcast."""
        shape = np.broadcast_to(parameters["dispersion"], mean.shape)
        if alike == 0.0:
            rate = rng.gamma(shape, np.maximum(mean, 0.0) / shape)
        else:
            chance = special.ndtr(_normals(rng, mean.shape, alike))
            rate = special.gammaincinv(shape, chance) * np.maximum(mean, 0.0) / shape
        return np.asarray(rng.poisson(rate), dtype=float)

    def check(self, sales: np.ndarray) -> None:
        """Raise `SpecError` if observed sales are impossible under this family."""
        odd = sales[(sales < 0) | (sales != np.round(sales))]
        if odd.size:
            raise SpecError(
                f"NegativeBinomialLikelihood needs whole numbers >= 0; {odd.size} observed values "
                f"of sales are not, such as {odd[0]:g}. Give units sold (with revenue_per_sale), "
                "or use LogNormalLikelihood."
            )


Likelihood = (
    NormalLikelihood | StudentTLikelihood | LogNormalLikelihood | NegativeBinomialLikelihood
)


def _normals(
    rng: np.random.Generator, shape: tuple[int, ...], alike: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return standard normals (..., region, date), correlated by `alike` over regions of a date."""
    own = rng.standard_normal(shape)
    if alike == 0.0:
        return own
    common = rng.standard_normal((*shape[:-2], 1, shape[-1]))
    return np.asarray(np.sqrt(alike) * common + np.sqrt(1.0 - alike) * own)


# Where the expectation falls to this share of a unit, the logarithm goes on as a straight line.
FLOOR = 1e-3


def _log(mean: Any, unit: Any) -> Any:
    """Return the logarithm of a mean; below `FLOOR` units, a line with the same slope.

    A region-week can't have such an expectation and sales like the others: the density there is
    next to nothing, but its gradient leads back.
    """
    low = FLOOR * unit
    return pt.log(pt.maximum(mean, low)) + pt.minimum(mean, low) / low - 1.0
