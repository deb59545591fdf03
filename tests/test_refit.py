"""New weeks: reweighted draws and warm-started chains have the posterior of a cold fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayes_mkt as bm
from bayes_mkt.inference import reweight
from bayes_mkt.inference.evaluate import log_densities
from bayes_mkt.inference.prepared import marginal

SPEC = bm.MediaMix(adstock=bm.GeometricAdstock(max_lag=4), seasonality=bm.Fourier(order=1))
OPTIONS: dict[str, Any] = {"progress": False, "draws": 750}


@pytest.fixture(scope="module")
def panel() -> bm.MediaPanel:
    simulated = bm.simulate.media_mix(
        regions=4, weeks=64, channels=2, controls=1, seed=7, max_lag=4
    )
    return bm.MediaPanel.from_frame(simulated.frame, **simulated.columns)


def first(panel: bm.MediaPanel, weeks: int) -> bm.MediaPanel:
    return panel.between(end=f"{panel.dates[weeks - 1]:%Y-%m-%d}")


@pytest.fixture(scope="module")
def earlier(panel: bm.MediaPanel) -> bm.Fit:
    """A fit of all but the last four weeks."""
    return bm.fit(SPEC, first(panel, 60), seed=1, **OPTIONS)


@pytest.fixture(scope="module")
def cold(panel: bm.MediaPanel) -> bm.Fit:
    return bm.fit(SPEC, panel, seed=2, **OPTIONS)


@pytest.fixture(scope="module")
def reweighted(earlier: bm.Fit, panel: bm.MediaPanel) -> bm.Fit:
    return bm.refit(earlier, panel, seed=3, progress=False)


@pytest.fixture(scope="module")
def warm(earlier: bm.Fit, panel: bm.MediaPanel) -> bm.Fit:
    return bm.refit(earlier, panel, seed=3, reweight=False, progress=False)


def assert_agree(found: bm.Fit, expected: bm.Fit, sd: float = 0.1) -> None:
    """Hold means to their Monte Carlo errors, and SDs to a share and theirs."""
    ours, theirs = found.diagnostics.table, expected.diagnostics.table
    assert list(ours["parameter"].values) == list(theirs["parameter"].values)
    error = np.hypot(ours["mcse_mean"], theirs["mcse_mean"])
    gaps = (abs(ours["mean"] - theirs["mean"]) / error).fillna(0.0)
    assert float(gaps.max()) < 4.5, gaps.idxmax().item()
    # The error of an SD, for tails up to about twice as heavy as a normal's.
    noise = 4 / np.sqrt(np.minimum(ours["ess_tail"], theirs["ess_tail"]))
    ratio = (ours["sd"] / theirs["sd"]).fillna(1.0)
    assert bool((abs(ratio - 1.0) < np.maximum(sd, noise)).all()), ratio.values


def test_reweighted_draws_have_the_new_posterior(
    reweighted: bm.Fit, cold: bm.Fit, earlier: bm.Fit
) -> None:
    assert reweighted.draws.attrs["refit"] == "reweighting"
    assert reweighted.diagnostics.ok
    assert_agree(reweighted, cold)
    with pytest.raises(AssertionError):
        assert_agree(earlier, cold)


def test_warm_chains_have_the_new_posterior(warm: bm.Fit, cold: bm.Fit) -> None:
    assert warm.draws.attrs["refit"] == "warm start"
    assert warm.diagnostics.ok
    assert warm.diagnostics.importance is None
    assert warm.draws.attrs["warmup"] == 50
    assert "refit_khat" not in warm.draws.attrs
    assert_agree(warm, cold)


def test_the_fit_says_how_it_came_about(reweighted: bm.Fit, panel: bm.MediaPanel) -> None:
    attrs = reweighted.draws.attrs
    assert attrs["refit_of_seed"] == 1
    assert attrs["seed"] == 3
    assert attrs["refit_khat"] == attrs["khat"] <= 0.7
    assert attrs["approximation"] == "reweighting"
    assert reweighted.spec == SPEC
    assert reweighted.data == panel
    assert dict(reweighted.posterior.sizes)["draw"] == 750
    verdict = reweighted.diagnostics.verdict
    assert verdict.startswith("Reweighted: draws of an earlier fit, PSIS k-hat")
    assert "smallest ESS" in verdict
    assert bm.roi(reweighted).attrs["approximation"] == verdict
    assert "draws of an earlier fit, k-hat" in repr(reweighted)
    observed = reweighted.draws["observed_data"]["sales"]
    np.testing.assert_array_equal(observed, panel.data["sales"])


def test_deterministics_belong_to_the_new_model(reweighted: bm.Fit) -> None:
    """ROI from contributions under the new panel is the parameter itself."""
    np.testing.assert_allclose(bm.roi(reweighted), reweighted.posterior["roi"], rtol=1e-9)


@pytest.mark.parametrize("way", ["earlier", "reweighted", "warm"])
def test_draws_carry_the_density_of_their_model(way: str, request: pytest.FixtureRequest) -> None:
    fit: bm.Fit = request.getfixturevalue(way)
    density = marginal(fit.target, "auto")
    assert list(fit.draws.attrs["sampled"]) == list(density.layout.names)
    expected = log_densities(density, fit.target.unconstrain(fit.posterior, density.layout))
    found = fit.draws["sample_stats"]["log_density"].to_numpy().ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_draws_without_their_density_are_reweighted_alike(
    earlier: bm.Fit, reweighted: bm.Fit, panel: bm.MediaPanel
) -> None:
    tree = earlier.draws.copy()
    tree["sample_stats"] = xr.DataTree(tree["sample_stats"].to_dataset().drop_vars("log_density"))
    bare = bm.Fit(earlier.spec, earlier.data, tree, earlier.diagnostics)
    found = bm.refit(bare, panel, seed=3, progress=False)
    xr.testing.assert_allclose(found.posterior, reweighted.posterior, rtol=1e-6, atol=1e-8)


def test_a_large_block_is_drawn_only_for_what_is_kept(
    earlier: bm.Fit,
    reweighted: bm.Fit,
    panel: bm.MediaPanel,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reweight, "LARGE", 0)
    completed = reweight.completed_points
    counts = []

    def counted(*given: Any) -> Any:
        counts.append(len(given[-1]))
        return completed(*given)

    monkeypatch.setattr(reweight, "completed_points", counted)
    again = bm.refit(earlier, panel, seed=3, progress=False)
    assert len(counts) == 1
    # The density is of another program, which rounds in another order.
    xr.testing.assert_allclose(again.posterior, reweighted.posterior, rtol=1e-6, atol=1e-8)


def test_a_loaded_fit_gives_the_same(
    earlier: bm.Fit, reweighted: bm.Fit, panel: bm.MediaPanel, tmp_path: Path
) -> None:
    loaded = bm.Fit.load(earlier.save(tmp_path / "run"))
    again = bm.refit(loaded, panel, seed=3, progress=False)
    # Sums over a panel that was read run in another order.
    xr.testing.assert_allclose(again.posterior, reweighted.posterior, rtol=1e-6, atol=1e-8)
    back = bm.Fit.load(again.save(tmp_path / "again"))
    assert back.diagnostics.verdict == reweighted.diagnostics.verdict
    assert back.draws.attrs["refit"] == "reweighting"


def test_equal_seeds_give_equal_draws_and_others_other_draws(
    earlier: bm.Fit, reweighted: bm.Fit, panel: bm.MediaPanel
) -> None:
    assert bm.refit(earlier, panel, seed=3, progress=False).posterior.equals(reweighted.posterior)
    other = bm.refit(earlier, panel, seed=4, progress=False)
    knots = [fit.posterior["knot_value"] for fit in (reweighted, other)]
    assert (knots[0] != knots[1]).mean() > 0.99


@pytest.mark.filterwarnings("ignore::bayes_mkt.errors.ConvergenceWarning")
def test_warm_chains_are_equal_for_equal_seeds(earlier: bm.Fit, panel: bm.MediaPanel) -> None:
    options = {"reweight": False, "draws": 20, "progress": False}
    one, two, other = (bm.refit(earlier, panel, seed=s, **options) for s in (5, 5, 6))
    assert one.posterior.equals(two.posterior)
    assert (one.posterior["sigma"] != other.posterior["sigma"]).mean() > 0.9


def test_a_posterior_that_moved_too_far_is_sampled(panel: bm.MediaPanel, cold: bm.Fit) -> None:
    """A quarter of a panel says little about the whole: k-hat refuses, and chains run."""
    short = bm.fit(SPEC, first(panel, 16), seed=1, **OPTIONS)
    found = bm.refit(short, panel, seed=3, progress=False)
    attrs = found.draws.attrs
    assert attrs["refit"] == "warm start"
    assert attrs["refit_khat"] > 0.5
    assert "khat" not in attrs
    assert found.diagnostics.ok
    assert found.diagnostics.verdict.startswith("Converged")
    assert_agree(found, cold)


def test_draws_that_did_not_converge_are_only_starts(panel: bm.MediaPanel) -> None:
    with pytest.warns(bm.ConvergenceWarning):
        poor = bm.fit(SPEC, first(panel, 60), seed=1, progress=False, draws=20)
    with pytest.warns(bm.ConvergenceWarning) as caught:
        found = bm.refit(poor, panel, seed=3, progress=False)
    assert found.draws.attrs["refit"] == "warm start"
    assert [w.filename for w in caught] == [__file__]


def test_a_refit_can_be_refitted(reweighted: bm.Fit, panel: bm.MediaPanel) -> None:
    same = bm.refit(reweighted, panel, seed=9, progress=False)
    assert same.draws.attrs["refit"] == "reweighting"
    assert same.draws.attrs["khat"] == 0.0
    assert_agree(same, reweighted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region": [0, 1, 2]}, r"region of the new data isn't .*: \['.*'\] missing\. .*bm\.fit"),
        ({"region": [1, 0, 2, 3]}, "the same in another order"),
        ({"channel": [0]}, r"channel of the new data isn't that of the fit: \['.*'\] missing"),
        ({"control": []}, r"the new model has other variables: \['control_effect', .*\] missing"),
    ],
)
def test_other_regions_or_channels_are_refused(
    earlier: bm.Fit, panel: bm.MediaPanel, change: dict[str, list[int]], message: str
) -> None:
    other = bm.MediaPanel(panel.data.isel(change), panel.currency)
    with pytest.raises(bm.SpecError, match=message):
        bm.refit(earlier, other, seed=1)


def test_options_are_checked(earlier: bm.Fit, panel: bm.MediaPanel) -> None:
    for options, message in (
        ({"seed": -1}, "seed=-1 lies outside"),
        ({"seed": 1, "chains": 0}, "chains=0 must be"),
        ({"seed": 1, "sampler": "laplace"}, "sampler='laplace': refit goes on with 'nuts' or 'hmc"),
    ):
        with pytest.raises(bm.SpecError, match=message):
            bm.refit(earlier, panel, **options)
    with pytest.raises(bm.SpecError, match="a MediaPanel, the new data a DataFrame"):
        bm.refit(earlier, pd.DataFrame(), seed=1)
