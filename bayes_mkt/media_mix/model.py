"""The media-mix specification and its PyMC model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pymc as pm
import pytensor.tensor as pt

from bayes_mkt.errors import SpecError
from bayes_mkt.media_mix.adstock import Adstock, GeometricAdstock
from bayes_mkt.media_mix.saturation import HillSaturation, Saturation
from bayes_mkt.media_mix.scaling import Scaling, lags
from bayes_mkt.media_mix.seasonality import Fourier, knot_basis
from bayes_mkt.priors import Prior

if TYPE_CHECKING:
    from bayes_mkt.media_mix.panel import MediaPanel

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any

PRIORS: Mapping[str, Prior] = MappingProxyType(
    {
        "roi": Prior("LogNormal", mu=0.2, sigma=0.9),
        "coefficient": Prior("HalfNormal", sigma=1.0),
        "effect_sd": Prior("HalfNormal", sigma=0.5),
        "control_effect": Prior("Normal", mu=0.0, sigma=1.0),
        "control_sd": Prior("HalfNormal", sigma=0.5),
        "knot_value": Prior("Normal", mu=0.0, sigma=2.0),
        "intercept_sd": Prior("HalfNormal", sigma=1.0),
        "region_intercept": Prior("Normal", mu=0.0, sigma=5.0),
        "season_effect": Prior("Normal", mu=0.0, sigma=0.5),
        "sigma": Prior("HalfNormal", sigma=1.0),
    }
)
_MERIDIAN = {
    "effect_sd": Prior("HalfNormal", sigma=1.0),
    "control_effect": Prior("Normal", mu=0.0, sigma=5.0),
    "control_sd": Prior("HalfNormal", sigma=5.0),
    "knot_value": Prior("Normal", mu=0.0, sigma=5.0),
    "sigma": Prior("HalfNormal", sigma=5.0),
}


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
        The curves; each channel has its own parameters, shared by regions.
    order
        `"adstock_first"` (default) saturates carried exposure; `"saturation_first"` carries
        saturated exposure.
    pooling
        Of media effects over regions: `"partial"` (default) as above, log-normal, so that
        media can't hurt; `"full"`, one effect for all regions; `"none"`, an effect for each
        region with no link between them. A panel of one region has one effect.
    media_prior
        What is given a prior for channels with spend: `"roi"` (default) or `"coefficient"`.
        Channels without spend always have a coefficient: sales per head, in SDs, at full
        saturation.
    intercept
        `"partial"` (default): tau_g ~ N(0, intercept_sd); `"reference"`: tau_g ~ N(0, 5) with
        tau = 0 for the most populous region, as in Meridian.
    knots
        Knots of the piecewise linear trend, equally spaced; 1 (default) is a constant.
    seasonality
        `Fourier` terms shared by all regions, or None.
    priors
        Replacements of default priors, by variable name; a positive variable needs a prior on
        positive numbers. Vectors give each channel or control its own.

    Notes
    -----
    A prior on ROI fixes the coefficient by what the model says the spend has earned,

        coefficient_m = roi_m S_m / sum_g exp(effect_sd_m d_gm) sum_t h_gtm u_gt p_g s,

    S_m the channel's spend, u revenue per sale, p population, s the SD used in scaling, sums
    over the observed region-weeks. With `pooling="none"` the same holds region by region.

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
    pooling: Literal["partial", "full", "none"] = "partial"
    media_prior: Literal["roi", "coefficient"] = "roi"
    intercept: Literal["partial", "reference"] = "partial"
    knots: int = 1
    seasonality: Fourier | None = None
    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)

    on_demand: ClassVar[frozenset[str]] = frozenset(
        {"media_contribution", "expected_sales", "adstock_weight"}
    )

    def __post_init__(self) -> None:
        _one_of("order", self.order, ("adstock_first", "saturation_first"))
        _one_of("pooling", self.pooling, ("partial", "full", "none"))
        _one_of("media_prior", self.media_prior, ("roi", "coefficient"))
        _one_of("intercept", self.intercept, ("partial", "reference"))
        known = {**PRIORS, **self.adstock.priors, **self.saturation.priors}
        for name, prior in self.priors.items():
            if name not in known:
                raise SpecError(f"priors[{name!r}]: no such variable; choose from {sorted(known)}.")
            if known[name].positive and not prior.positive:
                raise SpecError(f"priors[{name!r}]: {prior} reaches below 0, {name} can't.")
        object.__setattr__(self, "priors", MappingProxyType(dict(self.priors)))

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        # A read-only mapping can't be copied or pickled itself: the spec is made anew from its own.
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return partial(type(self), **{**given, "priors": dict(self.priors)}), ()

    @classmethod
    def meridian(cls, knots: int = 1, **changes: Any) -> MediaMix:
        """Return the default geo model of Meridian 2.1, for like-for-like comparison.

        Geometric adstock to lag 8, then Hill with slope 1; alpha ~ U(0, 1), half-saturation ~
        N(0.8, 0.8) on [0.1, 10], effect_sd ~ N+(0, 1), roi ~ LN(0.2, 0.9), control effects ~
        N(0, 5) with SD ~ N+(0, 5) over regions, region intercepts and knots ~ N(0, 5),
        sigma ~ N+(0, 5).

        Parameters
        ----------
        knots
            Of the trend.
        **changes
            Any other argument of `MediaMix`.
        """
        priors = {**_MERIDIAN, **changes.pop("priors", {})}
        return cls(**{"intercept": "reference", "knots": knots, "priors": priors, **changes})

    def prior(self, name: str) -> Prior:
        """Return the prior of a variable: the one given, else the default."""
        defaults = {**PRIORS, **self.adstock.priors, **self.saturation.priors}
        return self.priors.get(name, defaults[name])

    def check(self, panel: MediaPanel) -> None:
        """Raise `SpecError` if this specification can't be built on `panel`."""
        knot_basis(panel.data.sizes["date"], self.knots)
        if self.adstock.max_lag >= panel.data.sizes["date"]:
            raise SpecError(
                f"max_lag={self.adstock.max_lag} reaches beyond the {panel.data.sizes['date']} "
                "dates of the panel. Use a shorter max_lag."
            )
        if self.pooling == "none" and self.media_prior == "roi":
            paid = panel.data["spend"].sel(channel=list(panel.paid_channels))
            spend = paid.where(panel.observed, 0.0).sum("date")
            for region, channel in np.argwhere(spend.to_numpy() <= 0)[:1]:
                raise SpecError(
                    f"pooling='none' gives each region a prior on its own ROI, but region "
                    f"{panel.regions[region]!r} spent nothing on {panel.paid_channels[channel]!r}. "
                    "Use pooling='partial', or media_prior='coefficient'."
                )

    def build(self, panel: MediaPanel) -> pm.Model:
        """Return the PyMC model of `panel`, to read, extend or sample.

        Raises
        ------
        SpecError
            If the specification doesn't fit the panel.
        """
        self.check(panel)
        scaling = Scaling.of(panel)
        with pm.Model(coords=_coords(self, panel)) as model:
            population = pm.Data("population", scaling.population, dims="region")
            sales_sd = pm.Data("sales_sd", scaling.sales_sd)
            per_head = pt.as_tensor(sales_sd) * population[:, None]
            response = _response(self, panel, scaling)
            effect = _effects(self, panel, scaling, response)
            media = (effect.T[:, :, None] * response).sum(axis=0)
            mean = media + _baseline(self, panel) + _controls(self, panel, scaling)
            pm.Deterministic(
                "media_contribution",
                (effect.T[:, :, None] * response * per_head).transpose(1, 2, 0),
                dims=("region", "date", "channel"),
            )
            center = pm.Data("sales_center", scaling.sales_center)
            expected = pm.Deterministic(
                "expected_sales",
                mean * per_head + center * population[:, None],
                dims=("region", "date"),
            )
            sigma = self.prior("sigma").variable("sigma")
            _observe(panel, expected, sigma * per_head)
        return model


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise SpecError(f"{name}={value!r}: choose from {', '.join(map(repr, allowed))}.")


