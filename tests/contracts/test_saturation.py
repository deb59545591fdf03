"""What holds for every saturation curve: one registry of constructors, the same checks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import pytensor
import pytensor.tensor as pt
import pytest

import bayes_mkt as bm
from bayes_mkt.media_mix.saturation import Saturation
from bayes_mkt.specs import from_table, to_table

GRID = np.linspace(0.0, 20.0, 401)


@dataclass(frozen=True)
class Case:
    """A curve with parameters, and which of the shared properties it claims."""

    curve: Saturation
    parameters: dict[str, float]
    bounded: bool = True
    concave: bool = True

    def __call__(self, x: Any) -> np.ndarray:
        values = {name: np.asarray(value) for name, value in self.parameters.items()}
        return np.asarray(self.curve.curve(np.asarray(x), values).eval(mode="FAST_COMPILE"))


SATURATIONS = {
    "hill": Case(bm.HillSaturation(), {"half_saturation": 0.8}),
    "hill, whole slope": Case(bm.HillSaturation(slope=1), {"half_saturation": 3.0}),
    "hill, S-shaped": Case(bm.HillSaturation(slope=2.5), {"half_saturation": 1.7}, concave=False),
    "hill, steep at zero": Case(bm.HillSaturation(slope=0.5), {"half_saturation": 2.0}),
    "hill, slope estimated": Case(
        bm.HillSaturation(slope=None), {"half_saturation": 1.2, "slope": 1.5}, concave=False
    ),
    "exponential": Case(bm.ExponentialSaturation(), {"half_saturation": 1.3}),
    "logistic": Case(bm.LogisticSaturation(), {"half_saturation": 2.0}),
    "power": Case(bm.PowerSaturation(), {"exponent": 0.6}, bounded=False),
    "none": Case(bm.NoSaturation(), {}, bounded=False),
}

every = pytest.mark.parametrize("case", SATURATIONS.values(), ids=SATURATIONS)
WITH_PARAMETERS = {name: case for name, case in SATURATIONS.items() if case.parameters}
parametric = pytest.mark.parametrize("case", WITH_PARAMETERS.values(), ids=WITH_PARAMETERS)


def test_every_curve_is_in_the_registry() -> None:
    assert {type(case.curve) for case in SATURATIONS.values()} == set(get_args(Saturation))


@every
def test_nothing_comes_of_nothing(case: Case) -> None:
    assert float(case(0.0)) == 0.0


@every
def test_more_is_never_less(case: Case) -> None:
    assert (np.diff(case(GRID)) > 0).all()


@every
def test_full_effect_is_one(case: Case) -> None:
    if not case.bounded:
        assert float(case(1e12)) > 1e3
        assert float(case(1.0)) == 1.0
        return
    assert (case(GRID) < 1.0).all()
    assert float(case(1e12)) == pytest.approx(1.0, abs=1e-5)


@every
def test_returns_diminish_where_claimed(case: Case) -> None:
    second = np.diff(case(GRID), n=2)
    assert bool((second <= 1e-14).all()) is case.concave


@pytest.mark.parametrize("case", [c for c in SATURATIONS.values() if c.bounded])
def test_half_saturation_is_where_half_the_effect_is(case: Case) -> None:
    assert float(case(case.parameters["half_saturation"])) == pytest.approx(0.5, rel=1e-14)


@parametric
@pytest.mark.parametrize("x", [0.0, 1e-300, 1e-12, 1.0, 1e12])
def test_gradients_in_the_parameters_are_finite(case: Case, x: float) -> None:
    """Also where there was no exposure: there a parameter doesn't matter."""
    inputs = {name: pt.scalar(name) for name in case.parameters}
    value = case.curve.curve(pt.constant(x), inputs)
    slopes = pytensor.function(
        list(inputs.values()),
        pytensor.grad(value, list(inputs.values()), disconnected_inputs="ignore"),
        mode="FAST_COMPILE",
    )(*case.parameters.values())
    assert np.isfinite(slopes).all()
    if x == 0:
        np.testing.assert_array_equal(slopes, 0.0)


@every
def test_the_gradient_in_carried_exposure_is_finite_without_exposure(case: Case) -> None:
    """Exposure carried with weights that a parameter sets: zero weighs nothing, at any slope."""
    alpha = pt.scalar("alpha")
    carried = pt.stack([0.0 + 0.0 * alpha, 2.0 * alpha])
    values = {name: np.asarray(value) for name, value in case.parameters.items()}
    slope = pytensor.grad(case.curve.curve(carried, values).sum(), alpha)
    found = float(pytensor.function([alpha], slope, mode="FAST_COMPILE")(0.5))
    step = 1e-6
    change = float(case(2 * (0.5 + step))) - float(case(2 * (0.5 - step)))
    assert found == pytest.approx(change / (2 * step), rel=1e-6)


@every
def test_parameters_broadcast_against_exposure(case: Case) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    values = {name: np.full((2, 1, 1), value) for name, value in case.parameters.items()}
    found = case.curve.curve(x, values).eval(mode="FAST_COMPILE")
    np.testing.assert_allclose(found, case(x), rtol=1e-14)


@every
def test_the_priors_name_all_that_the_curve_needs(case: Case) -> None:
    assert set(case.curve.priors) == set(case.parameters)
    assert all(prior.positive for prior in case.curve.priors.values())


@every
def test_a_curve_is_a_value_that_can_be_saved(case: Case) -> None:
    assert from_table(to_table(case.curve)) == case.curve
    assert isinstance(hash(case.curve), int)
    assert from_table(to_table(bm.MediaMix(saturation=case.curve))).saturation == case.curve


def test_no_saturation_is_a_straight_line() -> None:
    np.testing.assert_array_equal(SATURATIONS["none"](GRID), GRID)


def test_curves_are_those_of_their_names() -> None:
    x, k = GRID, 1.3
    exponential = SATURATIONS["exponential"](x)
    np.testing.assert_allclose(exponential, 1 - np.exp(-np.log(2) / k * x))
    rate = np.log(3) / 2.0
    logistic = SATURATIONS["logistic"](x)
    np.testing.assert_allclose(logistic, (1 - np.exp(-rate * x)) / (1 + np.exp(-rate * x)))
    np.testing.assert_allclose(SATURATIONS["hill"](x), x / (x + 0.8))
    np.testing.assert_allclose(logistic, np.tanh(rate * x / 2))
    np.testing.assert_allclose(SATURATIONS["power"](x), x**0.6)


def test_hill_at_known_points() -> None:
    found = SATURATIONS["hill, S-shaped"]([1.0, 3.4])
    np.testing.assert_allclose(found, [1 / (1 + 1.7**2.5), 1 / (1 + 0.5**2.5)])


@pytest.mark.parametrize("slope", [0.0, -1.0, float("nan")])
def test_a_slope_is_positive(slope: float) -> None:
    with pytest.raises(bm.SpecError, match=r"slope=.* must be > 0, or None to estimate it\."):
        bm.HillSaturation(slope=slope)
