"""Draws that can't be trusted say so: which parameter, which figure, which remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.inference.diagnostics import Finding


def unconverged(model: pm.Model, **options: Any) -> tuple[xr.DataTree, bm.Diagnostics]:
    """Sample, and hold the warning to the diagnostics of what came back."""
    with pytest.warns(bm.ConvergenceWarning) as caught:
        draws = bm.sample(model, **{"seed": 1, "progress": False, **options})
    diagnostics = bm.diagnose(draws)
    assert not diagnostics.ok
    assert diagnostics.verdict.startswith("Not converged")
    assert [str(w.message) for w in caught] == [diagnostics.verdict]
    # The warning points at the caller's line.
    assert caught[0].filename == __file__
    for finding in diagnostics.findings:
        assert finding.remedy.endswith(".")
        if finding.failed:
            assert str(finding) in diagnostics.verdict
    with pytest.raises(bm.SamplingError) as refused:
        diagnostics.require_ok()
    assert str(refused.value) == diagnostics.verdict
    return draws, diagnostics


def failed(diagnostics: bm.Diagnostics) -> dict[str, Finding]:
    return {finding.check: finding for finding in diagnostics.findings if finding.failed}


def test_two_far_modes_fail() -> None:
    with pm.Model() as model:
        pm.NormalMixture("x", [0.5, 0.5], [-12.0, 12.0], [1.0, 1.0])
    draws, diagnostics = unconverged(model, draws=500, chains=8)
    means = draws.posterior["x"].mean("draw")
    assert means.min() < -10
    assert means.max() > 10
    finding = failed(diagnostics)["rhat"]
    assert finding.parameter == "x"
    assert "above 1.01" in finding.figure
    assert "two modes" in finding.remedy
    assert diagnostics.max_rhat > 1.5


def funnel(centred: bool) -> pm.Model:
    """Neal's funnel in ten dimensions."""
    with pm.Model() as model:
        v = pm.Normal("v", 0.0, 3.0)
        if centred:
            pm.Normal("x", 0.0, pm.math.exp(v / 2), shape=9)
        else:
            z = pm.Normal("z", shape=9)
            pm.Deterministic("x", z * pm.math.exp(v / 2))
    return model


def test_the_centred_funnel_fails() -> None:
    _, diagnostics = unconverged(funnel(centred=True), draws=1000)
    checks = failed(diagnostics)
    assert {"rhat", "ess_bulk", "ess_tail"} & set(checks)
    assert "non-centred" in diagnostics.verdict


@pytest.mark.parametrize("sampler", ["hmc", "nuts"])
def test_the_non_centred_funnel_passes(sampler: str) -> None:
    draws = bm.sample(funnel(centred=False), seed=1, draws=1000, sampler=sampler, progress=False)
    diagnostics = bm.diagnose(draws)
    assert diagnostics.ok
    assert diagnostics.verdict.startswith("Converged")
    diagnostics.require_ok()
    assert draws.attrs["sampler"] == sampler
    v = draws.posterior["v"]
    assert abs(float(v.mean())) < 0.25
    assert abs(float(v.std()) - 3.0) < 0.25
    assert float(draws.sample_stats["n_steps"].max()) > 1


def test_too_few_draws_fail(normal: Callable[..., pm.Model]) -> None:
    _, diagnostics = unconverged(normal(), draws=20)
    finding = failed(diagnostics)["ess_bulk"]
    assert finding.parameter in ("mu", "variance")
    assert "below 400" in finding.figure
    assert "raise target_ess or draws" in finding.remedy


def test_a_deterministic_that_is_not_a_number_fails(normal: Callable[..., pm.Model]) -> None:
    def content(mu: Any, variance: Any) -> None:
        pm.Deterministic("surprise", pt.log(mu - 2.5))

    draws, diagnostics = unconverged(normal(extra=content), draws=1000)
    assert np.isnan(draws.posterior["surprise"]).any()
    assert list(failed(diagnostics)) == ["finite draws"]
    finding = failed(diagnostics)["finite draws"]
    assert finding.parameter == "surprise"
    assert "NaN or infinite" in finding.figure
    assert "divisions by zero" in finding.remedy


def test_a_density_that_is_zero_at_every_start_raises() -> None:
    with pm.Model() as model:
        a = pm.Normal("a")
        pm.Potential("far", pt.switch(a > 50.0, 0.0, -np.inf))
        pm.Poisson("y", pm.math.exp(a), observed=[1, 2])
    with pytest.raises(bm.SamplingError, match=r"log-density is -inf.*`initval=`"):
        bm.sample(model, seed=1)


def test_data_outside_the_likelihoods_support_raise() -> None:
    with pm.Model() as model:
        pm.Gamma("y", pm.HalfNormal("shape"), pm.HalfNormal("rate"), observed=[1.0, -2.0])
    with pytest.raises(bm.SamplingError, match="probability zero"):
        bm.sample(model, seed=1)


def test_one_chain_from_a_given_start_is_right_but_fails() -> None:
    # The default start of a flat prior, zero, has no density here.
    with pm.Model() as model:
        a = pm.Flat("a", initval=60.0)
        pm.Potential("far", pt.switch(a > 50.0, 0.0, -np.inf))
        pm.Normal("y", a, 1.0, observed=[60.3, 59.9])
    draws, diagnostics = unconverged(model, draws=2500, chains=1)
    assert draws.posterior["a"].sizes == {"chain": 1, "draw": 2500}
    assert abs(float(draws.posterior["a"].mean()) - 60.1) < 0.1
    assert list(failed(diagnostics)) == ["chains"]
    assert "at least 2 chains" in failed(diagnostics)["chains"].remedy


def test_a_gradient_that_is_not_a_number_raises_naming_the_variable() -> None:
    with pm.Model() as model:
        a, bent = pm.Normal("a"), pm.Normal("bent", shape=2)
        # The root's slope at zero is infinite, and the maximum's is zero: NaN together.
        rate = pm.math.exp(a) + pt.sqrt(pt.maximum(bent - 100.0, 0.0)).sum()
        pm.Poisson("y", rate, observed=[1, 2])
    with pytest.raises(bm.SamplingError, match="20 tries") as caught:
        bm.sample(model, seed=1)
    message = str(caught.value)
    assert "gradient isn't finite for bent[0], bent[1]" in message
    assert " a," not in message


def test_a_block_whose_integral_is_lost_in_rounding_raises_naming_the_way_out() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=40)
    with pm.Model() as model:
        b = pm.Normal("b", 0.0, 1e5, shape=3)
        design = np.stack([np.ones(40), x, 1.0 + x * (1.0 + 1e-12)], axis=1)
        noise = pm.HalfNormal("noise", 1e-4)
        pm.Normal("y", design @ b, noise, observed=x + 1e-4 * rng.normal(size=40))
    with pytest.raises(bm.SamplingError, match=r"block was integrated out: try collapse=None\."):
        bm.sample(model, seed=1, progress=False, draws=100)
