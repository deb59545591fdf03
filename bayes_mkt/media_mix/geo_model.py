"""What treated regions would have sold: a shared path, and each region's way of leaving it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.dims import DATE, REGION
from bayes_mkt.errors import SpecError
from bayes_mkt.media_mix.geo import GeoExperiment
from bayes_mkt.priors import Prior, checked_priors
from bayes_mkt.specs import remade

__all__ = ["GeoLift", "Paths"]

WEEK: Final = 7
# Least of a date's noise in units of the typical one, and what keeps a covariance definite.
FLOOR: Final = 0.2
JITTER: Final = 1e-8
PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        "level_sd": Prior("HalfNormal", sigma=0.05),
        "loading_sd": Prior("HalfNormal", sigma=0.5),
        "season_sd": Prior("HalfNormal", sigma=0.2),
        "drift_sd": Prior("HalfNormal", sigma=0.1),
        "drift_length": Prior("LogNormal", mu=-1.4, sigma=0.7),
        "noise_sd": Prior("LogNormal", mu=-2.5, sigma=1.5),
        "noise_correlation": Prior("Beta", alpha=1.5, beta=1.5),
        "date_power": Prior("Uniform", lower=0.0, upper=1.5),
        "nu": Prior("Gamma", alpha=2.0, beta=0.1),
    }
)


@dataclass(frozen=True, kw_only=True)
class GeoLift:
    """A model of a geo experiment without its treatment.

    With z_g sales of region g divided by their mean before the treatment, as a vector over the T
    dates, and f the path that regions share, on which the prior is flat,

        z_g ~ t_nu( f, K ),
        K_tu = level_sd^2 + loading_sd^2 c_t c_u + season_sd^2 [same phase]
             + w_t w_u ( drift_sd^2 exp(-|t - u| / (T drift_length))
                         + noise_sd^2 noise_correlation^|t - u| ),

    c the mean path of the untreated regions less its mean before the treatment (regions follow the
    path more or less), w_t = q_t^date_power, q_t the spread of untreated regions about their path
    on date t. Sales of treated regions from the treatment on are not in the model: `geo_lift`
    compares them with what it expects there, given their own past and the untreated regions.

    Parameters
    ----------
    season
        Periods after which each region's own pattern comes back; ``"auto"`` (default) is 7 for
        days and none for other periods; None is none.
    priors
        Replacements of default priors, by variable name.

    Notes
    -----
    f is integrated out: of the regions' paths only the contrasts are modelled, each of one region
    with the mean of those before it (Helmert), which are independent given the parameters.

    On dates on which untreated regions lay far apart, w widens the interval of what the treated
    ones would have sold: this is what keeps the lift of regions that were not treated near zero as
    often as the intervals say. c and q are averages over untreated regions, taken as known (as by
    Pesaran 2006). All regions are alike but for nu: two that always move together are not seen.

    Causal only if treatment in one region doesn't move sales in others, and if treated regions
    were not chosen for what was about to happen in them.

    References
    ----------
    Xu (2017), Generalized synthetic control method. Pang, Liu, Xu (2022), A Bayesian alternative to
    synthetic control for comparative case studies. Pesaran (2006), Estimation and inference in
    large heterogeneous panels with a multifactor error structure.

    Examples
    --------
    >>> GeoLift(season=None)
    GeoLift(season=None, priors=mappingproxy({}))
    """

    season: int | str | None = "auto"
    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)

    on_demand: ClassVar[frozenset[str]] = frozenset({"covariance"})

    def __post_init__(self) -> None:
        if isinstance(self.season, str):
            known = self.season == "auto"
        else:
            known = self.season is None or (type(self.season) is int and self.season >= 2)
        if not known:
            raise SpecError(f"season={self.season!r}: give 'auto', None, or an integer >= 2.")
        object.__setattr__(
            self, "priors", checked_priors(self.priors, PRIORS, unit=("noise_correlation",))
        )

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return remade(self)

    def prior(self, name: str) -> Prior:
        """Return the prior of a variable: the one given, else the default."""
        return self.priors.get(name) or PRIORS[name]

    def phases(self, data: GeoExperiment) -> int:
        """Return after how many periods a region's own pattern comes back; 0 for none.

        Raises
        ------
        SpecError
            If the season is longer than half of what lies before the treatment.
        """
        if self.season == "auto":
            return WEEK if data.period == "1D" and data.before >= 2 * WEEK else 0
        phases = int(self.season or 0)
        if 2 * phases > data.before:
            raise SpecError(
                f"season={phases}: two are needed before the treatment, which has {data.before} "
                "dates before it. Use a shorter one, or None."
            )
        return phases

    def build(self, data: GeoExperiment) -> pm.Model:
        """Return the PyMC model of all that was not treated."""
        phases = self.phases(data)
        paths = Paths.of(data, phases)
        before, count = data.before, len(data.dates)
        contrasts = paths.contrasts
        own = len(data.treated)
        coords = {
            DATE: data.dates.to_numpy(),
            "other_date": data.dates.to_numpy(),
            "date_before": data.dates.to_numpy()[:before],
            "contrast": np.arange(len(contrasts) - own),
            "treated_region": list(data.treated),
        }
        with pm.Model(coords=coords) as model:
            covariance = self._covariance(paths, phases)
            pm.Deterministic("covariance", covariance, dims=(DATE, "other_date"))
            nu = 2.0 + self.prior("nu").variable("nu")
            for name, rows, dates, length in (
                ("untreated", contrasts[:-own], DATE, count),
                ("treated", contrasts[-own:, :before], "date_before", before),
            ):
                dims = ("contrast" if name == "untreated" else "treated_region", dates)
                pm.MvStudentT(
                    name,
                    nu=nu,
                    mu=np.zeros(length),
                    scale=covariance[:length, :length],
                    observed=pm.Data(f"{name}_contrasts", rows, dims=dims),
                    dims=dims,
                )
        return model

    def _covariance(self, paths: Paths, phases: int) -> Any:
        """Return K (date, date)."""
        count = len(paths.common)
        apart = np.abs(np.subtract.outer(np.arange(count), np.arange(count))).astype(float)
        names = ("level_sd", "loading_sd", "drift_sd", "drift_length", "noise_sd")
        level, loading, drift, length, noise = (self.prior(n).variable(n) for n in names)
        correlation = self.prior("noise_correlation").variable("noise_correlation")
        power = self.prior("date_power").variable("date_power")
        common = pm.Data("common_path", paths.common, dims=DATE)
        spread = pm.Data("log_spread", np.log(paths.spread), dims=DATE)
        width = pt.exp(power * spread)
        own = drift**2 * pt.exp(-apart / (count * length)) + noise**2 * correlation**apart
        total = level**2 + loading**2 * pt.outer(common, common) + pt.outer(width, width) * own
        if phases:
            total = total + self.prior("season_sd").variable("season_sd") ** 2 * (
                apart % phases == 0
            )
        return total + JITTER * np.eye(count)


@dataclass(frozen=True)
class Paths:
    """A geo experiment in the model's units.

    Attributes
    ----------
    scale
        Mean sales of each region before the treatment (region,), untreated ones first.
    ratio
        Sales divided by it (region, date).
    untreated
        Number of untreated regions.
    common
        Mean path of untreated regions less its mean before the treatment (date,).
    spread
        Spread of untreated regions about their paths on each date, in units of the typical one
        before the treatment (date,).
    """

    scale: np.ndarray
    ratio: np.ndarray
    untreated: int
    common: np.ndarray
    spread: np.ndarray

    @classmethod
    def of(cls, data: GeoExperiment, phases: int) -> Paths:
        """Return the paths of an experiment."""
        order = np.argsort(data.is_treated, kind="stable")
        sales = data.data["sales"].transpose(REGION, DATE).to_numpy()[order]
        before, untreated = data.before, len(order) - len(data.treated)
        scale = sales[:, :before].mean(axis=1)
        ratio = sales / scale[:, None]
        mean = ratio[:untreated].mean(axis=0)
        common = mean - mean[:before].mean()
        # What is left of untreated regions without their own level, loading and season.
        columns = [np.ones(len(mean)), common]
        if phases:
            columns += list(np.eye(phases)[np.arange(len(mean)) % phases].T)
        design = np.stack(columns, axis=1)
        left = (ratio[:untreated] - mean).T
        left = left - design @ np.linalg.lstsq(design, left, rcond=None)[0]
        spread = np.sqrt((left**2).mean(axis=1))
        typical = np.median(spread[:before])
        spread = np.maximum(spread / typical, FLOOR) if typical > 0 else np.ones(len(mean))
        return cls(scale, ratio, untreated, common, spread)

    @property
    def contrasts(self) -> np.ndarray:
        """Return Helmert contrasts (region - 1, date): orthonormal, and free of the shared path."""
        count = np.arange(1, len(self.ratio))[:, None]
        earlier = np.cumsum(self.ratio, axis=0)[:-1] / count
        return np.asarray((self.ratio[1:] - earlier) * np.sqrt(count / (count + 1.0)))
