"""Few weighted histories against all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.customers.condense import condensed, evaluator
from bayes_mkt.customers.spend import _evaluate as spend_evaluate
from bayes_mkt.customers.states import purchase_rows, spend_rows
from tests.customers.cases import SPECS, fixed


@pytest.fixture(scope="module")
def many() -> bm.CustomerHistory:
    made = bm.simulate.customers((1500, 700, 60), seed=4, days=700, joining=600)
    return bm.CustomerHistory.from_transactions(made.frame, **made.columns)


@pytest.mark.parametrize("name", ["BGNBD", "ParetoNBD"])
def test_few_rows_have_the_likelihood_of_all(name: str, many: bm.CustomerHistory) -> None:
    spec = SPECS[name]()
    rows, start, evaluate = purchase_rows(many), spec.start(many), evaluator(spec)
    few, error = condensed(rows, evaluate, start, 0.05)
    size = (few.weight > 0).sum()
    assert size < 0.25 * (rows.weight > 0).sum()
    assert (error <= 0.05).all()
    assert (few.weight >= 0).all()
    assert few.weight.sum() == pytest.approx(rows.weight.sum())
    # 60 customers are too few to condense
    last = (few.profile == 2) & (few.weight > 0)
    assert last.sum() == ((rows.profile == 2) & (rows.weight > 0)).sum()

    def total(some: Any, point: Any) -> float:
        own = some.profile == 0
        columns = {k: v[own] for k, v in some.columns.items()}
        return float(some.weight[own] @ evaluate(point, columns))

    rng = np.random.default_rng(3)
    best = max((start + 0.5 * rng.normal(size=4) for _ in range(60)), key=lambda p: total(few, p))
    points = [best + 0.1 * rng.normal(size=4) for _ in range(20)]
    apart = np.array([total(few, p) - total(rows, p) for p in points])
    moved = np.array([total(rows, p) for p in points])
    assert np.ptp(apart) < 0.02 * np.ptp(moved)


def test_where_too_much_is_asked_a_larger_pilot_asks_less(
    many: bm.CustomerHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pilot of few rows spreads far; the market's own posterior is narrow."""
    from bayes_mkt.customers import condense

    monkeypatch.setattr(condense, "PILOT", 20)
    spec = SPECS["BGNBD"]()
    rows, start, evaluate = purchase_rows(many), spec.start(many), evaluator(spec)
    sizes, sample = [], condense._sample
    monkeypatch.setattr(
        condense, "_sample", lambda w, n, rng: (sizes.append(n), sample(w, n, rng))[1]
    )
    few, error = condensed(rows, evaluate, start, 1e-4)
    pilots = [n for n in sizes if n != condense.CANDIDATES]
    assert pilots[0] == 20
    assert len(pilots) > 2  # one more for some market at least
    assert (error <= 1e-4).all()
    assert (few.weight > 0).sum() < 0.5 * (rows.weight > 0).sum()


def test_a_history_is_condensed_once(
    many: bm.CustomerHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bayes_mkt.customers import condense

    calls = []

    def counted(*given: Any) -> Any:
        calls.append(given)
        return condensed(*given)

    monkeypatch.setattr(condense, "condensed", counted)
    other = bm.CustomerHistory(many.data)
    priors = {"purchase_rate": bm.Prior("LogNormal", mu=0.0, sigma=1.0)}
    models = [bm.BGNBD(condense=0.04).build(other) for _ in range(2)]
    models.append(bm.BGNBD(condense=0.04, priors=priors).build(other))
    assert len(calls) == 1
    weights = [m["purchase_weight"].get_value() for m in models]
    assert all(np.array_equal(weights[0], w) for w in weights)
    bm.BGNBD(condense=0.03).build(other)
    bm.MBGNBD(condense=0.04).build(other)
    bm.BGNBD(condense=0.04).build(bm.CustomerHistory(many.data))
    assert len(calls) == 4


def test_spend_is_condensed_too(many: bm.CustomerHistory) -> None:
    rows = spend_rows(many)
    few, error = condensed(rows, spend_evaluate(), np.log([6.0, 4.0, 20.0]), 0.05)
    assert (few.weight > 0).sum() < 0.4 * (rows.weight > 0).sum()
    assert (error <= 0.05).all()
    assert few.weight.sum() == pytest.approx(rows.weight.sum())


def test_a_fit_tells_what_condensing_did(many: bm.CustomerHistory) -> None:
    spec = bm.Lifetime(bm.BGNBD(condense=0.05), bm.GammaGamma(condense=0.05))
    truth = {"r": 0.6, "alpha": 30.0, "a": 0.45, "b": 2.5, "p": 6.0, "q": 4.0, "v": 20.0}
    fit = fixed(spec, many, draws=4, **truth)
    noise = xr.DataArray(np.exp(0.01 * np.random.default_rng(1).normal(size=(2, 4))),
                         dims=("chain", "draw"))  # fmt: skip
    tree = fit.draws.copy()
    tree["posterior"] = xr.DataTree(fit.posterior.assign({k: fit.posterior[k] * noise
                                                          for k in truth}))  # fmt: skip
    found = bm.condensing_error(bm.Fit(spec, many, tree, fit.diagnostics))
    assert found.attrs["largest"] < 0.5
    assert 0.8 < found.attrs["effective"] <= 1.0
    plain = bm.Fit(bm.Lifetime(bm.BGNBD(), bm.GammaGamma()), many, tree, fit.diagnostics)
    with pytest.raises(bm.SpecError, match="Nothing was condensed"):
        bm.condensing_error(plain)
    again = bm.p_alive(fit, by="market")
    assert again.equals(bm.p_alive(bm.Fit(plain.spec, many, fit.draws, fit.diagnostics), "market"))


@pytest.mark.parametrize("error", [0.0, -1.0, True, "fine"])
def test_errors_that_cannot_be_are_refused(error: Any) -> None:
    for spec in (bm.BGNBD, bm.GammaGamma):
        with pytest.raises(bm.SpecError, match="must be None, or an error in nats"):
            spec(condense=error)
