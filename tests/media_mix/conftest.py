"""Draws of every model in the registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest

import bayes_mkt as bm
from tests.media_mix.cases import MODELS, panel


@pytest.fixture(scope="session")
def loose(prior_fit: Callable[..., bm.Fit]) -> Callable[[str], bm.Fit]:
    """A few draws of a model in the registry, by its name: the identities hold at any draw."""

    @cache
    def of(name: str) -> bm.Fit:
        spec, kind = MODELS[name]
        return prior_fit(spec, panel(kind))

    return of
