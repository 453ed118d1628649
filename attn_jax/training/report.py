"""report.html: what was reached, how it was learned, where the model looks."""

from typing import Any

from attn_jax import viz
from attn_jax.training.measure import Measured, describe

# Of an encoded map there is no path over pixels to draw.
_OF_MAP = (
    "Test images, and what of each the model attended to, step by step.",
    "The policy's mean on test images: light or an outline shows what each step read.",
)
_TITLES = {"ram": "RAM", "square": "Recurrent attention"}

# What each picture shows, and its caption.
_SAID = {
    "steps.png": (
        "Error against the number of glimpses, one curve a policy.",
        "The error if the model had to answer after each glimpse; bands are 95 % intervals.",
    ),
    "paths.png": (
        "Test images with the numbered path of glimpses, and the patch each glimpse saw.",
        "The policy's mean on test images: the path of glimpses, and what each one saw.",
    ),
    "rollout.gif": (
        "Animation of one rollout: the glimpse, the pixels seen so far, the class probabilities.",
        "One rollout, glimpse by glimpse.",
    ),
    "curves.png": ("Learning curves.", "Training and validation over the updates."),
}


def lines(measured: dict[str, Measured]) -> list[str]:
    """One line a policy: error % with its 95 % Wilson interval."""
    return [
        f"{describe(name):38} {error:6.2f} %  [{low:.2f}, {high:.2f}]"
        for name, (error, low, high) in ((n, m.percent()) for n, m in measured.items())
    ]


def assemble(
    config: Any,
    measured: dict[str, Measured],
    drawn: dict[str, bytes],
    results: dict[str, Any],
) -> str:
    """The page, with its pictures inside it.

    Args:
      config: of the run.
      measured: by policy.
      drawn: of `pictures.draw`.
      results: what was reached and how, for the last table.
    """
    total = next(iter(measured.values())).total
    summary = [(describe(name), f"{one.percent()[0]:.2f} %") for name, one in measured.items()]
    said = _SAID if config.model.name == "ram" else _SAID | {"paths.png": _OF_MAP}
    shown = {name: viz.Picture(drawn[name], *said[name]) for name in drawn}
    canvas = f"{config.data.task} {config.data.size}×{config.data.size} images"
    return viz.render_report(
        f"{_TITLES[config.model.name]} on {canvas}",
        summary,
        [
            viz.Section(
                "How well it reads",
                f"Errors on {total:,} test images, in percent. Rollouts are averaged as "
                "probabilities. Averaging hides a bad policy, so the single rollout stands first; "
                "the controls use the same weights.",
                [_errors(measured), shown["steps.png"]],
            ),
            viz.Section(
                "Where it looks",
                "",
                [shown[name] for name in ("paths.png", "rollout.gif") if name in shown],
            ),
            viz.Section("How it learned", "", [shown["curves.png"]]),
            viz.Section("How this was made", "", [_facts(results)]),
        ],
    )


def _errors(measured: dict[str, Measured]) -> viz.Table:
    rows = []
    for name, one in measured.items():
        error, low, high = one.percent()
        rows.append((describe(name), f"{error:.2f} %", f"{low:.2f} to {high:.2f} %"))
    return viz.Table(("policy", "error", "95 % interval"), rows, "Error on the test images.")


def _facts(results: dict[str, Any]) -> viz.Table:
    shown = {k: v for k, v in results.items() if "/error" not in k}
    return viz.Table(("what", "value"), [(k, str(v)) for k, v in shown.items()], "The run.")
