"""The default geo model of Meridian on its own simulated panel, through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bayes_mkt as bm
from bayes_mkt.cli import main

CONFIG = Path(__file__).resolve().parents[2] / "docs" / "configs" / "geo_media.toml"

# Our names and theirs; `held` are those that this project promises to reproduce.
HELD = {
    "roi": "roi_m",
    "adstock_alpha": "alpha_m",
    "half_saturation": "ec_m",
    "effect_sd": "eta_m",
    "sigma": "sigma",
    "control_effect": "gamma_c",
}
OTHERS = {"control_sd": "xi_c", "knot_value": "knot_values", "region_intercept": "tau_g"}


@pytest.fixture(scope="module")
def out(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command wrote."""
    folder = tmp_path_factory.mktemp("meridian") / "geo_media"
    data = shared_data / "meridian_simulated" / "geo_media.csv"
    words = ["media-mix", str(data), "--config", str(CONFIG), "--out", str(folder), "--quiet"]
    assert main(words) == 0
    return folder


@pytest.fixture(scope="module")
def fit(out: Path) -> bm.Fit:
    return bm.Fit.load(out / "fit")


@pytest.fixture(scope="module")
def reference(shared_reference: Path) -> dict[str, Any]:
    path = shared_reference / "meridian" / "geo_media_posterior.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("ours", "theirs"), HELD.items())
def test_the_posterior_is_that_of_meridian(
    fit: bm.Fit, reference: dict[str, Any], ours: str, theirs: str
) -> None:
    draws = fit.posterior[ours]
    mean, sd = (np.asarray(reference[theirs][key]) for key in ("mean", "sd"))
    shift = (draws.mean(("chain", "draw")) - mean) / sd
    assert float(abs(shift).max()) <= 0.15
    assert float(abs(draws.std(("chain", "draw")) / sd - 1.0).max()) <= 0.15


@pytest.mark.parametrize(("ours", "theirs"), OTHERS.items())
def test_the_rest_of_the_posterior_is_that_of_meridian(
    fit: bm.Fit, reference: dict[str, Any], ours: str, theirs: str
) -> None:
    """Baselines mixed more slowly in the reference (ESS near 900): a wider allowance."""
    draws = fit.posterior[ours]
    mean, sd = (np.asarray(reference[theirs][key]) for key in ("mean", "sd"))
    free = sd > 0  # the reference region has none
    np.testing.assert_array_equal(draws.std(("chain", "draw")) > 0, free)
    shift = (draws.mean(("chain", "draw")).to_numpy() - mean)[free] / sd[free]
    assert abs(shift).max() <= 0.25
    assert abs(draws.std(("chain", "draw")).to_numpy()[free] / sd[free] - 1.0).max() <= 0.2


def test_the_draws_have_converged(fit: bm.Fit) -> None:
    assert fit.diagnostics.ok
    assert fit.diagnostics.max_rhat <= 1.01
    # Enough that 15 % of an SD is far outside the error of a simulation.
    assert min(fit.diagnostics.min_ess_bulk, fit.diagnostics.min_ess_tail) >= 1000


def test_roi_is_the_parameter(fit: bm.Fit) -> None:
    np.testing.assert_allclose(bm.roi(fit), fit.posterior["roi"], rtol=1e-9)


def test_everything_was_written(out: Path) -> None:
    names = {"roi", "marginal_roi", "incremental_sales", "contributions", "diagnostics"}
    expected = {f"{name}.csv" for name in names} | {"report.html", "run.json", "fit"}
    assert {path.name for path in out.iterdir()} == expected
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Media mix on the simulated panel geo_media" in page
    assert "Converged" in page
    assert json.loads((out / "run.json").read_text())["converged"] is True
