"""The density of a propensity, held to its statement in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

import bayes_mkt as bm
from bayes_mkt.targeting.propensity import PRIORS
from bayes_mkt.targeting.windows import Windows, windows
from tests.densities import log_density

Point = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def log() -> bm.PurchaseLog:
    shop = bm.simulate.purchase_log(customers=300, departments=2, categories=2, seed=5)
    return bm.PurchaseLog.from_frame(shop.frame, **shop.columns)


def by_hand(spec: bm.Propensity, found: Windows, own: Point) -> float:
    """Return the log-density of the parameters and the data, up to what no parameter changes."""
    names = list(dict.fromkeys(found.encoding.groups))
    group = np.array([names.index(g) for g in found.encoding.groups])
    total = 0.0
    for name in own:
        if name in PRIORS:
            total += float(np.sum(log_density(PRIORS[name], own[name])))

    def normal(name: str, mean: Any, sd: Any) -> np.ndarray:
        nonlocal total
        total += float(stats.norm.logpdf(own[name], mean, sd).sum())
        return own[name]

    normal("parent_level", own["intercept"], own["parent_sd"])
    above = own["parent_level"][found.parent_of] + found.typical @ own["attribute_effect"]
    normal("set_level", above, own["set_sd"])
    moved = (found.attributes - found.typical[found.set_of]) @ own["attribute_effect"]
    normal("window_level", own["set_level"][found.set_of] + moved, own["window_sd"])
    normal("feature_effect", 0.0, own["feature_sd"][group])
    normal("slope", own["feature_effect"][:, None], own["slope_sd"][group][:, None])
    slopes = own["slope"][:, found.set_of]
    if spec.attribute_slopes:
        normal("attribute_slope", 0.0, own["attribute_slope_sd"][group][:, None])
        slopes = slopes + own["attribute_slope"] @ found.attributes.T
    design = found.encoding.design(found.codes)
    chance = expit(own["window_level"] + design @ slopes)
    total += float(stats.binom.logpmf(found.buyers, found.customers, chance).sum())

    effect = own["spend_attribute_effect"]
    normal("spend_level", own["spend_intercept"] + found.typical @ effect, own["spend_set_sd"])
    moved = (found.attributes - found.typical[found.set_of]) @ effect
    normal("spend_feature", 0.0, own["spend_feature_sd"][group])
    amounts = own["spend_feature"][:, None]
    if spec.spend_slopes:
        center, sd = own["spend_feature"][:, None], own["spend_slope_sd"][group][:, None]
        amounts = normal("spend_slope", center, sd)[:, found.set_of]
    mean = own["spend_level"][found.set_of] + moved + design @ amounts
    cell, window = found.spend[:, :2].astype(int).T
    buyers, sums, squares = found.spend[:, 2:].T
    at, sigma = mean[cell, window], own["spend_sigma"]
    apart = squares - 2 * at * sums + buyers * at**2
    total += float((-buyers * np.log(sigma) - 0.5 * apart / sigma**2).sum())
    return total


@pytest.mark.parametrize("more", [False, True])
def test_the_density_is_that_of_the_statement(log: bm.PurchaseLog, more: bool) -> None:
    spec = bm.Propensity(dates=2, attribute_slopes=more, spend_slopes=more)
    model, found = spec.build(log), windows(spec, log)
    density = model.compile_logp(
        vars=[*model.free_RVs, *model.observed_RVs], jacobian=False, mode="JAX"
    )
    rng = np.random.default_rng(1)
    values, expected = [], []
    for _ in range(3):
        own: Point = {}
        inner = {}
        for name, value in model.initial_point(random_seed=1).items():
            draw = 0.5 * rng.normal(size=np.shape(value))
            inner[name] = draw
            own[name.removesuffix("_log__")] = np.exp(draw) if name.endswith("_log__") else draw
        values.append(float(density(inner)))
        expected.append(by_hand(spec, found, own))
    assert np.ptp(values) > 100
    assert np.diff(values) == pytest.approx(np.diff(expected), rel=1e-9)
