"""Refutation: clean panels pass, confounded and late-dated ones don't."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import bayes_mkt as bm
from bayes_mkt.media_mix import refits
from bayes_mkt.media_mix.refits import with_controls
from bayes_mkt.media_mix.refute import CHECKS, COLUMNS
from bayes_mkt.media_mix.unseen import robustness
from tests.media_mix.cases import MODELS, SHORT, panel

QUICK: dict[str, Any] = {"target_ess": 100, "progress": False}
SPEC = bm.MediaMix(adstock=bm.GeometricAdstock(max_lag=4), knots=2, seasonality=bm.Fourier(order=2))


@pytest.fixture(scope="module")
def clean(fitted: bm.Fit) -> bm.Refutation:
    return bm.refute(fitted, seed=1, **QUICK)


def test_a_clean_panel_passes(clean: bm.Refutation) -> None:
    assert clean.ok, clean.table.to_string()
    assert list(clean.table) == COLUMNS
    assert tuple(dict.fromkeys(clean.table["check"])) == CHECKS
    assert clean.verdict("placebo") == "pass"


def test_labels_say_what_the_data_add_to_the_prior(clean: bm.Refutation, fitted: bm.Fit) -> None:
    rows = clean.table.query("check == 'prior'").set_index("subject")
    for channel in fitted.data.channels:
        draws = np.log(fitted.posterior["roi"].sel(channel=channel))
        assert rows.loc[channel, "value"] == pytest.approx(1 - float(draws.var()) / 0.81, abs=1e-3)


def test_budgets_that_follow_sales_are_found() -> None:
    """Spend of a week reacts to last week's sales: what is to come seems to sell."""
    world = bm.simulate.media_mix(regions=6, weeks=80, channels=2, controls=1, seed=7, max_lag=4)
    frame = world.frame.sort_values(["region", "week"])
    # What moves sales for some weeks, and the model doesn't know, moves next week's budget.
    rng = np.random.default_rng(1)
    hidden = np.zeros((6, 80))
    for t in range(1, 80):
        hidden[:, t] = 0.7 * hidden[:, t - 1] + rng.standard_normal(6)
    shock = (0.03 * hidden).ravel() * frame.groupby("region")["sales"].transform("mean")
    before = np.concatenate([np.zeros((6, 1)), hidden[:, :-1]], axis=1).ravel()
    frame["sales"] += shock
    for name in ("tv_spend", "tv_impressions"):
        frame[name] *= np.exp(0.6 * before)
    fit = bm.fit(SPEC, bm.MediaPanel.from_frame(frame, **world.columns), seed=1, **QUICK)
    found = bm.refute(fit, seed=1, checks=["future"], **QUICK)
    assert not found.ok
    failed = found.table.query("verdict == 'fail'")
    assert "the next period's tv" in set(failed["subject"])
    assert "seem to move today's sales" in failed["reading"].iloc[0]


def test_media_that_are_dated_late_are_found() -> None:
    world = bm.simulate.media_mix(
        regions=6, weeks=80, channels=2, controls=1, seed=8, max_lag=4, roi=3.0
    )
    frame = world.frame.sort_values(["region", "week"])
    media = [c for c in frame if c.startswith("tv_")]
    frame[media] = frame.groupby("region")[media].shift(1, fill_value=0.0)
    fit = bm.fit(SPEC, bm.MediaPanel.from_frame(frame, **world.columns), seed=1, **QUICK)
    found = bm.refute(fit, seed=1, checks=["future"], **QUICK)
    assert not found.ok
    assert "the next period's tv" in set(found.table.query("verdict == 'fail'")["subject"])


def test_the_robustness_value_is_that_of_its_source() -> None:
    """Cinelli & Hazlett (2020), Darfur: t = 4.18 with 783 degrees of freedom, RV 13.9 %."""
    assert robustness(4.18, 783) == pytest.approx(0.139, abs=5e-4)
    assert robustness(0.0, 100) == 0.0