def _coords(spec: MediaMix, panel: MediaPanel) -> dict[str, Any]:
    """Return the coordinates of every dimension the model uses."""
    coords: dict[str, Any] = {
        "region": list(panel.regions),
        "date": panel.data["date"].to_numpy(),
        "channel": list(panel.channels),
        "knot": np.arange(spec.knots),
        "lag": np.arange(spec.adstock.max_lag + 1),
    }
    if len(panel.paid_channels) < len(panel.channels):
        coords["paid_channel"] = list(panel.paid_channels)
        coords["unpaid_channel"] = [c for c in panel.channels if c not in panel.paid_channels]
    if panel.controls:
        coords["control"] = list(panel.controls)
    if spec.seasonality is not None:
        coords["season_term"] = list(spec.seasonality.names)
    return coords


def _response(spec: MediaMix, panel: MediaPanel, scaling: Scaling) -> Tensor:
    """Return h, the saturated and carried exposure of each channel (channel, region, date)."""
    lagged = lags(scaling.scale_exposure(panel.data["exposure"].to_numpy()), spec.adstock.max_lag)
    exposure = pm.Data("lagged_exposure", lagged, dims=("channel", "region", "date", "lag"))
    curve_priors = {**spec.adstock.priors, **spec.saturation.priors}
    parameters = {name: spec.prior(name).variable(name, dims="channel") for name in curve_priors}
    weights = pm.Deterministic(
        "adstock_weight",
        pt.broadcast_to(spec.adstock.weights(parameters), (lagged.shape[0], lagged.shape[3])),
        dims=("channel", "lag"),
    )
    channels, regions, dates, length = lagged.shape
    flat = exposure.reshape((channels, regions * dates, length))

    def carry(x: Tensor) -> Tensor:
        return pt.matmul(x, weights[:, :, None])

    def saturate(x: Tensor) -> Tensor:
        shaped = {name: value[:, None, None] for name, value in parameters.items()}
        return spec.saturation.curve(x, shaped)

    first_carry = spec.order == "adstock_first"
    response = saturate(carry(flat)) if first_carry else carry(saturate(flat))
    return response.reshape((channels, regions, dates))


