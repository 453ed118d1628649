"""The families of transforms that contracts go over."""

from attn_jax.ops import transforms

FAMILIES = {
    "translation": transforms.translation(),
    "isotropic": transforms.isotropic(),
    "rotation": transforms.rotation(),
    "similarity": transforms.similarity(),
    "axis_aligned": transforms.axis_aligned(),
    "full_affine": transforms.full_affine(),
    "projective": transforms.projective(),
    "corners": transforms.corners(),
    "control_points": transforms.control_points(),
    "affine_3d": transforms.affine_3d(),
}
