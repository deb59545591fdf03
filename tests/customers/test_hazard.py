"""The likelihood on counted rows equals that of customers followed day by day."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytensor
import pytest
from scipy import stats

import bayes_mkt as bm
from bayes_mkt.customers.baseline import SPREADS, walk_basis
from bayes_mkt.customers.hazard import PRIORS
from bayes_mkt.customers.rows import log_event
from tests.customers.hazards import at_a_point, small

NAMES = ["log_hazard", "linear_predictor", "survival"]
SPECS = [
    bm.Churn(),
    bm.Churn(baseline="hsgp", markets="level", effects="normal"),
    bm.Churn(markets="none", effects="normal", frailty=True),
    bm.SecondPurchase(effects="normal"),
    bm.SecondPurchase(never="market", markets="none"),
]


def by_hand(data: Any, found: dict[str, np.ndarray]) -> float:
    """Return the log-likelihood from survival multiplied up over unit steps, row by row."""
    rows, cuts = data.data, data.cuts
    lengths = np.diff(np.concatenate([[0.0], cuts]))
    total = 0.0
    for r in range(rows.sizes["row"]):
        cell = int(rows["cell_of_row"][r])
        market = int(rows["market_of_cell"][cell])
        rate = np.exp(found["linear_predictor"][cell] + found["log_hazard"][market]) / lengths
        never = found["never_probability"][cell] if "never_probability" in found else 0.0
        steps = np.exp(-np.repeat(rate, lengths.astype(int)))
        waiting = (1 - never) * np.concatenate([[1.0], np.cumprod(steps)])
        alive = never + waiting
        start, stop = int(rows["entry"][r]), int(rows["duration"][r])
        if int(rows["event"][r]):
            likelihood = waiting[stop - 1] * (1 - steps[stop - 1]) / alive[start]
        else:
            likelihood = alive[stop] / alive[start]
        total += float(rows["count"][r]) * np.log(likelihood)
    return total


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_the_likelihood_is_that_of_customers_day_by_day(spec: bm.Churn) -> None:
    data = small()
    names = NAMES + (["never_probability"] if spec.never != "none" else [])
    found = at_a_point(spec.build(data), names)
    assert float(found["potential"]) == pytest.approx(by_hand(data, found), rel=1e-10)


def test_episodes_are_conditional_on_the_episode_before() -> None:
    data = small(episodes=True)
    assert data.episodic
    found = at_a_point(bm.Churn().build(data), NAMES)
    assert float(found["potential"]) == pytest.approx(by_hand(data, found), rel=1e-10)
    with pytest.raises(bm.SpecError, match="the data have episodes"):
        bm.SecondPurchase().build(data)


def test_exact_times_are_densities() -> None:
    data = small(resolution=0.0)
    found = at_a_point(bm.Churn(effects="normal").build(data), NAMES)
    fine = small(resolution=1e-7)
    finer = at_a_point(bm.Churn(effects="normal").build(fine), NAMES)
    expected = float(finer["potential"]) - data.events() * np.log(1e-7)
    assert float(found["potential"]) == pytest.approx(expected, abs=1e-4)


def test_survival_is_that_of_the_likelihood() -> None:
    data = small()
    found = at_a_point(bm.SecondPurchase().build(data), [*NAMES, "never_probability"])
    hazard = np.exp(found["log_hazard"])[data.data["market_of_cell"].values].cumsum(axis=1)
    share = found["never_probability"][:, None]
    expected = share + (1 - share) * np.exp(-np.exp(found["linear_predictor"])[:, None] * hazard)
    np.testing.assert_allclose(found["survival"], expected, rtol=1e-12)


@pytest.mark.parametrize("increment", [1e-300, 1e-12, 0.5, 40.0, 700.0])
def test_the_probability_of_an_event_is_safe(increment: float) -> None:
    value = float(log_event(0.0, np.float64(increment), None).eval(mode="FAST_COMPILE"))
    exact = np.log(increment) if increment < 1e-8 else np.log1p(-np.exp(-increment))
    assert value == pytest.approx(exact, rel=1e-10, abs=1e-15)


def test_priors_mean_the_same_in_any_unit() -> None:
    """The same customers in days and in weeks of seven days have the same likelihood."""
    data = small(resolution=0.0)
    days = data.to_dataset()
    for name in ("entry", "duration", "elapsed"):
        days[name] = days[name] * 7.0
    days = days.assign_coords(interval=days["interval"] * 7.0)
    other = bm.Subscriptions.from_dataset(days.assign_attrs(unit="day"))
    spec = bm.Churn(effects="normal")
    week, day = (at_a_point(spec.build(d), NAMES) for d in (data, other))
    np.testing.assert_allclose(week["log_hazard"], day["log_hazard"], rtol=1e-12)
    change = -data.events() * np.log(7.0)  # densities per day, not per week
    assert float(day["potential"]) == pytest.approx(float(week["potential"]) + change, rel=1e-12)


def test_the_walk_is_a_centred_random_walk() -> None:
    basis = walk_basis(6)
    covariance = basis @ basis.T
    walk = np.minimum.outer(np.arange(6), np.arange(6)) / 5.0
    centre = np.eye(6) - 1.0 / 6.0
    np.testing.assert_allclose(covariance, centre @ walk @ centre, atol=1e-12)
    ends = np.array([-1.0, 0, 0, 0, 0, 1.0])
    assert ends @ covariance @ ends == pytest.approx(1.0)


def test_the_horseshoe_reaches_from_nothing_to_the_slab() -> None:
    model = bm.Churn(relevant=1.0).build(small())
    names = {v.name for v in model.free_RVs}
    assert {"global_scale", "local_scale", "slab_variance", "effect"} <= names


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "spline"}, "baseline='spline': choose from 'random_walk', 'hsgp'"),
        ({"markets": "all"}, "markets='all'"),
        ({"relevant": 0}, "relevant=0 must be > 0"),
        ({"priors": {"slope": bm.Prior("Normal", mu=0, sigma=1)}}, "no such variable"),
        ({"priors": {"market_sd": bm.Prior("Normal", mu=0, sigma=1)}}, "reaches below 0"),
    ],
)
def test_bad_specifications_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(bm.SpecError, match=message):
        bm.SecondPurchase(**change)


def test_specifications_survive_a_table() -> None:
    from bayes_mkt.specs import from_table, to_table

    spec = bm.SecondPurchase(frailty=True, priors={"market_sd": PRIORS["shape_sd"]})
    assert from_table(to_table(spec)) == spec
    assert from_table(to_table(bm.ParametricSurvival(never="market"))).never == "market"


SCIPY = {
    "weibull": lambda k, mu: stats.weibull_min(k, scale=np.exp(mu)),
    "log_normal": lambda k, mu: stats.lognorm(1 / k, scale=np.exp(mu)),
    "log_logistic": lambda k, mu: stats.fisk(k, scale=np.exp(mu)),
}


@pytest.mark.parametrize("resolution", [0.0, 1.0])
@pytest.mark.parametrize("distribution", sorted(SCIPY))
def test_parametric_times_are_those_of_scipy(distribution: Any, resolution: float) -> None:
    data = small(resolution=resolution)
    spec = bm.ParametricSurvival(distribution=distribution, never="market")
    found = at_a_point(
        spec.build(data), ["shape", "linear_predictor", "never_probability", "survival"]
    )
    rows, total = data.data, 0.0
    for r in range(rows.sizes["row"]):
        cell = int(rows["cell_of_row"][r])
        law = SCIPY[distribution](float(found["shape"]), found["linear_predictor"][cell])
        share = float(found["never_probability"][cell])

        def alive(t: float, law: Any = law, share: float = share) -> float:
            return float(share + (1 - share) * law.sf(t))

        stop = float(rows["duration"][r])
        value = alive(stop)
        if int(rows["event"][r]):
            density = (1 - share) * law.pdf(stop)
            value = alive(stop - 1) - alive(stop) if resolution else density
        total += float(rows["count"][r]) * np.log(value / alive(float(rows["entry"][r])))
    assert float(found["potential"]) == pytest.approx(total, rel=1e-7)
    first = SCIPY[distribution](float(found["shape"]), found["linear_predictor"][0])
    share = float(found["never_probability"][0])
    expected = share + (1 - share) * first.sf(data.cuts)
    np.testing.assert_allclose(found["survival"][0], expected, rtol=1e-7)


FREE = (
    "typical_level", "typical_step", "typical_never", "baseline_sd", "market_sd", "shape_sd",
    "never_market_sd", "market_effect", "shape_effect", "never_market_effect",
)  # fmt: skip
STATED = (
    "baseline_level", "baseline_step", "never_level", "baseline_sd", "market_sd", "shape_sd",
    "never_market_sd", "market_effect", "shape_effect", "never_market_effect",
)  # fmt: skip


def test_what_is_sampled_has_the_stated_priors() -> None:
    """The density of what is sampled is that of the stated variables, and the map keeps volumes."""
    frame = pd.DataFrame(
        {"stop": [1, 3, 5, 6, 2, 9, 4], "left": [1, 0, 1, 1, 0, 0, 1], "land": list("aaabbbc")}
    )
    data = bm.Subscriptions.from_frame(
        frame, duration="stop", event="left", market="land", intervals=[2, 4, 6, 8, 10]
    )
    model = bm.SecondPurchase().build(data)
    assert {rv.name for rv in model.free_RVs} == set(FREE)
    rng = np.random.default_rng(3)
    start = model.initial_point(random_seed=0)
    point = {k: 0.7 * rng.normal(size=np.shape(v)) for k, v in start.items()}
    graphs = model.replace_rvs_by_values([*(model[n] for n in STATED), sum(model.potentials)])
    graphs.append(model.logp(jacobian=False))
    function = pytensor.function(model.value_vars, graphs, mode="FAST_COMPILE")
    *stated, potential, density = function(*(point[v.name] for v in model.value_vars))
    at = dict(zip(STATED, stated, strict=True))
    expected = float(potential)
    expected += stats.norm(0, 2.0).logpdf(at["baseline_level"])
    expected += stats.norm(0, at["baseline_sd"]).logpdf(at["baseline_step"]).sum()
    expected += stats.norm(0, 1.5).logpdf(at["never_level"])
    expected += stats.halfnorm(0, 1.5).logpdf(at["baseline_sd"])
    for effect, sd in SPREADS.items():
        expected += stats.norm(0, at[sd]).logpdf(at[effect]).sum()
        expected += stats.halfnorm(0, 0.5).logpdf(at[sd])
    assert float(density) == pytest.approx(float(expected), rel=1e-10)

    def mapped(flat: np.ndarray) -> np.ndarray:
        values, first = [], 0
        for v in model.value_vars:
            size = int(np.size(start[v.name]))
            values.append(flat[first : first + size].reshape(np.shape(start[v.name])))
            first += size
        return np.concatenate([np.ravel(part) for part in function(*values)[: len(STATED)]])

    order = [v.name.removesuffix("_log__") for v in model.value_vars]
    flat = np.concatenate([np.ravel(point[v.name]) for v in model.value_vars])
    steps = 1e-6 * np.eye(len(flat))
    slopes = np.stack([(mapped(flat + h) - mapped(flat - h)) / 2e-6 for h in steps], axis=1)
    scales = sum(float(np.sum(point[f"{n}_log__"])) for n in order if n.endswith("_sd"))
    assert np.linalg.slogdet(slopes)[1] == pytest.approx(scales, abs=1e-5)


def test_what_is_seen_does_not_depend_on_the_share_of_never_returners() -> None:
    """With what is sampled held, the seen hazard of all is nearly the same for any share."""
    days = np.repeat(np.arange(1.0, 61.0), 40)
    frame = pd.DataFrame({"stop": days, "left": (np.arange(len(days)) % 40 < 15).astype(int)})
    data = bm.Subscriptions.from_frame(
        frame, duration="stop", event="left", intervals=10, unit="day"
    )
    model = bm.SecondPurchase().build(data)
    graphs = model.replace_rvs_by_values([model["survival"], model["log_hazard"]])
    function = pytensor.function(
        model.value_vars, graphs, mode="FAST_COMPILE", on_unused_input="ignore"
    )
    start = model.initial_point(random_seed=0)
    seen, curves = [], []
    for never in (-6.0, -2.5, -1.5):
        start["never_level"] = np.asarray(never)
        survival, curve = function(*(start[v.name] for v in model.value_vars))
        seen.append(survival[0])
        curves.append(curve[0])
    # The plain baseline would have to change this much for that.
    assert np.abs(curves[0] - curves[2]).max() > 0.3
    assert np.abs(seen[0] - seen[2]).max() < 0.02
