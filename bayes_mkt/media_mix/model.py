"""The media-mix specification and its PyMC model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from bayes_mkt.errors import SpecError
from bayes_mkt.media_mix import graph
from bayes_mkt.media_mix.adstock import Adstock, GeometricAdstock
from bayes_mkt.media_mix.controls import treatment_value
from bayes_mkt.media_mix.effects import stated
from bayes_mkt.media_mix.experiments import LiftTest
from bayes_mkt.media_mix.frequency import FREQUENCY
from bayes_mkt.media_mix.likelihood import Likelihood, NormalLikelihood
from bayes_mkt.media_mix.saturation import HillSaturation, Saturation
from bayes_mkt.media_mix.scaling import Scaling
from bayes_mkt.media_mix.seasonality import Events, Fourier
from bayes_mkt.media_mix.trend import HSGP, knot_basis
from bayes_mkt.priors import Prior, checked_priors
from bayes_mkt.specs import PLAIN, remade

if TYPE_CHECKING:
    import pymc as pm

    from bayes_mkt.media_mix.panel import MediaPanel

PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        "roi": Prior("LogNormal", mu=0.2, sigma=0.9),
        "mroi": Prior("LogNormal", mu=0.0, sigma=0.9),
        "contribution_share": Prior("HalfNormal", sigma=0.1),
        "coefficient": Prior("HalfNormal", sigma=1.0),
        "unpaid_share": Prior("Beta", alpha=1.0, beta=99.0),
        "effect_sd": Prior("HalfNormal", sigma=0.5),
        "control_effect": Prior("Normal", mu=0.0, sigma=1.0),
        "control_sd": Prior("HalfNormal", sigma=0.5),
        "treatment_share": Prior("Normal", mu=0.0, sigma=0.1),
        "treatment_sd": Prior("HalfNormal", sigma=0.5),
        "knot_value": Prior("Normal", mu=0.0, sigma=2.0),
        "intercept_sd": Prior("HalfNormal", sigma=1.0),
        "region_intercept": Prior("Normal", mu=0.0, sigma=5.0),
        "season_effect": Prior("Normal", mu=0.0, sigma=0.5),
        "season_sd": Prior("HalfNormal", sigma=0.2),
        "event_effect": Prior("Normal", mu=0.0, sigma=1.0),
        "date_sd": Prior("HalfNormal", sigma=0.5),
    }
)
_MERIDIAN = {
    "effect_sd": Prior("HalfNormal", sigma=1.0),
    "control_effect": Prior("Normal", mu=0.0, sigma=5.0),
    "control_sd": Prior("HalfNormal", sigma=5.0),
    "treatment_sd": Prior("HalfNormal", sigma=5.0),
    "knot_value": Prior("Normal", mu=0.0, sigma=5.0),
    "sigma": Prior("HalfNormal", sigma=5.0),
}
# Positive unless effects are normal.
_SIGNED = ("roi", "mroi", "contribution_share", "coefficient", "unpaid_share")
CURVE_SD = Prior("HalfNormal", sigma=0.3)
Pooling = Literal["full", "partial", "none"]
POOLINGS = ("partial", "full", "none")
CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "order": ("adstock_first", "saturation_first"),
        "pooling": POOLINGS,
        "effects": ("lognormal", "normal"),
        "adstock_pooling": POOLINGS,
        "saturation_pooling": POOLINGS,
        "media_prior": ("roi", "mroi", "contribution_share", "coefficient"),
        "unpaid_prior": ("coefficient", "unpaid_share"),
        "intercept": ("partial", "reference"),
    }
)


@dataclass(frozen=True, kw_only=True)
class MediaMix:
    """A hierarchical regional media-mix model.

    With y sales per head, centred and divided by their SD, x exposure per head divided by the
    median of its non-zero values, and z standardised controls, of region g in period t,

        y_gt ~ N( trend_t + tau_g + season_t + sum_c gamma_gc z_gtc + sum_m beta_gm h_gtm, sigma )
        h_gtm  = saturation_m(adstock_m(x_gm))_t
        beta_gm = coefficient_m exp(effect_sd_m d_gm),    d_gm ~ N(0, 1).

    Parameters
    ----------
    adstock, saturation
        The curves; each channel has its own parameters.
    order
        `"adstock_first"` (default) saturates carried exposure; `"saturation_first"` carries
        saturated exposure.
    pooling
        Of media effects over regions: `"partial"` (default) as above; `"full"`, one effect for all
        regions; `"none"`, an effect for each region with no link between them. A panel of one
        region has one effect.
    effects
        How regions' effects scatter: `"lognormal"` (default) as above, so that media can't hurt;
        `"normal"`, beta_gm = coefficient_m + effect_sd_m d_gm, so that in some regions they may.
        They may in all together where the prior of `media_prior` reaches below zero, such as
        ``priors={"roi": Prior("Normal", mu=1.0, sigma=1.0)}``.
    adstock_pooling, saturation_pooling
        The same of the curves' parameters: `"full"` (default) shares them, `"partial"` lets
        each region's differ on the scale where they have no bound, by `<parameter>_sd`;
        `"none"` gives each region its own.
    media_prior
        What is given a prior for channels with spend: `"roi"` (default), `"mroi"` (the return of
        the next 1 % of spend), `"contribution_share"` (of all revenue, by any channel) or
        `"coefficient"`: sales per head, in SDs, at full saturation.
    unpaid_prior
        The same for channels without spend, where `media_prior` is a return: `"coefficient"`
        (default) or `"unpaid_share"`, their share of all revenue.
    treatments
        Controls whose contribution has a prior, and the level that each is compared with: `"min"`,
        `"max"` or a value in its own unit, as ``{"promotion": "min", "price": 9.99}``. The prior is
        on the share of all revenue that a treatment adds (negative where it takes away),
        `treatment_share`; its effects in regions scatter with `treatment_sd`. Priors stated
        treatment by treatment follow the order given here; `control_effect` and `control_sd` are
        then of the other controls alone (dimension `other_control`), in the panel's order. Effects
        by region of all are `region_control_effect`.
    intercept
        `"partial"` (default): tau_g ~ N(0, intercept_sd); `"reference"`: tau_g ~ N(0, 5) with
        tau = 0 for the most populous region, as in Meridian.
    knots
        Knots of the piecewise linear trend, equally spaced; 1 (default) is a constant.
    smooth_trend
        An `HSGP` added to the knots, or None.
    seasonality
        `Fourier` terms, or None.
    events
        `Events` of known date, or None.
    date_effects
        Whether each date has an effect of its own that all regions share, delta_t ~ N(0, date_sd):
        weather, a strike, a campaign of someone else's. Without it (default) regions' noise is
        independent, and where it isn't, trend, media that run everywhere at once and sums over
        regions look surer than they are.
    time_varying
        An `HSGP` w_m for each channel, whose effect is then beta_gm exp(w_mt); None (default)
        keeps effects constant.
    likelihood
        How sales scatter about their mean: `NormalLikelihood` (default, above),
        `StudentTLikelihood`, `LogNormalLikelihood` or `NegativeBinomialLikelihood`.
    lift_tests
        Experiments, as terms of the likelihood; see `LiftTest`.
    priors
        Replacements of default priors, by variable name; a positive variable needs a prior on
        positive numbers. Vectors give each channel or control its own.

    Notes
    -----
    A prior on ROI fixes the coefficient by what the model says the spend has earned,

        coefficient_m = roi_m S_m / sum_g exp(effect_sd_m d_gm) sum_t h_gtm u_gt p_g s,

    S_m the channel's spend, u revenue per sale, p population, s the SD used in scaling, sums
    over the observed region-weeks. With `pooling="none"` the same holds region by region. For a
    marginal ROI, S_m is 1 % of spend and h the response to 1 % more media less that to today's;
    for a share of contribution, S_m is the revenue of all sales.

    A channel that came as reach r (per head, in medians of its non-zero values) and average
    frequency f has

        h_gtm = adstock_m( r_gm s_m(f_gm) )_t,    s(f) = f^q / (f^q + k^q),

    as in Meridian: frequency saturates, reach doesn't, whatever `saturation` and `order` say of
    the other channels. q is `frequency_slope`, k `frequency_half_saturation` = 0.1 +
    `frequency_half_above`, both with LogNormal(0.7, 0.4) as prior; `saturation_pooling` is theirs
    too. A change of spend is one of reach, its frequency unchanged.

    The effects are causal only if, given trend, season, controls and region, spend doesn't
    follow demand: the model adjusts for nothing else.

    References
    ----------
    Jin, Wang, Sun, Chan, Koehler (2017), Bayesian methods for media mix modeling with carryover
    and shape effects. Sun, Wang, Jin, Chan, Koehler (2017), Geo-level Bayesian hierarchical media
    mix modeling.

    Examples
    --------
    >>> MediaMix.meridian(knots=1).adstock
    GeometricAdstock(max_lag=8)
    """

    adstock: Adstock = GeometricAdstock()
    saturation: Saturation = HillSaturation()
    order: Literal["adstock_first", "saturation_first"] = "adstock_first"
    pooling: Pooling = "partial"
    effects: Literal["lognormal", "normal"] = "lognormal"
    adstock_pooling: Pooling = "full"
    saturation_pooling: Pooling = "full"
    media_prior: Literal["roi", "mroi", "contribution_share", "coefficient"] = "roi"
    unpaid_prior: Literal["coefficient", "unpaid_share"] = "coefficient"
    treatments: Mapping[str, float | str] = field(
        default_factory=dict, hash=False, metadata={PLAIN: True}
    )
    intercept: Literal["partial", "reference"] = "partial"
    knots: int = 1
    smooth_trend: HSGP | None = None
    seasonality: Fourier | None = None
    events: Events | None = None
    date_effects: bool = False
    time_varying: HSGP | None = None
    likelihood: Likelihood = NormalLikelihood()
    lift_tests: Sequence[LiftTest] = ()
    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)

    on_demand: ClassVar[frozenset[str]] = frozenset(
        {"media_contribution", "expected_sales", "adstock_weight"}
    )

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            value = getattr(self, name)
            if value not in allowed:
                raise SpecError(f"{name}={value!r}: choose from {', '.join(map(repr, allowed))}.")
        if not isinstance(self.date_effects, bool):
            raise SpecError(f"date_effects={self.date_effects!r} must be True or False.")
        known = self.default_priors
        if self.effects == "normal":
            known |= dict.fromkeys(_SIGNED, Prior("Normal", mu=0.0, sigma=1.0))
        object.__setattr__(self, "priors", checked_priors(self.priors, known))
        object.__setattr__(self, "treatments", _checked_treatments(self.treatments))
        object.__setattr__(self, "lift_tests", tuple(self.lift_tests))
        _check_names(self.lift_tests)

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return remade(self)

    @classmethod
    def meridian(cls, knots: int = 1, **changes: Any) -> MediaMix:
        """Return the default geo model of Meridian 2.1, for like-for-like comparison.

        Geometric adstock to lag 8, then Hill with slope 1; alpha ~ U(0, 1), half-saturation ~
        N(0.8, 0.8) on [0.1, 10], effect_sd ~ N+(0, 1), roi ~ LN(0.2, 0.9), share of revenue ~
        Beta(1, 99) of a channel without spend and ~ N(0, 0.1) of a treatment (`treatments` names
        them), control effects ~ N(0, 5), with SD ~ N+(0, 5) over regions as of treatments, region
        intercepts and knots ~ N(0, 5), sigma ~ N+(0, 5).

        Parameters
        ----------
        knots
            Of the trend.
        **changes
            Any other argument of `MediaMix`.
        """
        own = {**_MERIDIAN}
        if "sigma" not in changes.get("likelihood", NormalLikelihood()).priors:
            del own["sigma"]
        priors = {**own, **changes.pop("priors", {})}
        preset = {"intercept": "reference", "unpaid_prior": "unpaid_share", "knots": knots}
        return cls(**{**preset, "priors": priors, **changes})

    @property
    def default_priors(self) -> dict[str, Prior]:
        """Return the prior of every variable that can have one."""
        found = {**PRIORS, **self.likelihood.priors}
        for curve in (self.adstock, self.saturation, FREQUENCY):
            for name, prior in curve.priors.items():
                found[name] = prior
                found[f"{name}_sd"] = CURVE_SD
        for name, process, amplitude in (
            ("trend", self.smooth_trend, 1.0),
            ("effect", self.time_varying, 0.2),
        ):
            found |= {} if process is None else process.priors(name, amplitude)
        return found

    def prior(self, name: str) -> Prior:
        """Return the prior of a variable: the one given, else the default."""
        return self.priors.get(name) or self.default_priors[name]

    def check(self, panel: MediaPanel) -> None:
        """Raise `SpecError` if this specification can't be built on `panel`."""
        knot_basis(panel.data.sizes["date"], self.knots)
        if self.adstock.max_lag >= panel.data.sizes["date"]:
            raise SpecError(
                f"max_lag={self.adstock.max_lag} reaches beyond the {panel.data.sizes['date']} "
                "dates of the panel. Use a shorter max_lag."
            )
        if self.date_effects and len(panel.regions) == 1:
            raise SpecError(
                "date_effects=True needs several regions: in one, an effect of a date is noise."
            )
        self.likelihood.check(panel.data["sales"].to_numpy()[panel.observed.to_numpy()])
        for test in self.lift_tests:
            test.otherwise(panel)
        scaling = Scaling.of(panel)
        if self.treatments:
            treatment_value(self, panel, scaling)
        self._check_earned(panel)

    def _check_earned(self, panel: MediaPanel) -> None:
        """Raise unless what a prior on a return or a share is about is seen: media, and sales."""
        words = {"roi": "ROI", "mroi": "marginal ROI"}
        reached = self._reached(panel)
        for name, places in stated(self, panel).items():
            if name == "coefficient":
                continue
            told, verb = reached[:, places], "had nothing of"
            if name in words and told.any(axis=0).all():
                spent = panel.data["spend"].where(panel.observed, 0.0).sum("date").to_numpy()
                told, verb = told & (spent[:, places] > 0), "spent nothing on"
            if self.pooling != "none":
                told = told.any(axis=0, keepdims=True)
            for region, place in np.argwhere(~told)[:1]:
                own = self.pooling == "none" and len(panel.regions) > 1
                other = "unpaid_prior" if name == "unpaid_share" else "media_prior"
                raise SpecError(
                    f"{other}={name!r}: {'each region has' if own else 'there is'} a prior on "
                    f"{words.get(name, 'the share of revenue')}, but "
                    f"{f'region {panel.regions[region]!r}' if own else 'the panel'} {verb} "
                    f"{panel.channels[places[place]]!r} where sales are known. "
                    f"Use {"pooling='partial', or " if own else ''}{other}='coefficient'."
                )

    def _reached(self, panel: MediaPanel) -> np.ndarray:
        """Return whether a channel's media reach dates whose sales are known (region, channel)."""
        seen = panel.observed.to_numpy()
        later = seen.copy()
        for lag in range(1, self.adstock.max_lag + 1):
            later[:, :-lag] |= seen[:, lag:]
        on_air = panel.data["exposure"].to_numpy() > 0
        return np.asarray((on_air & later[:, :, None]).any(axis=1))

    def build(self, panel: MediaPanel, training: MediaPanel | None = None) -> pm.Model:
        """Return the PyMC model of `panel`, to read, extend or sample.

        Parameters
        ----------
        panel
            The data.
        training
            For forecasts: the panel that the model was fitted to, whose units and trend hold;
            `panel` has its regions, channels and controls, and later dates as well. None
            (default) is `panel` itself.

        Raises
        ------
        SpecError
            If the specification doesn't fit the panel.
        """
        self.check(panel if training is None else training)
        return graph.build(self, panel, panel if training is None else training)


def _checked_treatments(given: Mapping[str, float | str]) -> Mapping[str, float | str]:
    """Return the levels that treatments are compared with, read-only."""
    for name, level in given.items():
        number = isinstance(level, Real) and not isinstance(level, bool)
        if not (level in ("min", "max") or (number and np.isfinite(level))):
            raise SpecError(
                f"treatments[{name!r}] = {level!r} must be 'min', 'max' or a number, the level at "
                "which the treatment adds nothing."
            )
    plain = {k: v if isinstance(v, str) else float(v) for k, v in given.items()}
    return MappingProxyType(plain)


def _check_names(tests: Sequence[LiftTest]) -> None:
    """Raise if two lift tests have one name."""
    labels = [test.label for test in tests]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise SpecError(f"lift_tests: {twice[0]!r} stands for two tests; give each a name.")
