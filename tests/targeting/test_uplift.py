"""A fitted campaign: the truth is found, answers agree with each other, null effects are null."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayes_mkt as bm

Halves = tuple[bm.Campaign, bm.Campaign]
World = bm.simulate.SimulatedCampaign


def test_effects_of_customers_are_found(uplift_fit: bm.Fit, halves: Halves, world: World) -> None:
    tau = bm.uplift(uplift_fit, halves[1])
    truth = world.truth["uplift"].sel(customer=tau["customer"], arm=tau["arm"])
    low, high = tau.quantile([0.05, 0.95], ("chain", "draw"))
    held = ((low <= truth) & (truth <= high)).mean("customer")
    assert (held > 0.75).all()
    for arm in tau["arm"].to_numpy():
        mean = tau.sel(arm=arm).mean(("chain", "draw"))
        assert np.corrcoef(mean, truth.sel(arm=arm))[0, 1] > 0.9


def test_effects_that_are_alike_are_drawn_together(uplift_fit: bm.Fit) -> None:
    """One effect on the log-odds for all: features mustn't be found to change it by much."""
    alike = bm.simulate.campaign(customers=12_000, effect=0.4, heterogeneity=0.0, seed=4)
    camp = bm.Campaign.from_frame(alike.frame, **alike.columns | {"revenue": None}, bins=4)
    fit = bm.fit(bm.Uplift(), camp, seed=1, chains=4, progress=False)
    assert differences(fit) < 0.07 < 0.3 < differences(uplift_fit)


def differences(fit: bm.Fit) -> float:
    """Return the SD over customers of the mean effect on the log-odds, largest over arms."""
    posterior = fit.posterior.mean(("chain", "draw"))
    effect = posterior["uplift"] + posterior.get("arm_uplift", 0.0)
    design = fit.data.encoding.design(fit.data.data["code"].to_numpy())
    return float(np.max((design @ effect.to_numpy().reshape(len(effect), -1)).std(axis=0)))


def test_average_effect_is_found(uplift_fit: bm.Fit, world: World) -> None:
    found = bm.ate(uplift_fit)
    assert found.dims == ("chain", "draw", "arm")
    low, high = found.quantile([0.01, 0.99], ("chain", "draw"))
    truth = world.truth["ate"].sel(arm=found["arm"])
    assert ((low < truth) & (truth < high)).all()
    money = bm.ate(uplift_fit, of="revenue")
    revenue = world.truth["expected_revenue"].mean("customer")
    gain = (revenue - revenue.sel(arm="none")).sel(arm=found["arm"])
    low, high = money.quantile([0.01, 0.99], ("chain", "draw"))
    assert ((low < gain) & (gain < high)).all()
    assert (bm.prob_positive(found) > 0.99).all()


def test_average_is_that_of_customers(uplift_fit: bm.Fit, halves: Halves) -> None:
    every = uplift_fit.posterior.sizes["chain"] * uplift_fit.posterior.sizes["draw"]
    tau = bm.uplift(uplift_fit, halves[1], max_draws=every)
    mean = tau.astype(float).mean("customer")  # float32 would add up its rounding
    assert np.allclose(mean, bm.ate(uplift_fit, halves[1]), atol=1e-6)


def test_a_frame_is_read_with_the_bins_of_the_fit(
    uplift_fit: bm.Fit, halves: Halves, world: World
) -> None:
    rows = world.frame.set_index("customer").loc[halves[1].data["customer"].to_numpy()]
    tau = bm.uplift(uplift_fit, rows.reset_index(), max_draws=8)
    assert np.array_equal(tau, bm.uplift(uplift_fit, halves[1], max_draws=8))
    with pytest.raises(bm.DataError, match="Map them to known ones"):
        bm.uplift(uplift_fit, rows.assign(category="new"))


def test_saved_fit_answers_alike(uplift_fit: bm.Fit, tmp_path: Path) -> None:
    uplift_fit.save(tmp_path / "run")
    loaded = bm.Fit.load(tmp_path / "run")
    assert loaded.data == uplift_fit.data
    assert np.array_equal(bm.ate(loaded), bm.ate(uplift_fit))


def test_ranking_beats_chance_and_is_calibrated(uplift_fit: bm.Fit, halves: Halves) -> None:
    tau = bm.uplift(uplift_fit, halves[1])
    gain = bm.qini_coefficient(bm.qini_curve(tau, halves[1], points=50))
    assert (gain.quantile(0.01, ("chain", "draw")) > 0).all()
    bins = bm.uplift_calibration(tau, halves[1], bins=5)
    error = bins["observed"] - bins["predicted"]
    low, high = error.quantile([0.05, 0.95], ("chain", "draw"))
    assert float(((low < 0) & (high > 0)).mean()) >= 0.7


def test_policy_is_worth_what_the_truth_says(
    uplift_fit: bm.Fit, halves: Halves, world: World
) -> None:
    test = halves[1]
    compared = bm.compare_targeting(uplift_fit, test, cost=1.0, value=0.5, share=0.3)
    assert compared["model"].attrs["contacted"] == int(0.3 * test.n_customers)
    assert compared["model"].attrs["spent"] <= compared["segments"].attrs["spent"] + 1e-9
    assert bm.prob_positive(compared["difference"]) > 0.9
    alone = bm.policy_value(uplift_fit, test, cost=1.0, value=0.5, share=0.3)
    assert np.allclose(alone, compared["model"])
    arms = {name: compared[f"{name}_arm"] for name in ("model", "segments")}
    assert int((arms["model"] != "none").sum()) == compared["model"].attrs["contacted"]
    # Before costs, of the arms that each gives.
    gross = [
        bm.policy_value(chosen, test, value=0.5, outcome="revenue", seed=uplift_fit.seed)
        for chosen in arms.values()
    ]
    assert abs(float(((gross[0] - gross[1]) / gross[1]).mean() - compared["relative"].mean())) < 0.1
    revenue = world.truth["expected_revenue"].sel(customer=test.data["customer"])
    lift = revenue - revenue.sel(arm="none", drop=True)
    model, segments = (float(lift.sel(arm=chosen).sum()) for chosen in arms.values())
    low, high = compared["relative"].quantile([0.01, 0.99])
    assert float(low) < model / segments - 1 < float(high)
    truth = true_profit(uplift_fit, test, world)
    low, high = alone.quantile([0.01, 0.99])
    assert float(low) < truth < float(high)


