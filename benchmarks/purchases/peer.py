# /// script
# requires-python = ">=3.12,<3.14"
# dependencies = [
#     "pymc-marketing==1.3.0",
#     "nutpie==0.16.11",
# ]
# ///
"""BG/NBD by pymc-marketing with nutpie: reads histories, prints seconds, ESS and forecasts."""

from __future__ import annotations

import inspect
import json
import sys
import time


def main(path: str, out: str, draws: int, seed: int, horizon: float) -> None:
    """Fit the histories in a CSV file; with a horizon, forecast each customer too."""
    import arviz as az
    import numpy as np
    import pandas as pd
    from pymc_marketing.clv import BetaGeoModel

    frame = pd.read_csv(path)
    begun = time.perf_counter()
    early = "data" in inspect.signature(BetaGeoModel.__init__).parameters
    model = BetaGeoModel(data=frame) if early else BetaGeoModel()
    options = {} if early else {"data": frame}
    model.fit(
        **options, draws=draws, tune=draws, chains=4, nuts_sampler="nutpie", random_seed=seed,
        progressbar=False,
    )  # fmt: skip
    found = {"seconds": time.perf_counter() - begun}
    ess = az.ess(model.idata, var_names=["r", "alpha", "a", "b"])
    ess = ess.to_dataset() if hasattr(ess, "to_dataset") else ess
    found["min_ess"] = float(min(float(ess[name]) for name in ("r", "alpha", "a", "b")))
    if horizon > 0:
        said = model.expected_purchases(data=frame, future_t=horizon)
        dims = [d for d in said.dims if d in ("chain", "draw")]
        values = said.stack(sample=dims).transpose("sample", ...).to_numpy()
        np.save(out + ".npy", values[:: max(len(values) // 400, 1)].astype(np.float32))
    with open(out, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