def _effects(spec: MediaMix, panel: MediaPanel, scaling: Scaling, response: Tensor) -> Tensor:
    """Return beta, the effect of each channel in each region (region, channel)."""
    regions, channels = len(panel.regions), len(panel.channels)
    by_region = spec.pooling == "none" and regions > 1
    if spec.pooling == "partial" and regions > 1:
        sd = spec.prior("effect_sd").variable("effect_sd", dims="channel")
        offset = pm.Normal("effect_offset", 0.0, 1.0, dims=("region", "channel"))
        deviation = pt.exp(sd * offset)
    else:
        deviation = pt.ones((regions, channels))
    paid = [panel.channels.index(c) for c in panel.paid_channels]
    if spec.media_prior == "coefficient":
        paid = []
    unpaid = [m for m in range(channels) if m not in paid]
    parts = []
    if paid:
        dims = _prior_dims("paid_channel" if unpaid and paid else "channel", by_region)
        roi = spec.prior("roi").variable("roi", dims=dims)
        spend, earned = _earned(panel, scaling, response, deviation, paid, by_region)
        parts.append(roi * spend / earned)
    if unpaid:
        dims = _prior_dims("unpaid_channel" if paid else "channel", by_region)
        parts.append(spec.prior("coefficient").variable("coefficient", dims=dims))
    joined = parts[0] if len(parts) == 1 else pt.concatenate(parts, axis=-1)
    order = np.argsort(paid + unpaid)
    coefficient = joined if (order == np.arange(channels)).all() else joined[..., order]
    return pm.Deterministic("effect", coefficient * deviation, dims=("region", "channel"))


def _prior_dims(channel: str, by_region: bool) -> tuple[str, ...]:
    return ("region", channel) if by_region else (channel,)