def true_profit(fit: bm.Fit, test: bm.Campaign, world: World) -> float:
    """Contact the same customers in the world whose truth is known."""
    gain = 0.5 * bm.uplift(fit, test, of="revenue").mean(("chain", "draw")) - 1.0
    arm = gain.argmax("arm").to_numpy()
    best = gain.max("arm").to_numpy()
    first = np.argsort(-best)[: int(0.3 * test.n_customers)]
    expected = world.truth["expected_revenue"].sel(customer=test.data["customer"]).to_numpy()
    lift = 0.5 * (expected[np.arange(len(arm)), arm + 1] - expected[:, 0]) - 1.0
    return float(lift[first].sum())


def test_permuted_treatment_has_no_effect(world: World) -> None:
    rng = np.random.default_rng(5)
    frame = world.frame.assign(arm=rng.permutation(np.resize(["none", "mail"], len(world.frame))))
    camp = bm.Campaign.from_frame(frame, **world.columns | {"revenue": None}, bins=3)
    train, test = camp.split(0.5, seed=2)
    fit = bm.fit(bm.Uplift(), train, seed=2, chains=4, progress=False)
    low, high = bm.ate(fit).quantile([0.005, 0.995])
    assert float(low) < 0 < float(high)
    tau = bm.uplift(fit, test)
    low, high = tau.quantile([0.005, 0.995], ("chain", "draw"))
    assert float(((low < 0) & (high > 0)).mean()) > 0.95
    curve = bm.qini_curve(tau, test, points=10)
    low, high = curve.sel(depth=0.1).quantile([0.005, 0.995])
    assert float(low) < 0 < float(high)


@pytest.fixture(scope="module")
def hillstrom(shared_data: Path) -> pd.DataFrame:
    return pd.read_parquet(shared_data / "hillstrom" / "hillstrom.parquet")


@pytest.mark.parametrize(
    ("outcome", "spec"),
    [("visit", bm.Uplift(outcome="visit")), ("spend", bm.Uplift(spend="gamma"))],
)
def test_hillstrom_effects_are_the_raw_differences(
    hillstrom: pd.DataFrame, outcome: str, spec: bm.Uplift
) -> None:
    """Without features nothing is adjusted for: means within 0.1 SE, SDs those of Welch."""
    camp = bm.Campaign.from_frame(
        hillstrom,
        treated="segment",
        outcome=["visit", "conversion"],
        revenue="spend",
        control="No E-Mail",
        shares=dict.fromkeys(["No E-Mail", "Mens E-Mail", "Womens E-Mail"], 1 / 3),
    )
    fit = bm.fit(spec, camp, seed=1, target_ess=2500, progress=False)
    answers = [("outcome", spec.outcome_of(camp))]
    answers += [("revenue", "spend")] if spec.spend else []
    groups = hillstrom.groupby("segment")
    for of, column in answers:
        found = bm.ate(fit, of=of)  # type: ignore[arg-type]
        mean, part = groups[column].mean(), groups[column].var() / groups[column].size()
        for arm in camp.treatments:
            se = np.sqrt(part[arm] + part["No E-Mail"])
            draws = found.sel(arm=arm)
            assert abs(float(draws.mean()) - (mean[arm] - mean["No E-Mail"])) < 0.1 * se
            assert 0.9 < float(draws.std()) / se < 1.1


def test_posterior_of_one_campaign_is_the_prior_of_the_next(
    uplift_fit: bm.Fit, halves: Halves, world: World, tmp_path: Path
) -> None:
    """Half after half gives what both halves together give."""
    spec = bm.Uplift(prior=uplift_fit)
    rows = world.frame.set_index("customer").loc[halves[1].data["customer"].to_numpy()]
    camp = bm.Campaign.from_frame(rows.reset_index(), **world.columns, like=halves[0])
    assert camp.encoding == halves[0].encoding
    second = bm.fit(spec, camp, seed=3, chains=4, progress=False)
    whole = bm.Campaign.from_frame(world.frame, **world.columns, like=halves[0])
    both = bm.fit(bm.Uplift(), whole, seed=3, chains=4, progress=False)
    found, expected = bm.ate(second, whole), bm.ate(both, whole)
    sd = expected.std(("chain", "draw"))
    assert (abs(found.mean(("chain", "draw")) - expected.mean(("chain", "draw"))) < 0.4 * sd).all()
    assert (abs(found.std(("chain", "draw")) / sd - 1) < 0.2).all()
    second.save(tmp_path / "second")
    assert bm.Fit.load(tmp_path / "second").spec == spec
    with pytest.raises(bm.SpecError, match="other arms or features"):
        spec.build(bm.Campaign.from_frame(world.frame, **world.columns, bins=7))
    with pytest.raises(bm.SpecError, match="needs a prior"):
        bm.Uplift(drift=0.1)
