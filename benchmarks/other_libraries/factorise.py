# /// script
# requires-python = ">=3.12,<3.13"
# dependencies = ["implicit==0.7.3", "scipy==1.15.3"]
# ///
"""Recommendations by implicit's matrix factorisation; the lines above are its environment.

Reads a folder with `in.npz`: counts (customer, set); and `options.json`: k. Leaves `out.npz`: for
each learner the sets offered (customer, rank). What a customer bought before may be offered again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking
from implicit.nearest_neighbours import CosineRecommender
from scipy.sparse import csr_matrix


def main(folder: Path) -> None:
    k = json.loads((folder / "options.json").read_text())["k"]
    with np.load(folder / "in.npz") as given:
        counts = csr_matrix(np.log1p(given["counts"]))
    learners = {
        "implicit ALS": AlternatingLeastSquares(
            factors=32, regularization=0.1, alpha=5.0, iterations=20, random_state=1, num_threads=2
        ),
        "implicit BPR": BayesianPersonalizedRanking(
            factors=32, iterations=100, random_state=1, num_threads=1
        ),
        "implicit neighbours": CosineRecommender(K=50),
    }
    found = {}
    for name, learner in learners.items():
        learner.fit(counts, show_progress=False)
        found[name], _ = learner.recommend(
            np.arange(counts.shape[0]), counts, N=k, filter_already_liked_items=False
        )
    np.savez(folder / "out.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
