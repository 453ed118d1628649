"""Estimators against scipy: probabilities, frequencies, modes, credit, and what has no gradient."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from attn_jax import estimators

SCORES = np.array([0.5, -1.0, 2.0, 0.0, 1.0], np.float32)
MASKED = np.array([0.5, -np.inf, 2.0, 0.0, -np.inf], np.float32)
MEAN = np.array([0.3, -0.6], np.float32)
SIGMA = 0.2
TAU = 0.6
KEY = jax.random.key(0)
SAMPLES = 20_000

OF_SCORES = {
    "expectation": estimators.expectation(),
    "categorical": estimators.categorical(),
    "uniform": estimators.uniform(),
    "sparsemax": estimators.sparsemax(),
    "gumbel_softmax": estimators.gumbel_softmax(TAU),
    "straight_through": estimators.straight_through(TAU),
    "straight_through_gumbel": estimators.straight_through_gumbel(TAU),
}
OF_POINTS = {
    "gaussian": estimators.gaussian(SIGMA),
    "pathwise_gaussian": estimators.pathwise_gaussian(SIGMA),
    "random_point": estimators.random_point(0.7),
    "fixed_point": estimators.fixed_point((0.25, -0.5)),
}
OF_THETA = {
    "identity": estimators.identity(),
    "fixed_transform": estimators.fixed_transform(),
}
OURS = OF_SCORES | OF_POINTS | OF_THETA
THROUGH = ("straight_through", "straight_through_gumbel")
RELAXED = ("gumbel_softmax", *THROUGH, "pathwise_gaussian")
SAMPLERS = ("categorical", "gaussian", "random_point", *RELAXED)
CONTROLS = ("uniform", "fixed_point", "random_point", "fixed_transform")
CREDITED = ("categorical", "gaussian")


def named(*names):
    return pytest.mark.parametrize("name", names or list(OURS))


def proposal(name):
    if name in OF_SCORES:
        return jnp.asarray(SCORES)
    return jnp.asarray(MEAN) if name in OF_POINTS else jnp.arange(6.0).reshape(2, 3)


def choice(name, key=KEY):
    return jax.jit(OURS[name].choose)(key, proposal(name))


@pytest.fixture(scope="module")
def many():
    """Many choices of each sampler, made once."""
    keys = jax.random.split(KEY, SAMPLES)
    inputs = {name: proposal(name) for name in SAMPLERS} | {"masked": jnp.asarray(MASKED)}
    return {
        name: jax.jit(jax.vmap(OURS.get(name, OURS["categorical"]).choose, (0, None)))(keys, given)
        for name, given in inputs.items()
    }


def softmax(scores):
    return scipy.special.softmax(scores.astype(np.float64))


@pytest.mark.parametrize(("name", "scores"), [("categorical", SCORES), ("masked", MASKED)])
def test_a_categorical_choice_is_a_one_hot_with_its_own_log_probability(many, name, scores):
    drawn = many[name]
    where = np.asarray(drawn.where)
    np.testing.assert_array_equal(np.sort(where, -1), np.eye(5)[[4] * SAMPLES])
    p = softmax(scores)
    chosen = where.argmax(-1)
    np.testing.assert_allclose(drawn.log_prob, np.log(p[chosen]), rtol=1e-5)
    np.testing.assert_allclose(drawn.mean[0], p, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(drawn.entropy[0], scipy.stats.entropy(p), rtol=1e-5)


@pytest.mark.parametrize(("name", "scores"), [("categorical", SCORES), ("masked", MASKED)])
def test_categorical_frequencies_are_the_probabilities(many, name, scores):
    p = softmax(scores)
    counts = np.asarray(many[name].where).sum(0)
    assert counts[p == 0].sum() == 0
    assert scipy.stats.chisquare(counts[p > 0], SAMPLES * p[p > 0]).pvalue > 1e-3


def test_a_gaussian_location_has_its_own_log_probability(many):
    drawn = many["gaussian"]
    density = scipy.stats.multivariate_normal(MEAN, SIGMA**2 * np.eye(2))
    np.testing.assert_allclose(drawn.log_prob, density.logpdf(drawn.where), atol=1e-4)
    np.testing.assert_allclose(drawn.entropy, np.full(SAMPLES, density.entropy()), rtol=1e-5)
    np.testing.assert_array_equal(drawn.mean[0], MEAN)


def test_a_uniform_location_has_its_own_log_probability(many):
    drawn = many["random_point"]
    density = scipy.stats.uniform(-0.7, 1.4)
    np.testing.assert_allclose(drawn.log_prob, density.logpdf(drawn.where).sum(-1), rtol=1e-5)
    np.testing.assert_allclose(drawn.entropy, np.full(SAMPLES, 2 * density.entropy()), rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_locations_are_distributed_as_they_say(many, axis):
    normal = scipy.stats.norm(MEAN[axis], SIGMA).cdf
    assert scipy.stats.kstest(many["gaussian"].where[:, axis], normal).pvalue > 1e-3
    even = scipy.stats.uniform(-0.7, 1.4).cdf
    assert scipy.stats.kstest(many["random_point"].where[:, axis], even).pvalue > 1e-3


@named("gaussian", "random_point")
def test_x_and_y_are_drawn_independently(many, name):
    correlation = np.corrcoef(np.asarray(many[name].where).T)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(SAMPLES)


@pytest.mark.parametrize("scores", [SCORES, MASKED], ids=["all", "masked"])
def test_expectation_is_the_softmax(scores):
    chosen = jax.jit(estimators.expectation().choose)(None, jnp.asarray(scores))
    p = softmax(scores)
    np.testing.assert_allclose(chosen.where, p, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(chosen.where, chosen.mean)
    np.testing.assert_allclose(chosen.entropy, scipy.stats.entropy(p), rtol=1e-5)
    assert chosen.log_prob == 0


@pytest.mark.parametrize(("scores", "places"), [(SCORES, 5), (MASKED, 3)], ids=["all", "masked"])
def test_uniform_is_even_over_what_is_there(scores, places):
    chosen = jax.jit(estimators.uniform().choose)(None, jnp.asarray(scores))
    np.testing.assert_allclose(chosen.where, (scores > -np.inf) / places, rtol=1e-6)
    np.testing.assert_allclose(chosen.entropy, np.log(places), rtol=1e-5)
    assert chosen.log_prob == 0


@named(*OF_SCORES)
def test_with_everything_masked_nothing_is_chosen(name):
    nothing = jnp.full((2, 3), -jnp.inf)
    chosen = jax.jit(OURS[name].choose)(KEY, nothing)
    for part in (chosen.where, chosen.mean, chosen.log_prob, chosen.entropy):
        np.testing.assert_array_equal(part, 0)


def test_identity_and_fixed_point_give_what_they_were_given():
    np.testing.assert_array_equal(choice("identity").where, proposal("identity"))
    np.testing.assert_array_equal(choice("fixed_point").where, [0.25, -0.5])
    for name in ("identity", "fixed_point"):
        assert choice(name).log_prob == choice(name).entropy == 0


def test_greedy_is_the_mode():
    for scores in (SCORES, MASKED):
        chosen = estimators.categorical().greedy(None, jnp.asarray(scores))
        np.testing.assert_array_equal(chosen.where, np.eye(5)[2])
        np.testing.assert_allclose(chosen.log_prob, np.log(softmax(scores)[2]), rtol=1e-5)
    chosen = OURS["gaussian"].greedy(None, jnp.asarray(MEAN))
    np.testing.assert_array_equal(chosen.where, MEAN)
    density = scipy.stats.multivariate_normal(MEAN, SIGMA**2 * np.eye(2))
    np.testing.assert_allclose(chosen.log_prob, density.logpdf(MEAN), rtol=1e-5)


@named("expectation", "sparsemax", "identity", *CONTROLS)
def test_greedy_is_choose_where_there_is_no_other_mode(name):
    assert OURS[name].greedy is OURS[name].choose


@named(*SAMPLERS)
def test_a_key_decides(many, name):
    chex.assert_trees_all_equal(choice(name), choice(name))
    assert len(np.unique(many[name].where, axis=0)) > 1


@named(*SAMPLERS)
def test_sampling_without_a_key_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} samples, so it needs a key; got None"):
        OURS[name].choose(None, proposal(name))


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("sigma", [0, -0.1, float("nan"), np.float32(0), "array"])
def test_sigma_must_be_positive(sigma):
    sigma = jnp.asarray(-0.1) if sigma == "array" else sigma
    for make in (estimators.gaussian, estimators.pathwise_gaussian):
        with pytest.raises(ValueError, match=f"sigma must be positive; got {float(sigma):g}"):
            make(sigma)


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize("tau", [0, -0.1, float("nan"), np.float32(0)])
@pytest.mark.parametrize(
    "make",
    [
        estimators.gumbel_softmax,
        estimators.straight_through,
        estimators.straight_through_gumbel,
        lambda tau: estimators.with_temperature(estimators.categorical(), tau),
    ],
)
def test_a_temperature_must_be_positive(make, tau):
    with pytest.raises(ValueError, match=f"tau must be positive; got {float(tau):g}"):
        make(tau)


def test_a_traced_sigma_never_retraces():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def location(sigma, mean):
        return estimators.gaussian(sigma).choose(KEY, mean)

    for sigma in (0.1, 0.2, 0.4):
        traced = location(jnp.asarray(sigma), jnp.asarray(MEAN))
        fixed = estimators.gaussian(sigma).choose(KEY, jnp.asarray(MEAN))
        chex.assert_trees_all_close(traced, fixed, rtol=1e-5)


def credited(name, reward, baseline):
    """The gradient of the credit of one choice, and the choice."""

    def total(given, reward, baseline):
        chosen = OURS[name].choose(KEY, given)
        return OURS[name].credit(chosen, reward, baseline), chosen

    gradient = jax.grad(total, (0, 1, 2), has_aux=True)
    return jax.jit(gradient)(proposal(name), jnp.asarray(reward), jnp.asarray(baseline))


@pytest.mark.parametrize(("reward", "baseline"), [(1.0, 0.25), (0.0, 0.25), (-2.0, 1.0)])
def test_the_gradient_of_credit_is_the_score_weighed_by_the_advantage(reward, baseline):
    (gradient, _, _), chosen = credited("categorical", reward, baseline)
    score = np.asarray(chosen.where) - softmax(SCORES)  # of log p, by hand
    np.testing.assert_allclose(gradient, (reward - baseline) * score, atol=1e-5)
    (gradient, _, _), chosen = credited("gaussian", reward, baseline)
    score = (np.asarray(chosen.where) - MEAN) / SIGMA**2
    np.testing.assert_allclose(gradient, (reward - baseline) * score, rtol=1e-4)


@named()
def test_reward_and_baseline_get_no_gradient(name):
    (_, to_reward, to_baseline), _ = credited(name, 1.0, 0.25)
    assert to_reward == to_baseline == 0


@named(*[name for name in OURS if name not in CREDITED])
def test_soft_choices_and_controls_are_not_credited(name):
    (gradient, _, _), chosen = credited(name, 1.0, 0.25)
    np.testing.assert_array_equal(gradient, 0)
    credit = OURS[name].credit(chosen, jnp.ones((2, 3)), jnp.zeros((2, 3)))
    np.testing.assert_array_equal(credit, np.zeros((2, 3)))


@pytest.mark.parametrize("how", ["choose", "greedy"])
@named(*CREDITED)
def test_nothing_flows_through_a_hard_choice(name, how):
    def total(given):
        where = getattr(OURS[name], how)(KEY, given).where
        return (where * jnp.arange(1.0, 1 + where.size)).sum()

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(proposal(name)), 0)


@named("expectation", "identity", *RELAXED)
def test_soft_and_relaxed_choices_are_differentiable(name):
    def total(given):
        where = OURS[name].choose(KEY, given).where
        return (where.ravel() * jnp.arange(1.0, 1 + where.size)).sum()

    assert np.all(jax.jit(jax.grad(total))(proposal(name)) != 0)


@named(*CONTROLS)
def test_controls_ignore_the_proposal(name):
    given = jnp.asarray(MASKED) if name in OF_SCORES else proposal(name)

    def total(given):
        return sum(leaf.sum() for leaf in jax.tree.leaves(OURS[name].choose(KEY, given)))

    np.testing.assert_array_equal(jax.jit(jax.grad(total))(given), 0)
    chex.assert_trees_all_equal(OURS[name].choose(KEY, given), OURS[name].choose(KEY, 3 * given))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("group", [OF_SCORES, OF_POINTS], ids=["scores", "points"])
def test_any_estimator_can_stand_in_for_another_in_a_branch(group, dtype):
    def either(first, key, given):
        branches = [group[name].choose for name in group]
        return jax.lax.switch(first, branches, key, given)

    given = proposal(next(iter(group))).astype(dtype)
    chosen = jax.jit(either)(1, KEY, given)
    chex.assert_tree_all_finite(chosen)
    assert len({leaf.dtype for leaf in chosen}) == 1


@named()
def test_bfloat16_proposals_are_finite_and_close(name):
    narrow = jax.jit(OURS[name].choose)(KEY, proposal(name).astype(jnp.bfloat16))
    chex.assert_tree_all_finite(narrow)
    wide = choice(name)
    if name not in SAMPLERS:  # other dtypes draw other bits
        np.testing.assert_allclose(narrow.where.astype(jnp.float32), wide.where, rtol=0.02)
    np.testing.assert_allclose(narrow.entropy.astype(jnp.float32), wide.entropy, rtol=0.02)


@pytest.mark.parametrize("scores", [SCORES, MASKED], ids=["all", "masked"])
@named("categorical", *THROUGH)
def test_straight_through_choices_are_one_hots_as_frequent_as_a_categorical(name, scores):
    keys = jax.random.split(KEY, SAMPLES)
    drawn = jax.jit(jax.vmap(OURS[name].choose, (0, None)))(keys, jnp.asarray(scores))
    where, p = np.asarray(drawn.where), softmax(scores)
    np.testing.assert_array_equal(np.sort(where, -1), np.eye(5)[[4] * SAMPLES])
    assert scipy.stats.chisquare(where.sum(0)[p > 0], SAMPLES * p[p > 0]).pvalue > 1e-3
    np.testing.assert_allclose(drawn.log_prob, np.log(p[where.argmax(-1)]), rtol=1e-5)


WEIGHTS = np.arange(1.0, 6.0)


def backward(name, scores, key=KEY):
    def total(scores):
        return (OURS[name].choose(key, scores).where * WEIGHTS).sum()

    return jax.jit(jax.grad(total))(jnp.asarray(scores))


def softmax_gradient(logits):
    """d/de of sum_i w_i softmax(e / tau)_i at e / tau = logits, by hand."""
    p = softmax(logits)
    return p * (WEIGHTS - (p * WEIGHTS).sum()) / TAU


@pytest.mark.parametrize("scores", [SCORES, MASKED], ids=["all", "masked"])
def test_straight_through_goes_back_through_the_softmax_of_its_paper(scores):
    noise = np.asarray(jax.random.gumbel(KEY, scores.shape))
    behind = {"straight_through": scores, "straight_through_gumbel": scores + noise}
    for name, logits in behind.items():
        expected = softmax_gradient(logits / TAU)
        np.testing.assert_allclose(backward(name, scores), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("scores", [SCORES, MASKED], ids=["all", "masked"])
def test_gumbel_softmax_is_the_tempered_softmax_of_noisy_scores(scores):
    noisy = (scores + np.asarray(jax.random.gumbel(KEY, scores.shape))) / TAU
    chosen = jax.jit(OURS["gumbel_softmax"].choose)(KEY, jnp.asarray(scores))
    np.testing.assert_allclose(chosen.where, softmax(noisy), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(chosen.mean, softmax(scores), rtol=1e-5, atol=1e-7)
    assert chosen.log_prob == 0
    np.testing.assert_allclose(
        backward("gumbel_softmax", scores), softmax_gradient(noisy), rtol=1e-4, atol=1e-6
    )


def test_greedy_of_relaxed_choices_has_its_noise_at_the_mode():
    for name in THROUGH:
        np.testing.assert_array_equal(
            OURS[name].greedy(None, jnp.asarray(MASKED)).where, np.eye(5)[2]
        )
    soft = OURS["gumbel_softmax"].greedy(None, jnp.asarray(MASKED)).where
    np.testing.assert_allclose(soft, softmax(MASKED / TAU), rtol=1e-5)
    np.testing.assert_array_equal(
        OURS["pathwise_gaussian"].greedy(None, jnp.asarray(MEAN)).where, MEAN
    )


def test_a_pathwise_location_is_the_gaussian_one_with_a_gradient(many):
    chex.assert_trees_all_close(many["pathwise_gaussian"], many["gaussian"], rtol=1e-6)
    jacobian = jax.jacrev(lambda mu: OURS["pathwise_gaussian"].choose(KEY, mu).where)
    np.testing.assert_array_equal(jacobian(jnp.asarray(MEAN)), np.eye(2))


@named("gaussian", "pathwise_gaussian")
def test_a_proposed_sigma_is_the_one_that_is_used(name):
    make = getattr(estimators, name)
    mu, sigma = jnp.asarray(MEAN), jnp.array([0.2, 0.3])
    chosen = make().choose(KEY, (mu, sigma))
    density = scipy.stats.norm(MEAN, sigma)
    np.testing.assert_allclose(chosen.log_prob, density.logpdf(chosen.where).sum(), rtol=1e-5)
    np.testing.assert_allclose(chosen.entropy, density.entropy().sum(), rtol=1e-5)
    same = make().choose(KEY, (mu, jnp.asarray(SIGMA)))
    chex.assert_trees_all_close(same, OURS[name].choose(KEY, mu), rtol=1e-6)


def test_the_score_reaches_a_proposed_sigma():
    def log_prob(sigma):
        chosen = estimators.gaussian().choose(KEY, (jnp.asarray(MEAN), sigma))
        return chosen.log_prob, chosen.where

    gradient, where = jax.grad(log_prob, has_aux=True)(jnp.full(2, SIGMA))
    z = (np.asarray(where) - MEAN) / SIGMA
    np.testing.assert_allclose(gradient, (z**2 - 1) / SIGMA, rtol=1e-4)


@named("fixed_point", "random_point")
def test_controls_take_a_proposal_that_brings_a_sigma(name):
    given = jnp.asarray(MEAN), jnp.full(2, SIGMA)
    chex.assert_trees_all_equal(OURS[name].choose(KEY, given), OURS[name].choose(KEY, given[0]))


def tossed(coin, count=4000):
    wrapped = estimators.semi_sampling(estimators.categorical(), coin)
    keys = jax.random.split(KEY, count)
    return jax.jit(jax.vmap(wrapped.choose, (0, None)))(keys, jnp.asarray(SCORES))


def test_semi_sampling_samples_as_often_as_its_coin_says_and_credits_only_samples():
    chosen = tossed(0.3)
    sampled = np.asarray(chosen.where).max(-1) == 1
    assert scipy.stats.binomtest(int(sampled.sum()), len(sampled), 0.3).pvalue > 1e-3
    np.testing.assert_allclose(chosen.where[~sampled], chosen.mean[~sampled])
    np.testing.assert_array_equal(chosen.log_prob[~sampled], 0)
    p = softmax(SCORES)
    picked = np.asarray(chosen.where)[sampled].argmax(-1)
    np.testing.assert_allclose(chosen.log_prob[sampled], np.log(p[picked]), rtol=1e-5)


def test_one_coin_for_the_batch_falls_once_and_does_not_retrace():
    @jax.jit
    @chex.assert_max_traces(n=1)
    def chosen(coin):
        return tossed(coin, 100)

    for heads in (True, False):
        same = tossed(float(heads), 100)  # the coin that always falls so
        chex.assert_trees_all_close(chosen(jnp.asarray(heads)), same)
        assert ((np.asarray(same.where).max(-1) == 1) == heads).all()


def test_temperature_divides_the_scores():
    wrapped = estimators.with_temperature(estimators.categorical(), 2.0)
    bare, halved = estimators.categorical(), jnp.asarray(SCORES / 2)
    for how in ("choose", "greedy"):
        chex.assert_trees_all_equal(
            getattr(wrapped, how)(KEY, jnp.asarray(SCORES)), getattr(bare, how)(KEY, halved)
        )


@named("gaussian", "identity")
def test_wrappers_of_scores_refuse_the_rest(name):
    for wrap in (estimators.semi_sampling, estimators.with_temperature):
        with pytest.raises(ValueError, match=f"got one that gives '{OURS[name].gives}'"):
            wrap(OURS[name], 0.5)


@pytest.mark.parametrize("coin", [-0.1, 1.1, float("nan")])
def test_a_coin_is_a_probability(coin):
    with pytest.raises(ValueError, match=r"coin must be a probability in \[0, 1\]; got"):
        estimators.semi_sampling(estimators.categorical(), coin)


@named("categorical", *THROUGH)
def test_narrow_scores_are_sampled_as_they_say(name):
    scores = jnp.zeros(64, jnp.bfloat16)  # noise of bfloat16 would prefer the first of many
    keys = jax.random.split(KEY, SAMPLES)
    where = jax.jit(jax.vmap(OURS[name].choose, (0, None)))(keys, scores).where
    assert scipy.stats.chisquare(np.asarray(where).sum(0)).pvalue > 1e-3


@pytest.mark.parametrize(
    "make",
    [
        estimators.gumbel_softmax,
        estimators.straight_through,
        estimators.straight_through_gumbel,
        lambda tau: estimators.with_temperature(estimators.expectation(), tau),
    ],
)
def test_a_temperature_has_a_gradient_whatever_is_masked(make):
    def total(tau):
        return (make(tau).choose(KEY, jnp.asarray(MASKED)).where * WEIGHTS).sum()

    gradient = jax.jit(jax.grad(total))(TAU)
    assert np.isfinite(gradient) and gradient != 0


def test_sigma_may_differ_between_axes_and_both_must_be_positive():
    sigma = jnp.array([0.2, 0.3])
    given = estimators.gaussian(sigma).choose(KEY, jnp.asarray(MEAN))
    proposed = estimators.gaussian().choose(KEY, (jnp.asarray(MEAN), sigma))
    chex.assert_trees_all_equal(given, proposed)
    with pytest.raises(ValueError, match=r"sigma must be positive; got \[ ?0.2 -0.3\]"):
        estimators.gaussian(jnp.array([0.2, -0.3]))


def test_a_random_point_needs_somewhere_to_be():
    with pytest.raises(ValueError, match="extent must be positive; got 0"):
        estimators.random_point(0.0)
