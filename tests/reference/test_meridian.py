"""The committed config for Meridian's simulated panel, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bayes_mkt as bm
from bayes_mkt.cli import main

CONFIG = Path(__file__).parents[2] / "docs" / "configs" / "geo_media.toml"
NAMES = {
    "roi_m": "roi",
    "alpha_m": "adstock_alpha",
    "ec_m": "half_saturation",
    "eta_m": "effect_sd",
    "sigma": "sigma",
    "gamma_c": "control_effect",
    "xi_c": "control_sd",
}


@pytest.fixture(scope="module")
def out(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of the command, run to its end."""
    folder = tmp_path_factory.mktemp("meridian") / "geo_media"
    data = shared_data / "meridian_simulated" / "geo_media.csv"
    code = main(["media-mix", str(data), "--config", str(CONFIG), "--out", str(folder), "--quiet"])
    assert code == 0
    return folder


@pytest.fixture(scope="module")
def fit(out: Path) -> bm.Fit:
    return bm.Fit.load(out / "fit")


def test_the_posterior_is_that_of_meridian(fit: bm.Fit, shared_reference: Path) -> None:
    reference = json.loads((shared_reference / "meridian" / "geo_media_posterior.json").read_text())
    wrong = []
    for theirs, ours in NAMES.items():
        draws = fit.posterior[ours].stack(sample=("chain", "draw"))
        mean, sd = np.atleast_1d(draws.mean("sample")), np.atleast_1d(draws.std("sample"))
        their_mean = np.atleast_1d(reference[theirs]["mean"])
        their_sd = np.atleast_1d(reference[theirs]["sd"])
        away, ratio = (mean - their_mean) / their_sd, sd / their_sd
        wrong += [
            f"{ours}[{i}]: mean {away[i]:+.3f} SD away, SD times {ratio[i]:.3f}"
            for i in range(len(mean))
            if abs(away[i]) > 0.15 or abs(ratio[i] - 1) > 0.15
        ]
    assert not wrong, "\n".join(wrong)


def test_the_run_converged(fit: bm.Fit) -> None:
    assert fit.diagnostics.ok, fit.diagnostics.verdict
    assert fit.diagnostics.max_rhat <= 1.01


def test_the_roi_of_the_whole_panel_is_the_parameter(fit: bm.Fit) -> None:
    answer = bm.roi(fit).to_numpy()
    np.testing.assert_allclose(answer, fit.posterior["roi"].to_numpy(), rtol=1e-9)


def test_everything_is_written(out: Path) -> None:
    written = {path.name for path in out.iterdir()}
    assert {"report.html", "roi.csv", "marginal_roi.csv", "diagnostics.csv", "fit"} <= written