def test_controls_are_added_where_sales_are_seen(fitted: bm.Fit) -> None:
    panel = fitted.data
    extra = np.arange(panel.n_regions * panel.n_dates, dtype=float)
    more = with_controls(panel, {"x": extra.reshape(panel.n_regions, panel.n_dates)})
    assert more.controls == (*panel.controls, "x")
    np.testing.assert_array_equal(
        more.data["controls"].sel(control=list(panel.controls)), panel.data["controls"]
    )


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"target_ess": 100}, [{"target_ess": 100}, {"target_ess": 400, "target_accept": 0.95}]),
        ({"draws": 50}, [{"draws": 50}]),
        ({"sampler": "laplace"}, [{"sampler": "laplace"}]),
        ({"target_accept": 0.8}, [{"target_accept": 0.8}]),
    ],
)
def test_a_refit_that_fails_its_verdict_is_sampled_once_more(
    fitted: bm.Fit,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    asked: list[dict[str, Any]],
) -> None:
    calls: list[dict[str, Any]] = []

    def failing(spec: bm.MediaMix, panel: bm.MediaPanel, **settings: Any) -> SimpleNamespace:
        calls.append(settings)
        return SimpleNamespace(diagnostics=SimpleNamespace(ok=False))

    monkeypatch.setattr(refits, "fit", failing)
    again = refits.fitted_again(fitted, fitted.data, 1, options)
    assert not again.diagnostics.ok
    assert calls == [{"seed": 1, **one} for one in asked]


def test_priors_by_control_are_widened_for_controls_that_a_check_adds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = bm.Prior("Normal", mu=[0.5, 0.0], sigma=[1.0, 0.1])
    data = panel("masked")
    spec = bm.MediaMix(adstock=SHORT, priors={"control_effect": given})
    base = SimpleNamespace(spec=spec, data=data)
    found: list[bm.MediaMix] = []

    def kept(spec: bm.MediaMix, panel: bm.MediaPanel, **settings: Any) -> SimpleNamespace:
        found.append(spec)
        spec.build(panel)
        return SimpleNamespace(diagnostics=SimpleNamespace(ok=True))

    monkeypatch.setattr(refits, "fit", kept)
    noise = np.zeros((data.n_regions, data.n_dates))
    noise[:, ::2] = 1.0
    refits.fitted_again(base, with_controls(data, {"noise": noise}), 1, {})  # type: ignore[arg-type]
    usual = dict(spec.default_priors["control_effect"].parameters)
    assert found[0].prior("control_effect") == bm.Prior(
        "Normal", mu=[0.5, 0.0, usual["mu"]], sigma=[1.0, 0.1, usual["sigma"]]
    )
    heavy = bm.Prior("StudentT", nu=4.0, mu=[0.0, 0.0], sigma=1.0)
    base.spec = bm.MediaMix(adstock=SHORT, priors={"control_effect": heavy})
    with pytest.raises(bm.SpecError, match="refutations add controls"):
        refits.fitted_again(base, with_controls(data, {"noise": noise}), 1, {})  # type: ignore[arg-type]


def test_one_region_with_treatments_has_its_placebos(
    prior_fit: Callable[..., bm.Fit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refits, "fit", lambda spec, panel, **_: prior_fit(spec, panel))
    fit = prior_fit(*(MODELS["national, treated"][0], panel("national")))
    found = bm.refute(fit, seed=1, checks=["placebo"], allow_unconverged=True)
    assert list(found.table["subject"]) == [f"placebo {c}" for c in fit.data.channels]


def test_a_checkpoint_is_refused(fitted: bm.Fit) -> None:
    with pytest.raises(bm.SpecError, match="a refutation is several runs"):
        bm.refute(fitted, seed=1, checkpoint="here")


def test_unknown_checks_are_refused(fitted: bm.Fit) -> None:
    with pytest.raises(bm.SpecError, match=r"checks=\['placebos'\]: choose from placebo"):
        bm.refute(fitted, seed=1, checks=["placebos"])


def test_prior_variances_of_logarithms_are_those_of_draws() -> None:
    for prior, law in (
        (bm.Prior("HalfNormal", sigma=0.1), stats.halfnorm(scale=0.1)),
        (bm.Prior("Gamma", alpha=3.0, beta=2.0), stats.gamma(3.0, scale=0.5)),
    ):
        draws = np.log(law.rvs(200_000, random_state=1))
        assert prior.variance(log=True) == pytest.approx(draws.var(), rel=0.05)


def test_verdicts_are_the_worst_of_a_check() -> None:
    rows = [("prior", "a", 0.1, 0.2, 1.0, "prior-driven", ""), ("prior", "b", 1, 0, 1, "pass", "")]
    found = bm.Refutation(pd.DataFrame(rows, columns=COLUMNS))
    assert found.ok
    assert found.verdict("prior") == "prior-driven"
