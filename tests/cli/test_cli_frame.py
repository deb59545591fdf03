"""Data files into frames."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bayes_mkt.cli.frame import read_frame
from bayes_mkt.errors import DataError


def test_csv_keeps_the_zeros_of_labels(tmp_path: Path) -> None:
    path = tmp_path / "data.CSV"
    path.write_text("store,sales\n007,1.5\n010,2\n")
    frame = read_frame(path, ("store",))
    assert frame.store.tolist() == ["007", "010"]
    assert frame.sales.tolist() == [1.5, 2.0]


def test_a_label_column_that_is_absent_is_left_to_the_panel(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("store,sales\n1,1.5\n")
    assert read_frame(path, ("shop",)).columns.tolist() == ["store", "sales"]


def test_parquet_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"store": ["007"], "sales": [1.5]})
    frame.to_parquet(tmp_path / "data.parquet")
    pd.testing.assert_frame_equal(read_frame(tmp_path / "data.parquet"), frame)


def test_parquet_without_its_reader_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(*_: object) -> None:
        raise ImportError("no engine")

    (tmp_path / "data.parquet").touch()
    monkeypatch.setattr(pd, "read_parquet", absent)
    with pytest.raises(DataError, match=r"needs PyArrow.*engines"):
        read_frame(tmp_path / "data.parquet")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data.xlsx", b"x", r"ends in '\.xlsx'.*\.csv or \.parquet"),
        ("data", b"x", r"ends in ''"),
        ("data.csv", b"", r"can't be read as \.csv"),
        ("data.csv", b"a,b\n1,2\n1,2,3\n", r"can't be read as \.csv"),
        ("data.csv", b"a,b\n\xff\xfe\xfa,2\n", r"can't be read as \.csv"),
        ("data.parquet", b"not parquet", r"can't be read as \.parquet"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_frame(tmp_path / name)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.csv is not a file"):
        read_frame(tmp_path / "data.csv")
