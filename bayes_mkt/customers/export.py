"""Answers for every customer, in a Parquet file: computed by state, joined on the log's engine.

Neither the customers nor the draws of all states are ever in this process's memory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import narwhals as nw
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.customers.asked import purchase_model, thinned
from bayes_mkt.customers.condensing import exact
from bayes_mkt.customers.history import CustomerHistory
from bayes_mkt.customers.reduction import MILLION, SPEND
from bayes_mkt.dims import CUSTOMER, SAMPLE
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.fit import Fit, usable

__all__ = ["write_customers"]

Array = NDArray[Any]
Answer = Callable[..., xr.DataArray]
BLOCK: Final = 2**25  # bytes of one answer's draws
QUANTILES: Final = (0.05, 0.5, 0.95)


def write_customers(
    fit: Fit,
    transactions: object,
    path: str | Path,
    answers: Mapping[str, Answer],
    *,
    quantiles: Sequence[float] | None = QUANTILES,
    draws: int = 400,
    overwrite: bool = False,
    allow_unconverged: bool = False,
) -> Path:
    """Write answers for every customer to Parquet, whatever their number.

    Answers are computed once for each distinct history, in blocks of bounded memory, and joined
    with the customers on the log's own engine, which writes the file. It appears whole, or not at
    all.

    Parameters
    ----------
    fit
        A fitted `Lifetime`, `BGNBD`, `MBGNBD` or `ParetoNBD`, whose history came from
        `CustomerHistory.from_transactions`; ``keep_customers=False`` will do.
    transactions
        The log that the history was read from: pandas, Polars, PyArrow, DuckDB or Spark.
    path
        File to write; Spark writes a folder of that name.
    answers
        Column name -> a function of a fit that takes ``by=``, such as `p_alive`, or
        ``functools.partial(clv, horizon=365)``.
    quantiles
        Of the draws, beside the mean: columns `NAME_mean`, `NAME_q05`, ...; an answer with a
        further dimension (`customer_states`) has `NAME_LABEL_mean`, ... None writes the draws
        themselves instead, `NAME`, a list of 32-bit floats.
    draws
        About how many draws of the hyperparameters to use, evenly spaced.
    overwrite
        Whether a file (or folder) that is there is replaced.
    allow_unconverged
        Whether to answer from draws whose verdict failed.

    Returns
    -------
    Path
        What was written: `customer`, `market` and covariates if there are any, `frequency`,
        `recency`, `age` (days), `spend` if there is, and the answers.

    Raises
    ------
    DataError
        If the log's customers aren't those of the history.
    SpecError
        If the path is taken, an answer isn't one by state, or the history wasn't read from a log.
    """
    usable(fit, allow_unconverged)
    purchase_model(fit)
    out = Path(path)
    if out.exists() and not overwrite:
        raise SpecError(f"{out} exists already. Name another file, or pass overwrite=True.")
    if not answers:
        raise SpecError("answers is empty: name at least one, such as {'p_alive': bm.p_alive}.")
    _check_quantiles(quantiles)
    history: CustomerHistory = fit.data
    customers = history.reread(transactions)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        states = Path(folder) / "states"
        states.mkdir()
        _write_states(fit, answers, quantiles, draws, allow_unconverged, states)
        fresh = Path(folder) / "customers.parquet"
        _join(customers, list(history.state_keys().columns), states, fresh)
        _check_rows(fresh, history.n_customers)
        if out.is_dir():
            shutil.rmtree(out)
        fresh.replace(out)
    return out


def _write_states(
    fit: Fit,
    answers: Mapping[str, Answer],
    quantiles: Sequence[float] | None,
    draws: int,
    allow_unconverged: bool,
    folder: Path,
) -> None:
    """Write keys and answers of the states, a file for each block."""
    arrow, parquet = _arrow()
    keys = fit.data.state_keys()
    tree = xr.DataTree.from_dict({"/posterior": thinned(fit.posterior, draws)})
    tree.attrs = dict(fit.draws.attrs)
    size = BLOCK // (8 * tree.posterior.sizes["chain"] * tree.posterior.sizes["draw"])
    for k, (block, states) in enumerate(blocks(fit.data, size)):
        part = Fit(exact(fit.spec), block, tree, fit.diagnostics)
        columns: dict[str, Any] = {}
        for name, ask in answers.items():
            found = ask(part, by="state", allow_unconverged=allow_unconverged)
            columns |= _columns(name, found, quantiles, states.size)
        table = arrow.Table.from_pandas(keys.iloc[states], preserve_index=False)
        for name, values in columns.items():
            table = table.append_column(name, arrow.array(values) if values.ndim == 1 else
                                        _lists(arrow, values))  # fmt: skip
        parquet.write_table(table, folder / f"{k:05d}.parquet")


def blocks(history: CustomerHistory, size: int) -> Iterator[tuple[CustomerHistory, Array]]:
    """Yield histories of about `size` states each, and which states of `history` they begin with.

    Every block has a customer who bought again, added at its end where needed: there is no model
    of spend without one.
    """
    data = history.data.drop_vars([CUSTOMER, "customer_state"], errors="ignore")
    total = data.sizes["state"]
    count = max(-(-total // max(size, 1)), 1)
    spent = data[SPEND].to_numpy() if SPEND in data else data["frequency"].to_numpy()
    again = np.flatnonzero((data["frequency"].to_numpy() > 0) & (spent > 0))[:1]
    for k in range(count):
        states = np.arange(k, total, count)
        chosen = np.concatenate([states, again])
        yield CustomerHistory(data.isel(state=chosen)), states


def _columns(
    name: str, found: xr.DataArray, quantiles: Sequence[float] | None, count: int
) -> dict[str, Array]:
    """Return the columns of one answer: (state,), or (state, draw)."""
    if not isinstance(found, xr.DataArray) or found.dims[:3] != (*SAMPLE, "state"):
        raise SpecError(
            f"answers[{name!r}] gives no array of chain, draw, state. Give a function such as "
            "bm.p_alive, or functools.partial(bm.clv, horizon=365)."
        )
    if found.ndim > 4:
        raise SpecError(f"answers[{name!r}] has dimensions {found.dims}: at most one after state.")
    values = found.to_numpy().reshape(-1, *found.shape[2:])[:, :count]
    parts = {name: values}
    if found.ndim == 4:
        labels = found[found.dims[3]].to_numpy()
        parts = {f"{name}_{label}": values[..., i] for i, label in enumerate(labels)}
    out: dict[str, Array] = {}
    for label, each in parts.items():
        if quantiles is None:
            out[label] = each.T.astype(np.float32)
            continue
        out[f"{label}_mean"] = each.mean(axis=0)
        for q, row in zip(quantiles, np.quantile(each, quantiles, axis=0), strict=True):
            out[f"{label}_q{_percent(q)}"] = row
    return out


def _percent(q: float) -> str:
    """Return a quantile as in a column's name: 05, 50, 97.5."""
    text = f"{100 * q:.6g}"
    return text if q >= 0.1 else f"0{text}"


