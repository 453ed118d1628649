"""Every family of transforms: constraints for any vector, inverses, gradients, reads."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jax.test_util import check_grads

from attn_jax import check_fit, estimators
from attn_jax.ops import control_grid, grid_sample, transforms
from attn_jax.ops.transforms import Transform, compose, inverse
from tests.source_checks import refuses
from tests.transform_families import FAMILIES
from tests.xla import QUICK

# The programs are small: compiling them is what takes time.
_jit = functools.partial(jax.jit, compiler_options=QUICK)

families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
BOUND = 0.2
APPLIED = {name: _jit(family.apply) for name, family in FAMILIES.items()}
HELD = {name: _jit(transforms.bounded(one, BOUND).apply) for name, one in FAMILIES.items()}

entries = st.floats(-1e4, 1e4, width=32) | st.floats(-2, 2, width=32)
entries |= st.sampled_from([0.0, -0.0, 1e30, -1e30, np.inf, -np.inf])
checked = settings(derandomize=True, deadline=None, max_examples=60)


def vectors(size):
    return arrays(np.float32, size, elements=entries)


def near(family, by=0.1, seed=0):
    noise = np.random.default_rng(seed).uniform(-by, by, size=family.size)
    return jnp.asarray(np.asarray(family.identity) + noise, jnp.float32)


def by_hand(h):
    """The places that a homography gives the corners of the output, in float64."""
    square = np.append(control_grid(2), np.ones((4, 1)), 1)
    u, v, w = np.asarray(h, np.float64) @ square.T
    return np.stack([u / w, v / w], 1), w


def turns(places):
    """The signed area at each corner of a quadrilateral given row by row; positive if convex."""
    round_ = places[[0, 1, 3, 2]]
    one, other = np.roll(round_, -1, 0) - round_, np.roll(round_, -2, 0) - np.roll(round_, -1, 0)
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]


@checked
@given(vectors(8))
def test_corners_are_convex_and_never_singular_for_any_vector(vector):
    h = np.asarray(APPLIED["corners"](vector))
    places, w = by_hand(h)
    expected = control_grid(2) + 0.45 * np.tanh(np.float64(vector)).reshape(4, 2)
    np.testing.assert_allclose(places, expected, atol=1e-5)
    assert turns(places).min() > 0.1
    assert w.min() > 0
    assert np.linalg.det(h) > 0.01
    assert h[2, 2] == 1


def test_a_bound_of_a_half_would_be_too_wide():
    """Three corners then lie on a line: the bound of `corners` is the widest there is."""
    moved = control_grid(2) + 0.5 * np.array([[1, -1], [-1, 1], [0, 0], [1, -1]])
    assert abs(turns(moved)).min() < 1e-12


@checked
@given(vectors(4), st.sampled_from(["translation", "rotation", "similarity", "axis_aligned"]))
def test_a_theta_keeps_the_constraint_of_its_family(vector, name):
    vector = vector[: FAMILIES[name].size]
    (a, b, x), (c, d, y) = np.asarray(APPLIED[name](vector), np.float64)
    if name == "translation":
        assert (a, b, c, d) == (1, 0, 0, 1)
    elif name == "rotation":
        assert (x, y) == (0, 0)
    elif name == "axis_aligned":
        assert (b, c) == (0, 0)
    finite = np.isfinite(vector).all() and abs(vector[0]) < 1e15
    if name in ("rotation", "similarity") and finite:
        size = 1 if name == "rotation" else np.float64(vector[0]) ** 2
        np.testing.assert_allclose([a - d, b + c], 0, atol=1e-6 * abs(size))
        np.testing.assert_allclose(a * d - b * c, size, rtol=1e-5, atol=1e-30)


@checked
@given(st.data(), st.sampled_from(sorted(FAMILIES)))
def test_a_bound_holds_every_entry_for_any_vector(data, name):
    family = FAMILIES[name]
    raw = data.draw(vectors(family.size))
    where = np.asarray(HELD[name](raw), np.float64)
    assert np.isfinite(where).all()
    if name in ("full_affine", "affine_3d", "control_points"):
        assert abs(where - family.unchanged).max() <= BOUND + 1e-6
    elif name == "rotation":
        assert where[0, 0] >= np.cos(BOUND) - 1e-6
    elif name == "isotropic":
        assert 1 - BOUND - 1e-6 <= where[0, 0] <= 1 + BOUND + 1e-6


@families
def test_a_bound_is_near_the_identity_no_change(family):
    held = transforms.bounded(family, 10.0)
    vector = near(family, 1e-3)
    np.testing.assert_array_equal(held.apply(family.identity), family.unchanged)
    np.testing.assert_allclose(held.apply(vector), family.apply(vector), atol=1e-6)
    assert (held.gives, held.size, held.rank) == (family.gives, family.size, family.rank)


def test_a_bound_of_each_entry_fixes_some_and_leaves_others_free():
    held = transforms.bounded(transforms.similarity(), [0.5, 0.0, np.inf, 0.25])
    theta = held.apply(jnp.array([1e9, 1e9, 1e9, -1e9]))
    np.testing.assert_array_equal(theta, [[1.5, 0, 1e9], [0, 1.5, -0.25]])
    gradient = jax.jacobian(held.apply)(jnp.array([1.0, 3.0, 5.0, 0.0]))
    assert np.isfinite(gradient).all()
    assert not gradient[..., 1].any()
    np.testing.assert_allclose(gradient[0, 2, 2], 1)


def test_a_bound_is_the_stated_tanh():
    held, raw = transforms.bounded(transforms.isotropic(), 0.3), [1.4, -0.2, 5.0]
    s, x, y = np.array([1, 0, 0]) + 0.3 * np.tanh((np.array(raw) - [1, 0, 0]) / 0.3)
    np.testing.assert_allclose(held.apply(jnp.array(raw)), [[s, 0, x], [0, s, y]], rtol=1e-6)


@checked
@given(arrays(np.float64, 3, elements=st.floats(-0.19, 0.19)))
def test_the_vector_before_a_bound_leads_to_the_vector(moved):
    family = transforms.isotropic()
    vector = np.asarray(family.identity) + moved
    raw = transforms.vector_before(family, BOUND, vector)
    expected = family.apply(jnp.asarray(vector, jnp.float32))
    np.testing.assert_allclose(HELD["isotropic"](np.float32(raw)), expected, atol=1e-5)


@families
def test_gradients_are_finite_for_any_vector(family):
    rng = np.random.default_rng(0)
    of = _jit(jax.vmap(jax.jacobian(family.apply)))
    for scale in (0.0, 1e-3, 1.0, 1e3):
        vector = jnp.asarray(scale * rng.normal(size=(3, family.size)), jnp.float32)
        assert np.isfinite(of(vector)).all()
    at_identity = of(family.identity[None])
    assert (np.abs(at_identity).max((0, 1, 2)) > 0.1).all()  # every entry acts


@pytest.mark.parametrize(
    "name",
    [
        "corners",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("control_points", "affine_3d")),
    ],
)
def test_gradients_through_a_family_and_its_read(name):
    family = FAMILIES[name]
    size = (2, 3, 2)[-family.rank :]
    with jax.enable_x64(True):
        image = jnp.asarray(np.random.default_rng(1).uniform(size=(*(4, 5, 6)[-family.rank :], 1)))
        read = family.read(size, padding="border")
        vector = jnp.asarray(near(family), jnp.float64)
        check_grads(jax.jit(lambda v: read(image, family.apply(v))), (vector,), order=1)


@families
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection", "wrap", "constant"])
def test_a_read_at_the_identity_is_the_image_bit_for_bit(family, padding):
    size = (3, 28, 42)[-family.rank :]
    image = jnp.asarray(np.random.default_rng(0).normal(size=(*size, 2)), jnp.float32)
    image = image.at[..., 3, 4, 0].set(jnp.nan).at[..., 5, 6, 1].set(-jnp.inf)
    options = {"padding": padding, "fill": 3.0 if padding == "constant" else 0.0}
    read = _jit(family.read(size, **options).apply)
    np.testing.assert_array_equal(read(image, family.apply(family.identity)), image)


@families
def test_a_read_samples_its_own_grid_and_has_its_gradients_at_the_identity_too(family):
    size = (3, 5, 6)[-family.rank :]
    image = jnp.asarray(np.random.default_rng(0).normal(size=(*size, 2)), jnp.float32)

    def ours(image, where):
        return (family.read(size)(image, where) ** 2).sum()

    def expected(image, where):
        return (grid_sample(image, family.grid(where, size)) ** 2).sum()

    both = _jit(lambda *a: [jax.value_and_grad(f, (0, 1))(*a) for f in (ours, expected)])
    for vector in (family.identity, near(family, 0.3)):
        (value, gradients), (same, others) = both(image, family.apply(vector))
        np.testing.assert_allclose(value, same, rtol=1e-4)
        for one, other in zip(gradients, others, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
        assert np.abs(gradients[1]).max() > 0.1


@families
def test_the_inverse_leads_back(family):
    where = family.apply(near(family, 0.1))
    back = _jit(family.inverse)(where)
    assert back.shape == where.shape
    if family.gives == "control_points":
        return  # tests/ops/test_thin_plate.py
    np.testing.assert_allclose(compose(where, back), family.unchanged, atol=1e-5)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(arrays(np.float32, 8, elements=st.floats(-3, 3, width=32)))
def test_homographies_compose_and_invert_as_matrices(vector):
    h = APPLIED["corners"](vector)
    back = _inverse(h)
    np.testing.assert_allclose(back, np.linalg.inv(np.float64(h)), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(_compose(h, back), np.eye(3), atol=1e-3)


_inverse, _compose = _jit(inverse), _jit(compose)


def test_a_traced_homography_without_an_inverse_gives_zeros_with_zero_gradient():
    flat = jnp.ones((3, 3))
    with refuses(r"theta must be invertible and finite; got \[\[1"):
        inverse(flat)
    value, gradient = _jit(jax.value_and_grad(lambda h: inverse(h).sum()))(flat)
    assert value == 0 and not gradient.any()


def test_forms_by_hand():
    quarter = transforms.rotation().apply(jnp.array([np.pi / 6]))
    np.testing.assert_allclose(quarter, [[0.75**0.5, -0.5, 0], [0.5, 0.75**0.5, 0]], rtol=1e-6)
    fixed = transforms.translation(0.5).apply(jnp.array([0.1, -0.2]))
    np.testing.assert_allclose(fixed, [[0.5, 0, 0.1], [0, 0.5, -0.2]], rtol=1e-6)
    whole = transforms.projective().apply(jnp.arange(8.0))
    np.testing.assert_array_equal(whole, [[0, 1, 2], [3, 4, 5], [6, 7, 1]])
    deep = transforms.affine_3d().apply(jnp.arange(12.0))
    np.testing.assert_array_equal(deep, np.arange(12).reshape(3, 4))
    layout = np.array([[-0.5, -0.5], [0.7, 0.1], [0.0, 0.8]])
    free = transforms.control_points(layout)
    np.testing.assert_array_equal(free.apply(jnp.arange(6.0)), [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(free.control, layout)
    assert transforms.control_points().size == 32
    assert transforms.control_points((2, 3)).size == 12


def test_a_pinched_quadrilateral_by_four_points():
    """The homography of four given points, solved as the usual 8 x 8 system in float64."""
    vector = np.random.default_rng(3).normal(size=8)
    square, places = control_grid(2), control_grid(2) + 0.4 * np.tanh(vector).reshape(4, 2)
    rows = []
    for (x, y), (u, v) in zip(square, places, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
    expected = np.append(np.linalg.solve(rows, places.ravel()), 1).reshape(3, 3)
    ours = transforms.corners(0.4).apply(jnp.asarray(vector, jnp.float32))
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_a_family_made_while_tracing_leaks_nothing():
    kept = []

    def made(x):
        kept.append(transforms.control_points(2))
        return x

    jax.jit(made)(0.0)
    assert kept[0].identity.shape == (8,)
    assert not isinstance(kept[0].identity, jax.core.Tracer)


@families
def test_an_estimator_of_its_tag_fits_its_read(family):
    read = family.read((4, 4, 4)[-family.rank :])
    check_fit(estimators.identity(gives=family.gives), read)
    others = [tag for tag in ("theta", "homography", "control_points") if tag != family.gives]
    for tag in others:
        with pytest.raises(ValueError, match=f"the read takes '{family.gives}'"):
            check_fit(estimators.identity(gives=tag), read)


REFUSED = {
    "no scale": (lambda: transforms.translation(0.0), "scale must be .* other than 0; got 0"),
    "an infinite scale": (lambda: transforms.translation(np.inf), "scale must be .*; got inf"),
    "a wide bound": (lambda: transforms.corners(0.5), "bound must be above 0 and below 0.5; got"),
    "no bound": (lambda: transforms.corners(0.0), "bound must be above 0 and below 0.5; got 0"),
    "a negative bound": (
        lambda: transforms.bounded(transforms.rotation(), -1.0),
        "bound must be a number of at least 0, or one for each of 1 entries; got -1",
    ),
    "too many bounds": (
        lambda: transforms.bounded(transforms.rotation(), [1.0, 2.0]),
        r"bound must be .* each of 1 entries; got \[1.0, 2.0\]",
    ),
    "a start outside": (
        lambda: transforms.vector_before(transforms.rotation(), 0.5, [0.5]),
        r"vector must lie within \[0.5\] of \[0.0\]; got \[0.5\]",
    ),
    "a long start": (
        lambda: transforms.vector_before(transforms.rotation(), 0.5, [0.1, 0.1]),
        r"vector must have shape \(1,\); got \(2,\)",
    ),
    "one control point": (lambda: transforms.control_points(1), "count must be at least 2"),
    "points on a line": (
        lambda: transforms.control_points(np.array([[0.0, 0], [1, 1], [2, 2]])),
        "control points must not lie on one line",
    ),
    "a size of zero": (lambda: transforms.corners().read(0), "size must be at least 1; got 0"),
    "a plane of a volume": (
        lambda: transforms.affine_3d().read((4, 4)),
        r"size must be \(d, h, w\), whole numbers of at least 1; got \(4, 4\)",
    ),
    "no depth": (
        lambda: transforms.affine_3d().read((0, 4, 4)),
        r"size must be \(d, h, w\), whole numbers of at least 1; got \(0, 4, 4\)",
    ),
    "a volume of a plane": (
        lambda: transforms.full_affine().read((4, 4, 4)),
        r"size must be a whole number or \(h, w\); got \(4, 4, 4\)",
    ),
    "an unknown padding": (
        lambda: transforms.corners().read(4, padding="edge"),
        "padding must be one of .*; got 'edge'",
    ),
    "an unknown mode": (
        lambda: transforms.corners().read(4, mode="linear"),
        "mode must be one of .*; got 'linear'",
    ),
    "a mode of images": (
        lambda: transforms.affine_3d().read(4, mode="bicubic"),
        r"mode must be one of \('nearest', 'bilinear'\); got 'bicubic'",
    ),
    "a fill without constant": (
        lambda: transforms.corners().read(4, fill=1.0),
        "fill belongs to padding='constant' alone; got padding='zeros'",
    ),
    "an image in a volume's read": (
        lambda: transforms.affine_3d().read(4)(jnp.ones((4, 4, 1)), jnp.eye(3, 4)),
        r"size must be \(h, w\) for an image",
    ),
    "another where": (
        lambda: transforms.corners().inverse(jnp.eye(2, 3)),
        r"where must have shape \(3, 3\); got \(2, 3\)",
    ),
    "another tag": (
        lambda: Transform(lambda v: v, jnp.zeros(2), 2, "point"),
        "gives must be one of .*; got 'point'",
    ),
    "a tag without its layout": (
        lambda: Transform(lambda v: v, jnp.zeros(8), 8, "control_points"),
        "a layout of control points belongs to gives='control_points' alone; got",
    ),
}


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("wrong", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_one_clear_line(wrong, message):
    with refuses(message):
        wrong()


@pytest.mark.usefixtures("bad_input")
@families
def test_a_vector_of_another_size_or_of_whole_numbers_is_refused(family):
    message = re.escape(f"vector must have shape ({family.size},); got ({family.size + 1},)")
    for one in (family, transforms.bounded(family, 1.0)):
        with pytest.raises(ValueError, match=message):
            one.apply(jnp.zeros(family.size + 1))
        with pytest.raises(TypeError, match="vector must be floating point; got int32"):
            one.apply(jnp.zeros(family.size, jnp.int32))
