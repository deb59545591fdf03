"""Answers for every customer in a file, whatever engine the log is on."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bayes_mkt as bm
from bayes_mkt.customers import export
from tests.customers.cases import HYPER, fixed, history, toy

ANSWERS = {
    "alive": bm.p_alive,
    "clv": partial(bm.clv, horizon=90),
    "status": partial(bm.customer_states, horizon=45),
}


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    spec = bm.Lifetime(bm.MBGNBD(), bm.GammaGamma())
    data = history(currency="EUR", keep_customers=False)
    return fixed(spec, data, draws=4, **HYPER["MBGNBD"], p=6.0, q=4.0, v=15.0)


@pytest.fixture(scope="module")
def expected(fit: bm.Fit) -> pd.DataFrame:
    whole = bm.Fit(fit.spec, history(currency="EUR"), fit.draws, fit.diagnostics)
    columns = {
        "alive_mean": bm.p_alive(whole),
        "clv_q05": bm.clv(whole, 90),
        "status_cold_q95": bm.customer_states(whole, 45).sel(status="cold"),
    }
    return pd.DataFrame(
        {n: v.isel(chain=0, draw=0).to_numpy() for n, v in columns.items()},
        index=["ann", "bob", "cat", "dan"],
    )


def log_on(engine: str) -> Any:
    table = pa.Table.from_pandas(toy(), preserve_index=False)
    return {
        "pandas": toy(),
        "polars": pl.from_arrow(table),
        "polars lazy": pl.from_arrow(table).lazy(),
        "pyarrow": table,
        "duckdb": duckdb.connect().from_arrow(table),
    }[engine]


def same(path: Path, expected: pd.DataFrame) -> None:
    found = pd.read_parquet(path).set_index("customer").sort_index()
    assert found["market"].tolist() == ["de", "de", "fr", "de"]
    assert found[["frequency", "recency", "age", "spend"]].loc["ann"].tolist() == [2, 30, 59, 18]
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values)


@pytest.mark.parametrize("engine", ["pandas", "polars", "polars lazy", "pyarrow", "duckdb"])
def test_every_engine_writes_the_same_answers(
    engine: str, fit: bm.Fit, expected: pd.DataFrame, tmp_path: Path
) -> None:
    path = bm.write_customers(fit, log_on(engine), tmp_path / "out" / "c.parquet", ANSWERS)
    same(path, expected)
    assert [p.name for p in path.parent.iterdir()] == ["c.parquet"]  # nothing is left behind


def test_spark_writes_the_same_answers(
    spark: Any, fit: bm.Fit, expected: pd.DataFrame, tmp_path: Path
) -> None:
    frame = spark.createDataFrame(log_on("pyarrow"))
    same(bm.write_customers(fit, frame, tmp_path / "c.parquet", ANSWERS), expected)


def test_blocks_of_states_are_answered_alike(
    fit: bm.Fit, expected: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "BLOCK", 64)  # a state each
    same(bm.write_customers(fit, toy(), tmp_path / "c.parquet", ANSWERS), expected)


@pytest.mark.parametrize("engine", ["pandas", "duckdb"])
def test_draws_are_lists(engine: str, fit: bm.Fit, expected: pd.DataFrame, tmp_path: Path) -> None:
    answers = {"alive": bm.p_alive}
    path = bm.write_customers(
        fit, log_on(engine), tmp_path / "c.parquet", answers, quantiles=None, draws=6
    )
    found = pd.read_parquet(path).set_index("customer").sort_index()
    draws = np.stack(found["alive"].to_list())
    assert draws.shape == (4, 6)
    np.testing.assert_allclose(draws[:, 0], expected["alive_mean"], rtol=1e-6)


def test_what_cannot_be_written_is_refused(fit: bm.Fit, tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    path.write_text("mine")
    with pytest.raises(bm.SpecError, match="exists already"):
        bm.write_customers(fit, toy(), path, ANSWERS)
    with pytest.raises(bm.DataError, match=r"3 customers of the log have a history .* of 4"):
        bm.write_customers(
            fit, toy()[toy()["who"] != "cat"], path, {"alive": bm.p_alive}, overwrite=True
        )
    assert path.read_text() == "mine"
    with pytest.raises(bm.SpecError, match="gives no array of chain, draw, state"):
        bm.write_customers(fit, toy(), tmp_path / "d.parquet", {"n": lambda f, **_: 1.0})
    with pytest.raises(bm.SpecError, match="answers is empty"):
        bm.write_customers(fit, toy(), tmp_path / "d.parquet", {})
    with pytest.raises(bm.SpecError, match="must be numbers from 0 to 1"):
        bm.write_customers(fit, toy(), tmp_path / "d.parquet", ANSWERS, quantiles=[5])
    bare = bm.CustomerHistory(fit.data.data.assign_attrs(unit="D").drop_attrs(deep=False)
                              .assign_attrs(unit="D", end="2024-02-29"))  # fmt: skip
    other = bm.Fit(fit.spec, bare, fit.draws, fit.diagnostics)
    with pytest.raises(bm.SpecError, match="wasn't read from a log"):
        bm.write_customers(other, toy(), tmp_path / "d.parquet", ANSWERS)
    assert [p.name for p in tmp_path.iterdir()] == ["c.parquet"]
