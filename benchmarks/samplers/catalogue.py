"""The suite: what is sampled, what counts, what is shown, and what is known of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers import simulated

Truth = dict[str, Any]
COMPARABLE = "posterior"  # the kind of truth that posterior means must come to


@dataclass(frozen=True)
class Posterior:
    """One member of the suite.

    Attributes
    ----------
    about
        What it is, in a sentence.
    free
        The variables over which the worst figures are taken: all that are sampled.
    shown
        The variables whose means are shown, up to `most` numbers.
    files
        What it needs of the folder of real data.
    known
        Returns what is known of the answer, given the folder of references.
    """

    about: str
    free: tuple[str, ...]
    shown: tuple[str, ...]
    files: tuple[str, ...] = ()
    known: Callable[[Path | None], Truth] | None = None
    most: int = 12

    def truth(self, reference: Path | None) -> Truth:
        """Return ``kind``, ``source``, and by parameter ``mean`` and where known ``sd``; or {}."""
        return self.known(reference) if self.known is not None else {}


def _labelled(name: str, mean: Any, sd: Any = None) -> dict[str, dict[str, float]]:
    means = np.asarray(mean, float)
    if not means.shape:
        return {name: {"mean": float(means)} | ({} if sd is None else {"sd": float(sd)})}
    sds = None if sd is None else np.asarray(sd, float)
    return {
        f"{name}[{', '.join(map(str, i))}]": {"mean": float(means[i])}
        | ({} if sds is None else {"sd": float(sds[i])})
        for i in np.ndindex(*means.shape)
    }


def _normal(reference: Path | None, size: int) -> Truth:
    truth = simulated.correlated_normal(size)
    values = _labelled("x", truth.mean[:12], truth.sd[:12])
    return {"kind": COMPARABLE, "source": "the distribution itself", "values": values}


def _funnel(reference: Path | None) -> Truth:
    zeros = np.zeros(simulated.FUNNEL_SIZE)
    values = _labelled("v", 0.0, simulated.FUNNEL_SD) | _labelled("z", zeros, zeros + 1.0)
    return {"kind": COMPARABLE, "source": "the distribution itself", "values": values}


def _schools(reference: Path | None) -> Truth:
    theta = [6.151, 4.940, 3.906, 4.796, 3.614, 4.051, 6.317, 4.884]
    spread = [5.616, 4.646, 5.281, 4.771, 4.615, 4.796, 5.003, 5.317]
    values = _labelled("mu", 4.411, 3.309) | _labelled("tau", 3.602, 3.198)
    source = "10,000 reference draws of posteriordb"
    return {
        "kind": COMPARABLE,
        "source": source,
        "values": values | _labelled("theta", theta, spread),
    }


def _logistic(reference: Path | None, groups: int) -> Truth:
    made = simulated.grouped_outcomes(groups)
    values = _labelled("mu", made.mean) | _labelled("tau", made.sd)
    values |= _labelled("beta", made.slopes) | _labelled("z", made.offsets[:7])
    return {"kind": "simulated", "source": "what the data were drawn with", "values": values}


def _bgnbd(reference: Path | None) -> Truth:
    published = {"r": 0.2426, "alpha": 4.4135, "a": 0.7929, "b": 2.4257}
    values = {name: {"mean": value} for name, value in published.items()}
    source = "maximum likelihood, Fader, Hardie & Lee (2005)"
    return {"kind": "maximum likelihood", "source": source, "values": values}


def _meridian(reference: Path | None, file: str, least: float) -> Truth:
    path = None if reference is None else reference / "meridian" / file
    if path is None or not path.is_file():
        return {}
    values: dict[str, dict[str, float]] = {}
    for name, entry in json.loads(path.read_text(encoding="utf-8")).items():
        enough = np.asarray(entry["ess_bulk"]) > least
        labelled = _labelled(name, entry["mean"], entry["sd"])
        flags = np.broadcast_to(enough, np.shape(entry["mean"])).ravel()
        values |= {k: v for (k, v), good in zip(labelled.items(), flags, strict=True) if good}
    return {"kind": COMPARABLE, "source": "runs of Meridian 2.1", "values": values}


_MEDIA = ("knot_values", "sigma", "tau_g_excl_baseline", "roi_m", "alpha_m", "ec_m", "eta_m")
_DEVIATIONS = ("beta_gm_dev", "gamma_c", "xi_c")
_SHOWN = ("roi_m", "sigma", "knot_values", "gamma_c", "eta_m")
_GEO_MEDIA = Posterior(
    "Meridian's default geo model with one knot on its panel of 20 regions, 156 weeks, 4 channels",
    (*_MEDIA, *_DEVIATIONS, "gamma_gc_dev"),
    _SHOWN,
    ("meridian_simulated/geo_media.csv",),
    partial(_meridian, file="geo_media_posterior.json", least=400.0),
)
_BGNBD = Posterior(
    "BG/NBD on 2,357 customers of CDNOW, one term for each customer",
    ("r", "alpha", "phi", "kappa"),
    ("r", "alpha", "a", "b", "phi", "kappa"),
    ("cdnow/cdnow_customers_summary.csv",),
    _bgnbd,
)
POSTERIORS = {
    "geo_media": _GEO_MEDIA,
    "geo_media_centred": Posterior(
        f"{_GEO_MEDIA.about}, effects of controls by region written centred",
        (*_MEDIA, *_DEVIATIONS, "gamma_gc"),
        _SHOWN,
        _GEO_MEDIA.files,
        _GEO_MEDIA.known,
    ),
    "geo_all_channels": Posterior(
        "the same model on the panel of 40 regions, 156 weeks, 5 paid channels, one organic and a "
        "promotion, with Meridian's priors on their contributions",
        (
            *_MEDIA,
            *_DEVIATIONS,
            "gamma_gc_dev",
            *("contribution_om", "alpha_om", "ec_om", "eta_om", "beta_gom_dev"),
            *("contribution_n", "xi_n", "gamma_gn_dev"),
        ),
        ("roi_m", "contribution_om", "contribution_n", "sigma", "eta_m"),
        ("meridian_simulated/geo_all_channels.csv",),
        partial(_meridian, file="geo_all_channels_posterior.json", least=400.0),
    ),
    "bgnbd": _BGNBD,
    "logistic": Posterior(
        "logistic regression on 20,000 outcomes in 1,000 groups, intercepts non-centred",
        ("mu", "tau", "z", "beta"),
        ("mu", "tau", "beta", "z"),
        known=partial(_logistic, groups=1000),
    ),
    "eight_schools": Posterior(
        "the eight schools, non-centred", ("mu", "tau", "z"), ("mu", "tau", "theta"), known=_schools
    ),
    "normal": Posterior(
        "a normal distribution in 1,000 dimensions: AR(1) correlation of 0.9 in a random order, "
        "with random signs, standard deviations log-uniform from 0.1 to 10",
        ("x",),
        ("x",),
        known=partial(_normal, size=1000),
    ),
    "normal_100": Posterior(
        "the same normal distribution in 100 dimensions",
        ("x",),
        ("x",),
        known=partial(_normal, size=100),
    ),
    "funnel": Posterior(
        "Neal's funnel in 10 dimensions, non-centred", ("v", "z"), ("v", "z"), known=_funnel
    ),
}
SUITE = (
    "geo_media",
    "geo_all_channels",
    "bgnbd",
    "logistic",
    "eight_schools",
    "normal",
    "funnel",
)
QUICK = ("eight_schools", "funnel", "normal_100")
