"""A PyMC model as JAX functions of parameters and data: the one file that knows both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytensor
import xarray as xr
from pymc.logprob.utils import CheckParameterValue
from pytensor.compile import SharedVariable
from pytensor.compile.mode import get_mode
from pytensor.graph.fg import FrozenFunctionGraph, FunctionGraph
from pytensor.graph.replace import clone_replace
from pytensor.graph.traversal import graph_inputs
from pytensor.link.jax.dispatch import jax_funcify
from pytensor.raise_op import Assert
from pytensor.scalar import Softplus
from pytensor.tensor import constant
from pytensor.tensor.random.type import RandomType

from bayes_mkt.errors import SpecError
from bayes_mkt.inference.block import LinearModel
from bayes_mkt.inference.density import Density, Layout
from bayes_mkt.inference.groups import group_graphs
from bayes_mkt.inference.layout import flat_draws
from bayes_mkt.inference.linear import Graph, candidates, likelihood_of, linear_graphs
from bayes_mkt.inference.priors import quantile_medians
from bayes_mkt.inference.runtime import prepare
from bayes_mkt.inference.scalars import softplus

Array = jax.Array
Parameters = Callable[[Array, Any], list[Array]]


@jax_funcify.register(Assert)
@jax_funcify.register(CheckParameterValue)
def _pass_through(op: Any, **kwargs: Any) -> Callable[..., Any]:
    """Drop run-time assertions: under `jit` their values are unknown.

    An impossible parameter still shows, as a log-density of -inf or NaN.
    """
    return lambda value, *conditions: value


@jax_funcify.register(Softplus)
def _softplus(op: Any, **kwargs: Any) -> Callable[[Array], Array]:
    return softplus


# PyTensor notes of every node where it was made, which takes a tenth of a rewrite's time.
UNTRACED = {"traceback__limit": 0}
_COMPILED: dict[FrozenFunctionGraph, Callable[..., list[Array]]] = {}


def _jaxify(inputs: Sequence[Graph], outputs: Sequence[Graph]) -> Callable[..., list[Array]]:
    """Return the JAX function of a PyTensor graph; equal graphs give the *same* function.

    Because the function is the same object, everything that JAX has compiled for one model
    serves every later model of the same structure, whatever its data.
    """
    prepare()
    graph = FunctionGraph(inputs=list(inputs), outputs=list(outputs), clone=True)
    structure = graph.freeze()
    if structure not in _COMPILED:
        with pytensor.config.change_flags(**UNTRACED):
            get_mode("JAX").optimizer.rewrite(graph)
            _COMPILED[structure] = jax_funcify(graph)
    return _COMPILED[structure]


def _open_data(model: pm.Model, graphs: Sequence[Graph]) -> tuple[list[Graph], list[Graph]]:
    """Return `graphs` with every `pm.Data` of the model turned into an input, and those inputs.

    The inputs stand in the order of the data's names. Other shared variables (the lengths of
    dimensions) become constants: JAX needs shapes when it compiles.
    """
    data = {v: v.type(name=v.name) for v in sorted(model.data_vars, key=lambda v: v.name)}
    substitutes: dict[Graph, Graph] = dict(data)
    for variable in graph_inputs(graphs):
        if not isinstance(variable, SharedVariable) or variable in data:
            continue
        if isinstance(variable.type, RandomType):
            raise SpecError(
                "The graph draws random numbers where a density or an expectation is needed."
            )
        substitutes[variable] = constant(variable.get_value(borrow=True))
    return list(data.values()), clone_replace(list(graphs), replace=substitutes)


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
        What `constrain` has made already, by the names asked for.
    """

    model: pm.Model
    layout: Layout
    data: Mapping[str, np.ndarray]
    start: Mapping[str, np.ndarray]
    memory: dict[tuple[str, ...], Callable[..., list[Array]]] = field(default_factory=dict)

    @cached_property
    def log_density(self) -> Callable[[Array, tuple[Array, ...]], Array]:
        """Return ``(x, data) -> float``: log p(x, y) with the Jacobian of the transforms.

        `data` is a tuple in the order of `data`. Pure, and made when it is first asked for.
        """
        with pytensor.config.change_flags(**UNTRACED):
            data, graphs = _open_data(self.model, [self.model.logp()])
        return _of_theta(_jaxify([*self.model.value_vars, *data], graphs), self.layout)

    @property
    def arguments(self) -> tuple[Array, ...]:
        """Return the data in the order in which the compiled functions take them."""
        return tuple(jnp.asarray(value) for value in self.data.values())

    def with_data(self, values: Mapping[str, np.ndarray]) -> Target:
        """Return the same target with other data; equal shapes cost no compilation."""
        unknown = sorted(set(values) - set(self.data))
        if unknown:
            raise SpecError(f"The model has no data named {unknown}; it has {sorted(self.data)}.")
        return replace(self, data={k: np.asarray(values.get(k, v)) for k, v in self.data.items()})

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
            data, graphs = _open_data(self.model, graphs)
            compiled = _jaxify([*inside, *data], graphs)
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

        def compiled(graph: Graph, *variables: Graph) -> Callable[..., list[Array]]:
            data, opened = _open_data(self.model, [graph])
            return _jaxify([*variables, *data], opened)

        model = LinearModel(
            mean=_of_both(compiled(graphs.mean, *outside, *inside), theta, beta),
            base=_of_theta(compiled(graphs.base, *outside), theta),
            noise=_of_theta(compiled(graphs.noise, *outside), theta),
            prior_mean=_of_both(compiled(graphs.prior_mean, *outside, *inside), theta, beta),
            prior_offset=None
            if graphs.prior_offset is None
            else _of_theta(compiled(graphs.prior_offset, *outside), theta),
            prior_sd=_of_theta(compiled(graphs.prior_sd, *outside), theta),
            observed=_of_data(compiled(graphs.observed)),
            rest=_of_theta(compiled(graphs.rest, *outside), theta),
        )
        return model, theta, beta

    def constrain(self, names: Sequence[str]) -> Callable[[Array, tuple[Array, ...]], list[Array]]:
        """Return ``(x, data) -> values`` of named free variables and deterministics."""
        key = tuple(names)
        if key not in self.memory:
            self.memory[key] = _constrain(self, key)
        return self.memory[key]

    def unconstrain(self, posterior: xr.Dataset, layout: Layout) -> np.ndarray:
        """Return draws as vectors (chain * draw, size) of the unconstrained variables in `layout`.

        A value on the edge of its support gives an infinite entry.
        """
        run = _batched(_forward(self, layout))
        draws = [jnp.asarray(flat_draws(posterior, v.name)) for v in self.model.free_RVs]
        parts = run(draws, self.arguments)
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
        first = [jnp.asarray(x[0]) for x in inputs]
        shapes = jax.eval_shape(function, first, sets[0])
        size = sum(int(np.prod(s.shape)) * s.dtype.itemsize for s in shapes) * len(sets)
        total = inputs[0].shape[0]
        batch = int(np.clip(memory // max(size, 1), 1, total))
        run = _batched(function)
        for start in range(0, total, batch):
            where = slice(start, min(start + batch, total))
            # A short last batch would compile anew: it is filled up with the first draws.
            rows = np.arange(start, start + batch) % total
            part = [jnp.asarray(x[rows]) for x in inputs]
            count = where.stop - where.start
            results = [
                {n: np.asarray(v)[:count] for n, v in zip(names, run(part, d), strict=True)}
                for d in sets
            ]
            yield where, results


@cache
def _with_layout(
    compiled: Callable[..., list[Array]], layout: Layout
) -> Callable[..., list[Array]]:
    """Return ``(x, data) -> values`` for a compiled graph: one object for equal arguments."""

    def values(flat: Array, data: tuple[Array, ...]) -> list[Array]:
        return list(compiled(*layout.split(flat), *data))

    return values


@cache
def _of_theta(compiled: Callable[..., list[Array]], layout: Layout) -> Callable[..., Array]:
    """Return ``(x, data) -> first value`` of a compiled graph: one object for equal arguments."""
    return lambda flat, data: compiled(*layout.split(flat), *data)[0]


@cache
def _of_both(
    compiled: Callable[..., list[Array]], theta: Layout, beta: Layout
) -> Callable[..., Array]:
    """Return ``(theta, b, data) -> first value``: one object for equal arguments."""
    return lambda x, b, data: compiled(*theta.split(x), *beta.split(b), *data)[0]


@cache
def _of_data(compiled: Callable[..., list[Array]]) -> Callable[..., Array]:
    """Return ``(data) -> first value``: one object for one graph."""
    return lambda data: compiled(*data)[0]


@cache
def _batched(function: Callable[..., list[Array]]) -> Callable[..., list[Array]]:
    """Return `function` compiled over a leading axis of its first argument."""
    return jax.jit(jax.vmap(function, (0, None)))


def _constrain(posterior: Target, names: tuple[str, ...]) -> Callable[..., list[Array]]:
    model = posterior.model
    data, graphs = _open_data(model, model.replace_rvs_by_values([model[n] for n in names]))
    return _with_layout(_jaxify([*model.value_vars, *data], graphs), posterior.layout)


def _forward(posterior: Target, layout: Layout) -> Callable[..., Any]:
    """Return ``(values of free variables, data) -> unconstrained variables of the layout``."""
    model = posterior.model
    inputs = {rv: rv.type(name=rv.name) for rv in model.free_RVs}
    by_name = {value.name: rv for value, rv in model.values_to_rvs.items()}
    graphs = []
    for rv in (by_name[name] for name in layout.names):
        transform, value = model.rvs_to_transforms[rv], inputs[rv]
        if transform is not None:
            value = transform.forward(value, *clone_replace(list(rv.owner.inputs), replace=inputs))
        graphs.append(value)
    data, graphs = _open_data(model, graphs)
    return _two_lists(_jaxify([*inputs.values(), *data], graphs))


def given(posterior: Target, names: tuple[str, ...], held: tuple[str, ...]) -> Callable[..., Any]:
    """Return ``(values of held, data) -> values of names``, cutting the graph at `held`."""
    model = posterior.model
    inputs = {model[name]: model[name].type(name=name) for name in held}
    graphs = clone_replace([model[name] for name in names], replace=inputs)
    data, graphs = _open_data(model, graphs)
    compiled = _jaxify([*inputs.values(), *data], graphs)
    return _two_lists(compiled)


@cache
def _two_lists(compiled: Callable[..., list[Array]]) -> Callable[..., list[Array]]:
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
    start = model.initial_point(random_seed=0)
    names = tuple(v.name for v in model.value_vars)
    layout = Layout(names, tuple(np.shape(start[name]) for name in names))
    return Target(
        model=model,
        layout=layout,
        data={v.name: v.get_value() for v in sorted(model.data_vars, key=lambda v: v.name)},
        start=start,
    )