def _lists(arrow: Any, values: Array) -> Any:
    """Return rows as lists of 32-bit floats."""
    offsets = np.arange(len(values) + 1, dtype=np.int32) * values.shape[1]
    return arrow.ListArray.from_arrays(offsets, arrow.array(values.ravel()))


def _join(customers: nw.LazyFrame[Any], keys: list[str], states: Path, out: Path) -> None:
    """Join the customers with their states' answers on their own engine, and write the result."""
    files = str(states / "*.parquet")
    money = [nw.col(SPEND) / MILLION] if SPEND in keys else []
    engine = customers.implementation
    if engine.is_duckdb():
        native = customers.select(CUSTOMER, *keys).to_native()
        names = ", ".join(f'"{key}"' for key in keys)
        spend = f" REPLACE ({SPEND} / {MILLION:.1f} AS {SPEND})" if money else ""
        quoted = files.replace("'", "''")
        native.query(
            "customers",
            f"SELECT *{spend} FROM customers JOIN read_parquet('{quoted}') USING ({names})",
        ).write_parquet(str(out))
        return
    if engine.is_polars():
        other = nw.scan_parquet(files, backend="polars")
    elif engine.is_pyspark():
        session = customers.to_native().sparkSession
        other = nw.from_native(session.read.parquet(str(states)))
    else:
        frame = customers.collect()
        read = pd.concat([pd.read_parquet(f) for f in sorted(states.iterdir())])
        table = pd.DataFrame({n: frame[n].to_numpy() for n in frame.columns})
        customers, other = nw.from_native(table).lazy(), nw.from_native(read).lazy()
    joined = customers.select(CUSTOMER, *keys).join(other, on=keys, how="inner")
    joined = joined.with_columns(*money)
    if engine.is_pyspark():
        joined.to_native().write.parquet(str(out))
    elif engine.is_polars():
        joined.sink_parquet(out)
    else:
        joined.collect().to_native().to_parquet(out, index=False)


def _check_rows(path: Path, customers: int) -> None:
    """Raise unless every customer of the history is in the file."""
    parquet = _arrow()[1]
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    rows = sum(parquet.read_metadata(file).num_rows for file in files)
    if rows != customers:
        raise DataError(
            f"{rows:,} customers of the log have a history that was fitted, of {customers:,}: this "
            "is not the log that the history was read from, or it has changed. Read it again and "
            "fit, or give that log."
        )


def _check_quantiles(quantiles: Sequence[float] | None) -> None:
    """Raise unless quantiles lie between 0 and 1."""
    if quantiles is None:
        return
    if isinstance(quantiles, str) or not len(quantiles) or not all(0 <= q <= 1 for q in quantiles):
        raise SpecError(f"quantiles={quantiles!r} must be numbers from 0 to 1, or None for draws.")


def _arrow() -> tuple[Any, Any]:
    """Return PyArrow and its Parquet module, or say how to get them."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise SpecError(
            "Parquet needs PyArrow, which is not installed: pip install 'bayes-mkt[engines]'."
        ) from error
