"""Where to spend: budgets chosen under the posterior, with the gain as a distribution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import xarray as xr

from bayes_mkt import seeds
from bayes_mkt.dims import CHANNEL, DATE, check_by
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.inference.sensitivity import Response
from bayes_mkt.media_mix.forecast import compare_plans, price_ahead
from bayes_mkt.media_mix.future import Twin
from bayes_mkt.media_mix.limits import CELLS, Bounds, Cells, Limits, minimised
from bayes_mkt.media_mix.panel import MediaPanel
from bayes_mkt.media_mix.plan import MediaPlan, whole
from bayes_mkt.media_mix.risk import RISKS, weights_of


@dataclass(frozen=True)
class Allocation:
    """A budget and what it brings over today's plan.

    Attributes
    ----------
    plan, today
        The plan found, and the one it is compared with.
    table
        Over the decision's dims: `spend_today`, `spend`, `marginal_today` and `marginal` (mean
        revenue of the next unit of currency), `limit` (which bound holds it, or ""), and
        `extrapolates` (whether the plan goes beyond any period's exposure in the panel).
    gain
        (chain, draw): net gain over today's plan, revenue less spend, in currency. All draws of the
        posterior.
    risk, objective
        The measure, and its value at the plan found (over the draws used to search).
    starts
        The same reached from each start: far apart, they say that there are several optima.
    notes
        Warnings in words.
    """

    plan: MediaPlan
    today: MediaPlan
    table: xr.Dataset
    gain: xr.DataArray
    risk: str
    objective: float
    starts: tuple[float, ...]
    notes: tuple[str, ...]

    @property
    def probability(self) -> float:
        """Return P(gain > 0)."""
        return float((self.gain > 0).mean())

    @property
    def regret(self) -> float:
        """Return the expected regret of moving, E[max(0, -gain)]."""
        return float((-self.gain).clip(min=0).mean())

    def __repr__(self) -> str:
        low, high = (float(v) for v in self.gain.quantile([0.05, 0.95]))
        return (
            f"Allocation(gain {float(self.gain.mean()):,.4g} [{low:,.4g}, {high:,.4g}] "
            f"{self.gain.attrs['units']}, P(gain > 0) = {self.probability:.2f})"
        )


def allocate_budget(
    fit: Fit,
    plan: MediaPlan | None = None,
    *,
    horizon: int | None = None,
    total: float | tuple[float, float] | None = None,
    bounds: Bounds | None = None,
    by: Sequence[str] | str = (CHANNEL,),
    risk: Literal["mean", "quantile", "cvar", "probability"] = "mean",
    level: float = 0.1,
    minimum_move: float = 0.0,
    price_change: Mapping[str, float] | None = None,
    starts: int = 4,
    draws: int | None = 400,
    seed: int = 0,
    allow_unconverged: bool = False,
) -> Allocation:
    """Return the spend that does best under the posterior.

    With s the spend of each cell of `by`, r_d(s) the revenue that draw d of the posterior gives
    to the plan, and g_d(s) = r_d(s) - r_d(today) - (sum s - sum today) the net gain,

        maximise   mean_d g_d,  or the `level` quantile, or the mean of the worst `level` share
                   (CVaR), or P(g > 0),
        subject to sum s = total,  bounds on channels,  s >= 0.

    Gradients run through all draws at once; the search (SLSQP) begins at today's mix and at
    random mixes, and the best end is kept. A probability is sought from today's mix and from the
    best mean.

    Parameters
    ----------
    fit
        A fitted `MediaMix` of a panel with spend.
    plan
        Today's plan, whose pattern over region and time each cell keeps; None takes
        `MediaPlan.repeat(panel, horizon)`.
    horizon
        Periods, where `plan` is None; 8 by default.
    total
        Spend of the plan in the panel's currency; None (default) is today's. A pair is a range,
        inside which the best total is sought.
    bounds
        Name -> lowest and highest spend over the plan: of a channel, or of another of the decided
        dims. A tuple of names bounds the sum of the cells that have all of them: ``("north",
        "tv")``, or, where dates are decided, ``("2024-03-04", "tv")``.
    by
        The cells decided: of ``region, date, channel``, `channel` among them.
    risk, level
        What is maximised; `level` is that of `"quantile"` and `"cvar"`.
    minimum_move
        Changes of a cell smaller than this, in currency, are not worth making: such cells stay
        as today and the others are sought anew.
    price_change
        Channel -> factor on what a unit of exposure will cost.
    starts
        Number of starts, >= 1.
    draws
        Draws of the posterior in the search, evenly spaced; None takes all. The gain is computed
        with all.
    seed
        Of the starts and of the trend after the panel.
    allow_unconverged
        Whether to answer from draws whose verdict failed.

    Returns
    -------
    Allocation
        Plan, table, posterior of the gain, and warnings.

    Raises
    ------
    SpecError
        If the limits can't be met, or a name isn't the panel's.
    SamplingError
        If the fit's verdict failed and `allow_unconverged` is false.

    Notes
    -----
    Spend on a channel with reach and frequency changes its reach, up to the population; its
    frequency stays. Carry-over is counted for `max_lag` periods after the plan. Cells without
    spend today stay without. The gain is causal under the assumptions of `MediaMix`. The maximum
    over noisy estimates flatters itself: read `gain`, a posterior at a fixed plan, not
    `objective`.
    """
    usable(fit, allow_unconverged)
    check_measure(risk, level, starts)
    today, cells, limits = decided(
        fit.data,
        plan,
        horizon=horizon,
        total=total,
        bounds=bounds,
        by=by,
        price_change=price_change,
    )
    response = _response(fit, today, cells, seed, draws)
    goal = partial(_goal, response, response.values(np.ones(cells.size)), cells, level)
    rng = seeds.generator(seed, "budget")
    if risk == "probability":
        # Where no draw gains the probability has no slope: the best mean is the second start.
        mean, _ = _search(partial(goal, "mean"), limits, cells.spend, [cells.spend])
        begins = [cells.spend, mean]
    else:
        mixes = [rng.dirichlet(np.ones(cells.size)) for _ in range(starts - 1)]
        begins = [cells.spend, *(mix * cells.spend.sum() for mix in mixes)]
    best, reached = _search(partial(goal, risk), limits, cells.spend, begins)
    if minimum_move > 0:
        still = np.abs(best - cells.spend) < minimum_move
        if still.any() and limits.allows(cells.spend, still):
            fixed = limits.fixed(cells.spend, still)
            best, _ = _search(partial(goal, risk), fixed, cells.spend, [best])
    chosen = today.times(cells.factors(best))
    compared = compare_plans(fit, chosen, today, seed=seed, allow_unconverged=allow_unconverged)
    table, notes = _table(fit, cells, limits, today, chosen, best, response)
    if risk != "probability" and max(reached) - min(reached) > 0.01 * abs(max(reached)):
        notes = (*notes, "The starts ended at different values: there are several optima.")
    return Allocation(
        plan=chosen,
        today=today,
        table=table,
        gain=compared["net"],
        risk=risk if risk in ("mean", "probability") else f"{risk} {level:g}",
        objective=float(goal(risk, best)[0]),
        starts=tuple(reached),
        notes=notes,
    )


def decided(
    panel: MediaPanel,
    plan: MediaPlan | None = None,
    *,
    horizon: int | None = None,
    total: float | tuple[float, float] | None = None,
    bounds: Bounds | None = None,
    by: Sequence[str] | str = (CHANNEL,),
    price_change: Mapping[str, float] | None = None,
) -> tuple[MediaPlan, Cells, Limits]:
    """Return today's plan, the cells that a budget decides, and its limits; no fit is needed.

    Parameters are those of `allocate_budget`.

    Raises
    ------
    SpecError
        If the limits can't be met, or a name isn't the panel's.
    """
    by = check_by(by, CELLS, "allocate_budget")
    if CHANNEL not in by:
        raise SpecError(f"by={by!r} must hold 'channel'.")
    if not panel.paid_channels:
        raise SpecError("allocate_budget needs spend, and the panel has none.")
    today = plan or MediaPlan.repeat(panel, 8 if horizon is None else horizon)
    today = _repriced(today, price_change or {})
    cells = Cells.of(today, by, panel)
    return today, cells, Limits.of(cells, total, bounds or {})


def check_measure(risk: str, level: float, starts: int) -> None:
    """Raise `SpecError` for options out of range."""
    if risk not in RISKS:
        raise SpecError(f"risk={risk!r}: choose from {', '.join(map(repr, RISKS))}.")
    if not 0 < level < 1:
        raise SpecError(f"level={level!r} must lie between 0 and 1.")
    whole(starts, "starts", 1)


def _goal(
    response: Response, now: np.ndarray, cells: Cells, level: float, risk: str, spend: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return a measure of the net gain over today's revenue `now` (draw,), and its slope."""
    revenue = response.values(spend / cells.spend) - now
    gains = revenue - (spend.sum() - cells.spend.sum())
    value, share = weights_of(gains, risk, level, scale=float(np.abs(now).mean()))
    slope = response.slope(spend / cells.spend, share) / cells.spend - share.sum()
    return value, slope


Goal = Callable[[np.ndarray], tuple[float, np.ndarray]]


def _search(
    goal: Goal, limits: Limits, today: np.ndarray, begins: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[float]]:
    """Return the best budget found from several starts, and the goal reached from each."""
    scale = today.sum() / len(today)
    starts = [limits.nearest(begin) for begin in begins]
    worth = max(abs(goal(starts[0])[0]), 1e-3 * float(today.sum()))

    def loss(z: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = goal(z * scale)
        return -value / worth, -slope * scale / worth

    ends = [minimised(loss, start, limits, scale) for start in starts]
    reached = [goal(end)[0] for end in ends]
    return ends[int(np.argmax(reached))], reached


def _response(fit: Fit, today: MediaPlan, cells: Cells, seed: int, draws: int | None) -> Response:
    """Return the revenue (sales, where they have no worth) of a plan by draw."""
    lag = fit.spec.adstock.max_lag
    twin = Twin.of(fit, [today], seed=seed, after=lag, short=True)
    places = twin.places(today)
    number = np.full((*twin.panel.data["exposure"].shape[:2], cells.where.shape[2]), -1)
    number[:, places] = cells.where
    pattern = twin.lagged(twin.exposure(today))
    index = np.full(pattern.shape, -1)
    moved = np.moveaxis(number, -1, 0)
    for back in range(min(lag, moved.shape[2] - 1) + 1):
        index[:, :, back:, back] = moved[:, :, : moved.shape[2] - back]
    counted = np.zeros(pattern.shape[1:3])
    counted[:, places[0] : places[-1] + lag + 1] = 1.0
    return Response.of(
        twin.target,
        twin.posterior,
        "media_contribution",
        data="lagged_exposure",
        pattern=pattern,
        index=index,
        weight=(counted * price_ahead(twin))[:, :, None],
        values=twin.frequency(today),
        hold=("effect",),
        draws=draws,
    )


def _repriced(plan: MediaPlan, change: Mapping[str, float]) -> MediaPlan:
    """Return a plan of equal spend whose exposure costs more or less."""
    channels = [str(name) for name in plan.data[CHANNEL].values]
    for name, factor in change.items():
        if name not in channels:
            raise SpecError(f"price_change: no channel {name!r} in the panel; it has {channels}.")
        if not factor > 0:
            raise SpecError(f"price_change[{name!r}]={factor!r} must be > 0.")
    factors = xr.DataArray(
        [1.0 / change.get(name, 1.0) for name in channels], coords={CHANNEL: channels}
    )
    exposure = (plan.data["exposure"] * factors).transpose(*CELLS)
    return MediaPlan(plan.data.assign(exposure=exposure))


def _table(
    fit: Fit,
    cells: Cells,
    limits: Limits,
    today: MediaPlan,
    chosen: MediaPlan,
    spend: np.ndarray,
    response: Response,
) -> tuple[xr.Dataset, tuple[str, ...]]:
    """Return the decision by cell, and warnings."""
    even = np.full(response.draws, 1.0 / response.draws)
    before = response.slope(np.ones(cells.size), even) / cells.spend
    after = response.slope(spend / cells.spend, even) / cells.spend
    seen = fit.data.data["exposure"].max(DATE)
    beyond = chosen.data["exposure"] > seen * 1.01
    others = [d for d in CELLS if d not in cells.by]
    far = beyond.any(others).transpose(*cells.by)
    money = fit.data.currency or "currency"
    table = xr.Dataset(
        {
            "spend_today": cells.laid(cells.spend).assign_attrs(units=money),
            "spend": cells.laid(spend).assign_attrs(units=money),
            "marginal_today": cells.laid(before, np.nan).assign_attrs(units="revenue per spend"),
            "marginal": cells.laid(after, np.nan).assign_attrs(units="revenue per spend"),
            "limit": cells.laid(np.asarray(limits.holding(spend), dtype=object), ""),
            "extrapolates": far,
        }
    )
    least, most = limits.row_low[-1], limits.row_high[-1]
    end = {float(least): "lowest", float(most): "highest"}
    held = [word for at, word in end.items() if least < most and np.isclose(spend.sum(), at)]
    names = [str(n) for n in far[CHANNEL].values[far.any([d for d in far.dims if d != CHANNEL])]]
    notes = tuple(f"The plan is held at the {word} total that was allowed." for word in held)
    if names:
        notes = (
            *notes,
            f"The plan exposes regions to more {', '.join(names)} in a period than the panel has "
            "seen: there the response is the curve's, not the data's.",
        )
    return table, notes
