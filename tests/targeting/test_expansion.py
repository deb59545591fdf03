"""The expanded likelihood: its derivatives, its agreement with the exact one, linear features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm
from bayes_mkt.targeting.expansion import Rows, expansion, pays
from bayes_mkt.targeting.learned import coefficients


@pytest.fixture(scope="module")
def campaign() -> bm.Campaign:
    world = bm.simulate.campaign(customers=6_000, arms=3, seed=5)
    columns = world.columns | {"features": ["recency", "value", "newbie"]}
    return bm.Campaign.from_frame(world.frame, **columns, linear=["recency", "value"])


@pytest.fixture(scope="module")
def fits(campaign: bm.Campaign) -> dict[str, bm.Fit]:
    return {
        name: bm.fit(bm.Uplift(likelihood=name), campaign, seed=1, chains=4, progress=False)
        for name in ("exact", "expanded")
    }


def test_derivatives_are_those_of_the_likelihood(campaign: bm.Campaign) -> None:
    rows = Rows.of(campaign, "bought")
    rng = np.random.default_rng(1)
    theta = rng.normal(0, 0.2, rows.size)
    value, gradient, curvature = rows.derivatives(theta)
    assert np.isclose(rows.log_likelihood(theta[None])[0], value)
    step = 1e-5 * np.eye(rows.size)
    up, down = (np.array([rows.derivatives(t)[0] for t in theta + s * step]) for s in (1, -1))
    assert np.allclose((up - down) / 2e-5, gradient, rtol=1e-4, atol=1e-3)
    for j in (0, 1, rows.size - 1):
        change = rows.derivatives(theta + step[j])[1] - rows.derivatives(theta - step[j])[1]
        assert np.allclose(-change / 2e-5, curvature[j], rtol=1e-4, atol=1e-3)


def test_likelihood_is_that_of_the_model(campaign: bm.Campaign) -> None:
    """Row by row, against a plain sum over customers."""
    rows = Rows.of(campaign, "bought")
    theta = np.random.default_rng(2).normal(0, 0.3, rows.size)
    design = campaign.encoding.design(campaign.data["code"].to_numpy())
    assignment, y = campaign.data["assignment"].to_numpy(), campaign.values("bought")
    columns = design.shape[1]
    logit = theta[0] + design @ theta[3 : 3 + columns]
    lift = theta[3 + columns :].reshape(columns, 2)
    for a in (1, 2):
        logit += (assignment == a) * (theta[a] + design @ lift[:, a - 1])
    assert np.isclose((y * logit - np.log1p(np.exp(logit))).sum(), rows.log_likelihood(theta[None]))


def test_posteriors_agree(campaign: bm.Campaign, fits: dict[str, bm.Fit]) -> None:
    found, exact = (coefficients(fits[n].posterior, campaign) for n in ("expanded", "exact"))
    assert np.abs((found.mean(0) - exact.mean(0)) / exact.std(0)).max() < 0.25
    assert np.allclose(found.std(0) / exact.std(0), 1, atol=0.2)
    importance = fits["expanded"].diagnostics.importance
    assert importance is not None
    assert importance.usable
    ates = [bm.ate(fits[n]).mean(("chain", "draw")) for n in ("expanded", "exact")]
    assert np.allclose(*ates, atol=0.002)


def test_expanded_fits_are_saved_and_answer(fits: dict[str, bm.Fit], tmp_path: Path) -> None:
    fit = fits["expanded"]
    again = bm.Fit.load(fit.save(tmp_path / "fit"))
    assert again.spec == fit.spec
    assert again.diagnostics.verdict == fit.diagnostics.verdict
    tau = bm.uplift(again, max_draws=20)
    assert "approximation" in tau.attrs
    assert tau.equals(bm.uplift(fit, max_draws=20))


def test_far_from_its_centre_the_expansion_is_not_the_likelihood() -> None:
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"arm": np.arange(300) % 2, "y": 0, "x": rng.normal(size=300)})
    frame.loc[[0, 4, 10], "y"] = 1
    camp = bm.Campaign.from_frame(frame, treated="arm", outcome="y", features=["x"])
    centre = expansion(camp, "y")
    far = centre.center[None] + np.array([[0.0, -6.0, *[0.0] * (len(centre.center) - 2)]])
    gap = Rows.of(camp, "y").log_likelihood(far) - centre(far)
    assert float(gap[0]) > 1.0


def test_large_designs_are_expanded_by_themselves(
    campaign: bm.Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not bm.Uplift().expands(campaign)
    monkeypatch.setattr("bayes_mkt.targeting.expansion.LARGE", 10)
    monkeypatch.setattr("bayes_mkt.targeting.expansion.RESPONSES", 1)
    assert bm.Uplift().expands(campaign)
    assert not bm.Uplift(likelihood="exact").expands(campaign)
    outcome = bm.Uplift().outcome_of(campaign)
    assert pays(campaign, outcome, 100, prior=False)
    assert not pays(campaign, outcome, 100, prior=True)
    # With few responses for each coefficient it is no quadratic form.
    monkeypatch.setattr("bayes_mkt.targeting.expansion.RESPONSES", 1e5)
    assert not bm.Uplift().expands(campaign)
    assert bm.Uplift(likelihood="expanded").expands(campaign)
    with pytest.raises(bm.SpecError, match="choose from"):
        bm.Uplift(likelihood="fast")  # type: ignore[arg-type]


def test_linear_features_have_one_column(campaign: bm.Campaign) -> None:
    assert campaign.encoding.columns == ("recency (slope)", "value (slope)", "newbie [1]")
    frame = pd.DataFrame(
        {"arm": [0, 1] * 200, "y": [0, 0, 0, 1] * 100, "x": np.arange(400.0), "z": ["a", "b"] * 200}
    )
    frame.loc[:39, "x"] = np.nan
    names = {"treated": "arm", "outcome": "y", "features": ["x", "z"]}
    lost = bm.Campaign.from_frame(frame, **names, linear=["x"])  # type: ignore[arg-type]
    assert lost.encoding.columns[:2] == ("x (slope)", "x (missing)")
    design = lost.encoding.design(lost.data["code"].to_numpy())
    assert np.allclose(design.mean(axis=0), 0)
    known = frame["x"].to_numpy()[40:]
    assert np.corrcoef(design[40:, 0], known)[0, 1] > 0.999
    with pytest.raises(bm.DataError, match="linear names 'z'"):
        bm.Campaign.from_frame(frame, **names, linear=["z"])  # type: ignore[arg-type]
