"""What may be integrated out, and the reason given where it may not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference import collapse as module
from bayes_mkt.inference.collapse import collapse
from bayes_mkt.inference.density import Density
from bayes_mkt.inference.target import Target, target

X = np.linspace(-1.0, 2.0, 6)
Y = np.array([0.3, -0.1, 0.8, 1.2, 1.9, 2.2])


def built(content: Callable[[], object]) -> Target:
    with pm.Model() as model:
        content()
    return target(model)


def sampled(density: Density | None) -> tuple[str, ...]:
    """Names of what is left to sample, without the marks of transforms."""
    assert density is not None
    return tuple(name.removesuffix("_log__") for name in density.layout.names)


def normal(mean: object, sd: object = None) -> None:
    """The likelihood, with its own SD unless one is given."""
    pm.Normal("y", mean, pm.HalfNormal("sigma", 1.0) if sd is None else sd, observed=Y)


def product_of_two() -> None:
    normal(pm.Normal("b") * pm.Normal("c") * X)


def exponential() -> None:
    normal(pm.math.exp(pm.Normal("b")) * X)


def square() -> None:
    normal(pm.Normal("b", 1.0) ** 2 * X)


def times_a_parameter() -> None:
    normal(pm.Normal("b") * pm.Beta("share", 2.0, 2.0) * X)


def sd_of_the_block() -> None:
    b = pm.Normal("b")
    normal(b * X, pm.math.exp(b))


def student_t() -> None:
    pm.StudentT("y", 4.0, mu=pm.Normal("b") * X, sigma=pm.HalfNormal("sigma"), observed=Y)


def poisson() -> None:
    pm.Poisson("y", pm.math.exp(pm.Normal("b") * X), observed=[0, 1, 2, 0, 3, 1])


def two_likelihoods() -> None:
    b = pm.Normal("b")
    normal(b * X)
    pm.Normal("z", b, 1.0, observed=Y)


def second_likelihood_of_another_kind() -> None:
    b = pm.Normal("b")
    normal(b * X)
    pm.Poisson("count", pm.math.exp(b), observed=[1, 2])


def potential() -> None:
    b = pm.Normal("b")
    pm.Potential("soft_bound", -(b**4))
    normal(b * X)


def prior_of_a_scale() -> None:
    b = pm.Normal("b")
    normal(b * X, pm.HalfNormal("sigma", pm.math.exp(b)))


def truncated_prior() -> None:
    normal(pm.TruncatedNormal("b", 0.0, 1.0, lower=-1.0) * X)


def student_prior() -> None:
    normal(pm.StudentT("b", 4.0) * X)


def transformed_prior() -> None:
    order = pm.distributions.transforms.ordered
    b = pm.Normal("b", shape=2, transform=order, initval=[0.0, 1.0])
    normal(b[0] + b[1] * X)


def unequal_noise() -> None:
    normal(pm.Normal("b") * X, pm.HalfNormal("sigma", shape=2)[np.repeat([0, 1], 3)])


def only_the_block() -> None:
    normal(pm.Normal("b") * X, 2.0)


LINEARITY = "linearly with a constant design"
PLACE = "none of them is a Normal variable in the mean"
REFUSED = {
    product_of_two: LINEARITY,
    exponential: LINEARITY,
    square: LINEARITY,
    times_a_parameter: LINEARITY,
    sd_of_the_block: PLACE,
    student_t: PLACE,
    poisson: PLACE,
    two_likelihoods: PLACE,
    second_likelihood_of_another_kind: PLACE,
    potential: PLACE,
    prior_of_a_scale: PLACE,
    truncated_prior: PLACE,
    student_prior: PLACE,
    transformed_prior: PLACE,
    unequal_noise: "SD isn't one parameter times constants",
    only_the_block: "nothing would be left to sample",
}


@pytest.mark.parametrize("content", REFUSED)
def test_what_only_seems_linear_is_sampled_whole_and_refused_by_name(
    content: Callable[[], None],
) -> None:
    model = built(content)
    assert collapse(model) is None
    with pytest.raises(bm.SpecError, match=REFUSED[content]) as caught:
        collapse(model, ["b"])
    message = str(caught.value)
    assert message.startswith("collapse")


def hierarchy() -> None:
    """Two levels of effects, one of which also sets a scale."""
    mu = pm.Normal("mu", 0.0, 2.0)
    group = pm.Normal("group", mu, pm.HalfNormal("tau"), shape=2)
    slope = pm.Normal("slope")
    curve = pm.Normal("curve")
    normal(group[np.repeat([0, 1], 3)] + slope * X + pm.math.exp(curve) * X**2)


@pytest.fixture(scope="module")
def hierarchical() -> Target:
    return built(hierarchy)


def test_all_that_qualify_are_taken_and_the_rest_is_sampled(hierarchical: Target) -> None:
    assert sampled(collapse(hierarchical)) == ("tau", "curve", "sigma")


@pytest.mark.parametrize("names", [["slope"], ["mu", "group"]])
def test_a_list_of_names_takes_exactly_these(hierarchical: Target, names: list[str]) -> None:
    free = ("mu", "tau", "group", "slope", "curve", "sigma")
    left = tuple(name for name in free if name not in names)
    assert sampled(collapse(hierarchical, names)) == left


def test_what_is_excluded_is_sampled(hierarchical: Target) -> None:
    # The mean of the groups can't be taken without the groups.
    left = sampled(collapse(hierarchical, exclude=["group"]))
    assert left == ("mu", "tau", "group", "curve", "sigma")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["mu"], "none of them"),
        (["tau"], "none of them"),
        (["absent"], "none of them"),
        (["slope", "absent"], r"\['absent'\] is used elsewhere, or is not Normal"),
        (["slope", "tau"], r"\['tau'\] is used elsewhere, or is not Normal"),
        (["slope", "curve"], f"curve doesn't enter .* {LINEARITY}"),
    ],
)
def test_names_that_do_not_qualify_are_refused(
    hierarchical: Target, names: list[str], reason: str
) -> None:
    with pytest.raises(bm.SpecError, match=reason):
        collapse(hierarchical, names)


def test_a_variable_that_feeds_one_outside_the_block_is_sampled() -> None:
    def content() -> None:
        mu = pm.Normal("mu")
        b = pm.Normal("b", mu, 1.0)
        spread = pm.Normal("spread", mu, 1.0)
        normal(b * X, pm.HalfNormal("sigma", pm.math.exp(spread)))

    assert sampled(collapse(built(content))) == ("mu", "spread", "sigma")


def test_named_quantities_on_the_way_are_no_hindrance() -> None:
    def content() -> None:
        b = pm.Normal("b")
        normal(pm.Deterministic("mean", 2.0 * b * X))

    assert sampled(collapse(built(content))) == ("sigma",)


def test_an_unrelated_likelihood_is_kept() -> None:
    def content() -> None:
        pm.Poisson("count", pm.Exponential("rate", 1.0), observed=[1, 2])
        normal(pm.Normal("b") * X)

    assert sampled(collapse(built(content))) == ("rate", "sigma")


def test_what_the_block_is_not_in_counts_as_the_model_states_it() -> None:
    """A potential and a second likelihood add their log-densities, at whatever point."""

    def alone() -> None:
        pm.Exponential("rate", 1.0)
        normal(pm.Normal("b") * X)

    def among_others() -> None:
        rate = pm.Exponential("rate", 1.0)
        pm.Poisson("count", rate, observed=[1, 2])
        pm.Potential("belief", -(rate**2))
        normal(pm.Normal("b") * X)

    less, more = collapse(built(alone)), collapse(built(among_others))
    assert less is not None
    assert more is not None
    point = np.array([0.3, -0.4])
    gap = more.log_density(point, more.arguments) - less.log_density(point, less.arguments)
    rate = np.exp(0.3)
    expected = 3 * np.log(rate) - 2 * rate - np.log(2.0) - rate**2
    np.testing.assert_allclose(gap, expected, rtol=1e-10)


@pytest.mark.parametrize("part", ["base", "noise", "prior_offset", "prior_sd", "observed"])
def test_parts_that_are_not_what_the_model_states_are_never_used(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = module._look

    def wrong(model: Any) -> Any:
        def look(*point: Any) -> Any:
            found = right(model)(*point)
            return found._replace(**{part: 1.01 * getattr(found, part) + 0.01})

        return jax.jit(look)

    monkeypatch.setattr(module, "_look", wrong)
    with pytest.raises(bm.SamplingError, match=r"\['mu', 'group', 'slope'\] .* parts disagree"):
        collapse(built(hierarchy))


@pytest.mark.parametrize("part", ["local", "cross", "hub", "local_design", "hub_design"])
def test_constants_that_are_not_those_of_the_design_are_never_used(
    part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = module.constants

    def wrong(*given: Any) -> Any:
        made = right(*given)
        assert getattr(made, part).size
        return made._replace(**{part: 1.001 * getattr(made, part)})

    monkeypatch.setattr(module, "constants", wrong)
    with pytest.raises(bm.SamplingError, match="don't hold its design"):
        collapse(built(regions))


def regions() -> None:
    """Five levels, and a slope that meets all of them."""
    where = np.repeat(np.arange(5), 2)
    level = pm.Normal("level", 0.0, pm.HalfNormal("spread"), shape=5)
    mean = level[where] + pm.Normal("slope") * np.linspace(0.0, 1.0, 10)
    pm.Normal("y", mean, pm.HalfNormal("sigma"), observed=np.linspace(-1.0, 2.0, 10))


def test_parameters_out_of_range_at_the_points_are_no_hindrance() -> None:
    def anywhere() -> None:
        rate = pm.Normal("rate", 1.0, 0.5)
        pm.Poisson("n", rate, observed=[1, 0, 2])  # a rate below zero has no density
        normal(pm.Normal("b") * X)

    assert sampled(collapse(built(anywhere))) == ("rate", "sigma")


@pytest.mark.parametrize("dtype", ["float32", "int8", "int64"])
def test_standard_errors_of_any_number_type_are_no_hindrance(dtype: str) -> None:
    def measured() -> None:
        errors = np.array([15.3, 10.2, 16.4, 11.1, 9.7, 17.9]).astype(dtype)
        normal(pm.Normal("b", 0.0, pm.HalfNormal("tau")) * X, errors)

    assert sampled(collapse(built(measured))) == ("tau",)


def test_large_covariates_that_cancel_are_no_hindrance() -> None:
    def demeaned() -> None:
        level = pm.Normal("level", 0.0, pm.HalfNormal("spread"), shape=2)
        far = 1e9 * np.array([-1.1, 0.3, 0.8, -0.7, 0.1, 0.6])
        normal(level[np.repeat([0, 1], 3)] + pm.Normal("slope", 0.0, 1e-9) * far)

    assert sampled(collapse(built(demeaned))) == ("spread", "sigma")


def test_options_of_sample_reach_the_choice() -> None:
    with pm.Model() as model:
        exponential()
    with pytest.raises(bm.SpecError, match=LINEARITY):
        bm.sample(model, seed=1, collapse=["b"])
    with pytest.raises(bm.SpecError, match="'auto', None, or a list of variable names"):
        bm.sample(model, seed=1, collapse="b")
