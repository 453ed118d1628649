"""The samplers' times as a table, plain data and a picture."""

from collections.abc import Sequence
from typing import Any

from attn_jax import viz
from attn_jax.records import versions
from attn_jax.yardsticks.kernels import (
    OPERATIONS,
    REPORTED,
    SWEEPS,
    Timing,
    geometric_means,
    measure,
    measure_retina,
    peers,
)
from attn_jax.yardsticks.rates import copy_rate

_SHOWN = ("forward", "forward+backward")


def benchmark_kernels(sweep: bool) -> tuple[str, dict[str, Any], bytes | None]:
    """Time the samplers on the reported shapes, and over sizes if asked.

    Args:
      sweep: whether side, batch and channels are varied too, which takes minutes.

    Returns:
      A Markdown table, plain data, and a PNG of the sweeps or None.

    Raises:
      UserError: if a peer's values differ.
    """
    found, copied = peers(), copy_rate()
    reported, retina = measure(REPORTED, found), measure_retina()
    swept = {name: measure(shapes, found) for name, shapes in SWEEPS.items()} if sweep else {}
    plain = {
        "reported": [row._asdict() for row in (*reported, *retina)],
        "sweeps": {name: [row._asdict() for row in rows] for name, rows in swept.items()},
        "geometric_means_of_torch": geometric_means(reported),
        "copy_gb_per_second": copied,
        **versions(),
    }
    return _table(reported, retina, list(found), copied), plain, _picture(swept) if sweep else None


def _table(
    rows: Sequence[Timing], retina: Sequence[Timing], names: Sequence[str], copied: float
) -> str:
    times = {(row.operation, row.shape, row.peer): row for row in rows}
    lines = [f"A copy moves {copied:.1f} GB/s. Milliseconds, medians; GB/s of a forward pass.\n\n"]
    lines += _line(["operation", "shape", *names, "GB/s of ours", "compile s of ours"])
    lines += _line(["---"] * (4 + len(names)))
    for operation in OPERATIONS:
        for shape in dict.fromkeys(row.shape for row in rows):
            of = [times[operation, shape, name] for name in names]
            ours = of[: names.index("native") + 1] if "native" in names else of[:1]
            rates = " / ".join(f"{one.gigabytes:.1f}" for one in ours if one.gigabytes)
            compiled = " / ".join(f"{one.compile_seconds:.2f}" for one in ours)
            shown = [f"{one.milliseconds:.3f}" for one in of]
            lines += _line([operation, shape, *shown, rates, compiled])
    for row in retina:
        none = ["-"] * (len(names) - 1)
        rate = f"{row.gigabytes:.1f}" if row.gigabytes else ""
        shown = [f"{row.milliseconds:.3f}", *none, rate, f"{row.compile_seconds:.2f}"]
        lines += _line([row.operation, row.shape, *shown])
    for operation, means in geometric_means(rows).items():
        shown = [f"{means[name]:.2f}" for name in names]
        lines += _line([operation, "geometric mean of time / torch's", *shown, "", ""])
    return "".join(lines)


def _line(values: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(values)} |\n"]


def _picture(swept: dict[str, list[Timing]]) -> bytes:
    labels = {
        "side": ("side of 4 images of 3 channels", [shape.height for shape in SWEEPS["side"]]),
        "batch": ("images of 28x28", [shape.batch for shape in SWEEPS["batch"]]),
        "channels": ("channels, 8 images of 56x56", [s.channels for s in SWEEPS["channels"]]),
    }
    panels = []
    for operation in _SHOWN:
        row = []
        for name, (label, sizes) in labels.items():
            times: dict[str, list[float]] = {}
            for one in swept[name]:
                if one.operation == operation:
                    times.setdefault(one.peer, []).append(one.milliseconds)
            row.append(viz.Growth(operation, label, sizes, times))
        panels.append(row)
    return viz.to_png(viz.scaling(panels, "ms"))
