"""Figures of spatial transformers, and what is said of those that have collapsed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.ops import transforms
from attn_jax.tasks import symptoms, transform_figures

FAMILY = transforms.isotropic()
IMAGES = jnp.asarray(np.random.default_rng(0).uniform(size=(3, 12, 12, 1)), jnp.float32)


def seen(*vectors: tuple[float, float, float]) -> dict[str, float]:
    """The figures of transformers in parallel, each of which has one transform for all images."""
    where = [jnp.tile(FAMILY.apply(jnp.array(v, jnp.float32)), (3, 1, 1)) for v in vectors]
    read = FAMILY.read(12, implementation="xla")
    views = [jax.vmap(read.apply)(IMAGES, one) for one in where]
    figures = transform_figures(FAMILY, (12, 12), IMAGES, where, views)
    return {f"train/{name}": float(value) for name, value in figures.items()}


def test_the_identity_is_well():
    figures = seen((1.0, 0.0, 0.0))
    expected = {"outside": 0, "contrast": 1, "determinant": 1, "scale": 1, "distance": 0}
    assert figures == pytest.approx({f"train/{k}": v for k, v in expected.items()}, abs=1e-6)
    assert symptoms(figures) == {}


def test_figures_are_those_of_the_geometry():
    figures = seen((2.0, 0.0, 0.0))
    assert figures["train/determinant"] == pytest.approx(4)
    assert figures["train/scale"] == pytest.approx(2)
    assert figures["train/outside"] == pytest.approx(0.75)  # twice as wide, and as high
    places = (2 * np.arange(12) - 11) / 12
    assert figures["train/distance"] == pytest.approx(np.sqrt(2 * (places**2).mean()), rel=1e-5)


def test_of_several_the_worst_is_told():
    alone = seen((0.1, 0.0, 0.0))
    beside = seen((1.0, 0.0, 0.0), (0.1, 0.0, 0.0))
    assert beside["train/determinant"] == pytest.approx(0.01)
    assert beside["train/contrast"] == min(alone["train/contrast"], 1.0)
    assert beside["train/distance"] == alone["train/distance"]
    assert seen((3.0, 0.0, 0.0), (1.1, 0.0, 0.0))["train/scale"] == pytest.approx(3)


@pytest.mark.parametrize(
    ("vector", "kinds"),
    [
        ((6.0, 0.0, 0.0), {"outside", "area"}),  # zoomed out
        ((0.1, 0.0, 0.0), {"area"}),  # shrunk to a point
        ((1.0, 3.0, 0.0), {"outside", "contrast"}),  # beside the image
    ],
)
def test_a_collapse_is_named(vector: tuple[float, float, float], kinds: set[str]):
    found = symptoms(seen(vector))
    assert found.keys() == kinds
    assert all("learning rate" in line and "\n" not in line for line in found.values())


def test_a_homography_that_reads_at_infinity_gives_finite_figures():
    family = transforms.projective()
    where = jnp.array([[[1.0, 0, 0], [0, 1, 0], [1, 1, 0]]] * 3)
    views = [jnp.zeros_like(IMAGES)]
    figures = transform_figures(family, (12, 12), IMAGES, [where], views)
    assert all(np.isfinite(one) for one in figures.values())
    assert {"outside", "contrast"} & symptoms(
        {f"train/{k}": float(v) for k, v in figures.items()}
    ).keys()


def test_figures_that_are_missing_are_not_looked_at():
    assert symptoms({}) == {}
    assert list(symptoms({"train/outside": 0.99})) == ["outside"]


def test_no_transformer_is_refused():
    with pytest.raises(ValueError, match="needs the transforms of one transformer or more"):
        transform_figures(FAMILY, (4, 4), IMAGES, [], [])
