"""Families of transforms, each named by a short vector; composition, inversion and figures.

A transform takes output coordinates to input coordinates, as in `affine_grid`. Coordinates are in
[-1, 1] on every axis, so that a rotation keeps squares square only if the image is square.

>>> import jax.numpy as jnp
>>> attention = isotropic()
>>> attention.apply(jnp.array([0.5, 0.25, 0.0])).tolist()
[[0.5, 0.0, 0.25], [0.0, 0.5, 0.0]]
>>> attention.read(4).apply(jnp.ones((8, 8, 1)), attention.apply(attention.identity)).shape
(4, 4, 1)
"""

from attn_jax.ops.transforms.algebra import compose, inverse
from attn_jax.ops.transforms.bent import control_points, corners, projective
from attn_jax.ops.transforms.bounds import bounded, vector_before
from attn_jax.ops.transforms.families import (
    affine_3d,
    axis_aligned,
    full_affine,
    isotropic,
    rotation,
    similarity,
    translation,
)
from attn_jax.ops.transforms.form import Transform
from attn_jax.ops.transforms.measures import (
    Figures,
    determinant,
    distance_from_identity,
    figures,
    outside,
    scale,
)

__all__ = [
    "Figures",
    "Transform",
    "affine_3d",
    "axis_aligned",
    "bounded",
    "compose",
    "control_points",
    "corners",
    "determinant",
    "distance_from_identity",
    "figures",
    "full_affine",
    "inverse",
    "isotropic",
    "outside",
    "projective",
    "rotation",
    "scale",
    "similarity",
    "translation",
    "vector_before",
]
