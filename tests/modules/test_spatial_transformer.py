"""The layer by a contract over every transform: its start, what learns, where it works."""

import functools
from importlib.util import find_spec

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from attn_jax import estimators, ops
from attn_jax.modules import Attend, Memory, SpatialTransformer, Warp
from attn_jax.ops import transforms
from tests.filled import filled
from tests.transform_families import FAMILIES as PLAIN
from tests.xla import QUICK

# The programs are small: compiling them is what takes time.
_jit = functools.partial(jax.jit, compiler_options=QUICK)

FAMILIES = PLAIN | {"bounded": transforms.bounded(transforms.similarity(), [0.5, 1.0, 0.5, 0.5])}
families = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
# One of each tag and rank; by default the others are left to the contract above all.
ONE_OF_EACH = {"rotation", "corners", "control_points", "affine_3d"}
some = pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, marks=() if name in ONE_OF_EACH else pytest.mark.slow, id=name)
        for name, family in FAMILIES.items()
    ],
)
KEY, B = jax.random.key(0), 2


def refuses(message, error=ValueError):
    """One clear line; Flax lets JAX add a note of its own below it."""
    return pytest.raises(error, match=rf"\A[^\n]*{message}")


class Features(nn.Module):
    """A small localisation network."""

    width: int = 5

    @nn.compact
    def __call__(self, x):
        return nn.tanh(nn.Dense(self.width)(x.reshape(x.shape[0], -1)))


def normal(*shape, seed=0, dtype=jnp.float32):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def input_of(family, channels=2, dtype=jnp.float32):
    return normal(B, *(4, 7, 6)[-family.rank :], channels, dtype=dtype)


def layer(family, size=None, **options):
    return SpatialTransformer(Features(), family, size or (4, 7, 6)[-family.rank :], **options)


@families
def test_at_first_it_is_the_identity_and_the_last_bias_learns_then_the_network(family):
    x, target = input_of(family), input_of(family)[::-1]
    module = layer(family, padding="border")
    made = _jit(lambda: module.init_with_output(KEY, x))()
    out, variables = made
    np.testing.assert_array_equal(out, x)
    gradient_of = _jit(jax.grad(lambda v: ((module.apply(v, x) - target) ** 2).mean()))
    first = gradient_of(variables)["params"]
    last = first["propose"]["Dense_0"]
    assert (np.abs(last["bias"]) > 0).all()
    assert not np.abs(first["localisation"]["Dense_0"]["kernel"]).any()
    updated = jax.tree.map(lambda p, g: p - 0.1 * g, variables["params"], first)
    second = gradient_of({"params": updated})["params"]
    assert np.abs(second["localisation"]["Dense_0"]["kernel"]).max() > 0
    assert np.abs(second["localisation"]["Dense_0"]["bias"]).max() > 0


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection", "wrap", "constant"])
@pytest.mark.parametrize("name", ["full_affine", "control_points"])
def test_at_first_it_is_the_identity_bit_for_bit_under_every_padding(padding, name):
    x = normal(B, 28, 45, 1)  # coordinates that are not exact in binary
    fill = {"fill": 2.0} if padding == "constant" else {}
    module = SpatialTransformer(Features(), FAMILIES[name], (28, 45), padding=padding, **fill)
    out = _jit(lambda: module.init_with_output(KEY, x)[0])()
    np.testing.assert_array_equal(out, x)


@some
def test_it_is_attend_without_a_state(family):
    x = input_of(family)
    size = (2, 4, 3)[-family.rank :]
    module = layer(family, size, mode="bilinear", padding="border")
    variables = filled(lambda key: module.init(key, x), scale=0.1)
    attend = Attend(
        Warp(family, Features()),
        estimators.identity(gives=family.gives),
        family.read(size, padding="border"),
    )
    params = variables["params"]

    def look(attend, x):
        return attend(attend.prepare(x), None, None, jnp.asarray(True))

    same = {"propose": {"localise": params["localisation"], **params["propose"]}}

    @_jit
    def both():
        out, sown = module.apply(variables, x, mutable=["intermediates"])
        run = attend.apply({"params": same}, x, method=look)
        return out, sown["intermediates"]["where"], module.apply(variables, x, method="where"), run

    out, (sown,), where, (expected, selection) = both()
    np.testing.assert_allclose(out, expected, atol=1e-6)
    np.testing.assert_allclose(where, selection.where, atol=1e-6)
    np.testing.assert_array_equal(where, sown)
    assert out.shape == (B, *size, 2)
    assert where.shape == (B, *family.unchanged.shape)
    assert np.abs(where[0] - where[1]).max() > 1e-4


class Network(nn.Module):
    """Two in parallel, then one in depth, on a feature map, rematerialised."""

    family: transforms.Transform

    @nn.compact
    def __call__(self, x):
        made = functools.partial(
            nn.remat(SpatialTransformer), transform=self.family, size=x.shape[1:-1]
        )
        both = [made(Features(parent=None), name=name)(x) for name in ("one", "other")]
        features = nn.relu(nn.Dense(3)(jnp.concatenate(both, -1)))
        return nn.Dense(2)(made(Features(), name="deep")(features, seen=x).reshape(x.shape[0], -1))


