"""Linear algebra is kept within a thread while anyone asks for it, and no longer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from bayes_mkt.inference import threads


@pytest.fixture(autouse=True)
def several() -> Iterator[None]:
    """Two threads for linear algebra, wherever the test runs."""
    with threadpool_limits(2, user_api="blas"):
        if numbers() != {2}:
            pytest.skip("linear algebra here has no threads that can be limited")
        yield


def numbers() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_linear_algebra_has_one_thread_inside_alone() -> None:
    assert numbers() == {2}
    with threads.alone():
        assert numbers() == {1}
        with threads.alone():
            assert numbers() == {1}
        assert numbers() == {1}
    assert numbers() == {2}


def test_it_has_its_threads_again_after_a_failure() -> None:
    with pytest.raises(ZeroDivisionError), threads.alone():
        1 / 0  # noqa: B018
    assert numbers() == {2}


def test_it_has_its_threads_again_when_the_last_has_left() -> None:
    first, second = threads.alone(), threads.alone()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert numbers() == {1}
    second.__exit__(None, None, None)
    assert numbers() == {2}


def test_a_pool_works_alone() -> None:
    with threads.threads() as pool:
        assert numbers() == {1}
        products = list(pool.map(lambda k: (np.eye(3) * k).sum(), range(4)))
    assert products == [0.0, 3.0, 6.0, 9.0]
    assert numbers() == {2}
