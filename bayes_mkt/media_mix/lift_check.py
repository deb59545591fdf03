"""What a lift test changed: ROI with and without it, and whether test and model agree."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from bayes_mkt.dims import CHANNEL, SAMPLE
from bayes_mkt.errors import SpecError
from bayes_mkt.fit import Fit, usable
from bayes_mkt.inference.psis import MAX_KHAT, smoothed
from bayes_mkt.media_mix.counterfactual import incremental_sales
from bayes_mkt.media_mix.returns import roi

APART = 2.0


def check_lift_tests(
    fit: Fit, *, interval: float = 0.9, allow_unconverged: bool = False
) -> pd.DataFrame:
    """Return each lift test beside what the model says of it with and without that test.

    The posterior without a test is the draws with weights 1 / N(lift | modelled, se), smoothed
    (PSIS). With mean m and SD s of the modelled lift without the test,

        z = (lift - m) / sqrt(s^2 + se^2).

    Parameters
    ----------
    fit
        A fitted `MediaMix` with `lift_tests`.
    interval
        Probability inside the intervals.
    allow_unconverged
        Whether to answer from draws whose verdict failed.

    Returns
    -------
    DataFrame
        Indexed by test: `channel`; `lift` and `se`, measured; `modelled` and `modelled_sd`, with
        the test; `expected` and `expected_sd`, without it; `z`; `of`, ``"roi"`` or, where the
        channel has no spend, ``"incremental_sales"``, with median and interval of it `with` and
        `without` the test;
        `khat`; and `verdict`: `agree`, `disagree` (|z| > 2), or `refit to see` where the weights
        can't stand for the posterior without the test (k-hat > 0.7): fit without the test then.

    Raises
    ------
    SpecError
        If the model has no lift test.
    """
    usable(fit, allow_unconverged)
    tests = fit.spec.lift_tests
    if not tests:
        raise SpecError("check_lift_tests: the model has no lift_tests.")
    ends = [(1 - interval) / 2, 0.5, (1 + interval) / 2]
    rows = []
    for test in tests:
        paid = test.channel in fit.data.paid_channels
        answer = roi if paid else incremental_sales
        of = _flat(answer(fit, allow_unconverged=True).sel({CHANNEL: test.channel}))
        modelled = _flat(fit.posterior["modelled_lift"].sel(lift_test=test.label))
        weights, khat = smoothed(0.5 * ((test.lift - modelled) / test.se) ** 2)
        expected = float(weights @ modelled)
        spread = float(np.sqrt(weights @ (modelled - expected) ** 2))
        z = (test.lift - expected) / np.hypot(spread, test.se)
        known = khat <= MAX_KHAT
        with_test = np.quantile(of, ends)
        without = _weighted_quantiles(of, weights, ends)
        verdict = "disagree" if abs(z) > APART else "agree"
        rows.append(
            {
                "test": test.label,
                "channel": test.channel,
                "of": "roi" if paid else "incremental_sales",
                "lift": test.lift,
                "se": test.se,
                "modelled": modelled.mean(),
                "modelled_sd": modelled.std(),
                "expected": expected if known else np.nan,
                "expected_sd": spread if known else np.nan,
                "z": z if known else np.nan,
                **dict(zip(("low with", "with", "high with"), with_test, strict=True)),
                **dict(
                    zip(
                        ("low without", "without", "high without"),
                        without if known else [np.nan] * 3,
                        strict=True,
                    )
                ),
                "khat": khat,
                "verdict": verdict if known else "refit to see",
            }
        )
    return pd.DataFrame(rows).set_index("test")


def _flat(array: xr.DataArray) -> np.ndarray:
    return np.asarray(array.transpose(*SAMPLE).to_numpy().ravel())


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray, at: list[float]) -> np.ndarray:
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) - 0.5 * weights[order]
    return np.asarray(np.interp(at, reached, values[order]))
