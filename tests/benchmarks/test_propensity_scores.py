"""Measures of probabilities, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import propensity_scores as scores

CHANCE = np.array([0.9, 0.8, 0.3, 0.2, 0.1])
BOUGHT = np.array([True, False, True, False, False])


def test_figures_by_hand() -> None:
    logs = np.log([0.9, 0.2, 0.3, 0.8, 0.9])
    assert scores.log_loss(CHANCE, BOUGHT) == pytest.approx(-logs.mean())
    assert scores.lift(CHANCE, BOUGHT, share=0.2) == pytest.approx(1 / 0.4)
    assert scores.auc(CHANCE, BOUGHT) == pytest.approx(5 / 6)
    assert scores.auc(np.ones(5), BOUGHT) == pytest.approx(0.5)


def test_calibrated_probabilities_have_little_error() -> None:
    rng = np.random.default_rng(1)
    chance = rng.uniform(0, 0.5, 20_000)
    bought = rng.random(20_000) < chance
    error, low, high = scores.calibration_error(chance, bought)
    assert error < 0.012
    assert 0 < low < high < 0.02
    assert scores.calibration_error(chance + 0.1, bought)[0] == pytest.approx(0.1, abs=0.01)
    assert [row["n"] for row in scores.reliability(chance, bought)] == [2000] * 10
