"""Constrained transforms by their closed forms; composing is reading twice, inverting undoes."""

import functools
import inspect
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_jax.ops import affine, transforms
from attn_jax.ops.transforms import Transform, compose, inverse
from tests.xla import QUICK

# The programs are small: compiling them is what takes time.
_jit = functools.partial(jax.jit, compiler_options=QUICK)

FAMILIES = {
    "translation": transforms.translation(),
    "isotropic": transforms.isotropic(),
    "similarity": transforms.similarity(),
    "axis_aligned": transforms.axis_aligned(),
    "full_affine": transforms.full_affine(),
    "rotation": transforms.rotation(),
    "projective": transforms.projective(),
    "corners": transforms.corners(),
    "control_points": transforms.control_points(3),
    "affine_3d": transforms.affine_3d(),
}
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
ROOT = math.sqrt(0.5)
# vector -> theta, by hand.
FORMS = {
    "translation": ([0.3, -0.7], [[1, 0, 0.3], [0, 1, -0.7]]),
    "isotropic": ([0.5, 0.3, -0.7], [[0.5, 0, 0.3], [0, 0.5, -0.7]]),
    "similarity": (
        [2.0, math.pi / 4, 0.3, -0.7],
        [[2 * ROOT, -2 * ROOT, 0.3], [2 * ROOT, 2 * ROOT, -0.7]],
    ),
    "axis_aligned": ([0.5, 2.0, 0.3, -0.7], [[0.5, 0, 0.3], [0, 2, -0.7]]),
    "full_affine": ([1.0, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]),
}


def thetas(rank, count=50):
    """Well away from singular: a shear and turn of the identity."""
    noise = np.random.default_rng(rank).uniform(-0.4, 0.4, size=(count, rank, rank + 1))
    return (np.eye(rank, rank + 1) + noise).astype(np.float32)


def whole(theta):
    """The homogeneous matrix, in float64."""
    last = np.zeros(theta.shape[-1])
    last[-1] = 1
    return np.concatenate([np.asarray(theta, np.float64), last[None]])


composed, inverted = _jit(jax.vmap(compose)), _jit(jax.vmap(inverse))
ranks = pytest.mark.parametrize("rank", [2, 3])


def test_the_table_is_every_family():
    makers = {
        name
        for name, function in inspect.getmembers(transforms, inspect.isfunction)
        if not name.startswith("_") and inspect.signature(function).return_annotation is Transform
    }
    assert makers - {"bounded"} == set(FAMILIES)
    assert set(FORMS) <= set(FAMILIES)


@families
def test_the_identity_is_exact_and_has_the_size(family):
    assert family.identity.shape == (family.size,)
    where = _jit(family.apply)(family.identity)
    np.testing.assert_array_equal(where, family.unchanged)
    assert where.shape == family.unchanged.shape


@pytest.mark.parametrize("name", FORMS)
def test_closed_forms_and_dtypes(name):
    vector, theta = FORMS[name]
    apply = _jit(FAMILIES[name].apply)
    np.testing.assert_allclose(apply(jnp.array(vector)), theta, rtol=1e-6)
    narrow = jnp.array(vector, jnp.bfloat16)
    assert apply(narrow).dtype == jnp.float32
    np.testing.assert_allclose(apply(narrow), apply(narrow.astype(jnp.float32)), rtol=1e-6)


@families
def test_batches_and_gradients(family):
    with jax.enable_x64(True):
        vectors = np.random.default_rng(0).uniform(0.5, 1, size=(2, family.size))
        apply = jax.jit(jax.vmap(family.apply))
        assert apply(vectors).dtype == jnp.float64
        check_grads(apply, (jnp.asarray(vectors),), order=1)


def test_a_positive_angle_reads_clockwise():
    image = jnp.zeros((3, 3, 1)).at[1, 2].set(1.0)  # on the right
    theta = transforms.similarity().apply(jnp.array([1.0, jnp.pi / 2, 0, 0]))
    out = _jit(affine(3).apply)(image, theta)[..., 0]
    expected = np.zeros((3, 3))
    expected[0, 1] = 1  # what is read turns to the bottom, so what was right comes to the top
    np.testing.assert_allclose(out, expected, atol=1e-6)


@ranks
def test_compose_and_inverse_are_products_and_inverses_of_matrices(rank):
    a, b = thetas(rank), thetas(rank)[::-1]
    for one, other, ours, back in zip(a, b, composed(a, b), inverted(a), strict=True):
        np.testing.assert_allclose(whole(ours), whole(one) @ whole(other), atol=1e-6)
        np.testing.assert_allclose(whole(back), np.linalg.inv(whole(one)), atol=2e-5)


