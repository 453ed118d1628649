"""The convolution as one matrix product: rows of tiles of columns, times a banded matrix.

A tile is `tile` neighbouring columns of the result. It depends on kh x u pixels, where
u = (tile - 1) stride + kw, by a matrix T [kh u C, tile O]. That holds the kernel once for each of
the tile's columns, a stride lower each time:

    out[n, y, q, (x, o)] = sum_(i, j, c) patches[n, y, q, (i, j, c)] T[(i, j, c), (x, o)]
    T[i, j, c, x, o] = kernel[i, j - stride x, c, o], or 0

A tile of one column is the usual matrix of windows (im2col). Wider tiles copy fewer pixels, and
multiply u / kw times as often. The gradients are the transposes of both steps.
"""

from collections.abc import Iterator

import jax.numpy as jnp
from jax import Array, lax

from attn_jax.ops.convolution.geometry import Geometry, Pair


def forward(x: Array, kernel: Array, geometry: Geometry, tile: int) -> Array:
    """`plain.forward` of one group, by tiles of so many columns."""
    (h, w), filters = geometry.out, kernel.shape[-1]
    out = _patches(x, geometry, tile) @ _band(kernel, geometry, tile)
    return out.reshape(x.shape[0], h, -1, filters)[:, :, :w]


def to_input(cotangent: Array, kernel: Array, geometry: Geometry, tile: int) -> Array:
    """`plain.to_input` of one group, by tiles of so many columns."""
    patches = _tiled(cotangent, geometry, tile) @ _band(kernel, geometry, tile).T
    return _from_patches(patches, (cotangent.shape[0], kernel.shape[2]), geometry, tile)


def to_kernel(x: Array, cotangent: Array, geometry: Geometry, tile: int) -> Array:
    """`plain.to_kernel` of one group, by tiles of so many columns."""
    # The small side is transposed before the product, and the result after it: not the patches.
    band = (_tiled(cotangent, geometry, tile).T @ _patches(x, geometry, tile)).T
    return _from_band(band, (x.shape[-1], cotangent.shape[-1]), geometry, tile)


def reach(geometry: Geometry, tile: int) -> int:
    """The columns of the image that a tile depends on: u."""
    return (tile - 1) * geometry.strides[1] + geometry.kernel[1]


def patch_numbers(geometry: Geometry, tile: int) -> int:
    """How many numbers the patches of one channel of one image hold."""
    (h, w), kh = geometry.out, geometry.kernel[0]
    return h * -(-w // tile) * kh * reach(geometry, tile)


def _blocks(geometry: Geometry, tile: int) -> Iterator[tuple[int, int]]:
    """Cut what a tile depends on into blocks of the columns from a tile to the next.

    Gives the number of each block, 0 for the tile's own, and its columns: the last may have fewer.
    """
    jump, left = tile * geometry.strides[1], reach(geometry, tile)
    for block in range(-(-left // jump)):
        yield block, min(jump, left - block * jump)


def _extents(geometry: Geometry, tile: int) -> tuple[int, int, int]:
    """The tiles in a row, the padded rows, and the blocks of padded columns."""
    (h, w), kh = geometry.out, geometry.kernel[0]
    tiles, more = -(-w // tile), sum(1 for _ in _blocks(geometry, tile)) - 1
    return tiles, (h - 1) * geometry.strides[0] + kh, tiles + more


def _gaps(geometry: Geometry, tile: int) -> tuple[tuple[int, int, int], ...]:
    """The padding of images for `lax.pad`; negative where no tile depends on a pixel."""
    _, rows, blocks = _extents(geometry, tile)
    (height, width), ((top, _), (left, _)) = geometry.size, geometry.padding
    columns = blocks * tile * geometry.strides[1]
    sides = (top, rows - height - top, 0), (left, columns - width - left, 0)
    return (0, 0, 0), *sides, (0, 0, 0)


def _pad(x: Array, *gaps: tuple[int, int, int]) -> Array:
    return lax.pad(x, jnp.zeros((), x.dtype), gaps)


def _tiled(cotangent: Array, geometry: Geometry, tile: int) -> Array:
    """A cotangent [N, h, w, O] as [N h tiles, tile O], with zeros beyond its last column."""
    w, (tiles, _, _) = geometry.out[1], _extents(geometry, tile)
    whole = _pad(cotangent, (0, 0, 0), (0, 0, 0), (0, tiles * tile - w, 0), (0, 0, 0))
    return whole.reshape(-1, tile * cotangent.shape[-1])


def _patches(x: Array, geometry: Geometry, tile: int) -> Array:
    """The pixels that each tile depends on, [N h tiles, kh u C]."""
    tiles, rows, blocks = _extents(geometry, tile)
    batch, _, _, channels = x.shape
    x = _pad(x, *_gaps(geometry, tile)).reshape(batch, rows, blocks, -1)
    cut = [x[:, :, b : b + tiles, : n * channels] for b, n in _blocks(geometry, tile)]
    wide, step = jnp.concatenate(cut, -1), geometry.strides[0]
    last = (geometry.out[0] - 1) * step + 1
    out = jnp.concatenate([wide[:, i : i + last : step] for i in range(geometry.kernel[0])], -1)
    return out.reshape(-1, out.shape[-1])


def _from_patches(patches: Array, sizes: Pair, geometry: Geometry, tile: int) -> Array:
    """The transpose of `_patches`: images [N, H, W, C] of what each pixel gets from all tiles."""
    (batch, channels), (kh, step, h) = (
        sizes,
        (geometry.kernel[0], geometry.strides[0], geometry.out[0]),
    )
    tiles, rows, blocks = _extents(geometry, tile)
    patches = patches.reshape(batch, h, tiles, kh, -1)
    jump, last = tile * geometry.strides[1] * channels, (h - 1) * step + 1
    total = 0
    for b, columns in _blocks(geometry, tile):
        n = columns * channels
        piece = patches[..., b * jump : b * jump + n]
        across = (b, blocks - b - tiles, 0), (0, jump - n, 0)
        for i in range(kh):
            total += _pad(piece[:, :, :, i], (0, 0, 0), (i, rows - i - last, step - 1), *across)
    x = jnp.asarray(total).reshape(batch, rows, -1, channels)
    return _pad(x, *((-low, -high, 0) for low, high, _ in _gaps(geometry, tile)))


def _band(kernel: Array, geometry: Geometry, tile: int) -> Array:
    """T [kh u C, tile O]."""
    kw, filters = geometry.kernel[1], kernel.shape[3]
    beyond = reach(geometry, tile) - kw
    shifts = [x * geometry.strides[1] for x in range(tile)]
    none = (0, 0, 0)
    columns = [_pad(kernel, none, (low, beyond - low, 0), none, none) for low in shifts]
    return jnp.stack(columns, 3).reshape(-1, tile * filters)


def _from_band(band: Array, sizes: Pair, geometry: Geometry, tile: int) -> Array:
    """The transpose of `_band`: a kernel [kh, kw, C, O]."""
    (kh, kw), across = geometry.kernel, geometry.strides[1]
    band = band.reshape(kh, reach(geometry, tile), sizes[0], tile, sizes[1])
    parts = [band[:, x * across : x * across + kw, :, x] for x in range(tile)]
    return jnp.stack(parts).sum(0)
