"""When customers buy and when they leave: BG/NBD, MBG/NBD, Pareto/NBD, pooled over markets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from numpy.typing import NDArray

from bayes_mkt.customers.condense import check_condense, condensed_once, counted_rows, evaluator
from bayes_mkt.customers.futures import BetaFuture, Future, RateFuture
from bayes_mkt.customers.gammas import log_rising
from bayes_mkt.customers.history import DAYS, CustomerHistory
from bayes_mkt.customers.pooling import (
    COVARIATE_EFFECT,
    MARKET_SD,
    by_profile,
    profile_dim,
)
from bayes_mkt.customers.states import Rows, purchase_rows
from bayes_mkt.priors import Prior, checked_priors
from bayes_mkt.specs import remade

__all__ = ["BGNBD", "MBGNBD", "ParetoNBD", "PurchaseModel"]

# A PyTensor variable; PyTensor's own types are too partial to help.
Tensor = Any
Array = NDArray[Any]

NODES: Final = 32
NEVER: Final = -1e6  # log-odds of what can't be

_PURCHASES: Final = {
    "purchase_rate": Prior("LogNormal", mu=float(np.log(4.0)), sigma=1.5),
    "purchase_shape": Prior("LogNormal", mu=0.0, sigma=1.0),
    "purchase_market_sd": MARKET_SD,
}
_BETA_DROPOUT: Final = {
    "dropout": Prior("Beta", alpha=1.0, beta=2.0),
    "dropout_concentration": Prior("LogNormal", mu=1.0, sigma=1.5),
}
_RATE_DROPOUT: Final = {
    "dropout_rate": Prior("LogNormal", mu=0.0, sigma=1.5),
    "dropout_shape": Prior("LogNormal", mu=0.0, sigma=1.0),
}


@dataclass(frozen=True)
class PurchaseModel(ABC):
    """A model of purchases: what `Lifetime` needs of it.

    Parameters
    ----------
    priors
        Replacements of default priors, by variable name.
    condense
        None fits every distinct history. A number is how far, in nats, the log-likelihood of a
        market may be off where its posterior lies, for histories too many to pass over thousands
        of times: then few weighted ones stand for all; see `condense.condensed`.
        `condensing_error` measures what it did to a fit.
    """

    priors: Mapping[str, Prior] = field(default_factory=dict, hash=False)
    condense: float | None = None

    # Names of the hyperparameters in the literature, of their population-level variables, which of
    # those are probabilities, and which of those covariates move.
    parameters: ClassVar[tuple[str, ...]]
    defaults: ClassVar[Mapping[str, Prior]]
    probabilities: ClassVar[tuple[str, ...]] = ()
    moved: ClassVar[tuple[str, ...]]
    on_demand: ClassVar[frozenset[str]] = frozenset({"p_alive", "purchase_log_likelihood"})

    def __post_init__(self) -> None:
        known = {**self.defaults, **self._effects()}
        object.__setattr__(self, "priors", checked_priors(self.priors, known, self.probabilities))
        check_condense(self.condense)

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        return remade(self)

    def build(self, history: CustomerHistory) -> pm.Model:
        """Return the PyMC model of `history`, to read, extend or sample."""
        with pm.Model(coords=self.coords(history)) as model:
            self.add(history)
        return model

    def coords(self, history: CustomerHistory) -> dict[str, Any]:
        """Return the coordinates of the model's dimensions."""
        names = list(self._population_names())
        return {
            profile_dim(history): profile_names(history),
            "market": list(history.markets),
            "purchase_parameter": names,
            "purchase_parameter_bis": names,
        }

    def add(self, history: CustomerHistory) -> None:
        """Add variables, likelihood and P(alive) to the model in context.

        The likelihood is summed over unique histories times the customers who share them; terms
        that depend on the count alone are summed over unique counts.
        """
        dim = profile_dim(history)
        values = {}
        for name in self._population_names():
            variable = self._prior(name).variable(name)
            values[name] = pt.log(variable)
            if name in self.probabilities:
                values[name] = pt.log(variable) - pt.log1p(-variable)
        effects = {name: self._prior(f"{name}_effect") for name in self.moved}
        theta = by_profile("purchase", values, history, self._prior("purchase_market_sd"), effects)
        year = 365.25 / DAYS[history.unit]
        hyper = {
            name: pm.Deterministic(name, value, dims=dim)
            for name, value in self.hyperparameters(theta, year).items()
        }
        rows = purchase_rows(history)
        fates = self._fates(hyper, rows, "")
        if self.condense is None:
            counts, fitted = purchase_rows(history, ("frequency",)), rows
        else:
            known = (evaluator(self), self.start(history), self.condense)
            fitted, error = condensed_once(history, type(self), rows, *known)
            counts = counted_rows(fitted)
            pm.Data("condensing_error", error)
        pm.Deterministic("p_alive", pm.math.sigmoid(-fates[1]))
        alive, gone = fates if fitted is rows else self._fates(hyper, fitted, "fitted_")
        count = pm.Data("count", counts.columns["frequency"])
        count_profile = pm.Data("count_profile", counts.profile)
        common = self.count_terms({k: v[count_profile] for k, v in hyper.items()}, count)
        total = pt.dot(pm.Data("count_weight", counts.weight), common) + pt.dot(
            pm.Data("purchase_weight", fitted.weight), alive + pt.softplus(gone)
        )
        pm.Deterministic("purchase_log_likelihood", total)
        pm.Potential("purchases", total)

    def _fates(self, hyper: Mapping[str, Tensor], rows: Rows, head: str) -> tuple[Tensor, Tensor]:
        """Return `fates` of rows, which become data of the model in context."""
        x, seen, age = (
            pm.Data(f"{head}{name}", rows.columns[name]) for name in ("frequency", "recency", "age")
        )
        profile = pm.Data(f"{head or 'purchase_'}profile", rows.profile)
        return self.fates({k: v[profile] for k, v in hyper.items()}, x, seen, age)

    def start(self, history: CustomerHistory) -> Array:
        """Return logs of hyperparameters that are not far off: r 0.7 and the data's own rate."""
        data = history.data
        weight, age = data["weight"].to_numpy(), history.per_unit(data["age"].to_numpy())
        bought = float((weight * data["frequency"].to_numpy()).sum()) + 0.5
        lived = float((weight * age).sum()) + 1.0
        return np.log([0.7, 0.7 * lived / bought, *self.leaving(lived / float(weight.sum()))])

    @abstractmethod
    def leaving(self, age: float) -> tuple[float, float]:
        """Return plausible hyperparameters of leaving, given the mean age."""

    @abstractmethod
    def hyperparameters(self, theta: Mapping[str, Tensor], year: float) -> dict[str, Tensor]:
        """Return the literature's parameters; `year` is a year in the history's unit."""

    @abstractmethod
    def count_terms(self, at: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return the part of the log-likelihood that depends on the count alone."""

    @abstractmethod
    def fates(
        self, at: Mapping[str, Tensor], x: Tensor, seen: Tensor, age: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the rest of the log-likelihood of who is alive, and the log-odds of being gone."""

    @abstractmethod
    def future(self, at: Mapping[str, Array], x: Array, age: Array) -> Future:
        """Return what is known of the future of who is alive, given hyperparameters (NumPy)."""

    @abstractmethod
    def newcomer(self, at: Mapping[str, Array]) -> tuple[Array, Future]:
        """Return P(alive) and the future just after a first purchase (NumPy)."""

    def _population_names(self) -> tuple[str, ...]:
        return tuple(name for name in self.defaults if not name.endswith("_market_sd"))

    def _effects(self) -> dict[str, Prior]:
        return {f"{name}_effect": COVARIATE_EFFECT for name in self.moved}

    def _prior(self, name: str) -> Prior:
        return self.priors.get(name, {**self.defaults, **self._effects()}[name])


@dataclass(frozen=True)
class BGNBD(PurchaseModel):
    r"""BG/NBD: Poisson purchases; after each, a customer may leave.

    While active a customer buys at rate lambda ~ Gamma(r, alpha), and leaves after a purchase with
    probability p ~ Beta(a, b). With x repeat purchases, the last at t_x, seen until T:

        log L = lnG(r+x) - lnG(r) + lnB(a, b+x) - lnB(a, b) + r ln alpha
                + ln[(alpha+T)^-(r+x) + 1{x>0} a/(b+x-1) (alpha+t_x)^-(r+x)].

    A market has theta = (ln purchase_rate, ln purchase_shape, logit dropout,
    ln dropout_concentration), with r = purchase_shape, alpha = r / purchase_rate,
    a = dropout kappa, b = (1 - dropout) kappa, kappa = dropout_concentration. Markets are pooled as
    `customers.pooling.by_profile` says. Priors are on the population's values: purchases a *year*
    of the mean customer, and the mean probability to leave after one; so they don't depend on the
    unit of time.

    Parameters
    ----------
    priors
        Replacements, by variable: `purchase_rate` LN(ln 4, 1.5) a year, `purchase_shape` LN(0, 1),
        `dropout` Beta(1, 2), `dropout_concentration` LN(1, 1.5), `purchase_market_sd` N+(0.5);
        with covariates `purchase_rate_effect` and `dropout_effect` N(0, 0.5).

    References
    ----------
    Fader, Hardie, Lee (2005), "Counting your customers" the easy way, Marketing Science 24.

    Examples
    --------
    >>> BGNBD(priors={"dropout": Prior("Beta", alpha=1.0, beta=1.0)}).parameters
    ('r', 'alpha', 'a', 'b')
    """

    parameters: ClassVar[tuple[str, ...]] = ("r", "alpha", "a", "b")
    defaults: ClassVar[Mapping[str, Prior]] = MappingProxyType({**_PURCHASES, **_BETA_DROPOUT})
    probabilities: ClassVar[tuple[str, ...]] = ("dropout",)
    moved: ClassVar[tuple[str, ...]] = ("purchase_rate", "dropout")

    def leaving(self, age: float) -> tuple[float, float]:
        """Return a and b."""
        return 0.6, 2.4

    def hyperparameters(self, theta: Mapping[str, Tensor], year: float) -> dict[str, Tensor]:
        """Return r, alpha, a, b; alpha in the history's unit of time."""
        r, kappa = pt.exp(theta["purchase_shape"]), pt.exp(theta["dropout_concentration"])
        alpha = r * year * pt.exp(-theta["purchase_rate"])
        stays = pm.math.sigmoid(-theta["dropout"])
        return {"r": r, "alpha": alpha, "a": (1 - stays) * kappa, "b": stays * kappa}

    def count_terms(self, at: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return lnG(r+x) - lnG(r) - x ln alpha + lnB(a, b+x) - lnB(a, b)."""
        return _nbd(at, x) + _stays(at, x)

    def fates(
        self, at: Mapping[str, Tensor], x: Tensor, seen: Tensor, age: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return -(r+x) ln(1+T/alpha), and the log-odds of having left after the last purchase."""
        again = pt.maximum(x, 1.0)
        now, last = pt.log1p(age / at["alpha"]), pt.log1p(seen / at["alpha"])
        gone = pt.log(at["a"]) - pt.log(at["b"] + again - 1) + (at["r"] + x) * (now - last)
        return -(at["r"] + x) * now, pt.switch(x > 0, gone, NEVER)

    def future(self, at: Mapping[str, Array], x: Array, age: Array) -> Future:
        """Return lambda ~ Gamma(r+x, alpha+T), p ~ Beta(a, b+x)."""
        return BetaFuture(at["r"] + x, at["alpha"] + age, at["a"], at["b"] + x)

    def newcomer(self, at: Mapping[str, Array]) -> tuple[Array, Future]:
        """Return 1, and lambda ~ Gamma(r, alpha), p ~ Beta(a, b)."""
        zero = np.zeros(())
        return np.ones_like(at["r"]), self.future(at, zero, zero)


@dataclass(frozen=True)
class MBGNBD(BGNBD):
    r"""MBG/NBD: as BG/NBD, but customers may leave after their very first purchase too.

        log L = lnG(r+x) - lnG(r) + lnB(a, b+x+1) - lnB(a, b) + r ln alpha
                + ln[(alpha+T)^-(r+x) + a/(b+x) (alpha+t_x)^-(r+x)].

    Parameters and priors are those of `BGNBD`. Unlike there, who bought once need not be alive.

    References
    ----------
    Batislam, Denizel, Filiztekin (2007), Empirical validation and comparison of models for customer
    base analysis, International Journal of Research in Marketing 24.
    """

    def count_terms(self, at: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return lnG(r+x) - lnG(r) - x ln alpha + lnB(a, b+x+1) - lnB(a, b)."""
        return _nbd(at, x) + _stays(at, x + 1)

    def fates(
        self, at: Mapping[str, Tensor], x: Tensor, seen: Tensor, age: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return -(r+x) ln(1+T/alpha), and the log-odds of having left after the last purchase."""
        now, last = pt.log1p(age / at["alpha"]), pt.log1p(seen / at["alpha"])
        gone = pt.log(at["a"]) - pt.log(at["b"] + x) + (at["r"] + x) * (now - last)
        return -(at["r"] + x) * now, gone

    def future(self, at: Mapping[str, Array], x: Array, age: Array) -> Future:
        """Return lambda ~ Gamma(r+x, alpha+T), p ~ Beta(a, b+x+1)."""
        return BetaFuture(at["r"] + x, at["alpha"] + age, at["a"], at["b"] + x + 1)

    def newcomer(self, at: Mapping[str, Array]) -> tuple[Array, Future]:
        """Return b / (a+b), and lambda ~ Gamma(r, alpha), p ~ Beta(a, b+1)."""
        zero = np.zeros(())
        return at["b"] / (at["a"] + at["b"]), self.future(at, zero, zero)


@dataclass(frozen=True)
class ParetoNBD(PurchaseModel):
    r"""Pareto/NBD: Poisson purchases until an unseen, exponential end of the relation.

    lambda ~ Gamma(r, alpha) as in BG/NBD; a customer leaves at rate mu ~ Gamma(s, beta):

        L = G(r+x) alpha^r beta^s / G(r) { (alpha+T)^-(r+x) (beta+T)^-s + s I },
        I = INT_{t_x}^{T} (alpha+v)^-(r+x) (beta+v)^-(s+1) dv.

    With k = r+x+s and u = ((alpha+v) / (alpha+t_x))^-k the integral is that of a smooth, bounded
    function, by Gauss-Legendre with 32 nodes:

        I = (alpha+t_x)^-k / k  INT_U^1 ((alpha+v) / (beta+v))^(s+1) du,
        U = ((alpha+T) / (alpha+t_x))^-k,    v = (alpha+t_x) u^(-1/k) - alpha.

    A market has theta = (ln purchase_rate, ln purchase_shape, ln dropout_rate, ln dropout_shape),
    with r = purchase_shape, alpha = r / purchase_rate, s = dropout_shape, beta = s / dropout_rate;
    both rates a year.

    Parameters
    ----------
    priors
        Replacements, by variable: `purchase_rate` LN(ln 4, 1.5), `purchase_shape` LN(0, 1),
        `dropout_rate` LN(0, 1.5), `dropout_shape` LN(0, 1), `purchase_market_sd` N+(0.5); with
        covariates `purchase_rate_effect` and `dropout_rate_effect` N(0, 0.5).

    References
    ----------
    Schmittlein, Morrison, Colombo (1987), Counting your customers: who are they and what will they
    do next?, Management Science 33. Fader, Hardie (2005), A note on deriving the Pareto/NBD model.
    """

    parameters: ClassVar[tuple[str, ...]] = ("r", "alpha", "s", "beta")
    defaults: ClassVar[Mapping[str, Prior]] = MappingProxyType({**_PURCHASES, **_RATE_DROPOUT})
    moved: ClassVar[tuple[str, ...]] = ("purchase_rate", "dropout_rate")

    def leaving(self, age: float) -> tuple[float, float]:
        """Return s and beta."""
        return 0.6, age

    def hyperparameters(self, theta: Mapping[str, Tensor], year: float) -> dict[str, Tensor]:
        """Return r, alpha, s, beta; alpha and beta in the history's unit of time."""
        r, s = pt.exp(theta["purchase_shape"]), pt.exp(theta["dropout_shape"])
        alpha = r * year * pt.exp(-theta["purchase_rate"])
        return {"r": r, "alpha": alpha, "s": s, "beta": s * year * pt.exp(-theta["dropout_rate"])}

    def count_terms(self, at: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Return lnG(r+x) - lnG(r) - x ln alpha."""
        return _nbd(at, x)

    def fates(
        self, at: Mapping[str, Tensor], x: Tensor, seen: Tensor, age: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return -(r+x) ln(1+T/alpha) - s ln(1+T/beta), and the log-odds of being gone."""
        r, alpha, s, beta = (at[name] for name in self.parameters)
        alive = -(r + x) * pt.log1p(age / alpha) - s * pt.log1p(age / beta)
        k, start = r + x + s, alpha + seen
        # Who bought on the last day can't be gone; a day more keeps the unused branch finite.
        stretch = pt.log1p(pt.switch(age > seen, age - seen, 1.0) / start)
        width = -pt.expm1(-k * stretch)
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        u = 1.0 - width[:, None] * (0.5 - 0.5 * nodes)
        v = seen[:, None] + start[:, None] * pt.expm1(-pt.log(u) / k[:, None])
        ratio = pt.log1p(v / alpha[:, None]) - pt.log1p(v / beta[:, None])
        inside = pt.logsumexp((s[:, None] + 1.0) * ratio + np.log(0.5 * weights), axis=1)
        # Powers of alpha and beta are taken out of both, so that large ones don't cancel.
        integral = pt.log(alpha / beta) - k * pt.log1p(seen / alpha) + pt.log(width / k) + inside
        return alive, pt.switch(age > seen, pt.log(s) + integral - alive, NEVER)

    def future(self, at: Mapping[str, Array], x: Array, age: Array) -> Future:
        """Return lambda ~ Gamma(r+x, alpha+T), mu ~ Gamma(s, beta+T)."""
        return RateFuture(at["r"] + x, at["alpha"] + age, at["s"], at["beta"] + age)

    def newcomer(self, at: Mapping[str, Array]) -> tuple[Array, Future]:
        """Return 1, and lambda ~ Gamma(r, alpha), mu ~ Gamma(s, beta)."""
        zero = np.zeros(())
        return np.ones_like(at["r"]), self.future(at, zero, zero)


def profile_names(history: CustomerHistory) -> list[str]:
    """Return the names of markets, or of profiles such as ``"de, web"``."""
    data = history.data
    columns = ["cell_market", *(f"covariate_{name}" for name in history.covariates)]
    rows = zip(*(data[name].to_numpy().astype(str) for name in columns), strict=True)
    return [", ".join(row) for row in rows]


def _nbd(at: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Return lnG(r+x) - lnG(r) - x ln alpha."""
    return log_rising(at["r"], x) - x * pt.log(at["alpha"])


def _stays(at: Mapping[str, Tensor], n: Tensor) -> Tensor:
    """Return lnB(a, b+n) - lnB(a, b): of n chances to leave, none was taken."""
    return log_rising(at["b"], n) - log_rising(at["a"] + at["b"], n)