@ranks
def test_compose_then_inverse_is_the_identity(rank):
    a = thetas(rank)
    back = inverted(a)
    eye = np.broadcast_to(np.eye(rank, rank + 1), a.shape)
    np.testing.assert_allclose(composed(a, back), eye, atol=2e-5)
    np.testing.assert_allclose(composed(back, a), eye, atol=2e-5)
    np.testing.assert_allclose(inverted(back), a, atol=2e-5)


EXACT = {  # maps of whole pixels of a 9 x 9 image: each read is exact
    "right": [[1, 0, 2 / 9], [0, 1, 0]],
    "down": [[1, 0, 0], [0, 1, 4 / 9]],
    "flip": [[-1, 0, 0], [0, 1, 0]],
    "turn": [[0, -1, 0], [1, 0, 0]],
}


def test_composing_is_reading_with_the_first_and_then_with_the_second():
    image = jnp.zeros((9, 9, 1)).at[3:6, 3:6].set(jnp.arange(1.0, 10).reshape(3, 3, 1))
    read, both = _jit(affine(9).apply), _jit(compose)
    maps = {name: jnp.array(theta, jnp.float32) for name, theta in EXACT.items()}
    differ = 0
    for a in maps.values():
        for b in maps.values():
            twice = read(read(image, a), b)
            np.testing.assert_allclose(read(image, both(a, b)), twice, atol=1e-4)
            differ += np.abs(read(image, both(b, a)) - twice).max() > 0.5
    assert differ >= 4  # the order is seen


@pytest.mark.parametrize("rank", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_gradients_through_compose_and_inverse(rank):
    with jax.enable_x64(True):
        a, b = (jnp.asarray(theta, jnp.float64) for theta in thetas(rank, 2))
        check_grads(jax.jit(lambda a, b: compose(a, inverse(b))), (a, b), order=1)


SINGULAR = {
    "zero": np.zeros((2, 3)),
    "a line": [[1, 2, 0.5], [2, 4, 1]],
    "a line to rounding": [[0.1, 0.7, 0.5], [0.3, 2.1, 1]],
    "no height": [[1, 0, 0], [0, 0, 0]],
    "infinite": [[np.inf, 0, 0], [0, 1, 0]],
    "a volume without depth": [[1, 2, 3, 1], [4, 5, 6, 1], [5, 7, 9, 1]],
    "NaN": [[np.nan, 0, 0], [0, 1, 0]],
}


@pytest.mark.parametrize("theta", SINGULAR.values(), ids=SINGULAR)
def test_what_cannot_be_inverted_is_refused_or_if_traced_zero_with_zero_gradient(theta):
    theta = jnp.asarray(theta, jnp.float32)
    with pytest.raises(ValueError, match=r"theta must be invertible and finite; got \[\["):
        inverse(theta)
    back, gradient = back_and_gradient(theta)
    np.testing.assert_array_equal(back, 0)
    np.testing.assert_array_equal(gradient, 0)


@_jit
def back_and_gradient(theta):
    return inverse(theta), jax.grad(lambda theta: inverse(theta).sum())(theta)


@pytest.mark.parametrize("scales", [(1e-8, 1.0), (1e-6, 1e6), (1e12, 1e12)])
def test_strong_scales_are_inverted(scales):
    theta = transforms.axis_aligned().apply(jnp.array([*scales, 0.0, 0.0]))
    for back in (_jit(lambda: inverse(theta))(), _jit(inverse)(theta)):
        np.testing.assert_allclose(np.diag(back), 1 / np.array(scales), rtol=1e-6)


def test_narrow_thetas_are_composed_and_inverted_wide():
    a, b = (jnp.asarray(theta, jnp.bfloat16) for theta in thetas(2, 2))
    ours = _jit(compose)(a, b)
    assert ours.dtype == jax.eval_shape(inverse, a).dtype == jnp.float32
    expected = whole(a.astype(jnp.float32)) @ whole(b.astype(jnp.float32))
    np.testing.assert_allclose(whole(ours), expected, atol=1e-6)


@pytest.mark.usefixtures("bad_input")
@families
def test_a_vector_of_another_size_is_refused(family):
    expected = re.escape(f"vector must have shape ({family.size},); got ")
    for shape in ((family.size + 1,), (1, family.size), ()):
        with pytest.raises(ValueError, match=expected + re.escape(f"{shape}")):
            family.apply(jnp.zeros(shape))


@pytest.mark.usefixtures("bad_input")
def test_thetas_of_other_shapes_are_refused():
    odd, flat, deep = jnp.eye(2), jnp.eye(2, 3), jnp.eye(3, 4)
    with pytest.raises(ValueError, match=r"theta must have shape .*; got \(2, 2\)"):
        inverse(odd)
    with pytest.raises(ValueError, match=r"^a must have shape .*; got \(2, 2\)"):
        compose(odd, odd)
    with pytest.raises(ValueError, match=r"the same shape; got \(2, 3\) and \(3, 4\)"):
        compose(flat, deep)