@pytest.mark.parametrize(
    "name",
    [
        "corners",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("control_points", "affine_3d")),
    ],
)
def test_it_works_in_parallel_in_depth_rematerialised_under_vmap_and_jit(name):
    family = FAMILIES[name]
    x = input_of(family)
    module = Network(family)
    variables = filled(lambda key: module.init(key, x), scale=0.1)
    assert {"localisation", "propose"} == set(variables["params"]["one"])

    @_jit
    def run(variables, x):
        value, gradient = jax.value_and_grad(lambda v: (module.apply(v, x) ** 2).sum())(variables)
        twice = jax.vmap(module.apply, (None, 0))(variables, jnp.stack([x, x[::-1]]))
        return module.apply(variables, x), twice, value, gradient

    out, (same, turned), _, gradient = run(variables, x)
    np.testing.assert_allclose(out, same, atol=1e-5)
    np.testing.assert_allclose(out[::-1], turned, atol=1e-5)
    for leaf in jax.tree.leaves(gradient):
        assert np.abs(leaf).max() > 0 and np.isfinite(leaf).all()


@families
def test_what_was_exported_gives_the_same_numbers(family):
    x, module = input_of(family), layer(family, implementation="xla")
    variables = filled(lambda key: module.init(key, x), scale=0.1)
    run = _jit(module.apply)
    exported = export.export(run)(variables, x)
    if find_spec("flatbuffers"):  # which jax.export needs to serialise
        exported = export.deserialize(exported.serialize())
    np.testing.assert_allclose(exported.call(variables, x), run(variables, x), atol=1e-5)


@pytest.mark.parametrize("name", ["full_affine", "corners", "control_points", "affine_3d"])
def test_bfloat16_goes_through_with_transforms_in_float32(name):
    family = FAMILIES[name]
    x = input_of(family, dtype=jnp.bfloat16)
    module = layer(family)
    out, variables = _jit(lambda: module.init_with_output(KEY, x))()
    assert out.dtype == jnp.bfloat16
    np.testing.assert_array_equal(out.astype(jnp.float32), x.astype(jnp.float32))
    assert jax.eval_shape(lambda: module.apply(variables, x, method="where")).dtype == jnp.float32
    narrow = layer(family, dtype=jnp.bfloat16)
    assert jax.eval_shape(lambda: narrow.apply(variables, x.astype(jnp.float32))).dtype == x.dtype


@pytest.mark.parametrize("channels", [1, 5])
def test_any_number_of_channels_and_any_size(channels):
    x = normal(B, 9, 4, channels)
    module = SpatialTransformer(Features(), FAMILIES["similarity"], (5, 11))
    out = jax.eval_shape(lambda: module.init_with_output(KEY, x)[0])
    assert out.shape == (B, 5, 11, channels)


def test_a_start_a_bound_and_a_fixed_transform():
    family, x = transforms.isotropic(), input_of(transforms.isotropic())
    start = [2 / 3, 0.1, -0.2]
    for bound in (None, 0.5, [0.5, 0.3, np.inf]):
        module = layer(family, start=start, bound=bound)
        where = _jit(lambda: module.init_with_output(KEY, x, method="where")[0])()
        expected = np.array([[2 / 3, 0, 0.1], [0, 2 / 3, -0.2]])
        np.testing.assert_allclose(where, np.stack([expected] * B), atol=1e-6)
    variables = filled(lambda key: layer(family).init(key, x), scale=30.0)
    held = layer(family, bound=0.5).apply(variables, x, method="where")
    assert np.abs(np.asarray(held) - family.unchanged).max() <= 0.5 + 1e-6
    fixed = layer(family).apply(variables, x, jnp.stack([family.unchanged] * B), method="read")
    np.testing.assert_array_equal(fixed, x)


def test_what_the_network_sees_may_be_another_array():
    family, x, seen = FAMILIES["similarity"], input_of(FAMILIES["similarity"]), normal(B, 4)
    module = layer(family)
    variables = filled(lambda key: module.init(key, x, seen), scale=0.1)
    where = module.apply(variables, x, seen, method="where")
    np.testing.assert_array_equal(where, module.apply(variables, 2 * x, seen, method="where"))
    other = module.apply(variables, x, 2 * seen, method="where")
    assert np.abs(where - other).max() > 1e-4


class Gives(nn.Module):
    """A localisation network that gives something else."""

    output: object

    def __call__(self, x):
        return self.output(x)


AFFINE, IMAGES = FAMILIES["full_affine"], (B, 7, 6, 2)


def looking(output):
    module = SpatialTransformer(Gives(output), AFFINE, 4)
    return module.init(KEY, jnp.ones(IMAGES))


