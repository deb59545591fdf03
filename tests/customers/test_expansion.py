"""Hazard models whose likelihood is expanded, beside the same models with the exact likelihood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bayes_mkt as bm
from bayes_mkt.customers import hazard
from bayes_mkt.customers.spells import Spells


@pytest.fixture(scope="module")
def data() -> Spells:
    sim = bm.simulate.second_purchases(customers=12_000, markets=4, seed=3, size_spread=0.3)
    return bm.FirstPurchases.from_transactions(sim.frame, **{**sim.columns, "intervals": 28})


@pytest.fixture(scope="module")
def fits(data: Spells) -> dict[str, bm.Fit]:
    return {
        name: bm.fit(
            bm.SecondPurchase(  # type: ignore[arg-type]
                effects="normal", never="market", markets="level", likelihood=name
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
    for answer in (bm.survival_function, bm.hazard, bm.never_return):
        found, exact = (answer(fits[name]) for name in ("expanded", "exact"))
        gap = np.abs(found.mean(("chain", "draw")) - exact.mean(("chain", "draw")))
        assert float((gap / exact.std(("chain", "draw"))).max()) < 0.25
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
