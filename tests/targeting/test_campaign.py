"""Campaigns are read whole or refused with reasons; cells lose nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import bayes_mkt as bm
from bayes_mkt.targeting.cells import Cells, Spend


def frame(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(n)],
            "arm": rng.permutation(np.resize(["control", "a", "b"], n)),
            "bought": rng.integers(0, 2, n),
            "spent": rng.gamma(2.0, 10.0, n),
            "age": rng.normal(40, 10, n),
            "city": np.resize(["x", "y", None], n),
            "tier": np.resize(["low", "high"], n),
        }
    ).assign(spent=lambda f: f["spent"] * f["bought"])


READ: dict[str, Any] = {
    "treated": "arm",
    "outcome": "bought",
    "revenue": "spent",
    "features": ["age", "city"],
    "segment": "tier",
    "customer": "id",
}


def test_engines_agree() -> None:
    first = bm.Campaign.from_frame(frame(), **READ)
    assert first == bm.Campaign.from_frame(pl.from_pandas(frame()), **READ)
    assert hash(first) == hash(bm.Campaign.from_frame(frame(), **READ))
    assert first.arms == ("control", "a", "b")
    assert first.purchase == "bought"


def test_survives_its_dataset(tmp_path: Any) -> None:
    camp = bm.Campaign.from_frame(frame(), **READ, shares={"control": 1, "a": 1, "b": 1})
    camp.to_dataset().to_netcdf(tmp_path / "c.nc", engine="h5netcdf")
    import xarray as xr

    with xr.open_dataset(tmp_path / "c.nc", engine="h5netcdf") as stored:
        assert bm.Campaign.from_dataset(stored.load()) == camp


def test_all_problems_are_named_at_once() -> None:
    bad = frame().assign(bought=lambda f: f["bought"] * 2, id="same", spent=-1.0)
    with pytest.raises(bm.DataError) as found:
        bm.Campaign.from_frame(bad, **READ)
    text = str(found.value)
    assert "other than 0 and 1" in text
    assert "more than one row" in text
    assert "revenue has 200 negative values" in text


def test_control_has_to_be_known() -> None:
    renamed = frame().replace({"arm": {"control": "nothing"}})
    with pytest.raises(bm.DataError, match="Name the control arm"):
        bm.Campaign.from_frame(renamed, **READ)
    assert bm.Campaign.from_frame(renamed, **READ, control="nothing").arms[0] == "nothing"


def test_sample_ratio_mismatch_is_refused() -> None:
    shares = {"control": 0.5, "a": 0.25, "b": 0.25}
    with pytest.raises(bm.DataError, match="sample-ratio mismatch"):
        bm.Campaign.from_frame(frame(2000), **READ, shares=shares)


def test_imbalance_is_found() -> None:
    skewed = frame(2000).assign(age=lambda f: f["age"] + 5 * (f["arm"] == "a"))
    table = bm.check_assignment(bm.Campaign.from_frame(skewed, **READ)).set_index("test")
    assert table.loc["balance of age", "p_value"] < 1e-6
    assert table.loc["balance of city", "p_value"] > 0.01


def test_missing_values_are_a_level() -> None:
    camp = bm.Campaign.from_frame(frame(), **READ)
    assert "(missing)" in camp.encoding.features[1].levels


def test_purchase_is_added_where_no_outcome_says_it() -> None:
    visited = frame().assign(bought=1)
    assert bm.Campaign.from_frame(visited, **READ | {"outcome": "bought"}).purchase == "spent > 0"


def test_split_keeps_each_customer_once() -> None:
    camp = bm.Campaign.from_frame(frame(), **READ)
    train, test = camp.split(0.3, seed=1)
    names = [*train.data["customer"].values, *test.data["customer"].values]
    assert sorted(names) == sorted(camp.data["customer"].values)
    assert np.allclose(train.counts, 0.3 * camp.counts, atol=0.5)
    assert camp.split(0.3, seed=1).train == train != camp.split(0.3, seed=2).train


def test_cells_hold_the_likelihood_of_customers() -> None:
    """The log-likelihood from cells equals that from customers, up to the binomial constant."""
    camp = bm.Campaign.from_frame(frame(), **READ, bins=3)
    cells = Cells.of(camp)
    y = camp.values("bought")
    total = cells.total(camp, y)
    eta = np.random.default_rng(2).normal(size=total.shape)
    arm = camp.data["assignment"].to_numpy()
    each = eta[cells.index, arm]
    whole = (y * each - np.log1p(np.exp(each))).sum()
    assert np.isclose((total * eta - cells.customers * np.log1p(np.exp(eta))).sum(), whole)


@pytest.mark.parametrize("family", ["gamma", "lognormal"])
def test_model_density_is_that_of_customers(family: Any) -> None:
    """The PyMC graph against SciPy, customer by customer."""
    from scipy import stats

    camp = bm.Campaign.from_frame(frame(), **READ, bins=3)
    model = bm.Uplift(spend=family).build(camp)
    values = model.initial_point(random_seed=0)
    rng = np.random.default_rng(3)
    points = [{k: v + 0.2 * rng.normal(size=np.shape(v)) for k, v in values.items()} for _ in "ab"]
    logp = model.compile_logp(vars=model.observed_RVs, mode="FAST_COMPILE")
    found = np.diff([float(logp(p)) for p in points])[0]
    assert np.isclose(found, np.diff([by_hand(camp, p, family, stats) for p in points])[0])


def by_hand(camp: bm.Campaign, p: dict[str, Any], family: str, stats: Any) -> float:
    design = camp.encoding.design(camp.data["code"].to_numpy())
    arm = camp.data["assignment"].to_numpy()
    arm_effect = np.append(0.0, p["arm_effect"])[arm]
    by_arm = p["uplift"][:, None] + p["arm_uplift"] + np.outer(p["baseline"], p["uplift_slope"])
    lift = np.column_stack([np.zeros(len(p["uplift"])), by_arm])
    eta = p["intercept"] + design @ p["baseline"] + arm_effect
    eta = eta + (design * lift.T[arm]).sum(axis=1)
    y, spent = camp.values("bought"), camp.values("revenue")
    total = stats.bernoulli.logpmf(y, 1 / (1 + np.exp(-eta))).sum()
    unit = Spend.of(camp, Cells.of(camp)).unit
    at = p["spend_intercept"] + design @ p["spend"] + np.append(0.0, p["spend_arm_effect"])[arm]
    if family == "gamma":
        shape = np.exp(p["spend_shape_log__"])
        each = stats.gamma.logpdf(spent / unit, shape, scale=np.exp(at) / shape)
    else:
        sigma = np.exp(p["spend_sigma_log__"])
        each = stats.lognorm.logpdf(spent / unit, sigma, scale=np.exp(at))
    return float(total + each[y > 0].sum())


def test_spec_is_held_to_the_campaign() -> None:
    camp = bm.Campaign.from_frame(
        frame().assign(clicked=1), **READ | {"outcome": ["bought", "clicked"]}
    )
    with pytest.raises(bm.SpecError, match="choose one of"):
        bm.Uplift().build(camp)
    with pytest.raises(bm.SpecError, match="not where revenue is positive"):
        bm.Uplift(outcome="clicked", spend="gamma").build(camp)
    with pytest.raises(bm.SpecError, match="no such variable"):
        bm.Uplift(priors={"tau": bm.Prior("Normal", mu=0.0, sigma=1.0)})
    assert bm.Uplift(spend="gamma").outcome_of(camp) == "bought"


def test_contrasts_leave_the_prior_of_levels_as_it_is() -> None:
    """Effects of levels, independent and less their mean over customers, covary alike."""
    camp = bm.Campaign.from_frame(frame(), **READ, bins=4)
    for feature in camp.encoding.features:
        centred = np.eye(len(feature.levels)) - np.asarray(feature.share)
        assert feature.table.shape[1] == len(feature.levels) - 1
        assert np.allclose(feature.table @ feature.table.T, centred @ centred.T)
