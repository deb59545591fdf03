"""Sales scatter by one law, whether regions do it together or each by itself."""

from __future__ import annotations

import numpy as np
import pytest

import bayes_mkt as bm
from bayes_mkt.media_mix.likelihood import Likelihood

FAMILIES: list[tuple[Likelihood, dict[str, float]]] = [
    (bm.NormalLikelihood(), {"sigma": 0.5}),
    (bm.StudentTLikelihood(), {"sigma": 0.5, "nu": 9.0}),
    (bm.LogNormalLikelihood(), {"log_sd": 0.3}),
    (bm.NegativeBinomialLikelihood(), {"dispersion": 4.0}),
]


@pytest.mark.parametrize(("family", "given"), FAMILIES)
def test_regions_together_have_the_same_law_each(
    family: Likelihood, given: dict[str, float]
) -> None:
    parameters = {name: np.full((20_000, 1, 1), value) for name, value in given.items()}
    mean = np.full((20_000, 3, 1), 40.0)
    unit = np.full((3, 1), 10.0)
    apart, together = (
        family.scatter(np.random.default_rng(2), mean, unit, parameters, alike)[:, :, 0]
        for alike in (0.0, 0.6)
    )
    levels = [0.1, 0.25, 0.5, 0.75, 0.9]
    np.testing.assert_allclose(np.quantile(together, levels), np.quantile(apart, levels), rtol=0.02)
    between = [np.corrcoef(v.T)[np.triu_indices(3, 1)].mean() for v in (apart, together)]
    assert abs(between[0]) < 0.02
    assert 0.4 < between[1] < 0.63
