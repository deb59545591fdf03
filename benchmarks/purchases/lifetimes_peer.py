# /// script
# requires-python = ">=3.10,<3.12"
# dependencies = [
#     "lifetimes==0.11.3",
#     "pandas<2",
#     "numpy<1.25",
#     "scipy<1.12",
# ]
# ///
"""BG/NBD at its maximum by lifetimes: reads histories, writes each customer's forecast."""

from __future__ import annotations

import sys


def main(path: str, out: str, horizon: float) -> None:
    """Fit the histories in a CSV file and forecast purchases within the horizon."""
    import numpy as np
    import pandas as pd
    from lifetimes import BetaGeoFitter

    frame = pd.read_csv(path)
    model = BetaGeoFitter().fit(frame["frequency"], frame["recency"], frame["T"])
    said = model.conditional_expected_number_of_purchases_up_to_time(
        horizon, frame["frequency"], frame["recency"], frame["T"]
    )
    np.save(out, np.asarray(said, dtype=float)[None, :])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
