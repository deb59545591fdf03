# /// script
# requires-python = ">=3.12,<3.13"
# dependencies = ["scikit-learn==1.6.1", "lightgbm==4.6.0"]
# ///
"""Probabilities by logistic regression and gradient boosting; the lines above are the environment.

Reads a folder with `in.npz`: for each case c, `c x train`, `c y train`, `c x test`; missing numbers
are NaN. Leaves `out.npz`: for each case and learner, `c learner`, the probabilities of the test
rows.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from lightgbm import LGBMClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegressionCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def logistic() -> Any:
    return make_pipeline(
        SimpleImputer(add_indicator=True),
        StandardScaler(),
        LogisticRegressionCV(Cs=8, cv=5, scoring="neg_log_loss", max_iter=500),
    )


def boosting() -> Any:
    return LGBMClassifier(
        n_estimators=150, num_leaves=15, learning_rate=0.05, min_child_samples=50, n_jobs=1,
        random_state=1, verbose=-1,
    )  # fmt: skip


LEARNERS = {"logistic regression": logistic, "LightGBM": boosting}


def main(folder: Path) -> None:
    with np.load(folder / "in.npz") as given:
        arrays = {name: given[name] for name in given.files}
    cases = [name.removesuffix(" x train") for name in arrays if name.endswith(" x train")]
    found = {}
    for case in cases:
        x, y, test = (arrays[f"{case} {part}"] for part in ("x train", "y train", "x test"))
        for name, make in LEARNERS.items():
            found[f"{case} {name}"] = make().fit(x, y).predict_proba(test)[:, 1]
    np.savez(folder / "out.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
