"""report.html: what was reached, how it was learned, where the model looks."""

from typing import Any

import numpy as np

from attn_jax import viz
from attn_jax.data import Images
from attn_jax.training import pictures
from attn_jax.training.measure import Measured
from attn_jax.types import PyTree

_LABELS = {
    "mean": "one rollout at the policy's mean",
    "random": "control: random glimpses",
    "center": "control: the centre only",
}


def describe(name: str) -> str:
    """What a policy's name stands for; m10 is ten sampled rollouts."""
    return _LABELS.get(name, f"{name[1:]} sampled rollouts, averaged")


def lines(measured: dict[str, Measured]) -> list[str]:
    """One line a policy: error % with its 95 % Wilson interval."""
    return [
        f"{describe(name):38} {error:6.2f} %  [{low:.2f}, {high:.2f}]"
        for name, (error, low, high) in ((n, m.percent()) for n, m in measured.items())
    ]


def assemble(
    run: Any,
    variables: PyTree,
    test: Images,
    measured: dict[str, Measured],
    rows: list[dict[str, float]],
    results: dict[str, Any],
) -> str:
    """The page, with its pictures inside it."""
    config, key = run.config, pictures.picture_key(run.config)
    chosen = pictures.choose_examples(test.labels)
    labels = test.labels[chosen]
    looked = pictures.look(config, run.parts, variables, test.images[chosen], key)
    curves = viz.to_png(viz.learning_curves(rows))
    total = next(iter(measured.values())).total
    summary = [(describe(name), f"{one.percent()[0]:.2f} %") for name, one in measured.items()]
    return viz.render_report(
        f"RAM on {config.data.task} {config.data.size}×{config.data.size} images",
        summary,
        [
            viz.Section(
                "How well it reads",
                f"Errors on {total:,} test images, in percent. Rollouts are averaged as "
                "probabilities. Averaging hides a bad policy, so the single rollout stands first; "
                "the controls use the same weights.",
                [_errors(measured), _steps(measured)],
            ),
            viz.Section(
                "Where it looks",
                "",
                [_paths(config, looked, labels), _film(config, looked, labels)],
            ),
            viz.Section(
                "How it learned",
                "",
                [
                    viz.Picture(
                        curves, "Learning curves.", "Training and validation over the updates."
                    )
                ],
            ),
            viz.Section("How this was made", "", [_facts(results)]),
        ],
    )


def _errors(measured: dict[str, Measured]) -> viz.Table:
    rows = []
    for name, one in measured.items():
        error, low, high = one.percent()
        rows.append((describe(name), f"{error:.2f} %", f"{low:.2f} to {high:.2f} %"))
    return viz.Table(("policy", "error", "95 % interval"), rows, "Error on the test images.")


def _steps(measured: dict[str, Measured]) -> viz.Picture:
    return viz.Picture(
        pictures.steps_png(measured, describe),
        "Error against the number of glimpses, one curve a policy.",
        "The error if the model had to answer after each glimpse; bands are 95 % intervals.",
    )


def _paths(config: Any, looked: pictures.Looked, labels: np.ndarray) -> viz.Picture:
    return viz.Picture(
        pictures.paths_png(config, looked, labels),
        "Test images with the numbered path of glimpses, and the patch each glimpse saw.",
        "The policy's mean on test images: the path of glimpses, and what each one saw.",
    )


def _film(config: Any, looked: pictures.Looked, labels: np.ndarray) -> viz.Picture:
    return viz.Picture(
        pictures.rollout_gif(config, looked, labels),
        "Animation of one rollout: the glimpse, the pixels seen so far, the class probabilities.",
        "One rollout, glimpse by glimpse.",
    )


def _facts(results: dict[str, Any]) -> viz.Table:
    shown = {k: v for k, v in results.items() if "/error" not in k}
    return viz.Table(("what", "value"), [(k, str(v)) for k, v in shown.items()], "The run.")