def _earned(
    panel: MediaPanel,
    scaling: Scaling,
    response: Tensor,
    deviation: Tensor,
    paid: list[int],
    by_region: bool,
) -> tuple[Tensor, Tensor]:
    """Return spend, and the revenue of a unit coefficient, of the paid channels."""
    observed = panel.observed.to_numpy()
    price = np.ones(observed.shape)
    if "revenue_per_sale" in panel.data:
        price = np.nan_to_num(panel.data["revenue_per_sale"].to_numpy(), nan=0.0)
    value = np.where(observed, price, 0.0) * scaling.population[:, None] * scaling.sales_sd
    weight = pm.Data("response_value", value, dims=("region", "date"))
    spent = np.where(observed[:, :, None], panel.data["spend"].to_numpy(), 0.0)
    spend = spent[:, :, paid].sum(axis=1)
    earned = deviation[:, paid] * (response[np.asarray(paid)] * weight).sum(axis=2).T
    if by_region:
        return pm.Data("spend_total", spend), earned
    return pm.Data("spend_total", spend.sum(axis=0)), earned.sum(axis=0)


def _baseline(spec: MediaMix, panel: MediaPanel) -> Tensor:
    """Return trend, season and region intercepts, (region, date) or broadcastable to it."""
    basis = pm.Data("knot_basis", knot_basis(len(panel.dates), spec.knots), dims=("date", "knot"))
    baseline = pt.dot(basis, spec.prior("knot_value").variable("knot_value", dims="knot"))[None, :]
    if spec.seasonality is not None:
        terms = pm.Data(
            "season_basis", spec.seasonality.basis(panel.dates), dims=("date", "season_term")
        )
        season = spec.prior("season_effect").variable("season_effect", dims="season_term")
        baseline = baseline + pt.dot(terms, season)[None, :]
    if len(panel.regions) > 1:
        baseline = baseline + _intercepts(spec, panel)[:, None]
    return baseline


def _intercepts(spec: MediaMix, panel: MediaPanel) -> Tensor:
    """Return tau (region,)."""
    if spec.intercept == "partial":
        sd = spec.prior("intercept_sd").variable("intercept_sd")
        return pm.Normal("region_intercept", 0.0, sd, dims="region")
    size = (
        panel.data["population"] if "population" in panel.data else panel.data["sales"].sum("date")
    )
    reference = int(np.argmax(size.to_numpy()))
    others = [r for i, r in enumerate(panel.regions) if i != reference]
    pm.modelcontext(None).add_coords({"other_region": others})
    free = spec.prior("region_intercept").variable("intercept_difference", dims="other_region")
    full = pt.concatenate([free[:reference], pt.zeros(1), free[reference:]])
    return pm.Deterministic("region_intercept", full, dims="region")


def _controls(spec: MediaMix, panel: MediaPanel, scaling: Scaling) -> Tensor:
    """Return the part of the mean that controls explain, (region, date)."""
    if not panel.controls:
        return pt.zeros(())
    scaled = scaling.scale_controls(panel.data["controls"].to_numpy())
    controls = pm.Data("controls", scaled, dims=("region", "date", "control"))
    effect = spec.prior("control_effect").variable("control_effect", dims="control")
    if len(panel.regions) == 1:
        return pt.dot(controls, effect)
    sd = spec.prior("control_sd").variable("control_sd", dims="control")
    by_region = pm.Normal("region_control_effect", effect, sd, dims=("region", "control"))
    return pt.matmul(controls, by_region[:, :, None])[:, :, 0]


def _observe(panel: MediaPanel, expected: Tensor, noise: Tensor) -> None:
    """Add the likelihood of the observed region-weeks."""
    sales = panel.data["sales"].to_numpy()
    if panel.balanced:
        observed = pm.Data("observed_sales", sales, dims=("region", "date"))
        pm.Normal("sales", expected, noise, observed=observed, dims=("region", "date"))
        return
    region, date = np.nonzero(panel.observed.to_numpy())
    pm.modelcontext(None).add_coords({"region_date": np.arange(region.size)})
    observed = pm.Data("observed_sales", sales[region, date], dims="region_date")
    noise = pt.broadcast_to(noise, sales.shape)
    pm.Normal(
        "sales", expected[region, date], noise[region, date], observed=observed, dims="region_date"
    )
