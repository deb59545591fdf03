"""Histories for the tests of customers, and a brute-force counterpart of the likelihoods."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy import integrate, special, stats

import bayes_mkt as bm

Array = np.ndarray

HYPER: dict[str, dict[str, float]] = {
    "BGNBD": {"r": 0.7, "alpha": 20.0, "a": 0.8, "b": 2.5},
    "MBGNBD": {"r": 0.7, "alpha": 20.0, "a": 0.8, "b": 2.5},
    "ParetoNBD": {"r": 0.7, "alpha": 20.0, "s": 0.6, "beta": 30.0},
}
SPECS = {"BGNBD": bm.BGNBD, "MBGNBD": bm.MBGNBD, "ParetoNBD": bm.ParetoNBD}


def toy() -> pd.DataFrame:
    """A log of five customers in two markets; days from 2024-01-01."""
    rows = [
        ("ann", 0, 10.0, "de"),
        ("ann", 9, 5.0, "de"),
        ("ann", 9, 7.0, "de"),
        ("ann", 30, 6.0, "de"),
        ("bob", 3, 20.0, "de"),
        ("cat", 3, 8.0, "fr"),
        ("cat", 13, 9.0, "fr"),
        ("cat", 75, 11.0, "fr"),
        ("dan", 3, 4.0, "de"),
        ("eve", 80, 3.0, "fr"),
    ]
    frame = pd.DataFrame(rows, columns=["who", "day", "paid", "country"])
    frame["on"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame.pop("day"), unit="D")
    return frame


ROLES: dict[str, Any] = {
    "customer": "who", "date": "on", "amount": "paid", "market": "country",
}  # fmt: skip


def history(**changes: Any) -> bm.CustomerHistory:
    return bm.CustomerHistory.from_transactions(toy(), **{**ROLES, "end": "2024-02-29", **changes})


def fixed(spec: Any, data: bm.CustomerHistory, draws: int = 3, **hyper: float) -> bm.Fit:
    """A stand-in for a fit: the same hyperparameters in every draw, and a verdict that passes."""
    model = spec.build(data)
    profiles = len(np.unique(data.data["cell"]))
    shape = (2, draws, profiles)
    dim = model.named_vars_to_dims[next(iter(hyper))][0]
    values = {n: (("chain", "draw", dim), np.full(shape, v)) for n, v in hyper.items()}
    for rv in model.free_RVs:  # the graph is cut below them, but they have to be there
        value = np.ones((2, draws, *rv.shape.eval())) * 0.5
        values[rv.name] = (
            ("chain", "draw", *[f"{rv.name}_{i}" for i in range(value.ndim - 2)]),
            value,
        )
    posterior = xr.Dataset(values, coords={"chain": [0, 1], "draw": range(draws)})
    noise = np.random.default_rng(0).normal(size=(4, 400))
    sound = xr.Dataset({"x": (("chain", "draw"), noise)}, {"chain": range(4), "draw": range(400)})
    stats_group = xr.Dataset({"diverging": xr.zeros_like(sound["x"], dtype=bool)})
    verdict = bm.diagnose(
        xr.DataTree.from_dict({"/posterior": sound, "/sample_stats": stats_group})
    )
    tree = xr.DataTree.from_dict({"/posterior": posterior})
    tree.attrs = {"seed": 1}
    return bm.Fit(spec, data, tree, verdict)


def brute_likelihood(name: str, h: dict[str, float], x: int, t: float, age: float) -> float:
    """The likelihood of a history, by integrating over a customer's own rates.

    With lambda ~ Gamma(r, alpha): E[lambda^x e^(-lambda u)] = G(r+x)/G(r) alpha^r (alpha+u)^-(r+x).
    """

    def buys(u: float) -> float:
        r, alpha = h["r"], h["alpha"]
        return float(np.exp(special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha)
                            - (r + x) * np.log(alpha + u)))  # fmt: skip

    if name == "ParetoNBD":
        s, beta = h["s"], h["beta"]
        lives = (beta / (beta + age)) ** s
        ends = integrate.quad(
            lambda v: buys(v) * s * beta**s * (beta + v) ** -(s + 1), t, age, epsrel=1e-11
        )[0]
        return buys(age) * lives + float(ends)
    p = stats.beta(h["a"], h["b"])
    chances = x + 1 if name == "MBGNBD" else x
    stays = p.expect(lambda q: (1 - q) ** chances)
    left = p.expect(lambda q: q * (1 - q) ** (chances - 1)) if chances else 0.0
    return buys(age) * float(stays) + buys(t) * float(left)
