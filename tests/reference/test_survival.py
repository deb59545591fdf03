"""Published fits: Rossi's recidivism, Walton's flies, Stanford's heart transplants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytensor
import pytest
from scipy import optimize

import bayes_mkt as bm
from bayes_mkt.customers.effects import Coding

ROSSI = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]


def largest_likelihood(
    spec: bm.ParametricSurvival, data: bm.Subscriptions
) -> tuple[float, dict[str, np.ndarray]]:
    """Maximise the likelihood that the model's graph states, priors left out."""
    model = spec.build(data)
    (value,) = model.replace_rvs_by_values([sum(model.potentials)])
    inputs = model.value_vars
    gradient = pytensor.gradient.grad(value, inputs)
    function = pytensor.function(inputs, [value, *gradient], mode="FAST_COMPILE")
    start = model.initial_point(random_seed=0)
    shapes = [np.shape(start[v.name]) for v in inputs]
    sizes = np.cumsum([int(np.prod(s)) for s in shapes])[:-1]

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        parts = [p.reshape(s) for p, s in zip(np.split(x, sizes), shapes, strict=True)]
        out = function(*parts)
        return -float(out[0]), -np.concatenate([np.ravel(g) for g in out[1:]])

    begin = np.zeros(sum(int(np.prod(s)) for s in shapes))
    found = optimize.minimize(negative, begin, jac=True, method="BFGS", options={"gtol": 1e-7})
    parts = [p.reshape(s) for p, s in zip(np.split(found.x, sizes), shapes, strict=True)]
    names = {v.name: p for v, p in zip(inputs, parts, strict=True)}
    scale = {v.name: v.get_value() for v in model.data_vars}
    names["intercept"] = names["intercept"] + scale["log_scale"]
    return -float(found.fun), names


def test_rossi_weibull(shared_data: Path) -> None:
    """Rossi, Berk, Lenihan (1980): intercept 3.990, fin 0.2723, log k 0.3391, log-lik -679.917."""
    frame = pd.read_csv(shared_data / "survival" / "lifelines_rossi.csv")
    data = bm.Subscriptions.from_frame(
        frame, duration="week", event="arrest", features=ROSSI, unit="week", resolution=0
    )
    value, found = largest_likelihood(bm.ParametricSurvival(), data)
    coding = Coding.of(data)
    effect = found["effect"] / coding.scale
    assert value == pytest.approx(-679.917, abs=2e-3)
    assert float(found["shape_log__"]) == pytest.approx(0.3391, abs=2e-4)
    assert effect[0] == pytest.approx(0.2723, abs=2e-4)
    assert float(found["intercept"] - effect @ coding.mean) == pytest.approx(3.990, abs=2e-3)


@pytest.fixture(scope="module")
def waltons(shared_data: Path) -> bm.Subscriptions:
    frame = pd.read_csv(shared_data / "survival" / "lifelines_waltons_dataset.csv")
    return bm.Subscriptions.from_frame(frame, duration="T", event="E", unit="day", resolution=0)


def test_waltons_weibull(waltons: bm.Subscriptions) -> None:
    """lifelines: rho 3.45, log-lik -672.062; and the posterior under weak priors."""
    value, found = largest_likelihood(bm.ParametricSurvival(), waltons)
    assert value == pytest.approx(-672.062, abs=2e-3)
    assert float(np.exp(found["shape_log__"])) == pytest.approx(3.45, abs=5e-3)
    weak = {
        "intercept": bm.Prior("Normal", mu=0, sigma=3),
        "shape": bm.Prior("LogNormal", mu=0, sigma=2),
    }
    fit = bm.fit(bm.ParametricSurvival(priors=weak), waltons, seed=1, progress=False)
    shape = fit.posterior["shape"]
    assert fit.diagnostics.ok
    assert float(shape.mean()) == pytest.approx(3.45, abs=0.06)
    assert float(shape.std()) == pytest.approx(0.24, abs=0.02)


def test_stanford_heart_with_covariates_that_change(shared_data: Path) -> None:
    """Crowley and Hu (1977), as R's coxph has it with (start, stop] episodes.

    A hazard constant on many intervals comes near Cox's, whose baseline is free; the posterior mean
    near the estimate, to within a third of its standard error.
    """
    frame = pd.read_csv(shared_data / "survival" / "lifelines_stanford_heart.csv")
    names = ["age", "year", "surgery", "transplant"]
    ends = [2, 5, 10, 16, 28, 40, 60, 80, 110, 150, 200, 300, 450, 700, 1000, 1800]
    data = bm.Subscriptions.from_frame(
        frame, duration="stop", entry="start", event="event", customer="id", features=names,
        unit="day", resolution=0, intervals=ends,
    )  # fmt: skip
    assert data.episodic
    weak = {
        "effect": bm.Prior("Normal", mu=0, sigma=10),
        "baseline_sd": bm.Prior("HalfNormal", sigma=10),
    }
    spec = bm.Churn(effects="normal", priors=weak)
    fit = bm.fit(spec, data, seed=1, progress=False)
    effect = fit.posterior["effect"] / Coding.of(data).scale
    published = np.array([0.0272, -0.1463, -0.6372, -0.0103])
    error = np.array([0.0137, 0.0705, 0.3672, 0.3138])
    assert (abs(effect.mean(("chain", "draw")) - published) / error < 1 / 3).all()
    assert (abs(effect.std(("chain", "draw")) / error - 1) < 0.15).all()
