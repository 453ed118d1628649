"""Where a mechanism attends at each step: weights as brightness, points and transforms framed."""

from collections.abc import Sequence

import numpy as np

from attn_jax.viz import draw

# Inches.
_TILE, _GAP, _MARGIN = 0.95, 0.06, 0.1
_DARK = 0.2  # brightness of a pixel whose weight is zero
_CORNERS = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], float)


def attention(
    images: np.ndarray,
    where: np.ndarray,
    *,
    kind: str,
    patch: tuple[float, float] = (0.25, 0.25),
    titles: Sequence[str] | None = None,
):
    """Draw one row for each image: the image itself, then what each step attends to.

    Args:
      images: [N, H, W, C] in [0, 1].
      where: "weights": [N, T, h, w], each at least 0; "point": [N, T, 2], (x, y) in [-1, 1];
        "theta": [N, T, 2, 3], the affine transform from the glimpse's coordinates to the image's.
      kind: "weights", "point" or "theta".
      patch: of "point": the height and width of the glimpse, as fractions of the image's.
      titles: [N], above the images; None: no titles.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: for an unknown kind, or a shape that does not fit the kind and the images.
    """
    ranks = {"weights": 4, "point": 3, "theta": 4}
    if kind not in ranks:
        raise ValueError(f"kind must be one of {', '.join(ranks)}; got {kind!r}")
    if where.ndim != ranks[kind] or len(where) != len(images):
        raise ValueError(
            f"where must be [{len(images)}, T, ...] of rank {ranks[kind]} for {kind!r}; "
            f"got shape {list(where.shape)}"
        )
    head = 0.22 if titles is not None else 0.0
    row, steps = _TILE + _GAP + head, where.shape[1]
    width = 2 * _MARGIN + (steps + 1) * (_TILE + _GAP)
    figure = draw.new_figure(width, len(images) * row + 2 * _MARGIN)
    for n, image in enumerate(images):
        top = _MARGIN + n * row
        if titles is not None:
            draw.write(figure, _MARGIN, top, draw.plain(titles[n], 80), fontsize=8)
        for t in range(steps + 1):
            left = _MARGIN + t * (_TILE + _GAP)
            axes = draw.panel(figure, left, top + head, _TILE, _TILE)
            at = None if t == 0 else where[n, t - 1]
            if at is None:
                draw.show(axes, image)
            else:
                attended(axes, image, at, kind, patch)
    return figure


def attended(axes, image: np.ndarray, where: np.ndarray, kind: str, patch) -> None:
    """Show one image with what one step attends to; `attention` explains the arguments."""
    if kind == "weights":
        draw.show(axes, _lit(image, where))
    else:
        draw.show(axes, image)
        theta = where if kind == "theta" else _translation(where, patch)
        _outline(axes, theta, image.shape[:2])


def _lit(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Multiply the image by its weights, scaled so that the largest leaves it as it is."""
    height, width = image.shape[:2]
    rows = np.arange(height) * weights.shape[0] // height
    columns = np.arange(width) * weights.shape[1] // width
    light = weights[rows][:, columns] / max(float(weights.max()), 1e-12)
    # Black is lifted to dark grey, so that the weights show on a dark image too.
    lifted = 0.15 + 0.85 * draw.to_rgb(image)
    return lifted * (_DARK + (1 - _DARK) * light[..., None])


def _translation(point: np.ndarray, patch: tuple[float, float]) -> np.ndarray:
    """The affine transform of a crop around a point."""
    rows, columns = patch
    return np.array([[columns, 0, point[0]], [0, rows, point[1]]], float)


def _outline(axes, theta: np.ndarray, size: tuple[int, int]) -> None:
    """Draw the frame of a glimpse on an image of `size` (rows, columns)."""
    from matplotlib.patches import Polygon
    from matplotlib.patheffects import withStroke

    corners = draw.to_pixels(_CORNERS @ theta.T, size)
    outline = Polygon(corners, fill=False, ec="#e69f00", lw=1.4, gid="glimpse")
    outline.set_path_effects([withStroke(linewidth=2.2, foreground="black")])
    axes.add_patch(outline)
