from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayes_mkt as bm

TRUTH = {"basic": (0.7, 1.2), "gold": (0.7, 3.8), "trial": (1.5, 1.5)}
SEEN = 6


def contracts() -> pd.DataFrame:
    """Contracts of three cohorts, each with its own probability to refuse a renewal."""
    rng = np.random.default_rng(6)
    rows = []
    for plan, (a, b) in TRUTH.items():
        ends = rng.geometric(rng.beta(a, b, 150 if plan == "trial" else 900))
        rows.append(
            pd.DataFrame({"plan": plan, "years": np.minimum(ends, SEEN), "left": ends <= SEEN})
        )
    return pd.concat(rows, ignore_index=True)


ROLES = {"cohort": "plan", "periods": "years", "ended": "left"}


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    data = bm.ContractCohorts.from_frame(contracts(), **ROLES)
    return bm.fit(bm.ShiftedBetaGeometric(), data, seed=1, progress=False)


@pytest.mark.parametrize("engine", ["polars", "polars lazy", "pyarrow", "duckdb"])
def test_every_engine_gives_the_same_counts(engine: str) -> None:
    frame = contracts()
    table = pa.Table.from_pandas(frame, preserve_index=False)
    given: Any = {
        "polars": pl.from_pandas(frame),
        "polars lazy": pl.from_pandas(frame).lazy(),
        "pyarrow": table,
        "duckdb": duckdb.connect().from_arrow(table),
    }[engine]
    expected = bm.ContractCohorts.from_frame(frame, **ROLES)
    found = bm.ContractCohorts.from_frame(given, **ROLES)
    assert found == expected
    assert hash(found) == hash(expected)
    assert repr(found) == "ContractCohorts(1,950 contracts in 3 cohorts)"


def test_counts_are_those_of_the_frame() -> None:
    frame = contracts()
    data = bm.ContractCohorts.from_frame(frame, **ROLES).data
    assert int(data["weight"].sum()) == len(frame)
    chosen = (data["periods"] == 2) & (data["ended"] == 1) & (data["cohort_index"] == 0)
    counted = ((frame["plan"] == "basic") & (frame["years"] == 2) & frame["left"]).sum()
    assert float(data["weight"].where(chosen, 0).sum()) == counted


def test_truth_is_found(fit: bm.Fit) -> None:
    a, b = (np.array([pair[i] for pair in TRUTH.values()]) for i in (0, 1))
    for name, truth in (("a", a), ("b", b)):
        low, high = fit.posterior[name].quantile([0.01, 0.99], ("chain", "draw")).to_numpy()
        assert ((low < truth) & (truth < high)).all()
    later = bm.contract_survival(fit, [0, 1, 10])
    assert (later.sel(period=0) == 1.0).all()
    np.testing.assert_allclose(
        later.sel(period=1), fit.posterior["b"] / (fit.posterior["a"] + fit.posterior["b"])
    )
    low, high = later.sel(period=10).quantile([0.01, 0.99], ("chain", "draw")).to_numpy()
    steps = np.arange(10)[:, None]
    beyond = np.prod((b + steps) / (a + b + steps), axis=0)
    assert ((low < beyond) & (beyond < high)).all()


def test_renewal_rates_multiply_to_survival(fit: bm.Fit) -> None:
    rates = bm.renewal_rate(fit, range(1, 6))
    assert (rates.diff("period") > 0).all()
    np.testing.assert_allclose(
        rates.prod("period"), bm.contract_survival(fit, [5]).isel(period=0), rtol=1e-10
    )


def test_fit_survives_saving(fit: bm.Fit, tmp_path: Path) -> None:
    again = bm.Fit.load(fit.save(tmp_path / "run"))
    assert again.data == fit.data
    assert again.spec == fit.spec


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.assign(years=f["years"] - 1), "periods has values such as 0"),
        (lambda f: f.assign(years=f["years"] + 0.5), "must be whole numbers >= 1"),
        (lambda f: f.assign(years="one"), "periods is of type String: column 'years'"),
        (lambda f: f.assign(left=2), "ended has values other than 0 and 1"),
        (lambda f: f.assign(left="yes"), "ended is of type String"),
        (lambda f: f.assign(plan=f["plan"].where(f.index > 3)), "cohort is missing for 4 contr"),
        (lambda f: f.iloc[:0], "The frame has no rows"),
        (lambda f: f.drop(columns="left"), "'left' for ended"),
    ],
)
def test_frames_without_contracts_are_refused(change: Any, says: str) -> None:
    with pytest.raises(bm.DataError, match=re.escape(says)):
        bm.ContractCohorts.from_frame(change(contracts()), **ROLES)


@pytest.mark.parametrize("periods", [[-1], [1.5], [], 3])
def test_periods_must_be_whole(fit: bm.Fit, periods: Any) -> None:
    with pytest.raises(bm.SpecError, match="must be whole numbers"):
        bm.contract_survival(fit, periods)
