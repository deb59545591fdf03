"""Hazard models whose likelihood is expanded, beside the same models with the exact likelihood."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

import bayes_mkt as bm
from bayes_mkt.customers import hazard
from bayes_mkt.customers.spells import Spells


@pytest.fixture(scope="module")
def data() -> Spells:
    sim = bm.simulate.second_purchases(customers=12_000, markets=4, seed=3, size_spread=0.3)
    return bm.FirstPurchases.from_transactions(sim.frame, **{**sim.columns, "intervals": 26})


@pytest.fixture(scope="module")
def fits(data: Spells) -> dict[str, bm.Fit]:
    return {
        name: bm.fit(
            bm.SecondPurchase(  # type: ignore[arg-type]
                effects="normal", never="none", markets="level", likelihood=name
            ),
            data,
            seed=1,
            progress=False,
        )
        for name in ("exact", "expanded")
    }


def test_expanded_and_exact_likelihood_give_one_posterior(fits: dict[str, bm.Fit]) -> None:
    importance = fits["expanded"].diagnostics.importance
    assert importance is not None
    assert importance.method == "expansion"
    assert 0 < importance.khat < 0.7
    found, exact = (fits[name].diagnostics.table for name in ("expanded", "exact"))
    error = np.hypot(found["mcse_mean"], exact["mcse_mean"])
    assert float((np.abs(found["mean"] - exact["mean"]) / error).max()) < 5
    assert found["sd"].values == pytest.approx(exact["sd"].values, rel=0.2)


def test_expanded_fits_answer_and_are_saved(
    fits: dict[str, bm.Fit], data: Spells, tmp_path: Path
) -> None:
    fit = fits["expanded"]
    for answer in (bm.survival_function, bm.hazard):
        found, exact = (answer(fits[name]) for name in ("expanded", "exact"))
        gap = np.abs(found.mean(("chain", "draw")) - exact.mean(("chain", "draw")))
        assert float((gap / exact.std(("chain", "draw"))).max()) < 0.25
    with pytest.raises(bm.SpecError, match="never='none'"):
        bm.never_return(fit)
    fit.save(tmp_path / "fit.nc")
    again = bm.Fit.load(tmp_path / "fit.nc")
    assert again.diagnostics.importance == fit.diagnostics.importance
    assert again.spec == fit.spec
    with pytest.raises(bm.SpecError, match="was expanded"):
        bm.survival_loo(fit)


def test_many_rows_are_expanded_by_themselves(
    data: Spells, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = bm.SecondPurchase(effects="normal")
    assert not spec.expands(data)
    monkeypatch.setattr(hazard, "LARGE", 100)
    assert spec.expands(data)
    assert not bm.SecondPurchase(frailty=True).expands(data)
    assert "spells" in [rv.name for rv in spec.build(data).observed_RVs]


def test_what_cannot_be_expanded_is_refused(data: Spells) -> None:
    with pytest.raises(bm.SpecError, match="likelihood='exact'"):
        bm.SecondPurchase(frailty=True, likelihood="expanded").check(data)
    with pytest.raises(bm.SpecError, match="'auto', 'exact', 'expanded'"):
        bm.SecondPurchase(likelihood="laplace")  # type: ignore[arg-type]


def test_the_share_of_never_returners_is_answered_from_an_expanded_fit(data: Spells) -> None:
    spec = bm.SecondPurchase(effects="normal", likelihood="expanded")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bm.ConvergenceWarning)  # of few customers, as it may be
        fit = bm.fit(spec, data, seed=1, progress=False, draws=100)
    found = bm.never_return(fit, allow_unconverged=True)
    assert found.dims == ("chain", "draw", "market")
    assert 0 < float(found.min()) < float(found.max()) < 1
    assert bool((found["contraction"] > 0).all())
