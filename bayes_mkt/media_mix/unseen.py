"""How strong a cause that nobody measured must be to take an effect away."""

from __future__ import annotations

import numpy as np


def robustness(t: float, freedom: int) -> float:
    """Return the robustness value of a coefficient (Cinelli & Hazlett 2020, eq. 20, q = 1).

        RV = (sqrt(f^4 + 4 f^2) - f^2) / 2,    f = |t| / sqrt(degrees of freedom).

    Examples
    --------
    >>> round(robustness(4.18, 783), 3)
    0.139
    """
    f = abs(t) / np.sqrt(freedom)
    return float(0.5 * (np.sqrt(f**4 + 4 * f**2) - f**2))
