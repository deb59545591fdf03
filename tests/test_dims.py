"""The names of dimensions, and which are kept."""

from __future__ import annotations

from typing import Any

import pytest

from bayes_mkt import dims
from bayes_mkt.errors import SpecError

ALLOWED = (dims.REGION, dims.DATE, dims.CHANNEL)


def test_names_are_singular_lower_case_and_distinct() -> None:
    names = [
        value for name, value in vars(dims).items() if name.isupper() and isinstance(value, str)
    ]
    assert {"chain", "draw", "region", "date", "channel", "control", "lag"} <= set(names)
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and not name.endswith("s") for name in names)
    assert dims.SAMPLE == ("chain", "draw")


@pytest.mark.parametrize(
    ("by", "kept"),
    [
        ("channel", ("channel",)),
        ((), ()),
        (["channel", "region"], ("region", "channel")),
        ((name for name in ("date", "region")), ("region", "date")),
        (ALLOWED, ALLOWED),
    ],
)
def test_dimensions_are_kept_in_the_order_of_the_quantity(by: Any, kept: tuple[str, ...]) -> None:
    assert dims.check_by(by, ALLOWED, "sales") == kept


@pytest.mark.parametrize(
    ("by", "message"),
    [
        (
            "week",
            r"by=\('week',\): sales has no dimension 'week'\. Use any of 'region', 'date', "
            r"'channel', or \(\) for the total\.",
        ),
        (("a", "date", "b"), r"sales has no dimension 'a', 'b'\."),
        (("date", "date"), r"by=\('date', 'date'\) names a dimension twice\."),
        (("draw",), r"sales has no dimension 'draw'\."),
    ],
)
def test_other_dimensions_are_refused(by: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        dims.check_by(by, ALLOWED, "sales")
