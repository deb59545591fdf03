"""Fixtures that every room's tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets; a test that needs it is skipped where it is absent."""
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    folder = Path(os.environ.get("BAYES_MKT_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"real data are not in {folder}: set BAYES_MKT_DATA to their folder")
    return folder
