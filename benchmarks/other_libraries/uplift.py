# /// script
# requires-python = ">=3.12,<3.13"
# dependencies = ["causalml==0.18.0", "econml==0.17.0", "lightgbm==4.6.0"]
# ///
"""Uplift by causalml's and EconML's learners; the lines above are their environment.

Reads a folder with `in.npz`: x (customer, feature), arm (customer,) with 0 the control, y, and
train (split, customer), whether a customer is in the training half. Leaves `out.npz`: for each
learner the scores (split, arm, customer) of all customers, each arm learned against the control.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from causalml.inference.meta import BaseTRegressor, BaseXRegressor
from econml.dml import CausalForestDML
from econml.dr import DRLearner, LinearDRLearner
from lightgbm import LGBMRegressor
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression


def trees() -> Any:
    return LGBMRegressor(
        n_estimators=100, num_leaves=8, learning_rate=0.05, min_child_samples=200,
        n_jobs=1, random_state=1, verbose=-1,
    )  # fmt: skip


def causalml(learner: Any, x: Any, t: Any, y: Any, everyone: Any) -> Any:
    share = np.full(len(t), t.mean())
    options = {"p": share} if isinstance(learner, BaseXRegressor) else {}
    learner.fit(X=x, treatment=t, y=y, **options)
    options = {"p": np.full(len(everyone), t.mean())} if options else {}
    return np.asarray(learner.predict(everyone, **options)).ravel()


def econml(learner: Any, x: Any, t: Any, y: Any, everyone: Any) -> Any:
    learner.fit(y, t, X=x)
    return np.asarray(learner.effect(everyone)).ravel()


LEARNERS = {
    "causalml X-learner, LightGBM": lambda: (causalml, BaseXRegressor(learner=trees())),
    "causalml T-learner, LightGBM": lambda: (causalml, BaseTRegressor(learner=trees())),
    "causalml X-learner, linear": lambda: (causalml, BaseXRegressor(learner=LinearRegression())),
    "EconML causal forest": lambda: (
        econml,
        CausalForestDML(
            model_y=trees(), model_t=DummyClassifier(), discrete_treatment=True, n_estimators=400,
            min_samples_leaf=100, max_depth=6, cv=3, n_jobs=2, random_state=1,
        ),
    ),
    "EconML doubly robust, LightGBM": lambda: (
        econml,
        DRLearner(
            model_propensity=DummyClassifier(), model_regression=trees(), model_final=trees(),
            cv=3, random_state=1,
        ),
    ),
    "EconML doubly robust, linear": lambda: (
        econml,
        LinearDRLearner(
            model_propensity=DummyClassifier(), model_regression=trees(), cv=3, random_state=1
        ),
    ),
}  # fmt: skip


def main(folder: Path) -> None:
    with np.load(folder / "in.npz") as given:
        x, arm, y, train = (given[name] for name in ("x", "arm", "y", "train"))
    arms = int(arm.max())
    scores = {name: np.zeros((len(train), arms, len(y)), dtype=np.float32) for name in LEARNERS}
    for s, inside in enumerate(train):
        for a in range(1, arms + 1):
            rows = inside & ((arm == 0) | (arm == a))
            t = (arm[rows] == a).astype(int)
            for name, make in LEARNERS.items():
                use, learner = make()
                scores[name][s, a - 1] = use(learner, x[rows], t, y[rows], x)
    np.savez(folder / "out.npz", **scores)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
