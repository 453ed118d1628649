"""The recurrence as a diagram, unrolled: one column for each step."""

from attn_jax.viz import draw
from attn_jax.viz.axes import series_colour

# Inches. Columns are steps; rows go from the input at the bottom to the output at the top.
_COLUMN, _FIRST, _WIDTH, _HEIGHT = 2.75, 1.85, 1.5, 0.54
_X, _ATTEND, _CORE, _OUT = 0.4, 1.45, 2.9, 3.85
_PALE, _LOOK = "#eef2f6", "#fdf1dc"


def recurrence(steps: int = 3):
    """Draw s_t = f(W s_{t-1} + U x'_t) with x'_t = f_att(x_t, s_{t-1}) in front, unrolled.

    Args:
      steps: the number of steps, at least 1.

    Returns:
      A matplotlib figure.

    Raises:
      ValueError: if there is no step.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1; got {steps}")
    width, height = _FIRST + _COLUMN * (steps - 1) + 1.5, 4.2
    figure = draw.new_figure(width, height)
    axes = draw.panel(figure, 0, 0, width, height)
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    for t in range(1, steps + 1):
        _step(axes, _FIRST + _COLUMN * (t - 1), t)
    _state(axes, _FIRST + _COLUMN * (steps - 1), steps, leads_on=False)
    return figure


def _step(axes, x: float, t: int) -> None:
    """Draw step t, centred at x."""
    _text(axes, x, _X - 0.16, f"$x_{t}$", size=13)
    _box(axes, x, _ATTEND, r"$f_{att}$", "propose · choose · read", _LOOK)
    _box(axes, x, _CORE, "core", r"$f(W\,s_{t-1} + U\,x'_t)$", _PALE)
    _text(axes, x, _OUT + 0.14, f"$o_{t}$", size=13)
    below, above = -_HEIGHT / 2, _HEIGHT / 2
    _arrow(axes, (x, _X), (x, _ATTEND + below))
    _arrow(axes, (x, _ATTEND + above), (x, _CORE + below))
    _text(axes, x + 0.1, (_ATTEND + _CORE) / 2 + 0.12, f"$x'_{t}$", size=12, ha="left")
    _text(axes, x + 0.1, (_ATTEND + _CORE) / 2 - 0.22, "$U$", ha="left", color=draw.FAINT)
    _arrow(axes, (x, _CORE + above), (x, _OUT))
    _text(axes, x + 0.1, (_CORE + above + _OUT) / 2, "$V$", ha="left", color=draw.FAINT)
    _state(axes, x - _COLUMN, t - 1, leads_on=True)


def _state(axes, x: float, t: int, leads_on: bool) -> None:
    """Draw the arrows of s_t from the core at x to the next core and to the next f_att."""
    right, colour = x + _WIDTH / 2, series_colour(1)
    start = max(right, 0.35)  # s_0 leaves no core and begins at the left edge
    _text(axes, start + 0.1 if t else start - 0.15, _CORE + 0.17, f"$s_{t}$", size=12, color=colour)
    if not leads_on:
        _arrow(axes, (right, _CORE), (right + 0.5, _CORE), color=colour)
        return
    following = x + _COLUMN - _WIDTH / 2
    _arrow(axes, (start, _CORE), (following, _CORE), color=colour)
    fork = start + 0.3
    _text(axes, (fork + following) / 2, _CORE + 0.15, "$W$", color=draw.FAINT)
    axes.plot([fork, fork], [_CORE, _ATTEND], color=colour, lw=1.4, solid_capstyle="butt")
    _arrow(axes, (fork, _ATTEND), (following, _ATTEND), color=colour)


def _box(axes, x: float, y: float, text: str, below: str, colour: str) -> None:
    """Draw a box centred at (x, y) with two lines of text."""
    from matplotlib.patches import FancyBboxPatch

    corner = (x - _WIDTH / 2, y - _HEIGHT / 2)
    style = {"fc": colour, "ec": draw.INK, "lw": 1.0, "gid": "box"}
    axes.add_patch(
        FancyBboxPatch(corner, _WIDTH, _HEIGHT, boxstyle="round,pad=0,rounding_size=0.08", **style)
    )
    _text(axes, x, y + 0.1, text, size=12)
    _text(axes, x, y - 0.13, below, size=7.5, color=draw.FAINT)


def _arrow(axes, start: tuple[float, float], end: tuple[float, float], color: str = draw.INK):
    from matplotlib.patches import FancyArrowPatch

    style = {"arrowstyle": "-|>,head_width=2.6,head_length=5", "shrinkA": 0, "shrinkB": 1}
    axes.add_patch(FancyArrowPatch(start, end, color=color, lw=1.4, gid="arrow", **style))


def _text(axes, x: float, y: float, text: str, *, size: float = 10, **style) -> None:
    style = {"ha": "center", "va": "center", "color": draw.INK, "fontsize": size, **style}
    axes.text(x, y, text, **style)
