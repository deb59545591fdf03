"""Published maxima and forecasts: the models' own graphs, maximised without priors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytensor
import pytensor.tensor as pt
import pytest
from pytensor.graph.replace import clone_replace
from scipy import optimize

import bayes_mkt as bm

# r, alpha, and a, b or s, beta; log-likelihood. In weeks.
PUBLISHED = {
    "BGNBD": ((0.2426, 4.4135, 0.7929, 2.4257), -9582.43),
    "MBGNBD": ((0.525, 6.183, 0.891, 1.614), -9582.13),
    "ParetoNBD": ((0.553, 10.578, 0.606, 11.669), -9594.98),
}
SPECS = {"BGNBD": bm.BGNBD, "MBGNBD": bm.MBGNBD, "ParetoNBD": bm.ParetoNBD}


def cdnow(folder: Path, **options: Any) -> bm.CustomerHistory:
    frame = pd.read_csv(folder / "cdnow" / "cdnow_sample.csv")
    return bm.CustomerHistory.from_transactions(
        frame,
        customer="sample_id",
        date="date",
        amount="dollar_value",
        end="1997-09-30",
        **{"unit": "W", **options},
    )


def maximum(spec: Any, history: Any, name: str) -> tuple[np.ndarray, float]:
    """Where the log-likelihood in the model's graph is largest, as a function of `parameters`."""
    model = spec.build(history)
    logs = pt.vector("logs")
    given = {model[n]: pt.exp(logs)[i : i + 1] for i, n in enumerate(spec.parameters)}
    graph = clone_replace(model[name], replace=given)
    function = pytensor.function([logs], [-graph, -pt.grad(graph, logs)], mode="FAST_COMPILE")
    start = np.full(len(spec.parameters), 0.5)
    found = optimize.minimize(lambda x: tuple(function(x)), start, jac=True, method="BFGS")
    return np.exp(found.x), -float(found.fun)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_maxima_of_cdnow(shared_data: Path, name: str) -> None:
    values, log_likelihood = PUBLISHED[name]
    found, height = maximum(SPECS[name](), cdnow(shared_data), "purchase_log_likelihood")
    assert height == pytest.approx(log_likelihood, abs=0.01)
    np.testing.assert_allclose(found, values, rtol=1e-3)


def test_published_maximum_of_spend(shared_data: Path) -> None:
    found, height = maximum(bm.GammaGamma(), cdnow(shared_data), "spend_log_likelihood")
    assert height == pytest.approx(-4055.92, abs=0.01)
    np.testing.assert_allclose(found, (6.25, 3.74, 15.44), rtol=2e-3)
    p, q, v = found
    assert p * v / (q - 1) == pytest.approx(35.17, abs=0.05)


@pytest.mark.parametrize(
    ("cohort", "values"), [("highend", (0.668, 3.806)), ("regular", (0.704, 1.182))]
)
def test_published_maxima_of_contracts(
    shared_data: Path, cohort: str, values: tuple[float, float]
) -> None:
    frame = pd.read_csv(shared_data / "cdnow" / "sbg_cohorts.csv")
    frame = frame[frame["cohort"] == cohort]
    # Seven years: who is still there in the eighth has been renewed seven times.
    frame = frame.assign(left=frame["recency"] < frame["T"], years=frame["recency"].clip(upper=7))
    data = bm.ContractCohorts.from_frame(frame, periods="years", ended="left", cohort="cohort")
    found, _ = maximum(bm.ShiftedBetaGeometric(), data, "contract_log_likelihood")
    np.testing.assert_allclose(found, values, atol=0.001)
