"""A sampling grid drawn over the image that it reads: its outline, first row and first corner."""

from itertools import pairwise

import numpy as np

from attn_jax.viz import draw

# The picture around an image, in image sides; the least leaves room for a dot at a corner.
_NARROWEST, _WIDEST = 1.1, 1.6
# Colours of Okabe and Ito that are legible on black; a dark rim keeps them legible on white.
_COLOURS, _RIM = ("#e69f00", "#56b4e9", "#cc79a7", "#009e73", "#f0e442", "#d55e00"), "#15181c"
_FAR = 1e3  # coordinates beyond are not drawn
_JUMP = 4.0  # two image sides: neighbours farther apart lie on two sides of a horizon
_BENT = 5e-3  # of a grid's extent: a smaller distance from an affine grid cannot be seen
_LINES = 5  # of a mesh, each way


def colour_of(transformer: int) -> str:
    """Return the colour of a transformer; the seventh has the colour of the first."""
    return _COLOURS[transformer % len(_COLOURS)]


def reach(grids: np.ndarray) -> float:
    """Choose how far a picture goes, 1 at the image's edges, so that the grids' outlines show.

    Args:
      grids: [..., h, w, 2] or, of volumes, [..., d, h, w, 3].

    Returns:
      A number from 1.1 to 1.6.
    """
    places = np.abs(np.asarray(grids, float)[..., :2])
    places = places[np.isfinite(places) & (places < _FAR)]
    return float(np.clip(1.06 * places.max(initial=0.0), _NARROWEST, _WIDEST))


def draw_grid(axes, grid: np.ndarray, colour: str, size: tuple[int, int]) -> None:
    """Draw where a grid reads: its outline; its first row bold, from a dot at the first place.

    Of a grid that is not affine some rows and columns are drawn too, thin. Places that are not
    finite are left out. Of a volume's grid the edges of the box are drawn, seen along the depth.

    Args:
      axes: matplotlib axes in which the image is shown.
      grid: [h, w, 2] of (x, y) in [-1, 1], or [d, h, w, 3] of (x, y, z).
      colour: of matplotlib.
      size: (rows, columns) of the image.
    """
    from matplotlib.patheffects import withStroke

    solid = np.asarray(grid, float)[..., :2]
    solid = solid if solid.ndim == 4 else solid[None]
    front, back = solid[0], solid[-1]
    bent = any(not _is_affine(layer) for layer in solid)

    def line(places: np.ndarray, kind: str, **look) -> None:
        pixels = draw.to_pixels(_broken(places) if bent else _near(places), size)
        (drawn,) = axes.plot(*pixels.T, color=colour, gid=kind, solid_capstyle="butt", **look)
        if look["lw"] > 1:
            drawn.set_path_effects([withStroke(linewidth=look["lw"] + 1, foreground=_RIM)])

    if len(solid) > 1:
        line(_outline(back), "edge", lw=0.9)
        for i, j in np.ndindex(2, 2):
            line(solid[:, -i, -j], "edge", lw=0.9)
    elif bent:
        for places in _mesh(front):
            line(places, "mesh", lw=0.7, alpha=0.8)
    line(_outline(front), "outline", lw=1.5)
    line(front[0], "first row", lw=3.2)
    if np.isfinite(front[0, 0]).all():
        mark_corner(axes, draw.to_pixels(front[0, 0], size), colour)


def mark_corner(axes, pixel: np.ndarray, colour: str, **look) -> None:
    """Draw the dot of a first corner at (column, row)."""
    edge = {"mec": _RIM, "mew": 0.8, "gid": "first corner"}
    axes.plot(*pixel, "o", ms=6.5, color=colour, zorder=4, **edge, **look)


def _outline(grid: np.ndarray) -> np.ndarray:
    """The places [n, 2] around a grid [h, w, 2], closed."""
    return np.concatenate([grid[0], grid[1:, -1], grid[-1, -2::-1], grid[-2::-1, 0]])


def _mesh(grid: np.ndarray) -> list[np.ndarray]:
    """Rows and columns inside a grid [h, w, 2], evenly spaced."""
    rows, columns = (np.linspace(0, n - 1, _LINES + 2).round() for n in grid.shape[:2])
    inside = [sorted({int(i) for i in n} - {0, int(n[-1])}) for n in (rows, columns)]
    return [*(grid[i] for i in inside[0]), *(grid[:, j] for j in inside[1])]


def _is_affine(grid: np.ndarray) -> bool:
    """Whether an affine function of row and column gives all places [h, w, 2] of a grid."""
    places = grid.reshape(-1, 2)
    if not np.isfinite(places).all():
        return False
    at = np.indices(grid.shape[:2]).reshape(2, -1).T
    terms = np.hstack([at, np.ones((len(at), 1))])
    fitted = terms @ np.linalg.lstsq(terms, places)[0]
    # The second part is the rounding of float32.
    allowed = _BENT * np.ptp(places, axis=0).max() + 1e-5 * np.abs(places).max()
    return bool(np.abs(fitted - places).max() <= allowed)


def _near(places: np.ndarray) -> np.ndarray:
    """Replace places [n, 2] that are not finite, or too far to be drawn, by NaN: a gap."""
    known = np.isfinite(places) & (np.abs(np.nan_to_num(places)) < _FAR)
    return np.where(known.all(-1, keepdims=True), places, np.nan)


def _broken(places: np.ndarray) -> np.ndarray:
    """Put a gap between neighbours that lie on two sides of a horizon."""
    near, gap = _near(places), np.full((1, 2), np.nan)
    parts = [near[:1]]
    for before, after in pairwise(near):
        if np.abs(after - before).max() > _JUMP:  # false where there is a gap already
            parts.append(gap)
        parts.append(after[None])
    return np.concatenate(parts)
