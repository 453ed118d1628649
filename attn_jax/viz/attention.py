"""Where any mechanism looks, step by step: weights as light, points as squares, transforms."""

from collections.abc import Sequence

import numpy as np

from attn_jax.viz import draw

_TILE, _GAP, _MARGIN = 0.95, 0.06, 0.1
_DARK = 0.2  # what is left of a pixel that gets no weight
_CORNERS = np.array([[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]], float)


def attention(
    images: np.ndarray,
    where: np.ndarray,
    *,
    kind: str,
    patch: tuple[float, float] = (0.25, 0.25),
    titles: Sequence[str] | None = None,
):
    """Draw a row an image: the image itself, then what each step attends to.

    Args:
      images: [N, H, W, C] in [0, 1].
      where: "weights": [N, T, h, w], each at least 0; "point": [N, T, 2], (x, y) in [-1, 1];
        "theta": [N, T, 2, 3], from the glimpse's frame to the image's.
      kind: one of these.
      patch: "point": rows and columns of what is read, as parts of the image's.
      titles: [N], above the images; None: none.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: for an unknown kind, or where its shape does not fit the images.
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
            draw.write(figure, _MARGIN, top, titles[n], fontsize=8)
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
    """Show one image with what is attended to, of a kind that `attention` describes."""
    if kind == "weights":
        draw.show(axes, _lit(image, where))
    else:
        draw.show(axes, image)
        theta = where if kind == "theta" else _translation(where, patch)
        _outline(axes, theta, image.shape[:2])


def _lit(image: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The image in the light of its weights, the heaviest place as bright as it is."""
    height, width = image.shape[:2]
    rows = np.arange(height) * weights.shape[0] // height
    columns = np.arange(width) * weights.shape[1] // width
    light = weights[rows][:, columns] / max(float(weights.max()), 1e-12)
    # A dark image shows where the light is too, if faintly.
    lifted = 0.15 + 0.85 * draw.to_rgb(image)
    return lifted * (_DARK + (1 - _DARK) * light[..., None])


def _translation(point: np.ndarray, patch: tuple[float, float]) -> np.ndarray:
    """A crop as the affine transform it is."""
    rows, columns = patch
    return np.array([[columns, 0, point[0]], [0, rows, point[1]]], float)


def _outline(axes, theta: np.ndarray, size: tuple[int, int]) -> None:
    from matplotlib.patches import Polygon
    from matplotlib.patheffects import withStroke

    corners = draw.to_pixels(_CORNERS @ theta.T, size)
    outline = Polygon(corners, fill=False, ec="#e69f00", lw=1.4, gid="glimpse")
    outline.set_path_effects([withStroke(linewidth=2.2, foreground="black")])
    axes.add_patch(outline)
