"""The convolution as one matrix product: rows of tiles of columns, times a banded matrix.

A tile is `tile` neighbouring columns of the result. It depends on kh x u pixels, where
u = (tile - 1) stride + kw, by a matrix T [kh u C, tile O]. That holds the kernel once for each of
the tile's columns, a step lower each time:

    out[n, y, q, (x, o)] = sum_(i, j, c) patches[n, y, q, (i, j, c)] T[(i, j, c), (x, o)]
    T[i, j, c, x, o] = kernel[i, j - stride x, c, o], or 0

A tile of one column is the usual matrix of windows (im2col). Wider tiles copy fewer pixels, and
multiply u / kw times as often. The gradients are the transposes of both steps.
"""

import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.convolution.geometry import Geometry


def forward(x: Array, kernel: Array, geometry: Geometry, tile: int) -> Array:
    """`plain.forward` of one group, by tiles of so many columns."""
    (h, w), filters = geometry.out, kernel.shape[-1]
    out = _flat(_patches(x, geometry, tile)) @ _band(kernel, geometry, tile)
    return out.reshape(x.shape[0], h, -1, filters)[:, :, :w]


def to_input(cotangent: Array, kernel: Array, geometry: Geometry, tile: int) -> Array:
    """`plain.to_input` of one group, by tiles of so many columns."""
    rows = _tiled(cotangent, geometry, tile)
    patches = rows @ _band(kernel, geometry, tile).T
    return _from_patches(patches, (cotangent.shape[0], kernel.shape[2]), geometry, tile)


def to_kernel(x: Array, cotangent: Array, geometry: Geometry, tile: int) -> Array:
    """`plain.to_kernel` of one group, by tiles of so many columns."""
    patches = _flat(_patches(x, geometry, tile))
    band = patches.T @ _tiled(cotangent, geometry, tile)
    return _from_band(band, (x.shape[-1], cotangent.shape[-1]), geometry, tile)


def _reach(geometry: Geometry, tile: int) -> int:
    """The columns of the image that a tile depends on: u."""
    return (tile - 1) * geometry.strides[1] + geometry.kernel[1]


def _extents(geometry: Geometry, tile: int) -> tuple[int, int, int]:
    """The tiles in a row, and the padded rows and columns that are read in all."""
    (h, w), (step, across) = geometry.out, geometry.strides
    tiles = -(-w // tile)
    rows = (h - 1) * step + geometry.kernel[0]
    return tiles, rows, (tiles - 1) * tile * across + _reach(geometry, tile)


def _flat(patches: Array) -> Array:
    return patches.reshape(-1, patches.shape[-2] * patches.shape[-1])


def _tiled(cotangent: Array, geometry: Geometry, tile: int) -> Array:
    """A cotangent [N, h, w, O] as [N h tiles, tile O], with zeros beyond its last column."""
    w, (tiles, _, _) = geometry.out[1], _extents(geometry, tile)
    whole = jnp.pad(cotangent, ((0, 0), (0, 0), (0, tiles * tile - w), (0, 0)))
    return whole.reshape(-1, tile * cotangent.shape[-1])


def _patches(x: Array, geometry: Geometry, tile: int) -> Array:
    """What each tile depends on, [N, h, tiles, kh, u C]."""
    (h, _), (step, across), channels = geometry.out, geometry.strides, x.shape[-1]
    (tiles, rows, columns), reach = _extents(geometry, tile), _reach(geometry, tile)
    (top, _), (left, _) = geometry.padding
    height, width = geometry.size
    gaps = ((top, rows - height - top, 0), (left, columns - width - left, 0))
    x = lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *gaps, (0, 0, 0)))
    x = x.reshape(x.shape[0], rows, columns * channels)
    jump, reach = tile * across * channels, reach * channels
    x = jnp.stack([x[:, :, q * jump : q * jump + reach] for q in range(tiles)], 2)
    last = (h - 1) * step + 1
    return jnp.stack([x[:, i : i + last : step] for i in range(geometry.kernel[0])], 3)


def _from_patches(patches: Array, sizes: tuple[int, int], geometry: Geometry, tile: int) -> Array:
    """The transpose of `_patches`: images [N, H, W, C] of what each pixel gets from all tiles."""
    (batch, channels), (step, across) = sizes, geometry.strides
    (h, _), (tiles, rows, columns) = geometry.out, _extents(geometry, tile)
    kh, reach = geometry.kernel[0], _reach(geometry, tile) * channels
    zero, jump = jnp.zeros((), patches.dtype), tile * across * channels
    patches = patches.reshape(batch, h, tiles, kh, reach)
    wide = columns * channels
    by_row = sum(
        lax.pad(
            patches[:, :, q],
            zero,
            ((0, 0, 0), (0, 0, 0), (0, 0, 0), (q * jump, wide - q * jump - reach, 0)),
        )
        for q in range(tiles)
    )
    last = (h - 1) * step + 1
    x = sum(
        lax.pad(by_row[:, :, i], zero, ((0, 0, 0), (i, rows - i - last, step - 1), (0, 0, 0)))
        for i in range(kh)
    ).reshape(batch, rows, columns, channels)
    (top, _), (left, _), (height, width) = *geometry.padding, geometry.size
    gaps = ((-top, height + top - rows, 0), (-left, width + left - columns, 0))
    return lax.pad(x, zero, ((0, 0, 0), *gaps, (0, 0, 0)))


def _band(kernel: Array, geometry: Geometry, tile: int) -> Array:
    """T [kh u C, tile O]."""
    (kw, across), reach = (geometry.kernel[1], geometry.strides[1]), _reach(geometry, tile)
    shifts = [x * across for x in range(tile)]
    columns = [
        jnp.pad(kernel, ((0, 0), (shift, reach - kw - shift), (0, 0), (0, 0))) for shift in shifts
    ]
    kh, _, channels, filters = kernel.shape
    return jnp.stack(columns, 3).reshape(kh * reach * channels, tile * filters)


def _from_band(band: Array, sizes: tuple[int, int], geometry: Geometry, tile: int) -> Array:
    """The transpose of `_band`: a kernel [kh, kw, C, O]."""
    (kh, kw), across = geometry.kernel, geometry.strides[1]
    band = band.reshape(kh, _reach(geometry, tile), sizes[0], tile, sizes[1])
    return sum(band[:, x * across : x * across + kw, :, x] for x in range(tile))
