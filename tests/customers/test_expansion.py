"""Hazard models whose likelihood is expanded, beside the same models with the exact likelihood."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.customers import hazard
from bayes_mkt.customers.baseline import SPREADS
from bayes_mkt.customers.centre import Coefficients
from bayes_mkt.customers.expansion import Expansion, expansion, sampled, spell_rows
from bayes_mkt.customers.spell_rows import Derivatives
from bayes_mkt.customers.spells import Spells


def test_regressions_are_the_quadratic_form_where_markets_bend_the_wrong_way() -> None:
    rng = np.random.default_rng(4)
    markets, size, own = 5, 7, 2
    deviations = np.eye(size)[:, [0, 6]]
    bent = rng.normal(size=(markets, size, size))
    bent = bent @ bent.transpose(0, 2, 1) / size + 0.5 * np.eye(size)
    bent[0, 3, 3] -= 3.0  # by itself no market's form of a Normal likelihood
    assert np.linalg.eigvalsh(bent[0]).min() < -0.5
    assert np.linalg.eigvalsh(bent.sum(axis=0)).min() > 0.5
    found = Derivatives(0.0, rng.normal(size=(markets, size)), bent)
    center = Coefficients(rng.normal(size=size), rng.normal(size=(markets, own)))
    form = Expansion.of(center, found, deviations)
    draws = Coefficients(rng.normal(size=(6, size)), rng.normal(size=(6, markets, own)))
    step = (draws.common - center.common)[:, None] + (draws.own - center.own) @ deviations.T
    exact = (step * found.gradient).sum(axis=(1, 2))
    exact -= 0.5 * np.einsum("dmp,mpq,dmq->d", step, bent, step)
    value = -form.log_ratio(draws, _NoRows())  # type: ignore[arg-type]
    np.testing.assert_allclose(value - value[0], exact - exact[0], rtol=1e-9, atol=1e-9)


class _NoRows:
    """Rows whose likelihood is one."""

    markets = 5

    def log_likelihood(self, theta: np.ndarray) -> np.ndarray:
        return np.zeros(theta.shape[:2])


@pytest.mark.parametrize(
    ("options", "markets", "intervals", "features"),
    [
        ({}, 3, 8, True),
        ({"markets": "none"}, 3, 8, True),
        ({"markets": "level", "never": "market"}, 3, 8, False),
        ({"never": "none"}, 3, 8, True),
        ({"baseline": "hsgp"}, 3, 8, False),
        ({}, 1, 8, True),
        ({}, 3, 1, True),
    ],
)
def test_graph_and_ratio_speak_of_the_same_coefficients(
    options: dict[str, Any], markets: int, intervals: int, features: bool
) -> None:
    """At any point: what the graph adds to its density is the exact likelihood less the ratio."""
    sim = bm.simulate.second_purchases(customers=600, markets=markets, seed=5)
    columns = {**sim.columns, "intervals": intervals}
    columns |= {} if features else {"profile": [], "basket": []}
    data = bm.FirstPurchases.from_transactions(sim.frame, **columns)
    spec = bm.SecondPurchase(effects="normal", likelihood="expanded", **options)
    model = spec.build(data)
    mean = pt.concatenate([rv.owner.inputs[2].ravel() for rv in model.observed_RVs])
    seen = [model.rvs_to_values[rv].data.ravel() for rv in model.observed_RVs]
    wanted = ("log_hazard", "effect", "never_level", "never_effect", *SPREADS)
    names = [name for name in wanted if name in model.named_vars]
    drawn = pm.draw([mean, *(model[n] for n in names)], draws=4, random_seed=1, mode="FAST_COMPILE")
    dims = {n: model.named_vars_to_dims.get(n) or () for n in names}
    posterior = xr.Dataset(
        {
            n: (("chain", "draw", *(dims[n] or (f"{n}_{i}" for i in range(v.ndim - 1)))), v[None])
            for n, v in zip(names, drawn[1:], strict=True)
        }
    )
    form, rows = expansion(spec, data), spell_rows(data, spec.never)
    curve = posterior["log_hazard"].to_numpy()[0, :, 0]
    draws = sampled(posterior, curve, rows.terms, form.deviations)
    theta = draws.common[:, None] + draws.own @ form.deviations.T
    exact = rows.log_likelihood(np.broadcast_to(theta, (4, rows.markets, theta.shape[2])))
    graph = -0.5 * ((np.concatenate(seen) - drawn[0]) ** 2).sum(axis=1)
    ratio = form.log_ratio(draws, rows)
    assert np.isfinite(ratio).any()
    np.testing.assert_allclose(ratio, exact.sum(axis=1) - graph, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(
        theta[:, :, rows.terms.curve][:, -1], posterior["log_hazard"][0, :, -1]
    )


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
    assert "effect" not in fits["expanded"].draws.attrs["sampled"]  # integrated out
    # The exact likelihood's model samples some variables by way of others.
    names = [str(name) for name in fits["expanded"].draws.attrs["free_variables"]]
    found, exact = (fits[name].summary(names) for name in ("expanded", "exact"))
    assert list(found.index) == list(exact.index)
    error = np.hypot(found["mcse_mean"], exact["mcse_mean"])
    assert float((np.abs(found["mean"] - exact["mean"]) / error).max()) < 5
    assert found["sd"].to_numpy() == pytest.approx(exact["sd"].to_numpy(), rel=0.2)


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


def test_draws_of_an_expanded_likelihood_are_not_weighed_a_second_time(
    fits: dict[str, bm.Fit], data: Spells
) -> None:
    again = bm.refit(fits["expanded"], data, seed=2, progress=False)
    assert again.draws.attrs["refit"] == "warm start"
    assert again.diagnostics.ok, again.diagnostics.verdict
    found, before = again.summary(), fits["expanded"].summary()
    error = np.hypot(found["mcse_mean"], before["mcse_mean"])
    assert float((np.abs(found["mean"] - before["mean"]) / error).max()) < 5


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
    shares = {}
    for name in ("expanded", "exact"):
        spec = bm.SecondPurchase(effects="normal", likelihood=name)  # type: ignore[arg-type]
        with warnings.catch_warnings():
            # So few customers may be too few for the weights; the shares must agree all the same.
            warnings.simplefilter("ignore", bm.ConvergenceWarning)
            fit = bm.fit(spec, data, seed=1, progress=False, draws=200)
        shares[name] = bm.never_return(fit, allow_unconverged=True)
    found, exact = shares["expanded"], shares["exact"]
    assert found.dims == ("chain", "draw", "market")
    gap = found.mean(("chain", "draw")) - exact.mean(("chain", "draw"))
    assert float(np.abs(gap).max()) < 0.03
    np.testing.assert_allclose(found["contraction"], exact["contraction"], atol=0.02)


def test_chains_that_disagree_are_not_weighted(fits: dict[str, bm.Fit], data: Spells) -> None:
    fit = fits["expanded"]
    apart = xr.DataArray(np.arange(fit.posterior.sizes["chain"]), dims="chain")
    moved = fit.posterior.assign(baseline_level=fit.posterior["baseline_level"] + apart)
    groups = {"/posterior": moved, "/sample_stats": fit.draws["sample_stats"].to_dataset()}
    tree = fit.spec.corrected(data, xr.DataTree.from_dict(groups), seed=1, ess=400)
    assert "khat" not in tree.attrs
    verdict = bm.diagnose(tree)
    assert not verdict.ok
    assert any(finding.check == "rhat" for finding in verdict.findings)
