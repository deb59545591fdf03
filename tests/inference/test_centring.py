"""Group effects between centred and non-centred form: found, learnt, and the same posterior."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pymc as pm
import pytest

import bayes_mkt as bm
from bayes_mkt.inference.centring import Groups, centred
from bayes_mkt.inference.density import Density
from bayes_mkt.inference.effects import conditional
from bayes_mkt.inference.pseudo_observations import Effects, learn
from bayes_mkt.inference.target import Target, target
from tests.inference.families import FAMILIES, GROUPS, Y, family

COUNTS = np.array([3, 1, 0, 2, 1, 4])


def model_centred() -> None:
    mu, s = pm.Normal("mu", 0.0, 2.0), pm.HalfNormal("s", 1.0)
    effect = pm.Normal("effect", mu, s, shape=GROUPS)
    pm.Poisson("y", pm.math.exp(effect), observed=COUNTS)


def model_non_centred() -> None:
    mu, s = pm.Normal("mu", 0.0, 2.0), pm.HalfNormal("s", 1.0)
    effect = pm.Normal("effect", 0.0, 1.0, shape=GROUPS)
    pm.Poisson("y", pm.math.exp(mu + s * effect), observed=COUNTS)


def model_scaled_twice() -> None:
    common, own = pm.HalfNormal("common"), pm.HalfNormal("own", shape=GROUPS)
    effect = pm.Normal("effect", 0.0, 0.5, shape=GROUPS)
    pm.Poisson("y", pm.math.exp(effect * common * own), observed=COUNTS)


def model_nested() -> None:
    # The spread of the first group comes from the second, which is written after it.
    z, w = pm.Normal("effect", shape=GROUPS), pm.Normal("other", shape=GROUPS)
    tau = pm.HalfNormal("tau")
    pm.Poisson("y", pm.math.exp(z * pm.math.exp(w * tau)), observed=COUNTS)


def model_chosen() -> None:
    mu, s = pm.Normal("mu"), pm.HalfNormal("s")
    effect = pm.Normal("effect", shape=3)
    pm.Poisson("y", pm.math.exp(mu + s * effect[np.array([0, 0, 1, 1, 2, 2])]), observed=COUNTS)


def model_chosen_by_rows() -> None:
    # Entries of z meet several entries of s: no one form suits.
    s = pm.HalfNormal("s", shape=GROUPS)
    effect = pm.Normal("effect", shape=3)
    pm.Poisson("y", pm.math.exp(s * effect[np.array([0, 0, 1, 1, 2, 2])]), observed=COUNTS)


def model_used_twice() -> None:
    s = pm.HalfNormal("s")
    effect = pm.Normal("effect", shape=GROUPS)
    pm.Poisson("y", pm.math.exp(s * effect + effect), observed=COUNTS)


def model_without_data() -> None:
    v = pm.Normal("v", 0.0, 3.0)
    pm.Normal("effect", 0.0, pm.math.exp(v / 2), shape=GROUPS)


def model_fixed_spread() -> None:
    effect = pm.Normal("effect", 0.0, 2.0, shape=GROUPS)
    pm.Poisson("y", pm.math.exp(effect), observed=COUNTS)


def model_outer_product() -> None:
    # Each entry is multiplied by several spreads: no one form suits.
    s = pm.HalfNormal("s", shape=(1, 2))
    effect = pm.Normal("effect", shape=(GROUPS, 1))
    rate = pm.math.exp((s * effect).sum(axis=1))
    pm.Poisson("y", rate, observed=COUNTS)


def model_correlated() -> None:
    scale = pm.HalfNormal("scale", shape=2)
    corr = pm.Uniform("corr", -1.0, 1.0)
    cov = pm.math.stack(
        [
            pm.math.stack([scale[0] ** 2, corr * scale[0] * scale[1]]),
            pm.math.stack([corr * scale[0] * scale[1], scale[1] ** 2]),
        ]
    )
    effect = pm.MvNormal("effect", pm.Normal("mu", shape=2), cov, shape=(GROUPS // 2, 2))
    pm.Poisson("y", pm.math.exp(effect), observed=COUNTS.reshape(-1, 2))


def model_correlated_by_group() -> None:
    # Each group has a factor and a mean of its own.
    s = pm.HalfNormal("s", shape=2)
    chol = np.array([[1.0, 0.0], [0.6, 0.8]])[None] * s[:, None, None]
    other = pm.Normal("other", 0.0, s, shape=2)
    effect = pm.MvNormal("effect", other, chol=chol)
    pm.Poisson("y", pm.math.exp(effect), observed=COUNTS[:4].reshape(-1, 2))


def model_walk() -> None:
    s = pm.HalfNormal("s", shape=2)
    walk = pm.GaussianRandomWalk(
        "walk", pm.Normal("drift"), s, init_dist=pm.Normal.dist(0.5, 2.0), shape=(2, 3)
    )
    pm.Poisson("y", pm.math.exp(walk), observed=COUNTS.reshape(2, 3))


def model_walk_of_t() -> None:
    # Steps that aren't normal have no such form.
    s = pm.HalfNormal("s")
    steps = pm.StudentT.dist(nu=3.0, mu=0.0, sigma=s)
    walk = pm.RandomWalk(
        "walk", init_dist=pm.Normal.dist(0.0, 1.0), innovation_dist=steps, steps=GROUPS - 1
    )
    pm.Poisson("y", pm.math.exp(walk), observed=COUNTS)


def model_partners() -> None:
    # Level, slope and curve of each group; the curve depends on fewest variables and comes first.
    s, own = pm.HalfNormal("s", shape=2), pm.HalfNormal("own", shape=2)
    level = pm.Normal("level", pm.Normal("mu"), s[0], shape=GROUPS)
    slope = pm.Normal("slope", shape=GROUPS)
    curve = pm.Normal("curve", 0.0, own, shape=(GROUPS, 2))
    rate = level[:, None] + (s[1] * slope)[:, None] * np.array([-1.0, 1.0]) + curve
    pm.Poisson("y", pm.math.exp(rate), observed=np.stack([COUNTS, COUNTS[::-1]], axis=1))


def model_student_non_centred() -> None:
    effect = pm.StudentT("effect", nu=4.0, shape=GROUPS)
    pm.Normal("y", pm.Normal("mu") + pm.HalfNormal("s") * effect, 1.0, observed=Y)


def model_log_normal_times_scale() -> None:
    # On the log scale that is no product.
    pm.Normal("y", pm.HalfNormal("s") * pm.LogNormal("effect", shape=GROUPS), 1.0, observed=Y)


def opened(build: Callable[[], None]) -> tuple[Target, Density, Density, Groups]:
    """Return the target of a model, its density before and after, and its groups."""
    with pm.Model() as model:
        build()
    posterior = target(model)
    plain = posterior.density()
    groups = Groups.of(plain.layout, posterior.groups(plain.layout))
    return posterior, plain, centred(plain, groups, posterior.arguments), groups


FOUND = {
    model_centred: GROUPS,
    model_non_centred: GROUPS,
    model_scaled_twice: GROUPS,
    model_nested: 2 * GROUPS,
    model_chosen: 3,
    model_chosen_by_rows: 0,
    model_used_twice: 0,
    model_without_data: 0,
    model_fixed_spread: 0,
    model_outer_product: 0,
    model_correlated: GROUPS,
    model_correlated_by_group: 4 + 2,
    model_walk: GROUPS,
    model_walk_of_t: 0,
    model_partners: 4 * GROUPS,
    model_student_non_centred: GROUPS,
    model_log_normal_times_scale: 0,
    **{family(name): GROUPS for name in FAMILIES},
}


@pytest.mark.parametrize("build", FOUND, ids=lambda build: build.__name__)
def test_groups_are_found_by_the_form_of_the_graph(build: Callable[[], None]) -> None:
    assert opened(build)[3].size == FOUND[build]


@pytest.mark.parametrize("build", [b for b, size in FOUND.items() if size])
def test_any_form_is_the_same_density(build: Callable[[], None]) -> None:
    _, plain, formed, groups = opened(build)
    rng = np.random.default_rng(1)
    lines = rng.normal(size=(groups.size, groups.most_partners))
    forms = (rng.gamma(1.0, 1.0, groups.size), rng.normal(size=groups.size), lines)
    formed = formed.with_forms(forms)
    w = jnp.asarray(rng.normal(size=plain.start.size))
    data, learnt = formed.arguments[1:]

    def forward(v: jax.Array) -> jax.Array:
        return groups.walk(v, data, learnt, forward=True)[0]

    x = forward(w)
    _, log_det = np.linalg.slogdet(np.asarray(jax.jacfwd(forward)(w)))
    expected = float(plain.log_density(x, plain.arguments)) + log_det
    assert float(formed.log_density(w, formed.arguments)) == pytest.approx(expected, rel=1e-10)
    back = groups.walk(x, data, learnt, forward=False)[0]
    np.testing.assert_allclose(np.asarray(back), np.asarray(w), atol=1e-9)


@pytest.mark.parametrize(
    "build",
    [
        model_centred,
        model_non_centred,
        model_nested,
        model_correlated,
        model_walk,
        model_partners,
    ],
)
def test_draws_keep_their_meaning_in_a_new_form(build: Callable[[], None]) -> None:
    _, plain, formed, groups = opened(build)
    draws = np.random.default_rng(2).normal(size=(2, 300, plain.start.size))
    if build is model_partners:
        for effect in (slice(5, 11), slice(11, 17)):  # each follows the curve's first column
            draws[..., effect] = 0.1 * draws[..., effect] + draws[..., 17:29:2]
    new, moved = formed.reformed(draws)
    assert (new.forms[2] != 0.0).any() == (build is model_partners)
    at = [0, 1, 299]
    for before, after in zip(draws[1, at], moved[1, at], strict=True):
        x = groups.walk(jnp.asarray(before), *formed.arguments[1:], forward=True)[0]
        y = groups.walk(jnp.asarray(after), *new.arguments[1:], forward=True)[0]
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), atol=1e-9)


@pytest.mark.parametrize("tau", [0.0, 0.5, 50.0])
def test_what_the_data_say_is_learnt(tau: float) -> None:
    rng = np.random.default_rng(3)
    s, mu, t = rng.gamma(3.0, 0.3, (4000, 1)), rng.normal(size=(4000, 1)), 1.5
    center, width = conditional(tau, t, mu, s, np.ones_like(s))
    effect = rng.normal(center, width)
    found, place, _ = learn(Effects(effect, mu, s, np.ones_like(s)))
    if tau == 0:
        assert found[0] < 0.1
        return
    assert found[0] == pytest.approx(tau, rel=0.5)
    assert place[0] == pytest.approx(t, abs=0.2)
    again = (effect - conditional(found, place, mu, s, 1.0)[0]) / conditional(
        found, place, mu, s, 1.0
    )[1]
    assert again.std() == pytest.approx(1.0, abs=0.05)


def test_effects_of_one_row_are_partners_and_steps_are_not() -> None:
    groups = opened(model_partners)[3]
    assert [group.partners for group in groups.members] == [(), (0,), (0, 1)]
    assert groups.most_partners == 3
    assert opened(model_walk)[3].most_partners == opened(model_scaled_twice)[3].most_partners == 0


def test_what_the_data_say_of_two_effects_together_is_learnt() -> None:
    # Data know the sum, theta_1 + 2 theta_2 = 3, with precision 40, and theta_1 a little.
    rng = np.random.default_rng(5)
    s = rng.gamma(3.0, 0.3, (4000, 2))
    first = rng.normal(*conditional(1.0, 0.5, 0.0, s[:, :1], 1.0))
    tau, t, slope = 160.0, 1.5, -0.5
    second = rng.normal(*conditional(tau, t + slope * first, 0.0, s[:, 1:], 1.0))
    ones, zeros = np.ones((4000, 1)), np.zeros((4000, 1))
    found, place, line = learn(Effects(second, zeros, s[:, 1:], ones), first[:, :, None])
    assert found[0] == pytest.approx(tau, rel=0.5)
    assert place[0] == pytest.approx(t, abs=0.03)
    assert line[0, 0] == pytest.approx(slope, abs=0.03)
    # What tells nothing is left out.
    noise = rng.normal(size=(4000, 1, 1))
    assert learn(Effects(first, zeros, s[:, :1], ones), noise)[2][0, 0] == 0.0


def test_lines_keep_rows_and_entries_apart() -> None:
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(800, 3, 2))
    slopes = rng.normal(size=(3, 4, 2))
    t = 0.3 + np.einsum("drk,rek->dre", rows, slopes).reshape(800, 12)
    sd, ones = rng.gamma(3.0, 0.3, (800, 1)) * np.ones(12), np.ones((800, 12))
    effect = rng.normal(*conditional(400.0, t, 0.0 * sd, sd, ones))
    _, place, line = learn(Effects(effect, 0.0 * sd, sd, ones), rows)
    np.testing.assert_allclose(line, slopes.reshape(12, 2), atol=0.05)
    np.testing.assert_allclose(place, 0.3, atol=0.05)


@pytest.mark.parametrize(("chains", "draws", "within"), [(4, 25, 0.1), (8, 25, 0.3), (8, 12, 0.05)])
def test_chains_on_their_way_are_given_no_line(chains: int, draws: int, within: float) -> None:
    # Effects and partners have nothing in common but that each chain hasn't moved far yet.
    rng = np.random.default_rng(7)
    count, partners = 300, 4

    def drawn(width: int) -> np.ndarray:
        places = rng.normal(size=(chains, 1, width))
        return (places + within * rng.normal(size=(chains, draws, width))).reshape(-1, width)

    effect, rows = drawn(count), drawn(count * partners).reshape(-1, count, partners)
    ones = np.ones_like(effect)
    line = learn(Effects(effect, 0.0 * ones, ones, ones), rows)[2]
    assert (line != 0.0).any(axis=1).mean() < 0.1


def test_partners_that_tell_nothing_or_are_broken_leave_finite_forms() -> None:
    rng = np.random.default_rng(8)
    effect, rows = rng.normal(size=(200, 4)), rng.normal(size=(200, 4, 2))
    ones = np.ones_like(effect)
    rows[:, 0] = 0.7 + 1e-16 * rng.normal(size=(200, 2))
    rows[3, 1] = np.nan
    rows[3, 2] = np.inf
    forms = learn(Effects(effect, 0.0 * ones, ones, ones), rows)
    assert all(np.isfinite(form).all() for form in forms)
    assert (forms[2][:3] == 0.0).all()


def test_the_model_s_own_start_is_kept() -> None:
    with pm.Model() as model:
        mu, s = pm.Normal("mu", initval=0.3), pm.HalfNormal("s", initval=0.5)
        effect = pm.Normal("effect", mu, s, shape=2, initval=[1.0, -1.0])
        pm.Poisson("y", pm.math.exp(effect), observed=[1, 2])
    posterior = target(model)
    plain = posterior.density()
    groups = Groups.of(plain.layout, posterior.groups(plain.layout))
    start = centred(plain, groups, posterior.arguments).start
    np.testing.assert_allclose(start, [0.3, np.log(0.5), 1.4, -2.6])


@pytest.mark.parametrize("build", [model_centred, model_non_centred], ids=["centred", "not"])
def test_draws_agree_with_the_referee_s(build: Callable[[], None]) -> None:
    with pm.Model() as model:
        build()
    with pm.Model() as same:
        model_non_centred()
        pm.Deterministic("theta", same["mu"] + same["s"] * same["effect"])
    ours = bm.sample(model, seed=1, target_ess=2000, progress=False)["posterior"]
    theirs = bm.sample(
        same, seed=2, sampler="pymc", draws=2000, target_accept=0.98, progress=False
    )["posterior"]
    effect = ours["effect"]
    if build is model_non_centred:
        effect = ours["mu"] + ours["s"] * effect
    pairs = [(ours["mu"], theirs["mu"]), (ours["s"], theirs["s"]), (effect, theirs["theta"])]
    for one, other in pairs:
        axes = ("chain", "draw")
        a, b = one.stack(sample=axes).to_numpy(), other.stack(sample=axes).to_numpy()
        error = 5 * np.sqrt(a.var(axis=-1) / 1500 + b.var(axis=-1) / 1000)
        assert (np.abs(a.mean(axis=-1) - b.mean(axis=-1)) < error).all()
        np.testing.assert_allclose(a.std(axis=-1), b.std(axis=-1), rtol=0.12)