def run(family, shape, *seen):
    return layer(family).init(KEY, jnp.ones(shape), *seen)


REFUSED = {
    "images to a transform of volumes": (
        lambda: run(FAMILIES["affine_3d"], IMAGES),
        r"x must be volumes \[B, D, H, W, C\] for this transform; got \[2, 7, 6, 2\]",
    ),
    "volumes to a transform of images": (
        lambda: run(AFFINE, (B, 3, 7, 6, 2)),
        r"x must be images \[B, H, W, C\] for this transform; got \[2, 3, 7, 6, 2\]",
    ),
    "one image": (lambda: run(AFFINE, IMAGES[1:]), r"x must be images .*; got \[7, 6, 2\]"),
    "channels first": (lambda: run(AFFINE, (B, 1, 28, 28)), "x must be .* channels last"),
    "another batch": (
        lambda: run(AFFINE, IMAGES, jnp.ones((3, 4))),
        r"seen must have the batch of x, 2; got shape \[3, 4\]",
    ),
    "a size of zero": (lambda: layer(AFFINE, (0, 4)), r"size must be at least 1; got \(0, 4\)"),
    "a plane of a volume": (
        lambda: layer(FAMILIES["affine_3d"], (4, 4)),
        r"size must be \(d, h, w\), whole numbers of at least 1; got \(4, 4\)",
    ),
    "an unknown padding": (
        lambda: layer(AFFINE, padding="same"),
        "padding must be one of .*; got 'same'",
    ),
    "an unknown mode": (
        lambda: layer(AFFINE, mode="cubic"),
        "mode must be one of .*; got 'cubic'",
    ),
    "a fill with zeros": (lambda: layer(AFFINE, fill=0.5), "fill belongs to padding='constant'"),
    "a short start": (
        lambda: layer(AFFINE, start=[1.0, 0.0]),
        r"start must have shape \(6,\); got \(2,\)",
    ),
    "a start outside the bound": (
        lambda: layer(FAMILIES["rotation"], start=[1.0], bound=0.5),
        r"start must lie within \[0.5\] of \[0.0\]; got \[1.0\]",
    ),
    "a negative bound": (lambda: layer(AFFINE, bound=-1.0), "bound must be a number of at least 0"),
    "a network that loses the batch": (
        lambda: looking(lambda x: x.mean((0, 1, 2))[None]),
        r"must give features \[B, ...\] with B = 2, and at least one axis more; got \[1, 2\]",
    ),
    "a network that gives one number": (
        lambda: looking(lambda x: x.mean((1, 2, 3))),
        r"must give features \[B, ...\] with B = 2, and at least one axis more; got \[2\]",
    ),
    "no network": (
        lambda: Warp(AFFINE).init(KEY, Memory(jnp.ones(IMAGES)), None),
        "Warp needs a localisation network, .* or a state; got neither",
    ),
}


@pytest.mark.usefixtures("bad_input")
@pytest.mark.parametrize(("wrong", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_one_clear_line(wrong, message):
    with refuses(message):
        wrong()


@pytest.mark.usefixtures("bad_input")
def test_what_is_of_another_type_is_named():
    with refuses("the localisation network must give one array .*; got tuple", TypeError):
        looking(lambda x: (x, x))
    with refuses("the localisation network must give .* floating point; got int32", TypeError):
        looking(lambda x: x.astype(jnp.int32))
    with refuses("transform must be of type Transform, such as .*; got full_affine", TypeError):
        SpatialTransformer(Features(), transforms.full_affine, 4)
    with refuses("localisation must be of type Module, such as .*; got Features", TypeError):
        SpatialTransformer(Features, AFFINE, 4)
    with refuses("image must be floating point; got uint8", TypeError):
        layer(AFFINE).init(KEY, jnp.ones(IMAGES, jnp.uint8), jnp.ones((B, 3)))


def test_the_read_of_a_recurrent_mechanism_takes_what_it_proposes():
    """One proposal for RAM and RNN-SPN: features of the input, and the state."""
    x, s = normal(*IMAGES), normal(B, 4)
    warp = Warp(AFFINE, Features(), hidden=(3,), view=jax.lax.stop_gradient)
    attend = Attend(warp, estimators.identity(), ops.affine(4))

    def look(attend, s):
        return attend(attend.prepare(x), s, None, jnp.asarray(True))

    variables = filled(lambda key: attend.init(key, s, method=look), scale=0.3)
    seen, selection = _jit(lambda s: attend.apply(variables, s, method=look))(s)
    assert seen.shape == (B, 4, 4, 2)
    assert np.abs(selection.where[0] - selection.where[1]).max() > 1e-4
    other = attend.apply(variables, s + 1, method=look)[1].where
    assert np.abs(other - selection.where).max() > 1e-4
    slope = jax.grad(lambda s: attend.apply(variables, s, method=look)[0].sum())(s)
    assert not slope.any()  # the view detaches the state
