"""A fitted model on other dates and other media: the twin of the panel's sales."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.dims import CHANNEL, DATE, REGION
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit
from bayes_mkt.inference.target import Target, target
from bayes_mkt.media_mix.columns import ROUNDING
from bayes_mkt.media_mix.frequency import filled
from bayes_mkt.media_mix.panel import MediaPanel
from bayes_mkt.media_mix.plan import MediaPlan, ahead
from bayes_mkt.media_mix.scaling import Scaling, lags
from bayes_mkt.media_mix.trend import knots_ahead

MEDIA = ("exposure", "spend", "frequency")


@dataclass(frozen=True)
class Twin:
    """The model of a fit, on the panel's dates and those of plans.

    Attributes
    ----------
    fit
        The fit whose beliefs hold.
    panel
        Its panel, gone on to the last date of the plans; sales there are missing.
    posterior
        Its draws, with the trend drawn on.
    target
        The model of `panel`.
    """

    fit: Fit
    panel: MediaPanel
    posterior: xr.Dataset
    target: Target

    @classmethod
    def of(
        cls,
        fit: Fit,
        plans: Sequence[MediaPlan],
        *,
        seed: int,
        after: int = 0,
        short: bool = False,
    ) -> Twin:
        """Return the twin of a fit, for plans on equal dates.

        Parameters
        ----------
        fit
            A fitted `MediaMix`.
        plans
            What is to be compared; they share dates and whatever isn't media.
        seed
            Of the trend's way on.
        after
            Periods after the plans, without media, where their carry-over shows.
        short
            Whether the panel begins as late as the plans' carry-in allows: less to compute.

        Raises
        ------
        SpecError
            If the plans' dates differ, or leave a gap after the panel, or a plan reaches more
            people than there are.
        """
        for plan in plans:
            check_reach(fit.data, plan)
        first = plans[0]
        for plan in plans[1:]:
            if not plan.dates.equals(first.dates):
                raise SpecError(
                    f"The plans have different dates: {first!r} and {plan!r}. Give equal ones."
                )
        panel = _extended(fit.data, first, after)
        beyond = panel.n_dates - fit.data.n_dates
        posterior = _drawn_on(fit, beyond, seed)
        if short:
            begin = panel.dates.get_indexer(first.dates)[0] - fit.spec.adstock.max_lag
            begin = min(begin, fit.data.n_dates - 1)
            panel = panel.between(start=str(panel.dates[max(begin, 0)].date()))
        if fit.spec.date_effects:
            posterior = _dated(posterior, panel, seed)
        return cls(fit, panel, posterior, target(fit.spec.build(panel, training=fit.data)))

    def exposure(self, plan: MediaPlan) -> np.ndarray:
        """Return exposure (region, date, channel) on all of the twin's dates under a plan."""
        out = self.panel.data["exposure"].to_numpy().copy()
        out[:, self.places(plan)] = plan.data["exposure"].to_numpy()
        return out

    def frequency(self, plan: MediaPlan) -> dict[str, np.ndarray]:
        """Return the model's data `frequency` under a plan, if the panel has any."""
        if not self.panel.frequency_channels:
            return {}
        if "frequency" not in plan.data:
            raise SpecError(
                f"The plan has no frequency, and {', '.join(self.panel.frequency_channels)} is "
                "given by reach and frequency: make it by MediaPlan.from_frame, repeat or observed."
            )
        out = self.panel.data["frequency"].to_numpy().copy()
        out[:, self.places(plan)] = plan.data["frequency"].to_numpy()
        values = filled(self.fit.data, out, self.exposure(plan))
        return {"frequency": np.moveaxis(values, -1, 0)}

    def places(self, plan: MediaPlan) -> np.ndarray:
        """Return where a plan's dates stand among the twin's."""
        return np.asarray(self.panel.dates.get_indexer(plan.dates))

    def lagged(self, exposure: np.ndarray) -> np.ndarray:
        """Return exposure as the model's data `lagged_exposure`."""
        scaling = Scaling.of(self.fit.data)
        return lags(scaling.scale_exposure(exposure), self.fit.spec.adstock.max_lag)

    def evaluate(
        self, names: Sequence[str], plans: Sequence[MediaPlan]
    ) -> Iterator[tuple[slice, list[dict[str, np.ndarray]]]]:
        """Yield quantities of the model over draws, under each of the plans."""
        sets = [
            {"lagged_exposure": self.lagged(self.exposure(plan)), **self.frequency(plan)}
            for plan in plans
        ]
        return self.target.evaluate(self.posterior, names, data=sets, hold=("effect",))


