"""The convolution and its gradients as XLA's own, which GPUs and TPUs are fast at."""

import jax
from jax import Array, lax

from attn_jax.ops.convolution.geometry import Geometry

LAYOUT = ("NHWC", "HWIO", "NHWC")


def forward(x: Array, kernel: Array, geometry: Geometry) -> Array:
    """[N, h, w, O] of images [N, H, W, C] and a kernel [kh, kw, C / groups, O]."""
    return lax.conv_general_dilated(
        x,
        kernel,
        geometry.strides,
        geometry.padding,
        dimension_numbers=LAYOUT,
        feature_group_count=geometry.groups,
    )


def to_input(cotangent: Array, kernel: Array, geometry: Geometry) -> Array:
    """The gradient [N, H, W, C] to the images, of a cotangent [N, h, w, O]."""
    shape = (cotangent.shape[0], *geometry.size, kernel.shape[2] * geometry.groups)
    x = jax.ShapeDtypeStruct(shape, kernel.dtype)
    return jax.linear_transpose(lambda x: forward(x, kernel, geometry), x)(cotangent)[0]


def to_kernel(x: Array, cotangent: Array, geometry: Geometry) -> Array:
    """The gradient [kh, kw, C / groups, O] to the kernel, of a cotangent [N, h, w, O]."""
    shape = (*geometry.kernel, x.shape[-1] // geometry.groups, cotangent.shape[-1])
    kernel = jax.ShapeDtypeStruct(shape, x.dtype)
    return jax.linear_transpose(lambda k: forward(x, k, geometry), kernel)(cotangent)[0]
