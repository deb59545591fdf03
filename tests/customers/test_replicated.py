"""Events drawn anew: right by hand, quiet where the model is right, loud where it isn't."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from tests.customers.hazards import small, stand_in

PRIORS = {"baseline_level": bm.Prior("Normal", mu=0, sigma=0.3)}


def by_hand(fit: bm.Fit) -> np.ndarray:
    """Return expected events (sample, market, interval), row by row and step by step."""
    data = fit.data
    rows, cuts = data.data, data.cuts
    steps = np.arange(0.0, cuts[-1] + 1)
    alive = (
        bm.survival_function(fit, steps, by="cell")
        .to_numpy()
        .reshape(-1, rows.sizes["cell"], len(steps))
    )
    out = np.zeros((len(alive), len(data.markets), len(cuts)))
    columns = ("cell_of_row", "entry", "duration", "count")
    for cell, entry, duration, count in zip(*(rows[c].values for c in columns), strict=True):
        market = int(rows["market_of_cell"].values[cell])
        for step in range(int(entry) + 1, int(duration) + 1):
            before, after = alive[:, cell, step - 1], alive[:, cell, step]
            chance = np.where(before > 0, 1 - after / np.where(before > 0, before, 1), 1.0)
            out[:, market, int(np.searchsorted(cuts, step))] += count * chance
    return out


@pytest.mark.parametrize("episodes", [False, True])
def test_expected_events_by_hand(episodes: bool) -> None:
    never = "none" if episodes else "regression"
    spec = bm.SecondPurchase(effects="normal", never=never, priors=PRIORS)
    fit = stand_in(spec, small(episodes))
    found = bm.survival_check(fit, seed=1, draws=1200)
    shape = found["expected"].shape
    np.testing.assert_allclose(found["expected"], by_hand(fit).reshape(shape), rtol=1e-9)
    table = fit.data.risk_table()
    np.testing.assert_array_equal(found["events_actual"], table["events"][..., 0])
    # The last interval is reached by nobody: survival is not known there.
    assert np.isnan(found["survival_actual"].values[table["at_risk"].values == 0]).all()


def test_drawn_events_have_the_moments_of_sums_of_bernoullis() -> None:
    fit = stand_in(bm.Churn(effects="normal", priors=PRIORS), small(), draws=1500)
    found = bm.survival_check(fit, seed=3, draws=3000)
    apart = (found["events"] - found["expected"]).stack(s=("chain", "draw"))
    spread = np.sqrt(found["expected"].mean(("chain", "draw")) / apart.sizes["s"])
    assert (abs(apart.mean("s")) <= 4.5 * spread).all()
    # No more events than steps at risk, and none where nobody is.
    assert float(found["events"].where(found["expected"] == 0, 0).sum()) == 0
    again = bm.survival_check(fit, seed=3, draws=3000)
    assert again.identical(found)


def waits(hazard: np.ndarray, count: int, seed: int, market: str = "all") -> pd.DataFrame:
    """Return durations under hazards by week, censored at random between 10 and 24 weeks."""
    rng = np.random.default_rng(seed)
    weeks = np.arange(1, len(hazard) + 1)
    came = rng.random((count, len(hazard))) < hazard
    event = np.where(came.any(axis=1), weeks[came.argmax(axis=1)], 99)
    end = rng.integers(10, 25, count)
    frame = {"weeks": np.minimum(event, end), "left": event <= end, "market": market}
    return pd.DataFrame(frame)


def fitted(spec: Any, frame: pd.DataFrame, resolution: float = 1.0) -> bm.Fit:
    data = bm.Subscriptions.from_frame(
        frame, duration="weeks", event="left", market="market", intervals=2, unit="week",
        resolution=resolution,
    )  # fmt: skip
    return bm.fit(spec, data, seed=1, progress=False)


FALLING = 0.12 * np.arange(1, 25) ** -0.4


def test_a_spike_that_the_curve_cannot_follow_is_caught() -> None:
    spiked = FALLING.copy()
    spiked[8:10] *= 2.5  # the fifth interval
    quiet = bm.survival_check(fitted(bm.ParametricSurvival(), waits(FALLING, 3000, 1)), seed=1)
    assert (quiet["p_value"] > 0.05).all()
    inside = (quiet["interval_place"] > 0.005) & (quiet["interval_place"] < 0.995)
    assert inside.all()
    found = bm.survival_check(fitted(bm.ParametricSurvival(), waits(spiked, 3000, 1)), seed=1)
    assert float(found["p_value"].sel(level="interval")) < 0.005
    assert float(found["interval_place"].sel(interval=10)) > 0.995
    # A baseline that is free by interval follows it.
    free = bm.survival_check(fitted(bm.Churn(), waits(spiked, 3000, 1)), seed=1)
    assert (free["p_value"] > 0.05).all()


def test_markets_left_out_are_caught_and_held_out_customers_checked() -> None:
    frame = pd.concat(
        [
            waits(FALLING * f, 600, i, name)
            for i, (name, f) in enumerate({"a": 0.6, "b": 1, "c": 1.5}.items())
        ]
    )
    known = fitted(bm.Churn(markets="level"), frame)
    found = bm.survival_check(known, seed=1)
    assert (found["p_value"] > 0.05).all()
    low, high = found["survival"].quantile([0.005, 0.995], ("chain", "draw")).to_numpy()
    actual = found["survival_actual"].to_numpy()
    assert ((low <= actual) & (actual <= high)).all()
    blind = bm.survival_check(fitted(bm.Churn(markets="none"), frame), seed=1)
    assert float(blind["p_value"].sel(level="market")) < 0.005
    assert float(blind["p_value"].sel(level="interval")) > 0.05
    np.testing.assert_allclose(blind["market_place"].sel(market=["a", "c"]), [0, 1], atol=0.005)
    columns = {"duration": "weeks", "event": "left", "market": "market", "unit": "week"}
    later = pd.concat([waits(FALLING * 2.5, 600, 9, "b")])
    others = bm.Subscriptions.from_frame(later, **columns, like=known.data)
    moved = bm.survival_check(known, others, seed=1)
    assert float(moved["p_value"].sel(level="interval")) < 0.005
    with pytest.raises(bm.SpecError, match="like="):
        bm.survival_check(known, bm.Subscriptions.from_frame(later, **columns), seed=1)


def test_exact_times_are_checked_on_short_steps() -> None:
    rng = np.random.default_rng(4)
    time, end = 6 * rng.weibull(0.7, 2500), rng.uniform(4, 20, 2500)
    frame = pd.DataFrame({"weeks": np.minimum(time, end), "left": time <= end, "market": "all"})
    right = bm.survival_check(fitted(bm.ParametricSurvival(), frame, 0.0), seed=1)
    assert (right["p_value"] > 0.05).all()
    np.testing.assert_allclose(
        right["expected"].mean(("chain", "draw")).sum(), frame["left"].sum(), rtol=0.02
    )


def test_several_causes_are_refused() -> None:
    first = waits(FALLING, 80, 1)
    data = bm.Subscriptions.from_frame(
        first, duration="weeks", event="left", market="market", intervals=4
    )
    event = data.data["event"].copy()
    event[{"row": int(np.flatnonzero(event.values)[0])}] = 2
    both = type(data)(
        data.data.drop_dims("cause").assign(event=event).assign_coords(cause=["a", "b"])
    )
    fit = stand_in(bm.CompetingRisks(models={"a": bm.Churn(), "b": bm.Churn()}), both)
    with pytest.raises(bm.SpecError, match="cause"):
        bm.survival_check(fit, seed=1)