def check_reach(panel: MediaPanel, plan: MediaPlan) -> None:
    """Raise `SpecError` if a plan reaches more people in a region than live there."""
    if "population" not in panel.data or not panel.frequency_channels:
        return
    names = list(panel.frequency_channels)
    reach = plan.data["exposure"].sel({CHANNEL: names}).transpose(REGION, DATE, CHANNEL)
    people = panel.data["population"]
    above = np.argwhere((reach > people * (1 + ROUNDING)).transpose(*reach.dims).to_numpy())
    if len(above):
        g, t, m = above[0]
        raise SpecError(
            f"The plan reaches {float(reach[g, t, m]):,.0f} people by {names[m]!r} in region "
            f"{panel.regions[g]!r} on {plan.dates[t].date()}, where {float(people[g]):,.0f} live. "
            "Plan less, or the same impressions at a higher frequency."
        )


def _extended(panel: MediaPanel, plan: MediaPlan, after: int) -> MediaPanel:
    """Return a panel that goes on to the plan's end and some periods after, with its media."""
    ours, theirs = panel.dates, plan.dates
    known = ours.get_indexer(theirs)
    beyond = int((theirs > ours[-1]).sum())
    further = max(int(after) - int((ours > theirs[-1]).sum()), 0) if after else 0
    dates = ours.append(ahead(panel, beyond + further)) if beyond + further else ours
    if beyond and not theirs[-beyond:].equals(dates[len(ours) : len(ours) + beyond]):
        raise SpecError(
            f"{plan!r} doesn't go on from the panel, which ends on {ours[-1].date()} by "
            f"{panel.period}: its dates after that must begin on {ahead(panel, 1)[0].date()}."
        )
    if (known[: len(theirs) - beyond] < 0).any():
        raise SpecError(f"{plan!r} has dates off the panel's calendar, {panel.period}.")
    data = panel.data.reindex({DATE: dates})
    plain = data.assign({name: data[name].fillna(0.0) for name in ("exposure",)})
    paid = list(panel.paid_channels)
    spend = plain["spend"].transpose(REGION, DATE, ...).copy()
    spend.loc[{"channel": paid}] = spend.sel(channel=paid).fillna(0.0)
    plain = plain.assign(spend=spend)
    if reached := list(panel.frequency_channels):
        frequency = plain["frequency"].transpose(REGION, DATE, ...).copy()
        frequency.loc[{"channel": reached}] = frequency.sel(channel=reached).fillna(0.0)
        plain = plain.assign(frequency=frequency)
    if beyond:
        late = dates[len(ours) : len(ours) + beyond]
        for name in ("controls", "revenue_per_sale", *MEDIA):
            if name in plain:
                values = plain[name].copy()
                values.loc[{DATE: late}] = plan.data[name].sel({DATE: late})
                plain = plain.assign({name: values})
    return MediaPanel(plain.assign_attrs(period=panel.period), panel.currency)


def _drawn_on(fit: Fit, beyond: int, seed: int) -> xr.Dataset:
    """Return the draws with the knots that lie after the panel.

    From knot to knot the trend goes on as a random walk, v_{k+1} ~ N(v_k, s), s the root mean
    square of the draw's own steps.
    """
    posterior = fit.posterior
    count = knots_ahead(fit.data.n_dates, fit.spec.knots, beyond)
    if not count:
        return posterior
    knots = posterior["knot_value"].transpose(..., "knot").to_numpy()
    step = np.sqrt((np.diff(knots, axis=-1) ** 2).mean(axis=-1, keepdims=True))
    rng = seeds.generator(seed, "trend ahead")
    walk = np.cumsum(step * rng.standard_normal((*knots.shape[:-1], count)), axis=-1)
    on = np.concatenate([knots, knots[..., -1:] + walk], axis=-1)
    others = posterior.drop_dims("knot")
    return others.assign(knot_value=(("chain", "draw", "knot"), on))


def _dated(posterior: xr.Dataset, panel: MediaPanel, seed: int) -> xr.Dataset:
    """Return the draws with the effects of the panel's dates; those yet to come are drawn."""
    known = posterior["date_effect"].transpose(..., DATE)
    sd = posterior["date_sd"].to_numpy()[..., None]
    every = known[DATE].to_numpy()
    later = panel.dates[panel.dates > every[-1]]
    rng = seeds.generator(seed, "dates ahead")
    ahead = sd * rng.standard_normal((*sd.shape[:-1], len(later)))
    effect = xr.DataArray(
        np.concatenate([known.to_numpy(), ahead], axis=-1),
        dims=known.dims,
        coords={DATE: np.concatenate([every, later.to_numpy()])},
    ).sel({DATE: panel.dates.to_numpy()})
    others = posterior.drop_dims(DATE)
    return others.assign(date_effect=(known.dims, effect.to_numpy()))
