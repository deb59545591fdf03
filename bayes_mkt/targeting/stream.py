"""Scores of more customers than memory holds: read by batches, written to one Parquet file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayes_mkt.dims import CHAIN, DRAW
from bayes_mkt.errors import DataError, SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.frames import Column, Problems, read_columns
from bayes_mkt.targeting.effects import Of, distinct, over_cells, thin
from bayes_mkt.targeting.uplift import Uplift

__all__ = ["score_customers"]

Array = NDArray[Any]


def score_customers(
    fit: Fit,
    source: str | Path | Iterable[object] | object,
    path: str | Path,
    *,
    customer: str | None = None,
    of: Of = "outcome",
    above: float = 0.0,
    interval: float = 0.9,
    batch: int = 100_000,
    max_draws: int = 200,
    overwrite: bool = False,
    allow_unconverged: bool = False,
) -> Path:
    """Write each customer's uplift, with its uncertainty, to a Parquet file, batch by batch.

    Memory is that of one batch, however many customers there are. The file appears whole or not at
    all. Customers with equal features within a batch are computed once.

    Parameters
    ----------
    fit
        A fitted `Uplift`.
    source
        A Parquet file, a folder of them, a frame with the feature columns, or an iterable of
        frames.
    path
        The file to write.
    customer
        Column of customer names to write along; None numbers the rows.
    of
        `"outcome"`, or `"revenue"` for a fit with `spend`.
    above
        What `prob_above` compares with, such as the cost of a contact.
    interval
        Probability inside the interval, equal tails.
    batch
        Customers read from Parquet at a time; frames of an iterable are taken as they come.
    max_draws
        Draws of all chains together that are used.
    overwrite
        Whether a file that is there already may be replaced.
    allow_unconverged
        Whether to answer from draws whose verdict failed; the file's metadata say so.

    Returns
    -------
    Path
        Of the file. Its columns: `customer`, and for each arm `mean_ARM`, `sd_ARM`, `low_ARM`,
        `high_ARM`, `prob_above_ARM`, float32; `best_arm`, the arm with the highest mean uplift
        above `above`, or the control. Rows are in the order of the source. Units, seed and verdict
        are in the schema's metadata.

    Raises
    ------
    DataError
        If a batch lacks a feature, or has levels that the model doesn't know; no file is left.
    SpecError
        If the file exists, an option is out of range, or PyArrow isn't installed.

    Notes
    -----
    Needs PyArrow: ``pip install bayes-mkt[engines]``.
    """
    marks = usable(fit, allow_unconverged)
    if not isinstance(fit.spec, Uplift):
        raise SpecError(f"A fitted Uplift is needed, not {type(fit.spec).__name__}.")
    if not 0 < interval < 1 or batch < 1:
        raise SpecError(f"interval={interval!r} must lie in (0, 1), batch={batch!r} be >= 1.")
    path = Path(path)
    if path.exists() and not (overwrite and path.is_file()):
        raise SpecError(f"{path} exists already. Choose another path, or overwrite=True.")
    arrow, parquet = _pyarrow()
    posterior = thin(fit.posterior, max_draws)
    about = {"seed": fit.seed, "of": of, "above": above, "interval": interval, **marks}
    metadata = {f"bayes_mkt.{name}": str(value) for name, value in about.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        fresh, writer, done = Path(folder) / path.name, None, 0
        try:
            for frame in _batches(source, _columns(fit, customer), batch):
                names, codes = _read(fit, frame, customer, done)
                done += len(codes)
                columns = _scored(fit, posterior, codes, of, above, interval)
                table = arrow.table({"customer": names, **columns})
                if writer is None:
                    schema = table.schema.with_metadata(metadata)
                    writer = parquet.ParquetWriter(fresh, schema)
                writer.write_table(table.cast(writer.schema))
        finally:
            if writer is not None:
                writer.close()
        if writer is None:
            raise DataError("The source has no customers: nothing was written.")
        fresh.chmod(0o644)
        fresh.replace(path)
    return path


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError as error:
        raise SpecError("score_customers needs PyArrow: pip install bayes-mkt[engines].") from error


def _columns(fit: Fit, customer: str | None) -> list[str]:
    names = list(fit.data.encoding.names)
    return names if customer is None else list(dict.fromkeys([customer, *names]))


def _batches(source: Any, columns: list[str], batch: int) -> Iterator[Any]:
    """Yield frames of the source, without those that are empty."""
    if isinstance(source, str | Path):
        if not Path(source).exists():
            raise DataError(f"{source} is no file or folder.")
        arrow, opened = (
            _pyarrow()[0],
            import_module("pyarrow.dataset").dataset(source, format="parquet"),
        )
        lacking = [name for name in columns if name not in opened.schema.names]
        if lacking:
            raise DataError(f"{source} lacks columns {lacking}; it has {opened.schema.names}.")
        # Read-ahead would hold many batches at a time.
        parts = opened.to_batches(
            columns=columns, batch_size=batch, batch_readahead=1, fragment_readahead=1
        )
        yield from (arrow.Table.from_batches([part]) for part in parts if part.num_rows)
    elif hasattr(source, "columns") or hasattr(source, "schema"):
        yield source
    else:
        try:
            yield from source
        except TypeError as error:
            raise DataError(
                f"source is {type(source).__name__}: give a path, a frame, or an iterable of them."
            ) from error


def _read(fit: Fit, frame: Any, customer: str | None, done: int) -> tuple[Array, Array]:
    """Return names and codes of the customers of one batch."""
    problems = Problems()
    wanted = fit.data.encoding.wanted()
    if customer is not None:
        wanted |= {"customer": Column(customer, "customer", "label", locates=True)}
    values = read_columns(frame, wanted, problems)
    problems.raise_if_any()
    named = {key.partition(":")[2]: v for key, v in values.items() if key != "customer"}
    codes = fit.data.encoding.encode(named, problems)
    problems.raise_if_any()
    names = values.get("customer", np.arange(done, done + len(codes)))
    return names, codes


def _scored(
    fit: Fit, posterior: xr.Dataset, codes: Array, of: Of, above: float, interval: float
) -> dict[str, Array]:
    """Return the columns of one batch."""
    cells, index = distinct(fit, codes)
    arms, draws = fit.data.arms, posterior.sizes[CHAIN] * posterior.sizes[DRAW]
    lift = np.empty((len(arms) - 1, len(cells), draws), dtype=np.float32)

    def keep(where: slice, rows: slice, values: Array) -> None:
        lift[:, rows, where] = (values[:, :, 1:] - values[:, :, :1]).transpose(2, 1, 0)

    over_cells(fit, posterior, cells, of, keep)
    tails = [(1 - interval) / 2, (1 + interval) / 2]
    columns: dict[str, Array] = {}
    means = np.empty((len(arms), len(cells)))
    means[0] = above
    for a, arm in enumerate(arms[1:]):
        own = np.sort(lift[a], axis=1)
        place = np.array(tails) * (draws - 1)
        below, part = place.astype(int), place % 1
        upper = np.minimum(below + 1, draws - 1)
        low, high = (own[:, below] * (1 - part) + own[:, upper] * part).T
        means[a + 1] = own.mean(axis=1, dtype=float)
        found = {
            "mean": means[a + 1],
            "sd": own.std(axis=1, dtype=float),
            "low": low,
            "high": high,
            "prob_above": (own > above).mean(axis=1),
        }
        columns |= {f"{n}_{arm}": v.astype(np.float32)[index] for n, v in found.items()}
    best = np.array(arms, dtype=object)[means.argmax(axis=0)]
    return columns | {"best_arm": best[index]}
