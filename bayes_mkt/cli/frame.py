"""A data file into a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bayes_mkt.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["read_frame"]


def read_frame(path: Path, labels: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a CSV or Parquet file, by its suffix.

    Parameters
    ----------
    path
        A file that ends in ``.csv`` or ``.parquet``.
    labels
        Columns of a CSV file that hold names and are read as text, so that ``007`` stays so.

    Raises
    ------
    DataError
        If the file is absent, of another kind, or can't be read as what it claims to be.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path} ends in {path.suffix!r}. Give a file that ends in .csv or .parquet."
        )
    if not path.is_file():
        raise DataError(f"{path} is not a file. Check the path.")
    try:
        return reader(path, labels)
    except ImportError as error:
        raise DataError(
            f"{path} needs PyArrow to be read. Install it with bayes-mkt[engines], or save the "
            "data as .csv."
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read as {path.suffix}: {error}") from error


def _csv(path: Path, labels: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    kinds: Mapping[Any, Any] = dict.fromkeys(labels, "str")
    return pd.read_csv(path, dtype=kinds)


def _parquet(path: Path, _labels: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.read_parquet(path)


READERS: Final[Mapping[str, Callable[[Path, tuple[str, ...]], pd.DataFrame]]] = {
    ".csv": _csv,
    ".parquet": _parquet,
}
