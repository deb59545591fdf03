"""Posteriors of posteriordb, through `bm.sample` with its default arguments."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import posteriordb_models
import pytest
import xarray as xr
from arviz_stats.base import array_stats

import bayes_mkt as bm

MODELS = posteriordb_models.MODELS


def _draws(posterior: xr.Dataset, label: str) -> np.ndarray:
    """Draws (chain, draw) of a scalar that Stan would call `label`, counting from one."""
    name, inside = re.fullmatch(r"([^\[]+)(?:\[(.*)\])?", label).groups()
    index = tuple(int(i) - 1 for i in inside.split(",")) if inside else ()
    return posterior[name].transpose("chain", "draw", ...).to_numpy()[(..., *index)]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_moments_agree_with_the_reference_draws(name: str, shared_reference: Path) -> None:
    file = json.loads((shared_reference / "posteriordb" / f"{name}.json").read_text())
    posterior = bm.sample(MODELS[name](file["data"]), seed=1, progress=False).posterior
    wrong = []
    for label, reference in file["reference"].items():
        draws = _draws(posterior, label)
        ess = array_stats.ess(draws, chain_axis=0, draw_axis=1, method="mean")
        error = np.sqrt(draws.var() / ess + reference["sd"] ** 2 / reference["draws"])
        away = (draws.mean() - reference["mean"]) / error
        ratio = draws.std(ddof=1) / reference["sd"]
        if abs(away) > 4 or abs(ratio - 1) > 0.1:
            wrong.append(f"{label}: mean {away:+.1f} MCSE away, SD times {ratio:.3f}")
    assert not wrong, "\n".join(wrong)


def test_every_reference_posterior_given_has_its_model(shared_reference: Path) -> None:
    given = {path.stem for path in (shared_reference / "posteriordb").glob("*.json")}
    assert given == set(MODELS)
