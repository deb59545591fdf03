# /// script
# requires-python = ">=3.12,<3.13"
# dependencies = [
#     "lifelines==0.30.3",
#     "scikit-survival==0.28.0",
#     "scikit-learn==1.9.1",
#     "numpy==2.5.5",
#     "scipy==1.18.1",
#     "pandas==2.3.3",
# ]
# ///
"""Survival of new customers by lifelines and scikit-survival; the lines above are the environment.

Reads a folder with `in.npz`: for each case c, `c x train` (customer, column), `c time train`,
`c event train`, `c x test`, `c times`; and `options.json`: learners, by name. Leaves `out.npz`: for
each case and learner, `c learner`, P(T > t) of the test rows (customer, time), and
`c learner seconds` of fit and forecast.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from lifelines import CoxPHFitter, WeibullAFTFitter
from lifelines.exceptions import ConvergenceError
from lifelines.utils import k_fold_cross_validation
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sksurv.ensemble import GradientBoostingSurvivalAnalysis, RandomSurvivalForest
from sksurv.linear_model import CoxnetSurvivalAnalysis
from sksurv.util import Surv

PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
FOLDS = 3


def lifelines(make: Any, x: Any, duration: Any, event: Any, test: Any, times: Any) -> np.ndarray:
    """Fit with the ridge penalty of the highest cross-validated log-likelihood."""
    mean, spread = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    frame = pd.DataFrame((x - mean) / spread).add_prefix("x").assign(time=duration, event=event)
    asked = pd.DataFrame((test - mean) / spread).add_prefix("x")
    score = []
    for penalty in PENALTIES:
        try:
            found = k_fold_cross_validation(
                make(penalizer=penalty), frame, "time", event_col="event", k=FOLDS,
                scoring_method="log_likelihood", seed=1,
            )  # fmt: skip
        except ConvergenceError:  # too little penalty for these columns
            found = [-np.inf]
        score.append(float(np.mean(found)))
    best = make(penalizer=PENALTIES[int(np.argmax(score))])
    best.fit(frame, "time", event_col="event")
    return np.asarray(best.predict_survival_function(asked, times=times)).T


def cox(*given: Any) -> np.ndarray:
    return lifelines(CoxPHFitter, *given)


def weibull(*given: Any) -> np.ndarray:
    return lifelines(WeibullAFTFitter, *given)


def sksurv(learner: Any, x: Any, duration: Any, event: Any, test: Any, times: Any) -> np.ndarray:
    """Fit a learner of scikit-survival, and look its steps up."""
    learner.fit(x, Surv.from_arrays(event.astype(bool), duration))
    curves = learner.predict_survival_function(test)
    steps = np.stack([np.concatenate([[1.0], each.y]) for each in curves])
    return steps[:, np.searchsorted(curves[0].x, times, side="right")]


def elastic_net(x: Any, duration: Any, event: Any, test: Any, times: Any) -> np.ndarray:
    mean, spread = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    x, test = (x - mean) / spread, (test - mean) / spread
    outcome = Surv.from_arrays(event.astype(bool), duration)
    path = CoxnetSurvivalAnalysis(l1_ratio=0.5, alpha_min_ratio=0.001).fit(x, outcome).alphas_
    search = GridSearchCV(
        CoxnetSurvivalAnalysis(l1_ratio=0.5, fit_baseline_model=True),
        {"alphas": [[alpha] for alpha in path[:: max(len(path) // 15, 1)]]},
        cv=KFold(FOLDS, shuffle=True, random_state=1),
    )
    search.fit(x, outcome)
    return sksurv(search.best_estimator_, x, duration, event, test, times)


def boosting(*given: Any) -> np.ndarray:
    learner = GradientBoostingSurvivalAnalysis(
        n_estimators=300, learning_rate=0.1, max_depth=3, subsample=0.5, min_samples_leaf=20,
        random_state=1,
    )  # fmt: skip
    return sksurv(learner, *given)


def forest(*given: Any) -> np.ndarray:
    learner = RandomSurvivalForest(
        n_estimators=200, min_samples_leaf=20, max_features=0.5, n_jobs=1, random_state=1
    )
    return sksurv(make_pipeline(StandardScaler(), learner), *given)


LEARNERS = {
    "lifelines, Cox": cox,
    "lifelines, Weibull": weibull,
    "scikit-survival, Cox elastic net": elastic_net,
    "scikit-survival, boosting": boosting,
    "scikit-survival, random forest": forest,
}


def main(folder: Path) -> None:
    with np.load(folder / "in.npz") as given:
        arrays = {name: given[name] for name in given.files}
    options: dict[str, Any] = json.loads((folder / "options.json").read_text())
    cases = [name.removesuffix(" x train") for name in arrays if name.endswith(" x train")]
    found = {}
    for case in cases:
        parts = ("x train", "time train", "event train", "x test", "times")
        own = [arrays[f"{case} {part}"] for part in parts]
        for name in options["learners"]:
            begun = time.perf_counter()
            found[f"{case} {name}"] = LEARNERS[name](*own)
            found[f"{case} {name} seconds"] = np.asarray(time.perf_counter() - begun)
    np.savez(folder / "out.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
