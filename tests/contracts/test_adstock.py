"""What holds for every adstock: one registry of constructors, the same checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

import bayes_mkt as bm
from bayes_mkt.media_mix.adstock import Adstock
from bayes_mkt.media_mix.scaling import lags
from bayes_mkt.specs import from_table, to_table

CHANNELS = 4

# Each takes the longest lag; the parameters are by channel, from one end of their range to the
# other.
ADSTOCKS: dict[str, tuple[Callable[[int], Adstock], dict[str, list[float]]]] = {
    "geometric": (bm.GeometricAdstock, {"adstock_alpha": [0.0, 0.3, 0.9, 1.0]}),
    "delayed": (
        lambda lag: bm.DelayedAdstock(max(lag, 1)),
        {"adstock_alpha": [0.0, 0.3, 0.9, 1.0], "adstock_delay": [0.0, 0.5, 1.0, 0.3]},
    ),
    "binomial": (bm.BinomialAdstock, {"adstock_alpha": [0.0, 0.3, 0.9, 1.0]}),
    "weibull density": (
        bm.WeibullPDFAdstock,
        {"adstock_shape": [0.2, 1.0, 3.0, 9.0], "adstock_scale": [0.1, 1.0, 3.0, 40.0]},
    ),
    "weibull retention": (
        bm.WeibullCDFAdstock,
        {"adstock_shape": [0.2, 1.0, 3.0, 9.0], "adstock_scale": [0.1, 1.0, 3.0, 40.0]},
    ),
    "none": (lambda _: bm.NoAdstock(), {}),
}

every = pytest.mark.parametrize("name", ADSTOCKS)
lengths = pytest.mark.parametrize("max_lag", [0, 1, 8])


def weights(name: str, max_lag: int) -> np.ndarray:
    build, parameters = ADSTOCKS[name]
    values = {key: np.asarray(value) for key, value in parameters.items()}
    return np.asarray(build(max_lag).weights(values).eval(mode="FAST_COMPILE"))


def test_every_adstock_is_in_the_registry() -> None:
    assert {type(build(2)) for build, _ in ADSTOCKS.values()} == set(get_args(Adstock))


@every
@lengths
def test_weights_are_shares(name: str, max_lag: int) -> None:
    found = weights(name, max_lag)
    length = ADSTOCKS[name][0](max_lag).max_lag + 1
    assert np.broadcast_shapes(found.shape, (CHANNELS, length)) == (CHANNELS, length)
    assert found.shape[1] == length
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-14)


@every
@lengths
def test_a_steady_exposure_is_carried_as_it_is(name: str, max_lag: int) -> None:
    adstock = ADSTOCKS[name][0](max_lag)
    exposure = np.full((2, 20, CHANNELS), 3.0)
    lagged = lags(exposure, adstock.max_lag)
    shares = np.broadcast_to(weights(name, max_lag), (CHANNELS, adstock.max_lag + 1))
    carried = np.einsum("mgtl,ml->mgt", lagged, shares)
    np.testing.assert_allclose(carried[:, :, adstock.max_lag :], 3.0)


@every
def test_the_priors_name_all_that_the_weights_need(name: str) -> None:
    build, parameters = ADSTOCKS[name]
    assert set(build(3).priors) == set(parameters)


@pytest.mark.parametrize("name", [n for n, (_, values) in ADSTOCKS.items() if values])
def test_gradients_are_finite_inside_the_range(name: str) -> None:
    build, parameters = ADSTOCKS[name]
    inputs = {key: pt.vector(key) for key in parameters}
    total = (build(6).weights(inputs) * np.arange(7.0)).sum()
    slopes = pytensor.function(
        list(inputs.values()), pytensor.grad(total, list(inputs.values())), mode="FAST_COMPILE"
    )
    edges = [
        np.clip(value, 1e-12, 1 - 1e-12) if key == "adstock_alpha" else np.asarray(value)
        for key, value in parameters.items()
    ]
    assert all(np.isfinite(slope).all() for slope in slopes(*edges))


@every
def test_an_adstock_is_a_value_that_can_be_saved(name: str) -> None:
    adstock = ADSTOCKS[name][0](5)
    assert from_table(to_table(adstock)) == adstock
    assert hash(adstock) == hash(ADSTOCKS[name][0](5))
    assert from_table(to_table(bm.MediaMix(adstock=adstock))).adstock == adstock


def test_geometric_weights() -> None:
    found = weights("geometric", 2)
    np.testing.assert_allclose(found[0], [1, 0, 0])
    np.testing.assert_allclose(found[1], np.array([1, 0.3, 0.09]) / 1.39)
    np.testing.assert_allclose(found[3], [1 / 3] * 3)
    assert (np.diff(found[:3], axis=1) <= 0).all()


def test_geometric_half_life() -> None:
    half_life = 2.0
    alpha = 0.5 ** (1 / half_life)
    found = bm.GeometricAdstock(8).weights({"adstock_alpha": [alpha]}).eval(mode="FAST_COMPILE")
    np.testing.assert_allclose(found[0, 2:] / found[0, :-2], 0.5)


def test_delayed_weights_lie_around_their_peak() -> None:
    values = {"adstock_alpha": [0.8, 0.8], "adstock_delay": [0.0, 3.0]}
    found = bm.DelayedAdstock(6).weights(values).eval(mode="FAST_COMPILE")
    raw = 0.8 ** ((np.arange(7.0) - 3.0) ** 2)
    np.testing.assert_allclose(found[1], raw / raw.sum())
    np.testing.assert_array_equal(found.argmax(axis=1), [0, 3])


def test_binomial_weights() -> None:
    found = weights("binomial", 3)
    raw = (1 - np.arange(4) / 4) ** (1 / 0.3 - 1)
    np.testing.assert_allclose(found[1], raw / raw.sum())
    np.testing.assert_allclose(found[0], [1, 0, 0, 0])
    np.testing.assert_allclose(found[3], 0.25)


def test_weibull_weights_are_those_of_the_distribution() -> None:
    from scipy.stats import weibull_min

    for name in ("weibull density", "weibull retention"):
        found = weights(name, 8)
        shapes, scales = ADSTOCKS[name][1].values()
        for row, k, s in zip(found[1:3], shapes[1:3], scales[1:3], strict=True):
            if name == "weibull density":
                raw = weibull_min(k, scale=s).pdf(np.arange(1, 10))
            else:
                raw = np.cumprod([1.0, *weibull_min(k, scale=s).sf(np.arange(1, 9))])
            np.testing.assert_allclose(row, raw / raw.sum(), atol=1e-14)


def test_a_delay_needs_a_lag() -> None:
    with pytest.raises(bm.SpecError, match="max_lag=0 must be an integer >= 1"):
        bm.DelayedAdstock(0)


def test_no_adstock_is_geometric_adstock_without_lags() -> None:
    np.testing.assert_array_equal(weights("geometric", 0), np.ones((CHANNELS, 1)))
    np.testing.assert_array_equal(weights("none", 0), np.ones((1, 1)))
    assert bm.NoAdstock().max_lag == 0


@pytest.mark.parametrize("max_lag", [-1, 1.5, True, "8", None])
def test_a_lag_is_a_whole_number(max_lag: Any) -> None:
    with pytest.raises(bm.SpecError, match=r"max_lag=.* must be an integer >= 0 \(in periods"):
        bm.GeometricAdstock(max_lag)
