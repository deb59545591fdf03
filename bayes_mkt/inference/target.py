"""A PyMC model as JAX functions of parameters and data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import jax
import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import graph_inputs

from bayes_mkt.errors import SpecError
from bayes_mkt.inference.block import LinearModel
from bayes_mkt.inference.density import Density, Layout
from bayes_mkt.inference.groups import group_graphs
from bayes_mkt.inference.initial import initial_point
from bayes_mkt.inference.jaxify import UNTRACED, Compiled, function_of, functions_of, open_data
from bayes_mkt.inference.layout import flat_draws
from bayes_mkt.inference.linear import candidates, likelihood_of, linear_graphs
from bayes_mkt.inference.priors import quantile_medians
from bayes_mkt.inference.programs import compiling

Array = jax.Array
Parameters = Callable[[Array, Any], list[Array]]


@dataclass(frozen=True)
class Target:
    """The posterior of a PyMC model, up to a constant, on an unconstrained flat vector.

    Attributes
    ----------
    model
        The PyMC model; its graph is the only statement of the density.
    layout
        Names and shapes of the unconstrained variables in the vector.
    data
        Values of the model's `pm.Data`, by name, sorted; arguments of every compiled function.
    start
        The model's initial point, by value variable.
    memory
        What `constrain` and `linear` have made already, by what they were asked for.
    """

    model: pm.Model
    layout: Layout
    data: Mapping[str, np.ndarray]
    start: Mapping[str, np.ndarray]
    memory: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def log_density(self) -> Callable[[Array, tuple[Array, ...]], Array]:
        """Return ``(x, data) -> float``: log p(x, y) with the Jacobian of the transforms.

        `data` is a tuple in the order of `data`. Pure, and made when it is first asked for.
        """
        with pytensor.config.change_flags(**UNTRACED):
            data, graphs = open_data(self.model, [self.model.logp()])
        return _of_theta(function_of([*self.model.value_vars, *data], graphs), self.layout)

    @property
    def arguments(self) -> tuple[Array, ...]:
        """Return the data in the order in which the compiled functions take them."""
        return tuple(jax.device_put(value) for value in self.data.values())

    def with_data(self, values: Mapping[str, np.ndarray]) -> Target:
        """Return the same target with other data; equal shapes cost no compilation."""
        unknown = sorted(set(values) - set(self.data))
        if unknown:
            raise SpecError(f"The model has no data named {unknown}; it has {sorted(self.data)}.")
        # Copies: what is placed on a device may be the array itself, which its owner may change.
        own = {name: np.array(value) for name, value in values.items()}
        return replace(self, data={**self.data, **own})

    def density(self) -> Density:
        """Return what a sampler needs: the target itself, with nothing taken out."""
        start = self.layout.join(self.start)
        return Density(self.layout, self.log_density, self.arguments, start, None)

    def medians(self) -> dict[str, np.ndarray | None]:
        """Return prior medians of positive variables, None for bounded ones, by value variable.

        Only variables whose prior is better sampled through its quantiles are named.
        """
        return quantile_medians(self.model)

    def groups(self, layout: Layout) -> list[tuple[str, Parameters, tuple[str, ...], str]]:
        """Return the group effects among the variables of `layout`, in the order of dependence.

        Each has the name of its value variable; ``(x, data) -> [mean, SD, factor]``, each
        (entry,), with x the vector of `layout`; the names of the variables that its SD and factor
        depend on; and its kind; see `groups.GroupGraphs`.
        """
        shapes = dict(zip(self.layout.names, self.layout.shapes, strict=True))
        exclude = set(shapes) - set(layout.names)
        inside = [v for v in self.model.value_vars if v.name in set(layout.names)]
        found = []
        for group in group_graphs(self.model, exclude, shapes):
            graphs = [group.location, group.spread, group.factor]
            data, graphs = open_data(self.model, graphs)
            compiled = function_of([*inside, *data], graphs)
            parameters = _with_layout(compiled, layout)
            found.append((group.name, parameters, group.scales, group.kind))
        return found

    def linear(self, exclude: Collection[str] = ()) -> tuple[LinearModel, Layout, Layout] | None:
        """Return the candidates for a linear-Gaussian block, as JAX functions.

        Parameters
        ----------
        exclude
            Names of random variables that may not be in the block.

        Returns
        -------
        tuple or None
            The functions, the layout of the other variables, and that of the block; None if
            no variable is a candidate.
        """
        key = frozenset(exclude)
        if key not in self.memory:
            with pytensor.config.change_flags(**UNTRACED):
                self.memory[key] = self._linear(exclude)
        found: tuple[LinearModel, Layout, Layout] | None = self.memory[key]
        return found

    def _linear(self, exclude: Collection[str]) -> tuple[LinearModel, Layout, Layout] | None:
        likelihood = likelihood_of(self.model)
        block = candidates(self.model, likelihood, exclude) if likelihood is not None else []
        if likelihood is None or not block:
            return None
        shapes = dict(zip(self.layout.names, self.layout.shapes, strict=True))
        graphs = linear_graphs(self.model, likelihood, block, shapes)
        inside = [v for v in self.model.value_vars if v.name in graphs.block]
        outside = [v for v in self.model.value_vars if v.name not in graphs.block]
        theta = Layout(tuple(v.name for v in outside), tuple(shapes[v.name] for v in outside))
        beta = Layout(tuple(v.name for v in inside), tuple(shapes[v.name] for v in inside))
        offset = [] if graphs.prior_offset is None else [graphs.prior_offset]
        of_both = [graphs.mean, graphs.prior_mean, graphs.own]
        of_theta = [graphs.base, graphs.noise, graphs.prior_sd, graphs.rest, *offset]
        data, opened = open_data(self.model, [graphs.observed, *of_both, *of_theta])
        inputs = [data, *3 * [[*outside, *inside, *data]], *len(of_theta) * [[*outside, *data]]]
        parts = [(taken, [graph]) for taken, graph in zip(inputs, opened, strict=True)]
        observed, mean, prior_mean, own, *others = functions_of(parts)
        base, noise, prior_sd, rest, *more = (_of_theta(one, theta) for one in others)
        model = LinearModel(
            mean=_of_both(mean, theta, beta),
            base=base,
            noise=noise,
            prior_mean=_of_both(prior_mean, theta, beta),
            prior_offset=more[0] if more else None,
            prior_sd=prior_sd,
            observed=_of_data(observed),
            rest=rest,
            own=_of_both(own, theta, beta),
        )
        return model, theta, beta

    def constrain(self, names: Sequence[str]) -> Callable[[Array, tuple[Array, ...]], list[Array]]:
        """Return ``(x, data) -> values`` of named free variables and deterministics."""
        key = tuple(names)
        if key not in self.memory:
            self.memory[key] = _constrain(self, key)
        made: Callable[[Array, tuple[Array, ...]], list[Array]] = self.memory[key]
        return made

    def unconstrain(self, posterior: xr.Dataset, layout: Layout) -> np.ndarray:
        """Return draws as vectors (chain * draw, size) of the unconstrained variables in `layout`.

        A value on the edge of its support gives an infinite entry.
        """
        function, variables, data = _forward(self, layout)
        given = [flat_draws(posterior, name) for name in variables], [self.data[n] for n in data]
        draws, known = jax.device_put(given)
        parts = compiling(_batched(function), draws, known).result()(draws, known)
        return np.concatenate([np.asarray(p).reshape(len(p), -1) for p in parts], axis=1)

    def evaluate(
        self,
        posterior: xr.Dataset,
        names: Sequence[str],
        *,
        data: Sequence[Mapping[str, np.ndarray]] = ({},),
        hold: Iterable[str] = (),
        memory: int = 2**27,
    ) -> Iterator[tuple[slice, list[dict[str, np.ndarray]]]]:
        """Yield named quantities of the model over draws, under each of several data sets.

        The draws are taken in batches whose results hold about `memory` bytes, so that a
        caller which reduces each batch (sums over regions, say) never holds them all.

        Parameters
        ----------
        posterior
            Draws of the free variables, dims ``chain, draw, ...``.
        names
            Deterministics of the model.
        data
            Replacements of the model's `pm.Data`, one mapping for each data set; same shapes.
        hold
            Deterministics that keep their posterior value whatever the data: beliefs, which
            a change of plan doesn't alter.
        memory
            Bytes that one batch of results may take; default 128 MiB.

        Yields
        ------
        where, results
            The slice of flattened ``chain x draw``, and for each data set a mapping from name
            to an array ``(batch, ...)``.
        """
        held = [rv.name for rv in self.model.free_RVs] + sorted(hold)
        function = given(self, tuple(names), tuple(held))
        inputs = [flat_draws(posterior, name) for name in held]
        sets = [self.with_data(values).arguments for values in data]
        first = [jax.device_put(x[0]) for x in inputs]
        shapes = jax.eval_shape(function, first, sets[0])
        size = sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in shapes) * len(sets)
        total = inputs[0].shape[0]
        batch = int(np.clip(memory // max(size, 1), 1, total))
        run = _batched(function)
        for start in range(0, total, batch):
            where = slice(start, min(start + batch, total))
            # A short last batch would compile anew: it is filled up with the first draws.
            rows = np.arange(start, start + batch) % total
            part = [jax.device_put(x[rows]) for x in inputs]
            count = where.stop - where.start
            results = [
                {n: np.asarray(v)[:count] for n, v in zip(names, run(part, d), strict=True)}
                for d in sets
            ]
            yield where, results


@cache
def _with_layout(compiled: Compiled, layout: Layout) -> Compiled:
    """Return ``(x, data) -> values`` for a compiled graph: one object for equal arguments."""

    def values(flat: Array, data: tuple[Array, ...]) -> list[Array]:
        return list(compiled(*layout.split(flat), *data))

    return values


@cache
def _of_theta(compiled: Compiled, layout: Layout) -> Callable[..., Array]:
    """Return ``(x, data) -> first value`` of a compiled graph: one object for equal arguments."""
    return lambda flat, data: compiled(*layout.split(flat), *data)[0]


@cache
def _of_both(compiled: Compiled, theta: Layout, beta: Layout) -> Callable[..., Array]:
    """Return ``(theta, b, data) -> first value``: one object for equal arguments."""
    return lambda x, b, data: compiled(*theta.split(x), *beta.split(b), *data)[0]


@cache
def _of_data(compiled: Compiled) -> Callable[..., Array]:
    """Return ``(data) -> first value``: one object for one graph."""
    return lambda data: compiled(*data)[0]


@cache
def _batched(function: Compiled) -> Compiled:
    """Return `function` compiled over a leading axis of its first argument."""
    return jax.jit(jax.vmap(function, (0, None)))


def _constrain(posterior: Target, names: tuple[str, ...]) -> Compiled:
    model = posterior.model
    data, graphs = open_data(model, model.replace_rvs_by_values([model[n] for n in names]))
    return _with_layout(function_of([*model.value_vars, *data], graphs), posterior.layout)


def _forward(posterior: Target, layout: Layout) -> tuple[Compiled, list[str], list[str]]:
    """Return ``(values, data) -> unconstrained variables of the layout``, and what it takes.

    These are the names of those free variables and data on which the transforms depend, so that
    models that differ in their data alone share what is compiled.
    """
    model = posterior.model
    inputs = {rv: rv.type(name=rv.name) for rv in model.free_RVs}
    by_name = {value.name: rv for value, rv in model.values_to_rvs.items()}
    graphs = []
    for rv in (by_name[name] for name in layout.names):
        transform, value = model.rvs_to_transforms[rv], inputs[rv]
        if transform is not None:
            value = transform.forward(value, *clone_replace(list(rv.owner.inputs), replace=inputs))
        graphs.append(value)
    data, graphs = open_data(model, graphs)
    needed = set(graph_inputs(graphs))
    values = [value for value in inputs.values() if value in needed]
    data = [value for value in data if value in needed]
    function = _two_lists(function_of([*values, *data], graphs))
    return function, [value.name for value in values], [value.name for value in data]


def given(posterior: Target, names: tuple[str, ...], held: tuple[str, ...]) -> Callable[..., Any]:
    """Return ``(values of held, data) -> values of names``, cutting the graph at `held`."""
    model = posterior.model
    inputs = {model[name]: model[name].type(name=name) for name in held}
    graphs = clone_replace([model[name] for name in names], replace=inputs)
    data, graphs = open_data(model, graphs)
    compiled = function_of([*inputs.values(), *data], graphs)
    return _two_lists(compiled)


@cache
def _two_lists(compiled: Compiled) -> Compiled:
    """Return ``(values, data) -> results`` for a compiled graph: one object for one graph."""

    def results(values: list[Array], data: tuple[Array, ...]) -> list[Array]:
        return list(compiled(*values, *data))

    return results


def target(model: pm.Model) -> Target:
    """Return `model` as functions of a flat vector and of its data, made when asked for.

    Parameters
    ----------
    model
        Any PyMC model whose free variables are continuous.

    Raises
    ------
    SpecError
        If the model has no free variable, or a discrete one.
    """
    if not model.free_RVs:
        raise SpecError("The model has no free random variable: there is nothing to sample.")
    discrete = [v.name for v in model.discrete_value_vars]
    if discrete:
        raise SpecError(
            f"Discrete variables can't be sampled by gradients: {', '.join(discrete)}. "
            "Sum them out of the likelihood (a mixture), or use sampler='pymc'."
        )
    start = initial_point(model)
    names = tuple(v.name for v in model.value_vars)
    layout = Layout(names, tuple(np.shape(start[name]) for name in names))
    return Target(
        model=model,
        layout=layout,
        data={v.name: v.get_value() for v in sorted(model.data_vars, key=lambda v: v.name)},
        start=start,
    )
