"""attn_jax: learning where to look. Recurrent visual attention in JAX.

    propose (learned: where might I look?) -> choose (the only randomness) -> read (a kernel)

`ops`, `losses`, `estimators`, `baselines`, `laboratory`, `modules`, `models` and `tasks` need jax,
flax, optax, numpy and jaxtyping alone. `data`, `viz`, `training`, `parts`, `systems`, `runs`,
`studies` and `yardsticks` need the extra `attn_jax[experiments]`.

`data`, `laboratory`, `tasks` and `viz` are imported when they are first used.
"""

import importlib
from os import PathLike
from typing import TYPE_CHECKING, Any

from attn_jax import baselines, estimators, losses, models, modules, ops, types
from attn_jax.errors import check_installed
from attn_jax.fit import check_fit
from attn_jax.ops import (
    affine,
    affine_grid,
    affine_sample,
    control_grid,
    crop,
    gaussian_grid,
    grid_sample,
    projective,
    projective_grid,
    retina,
    thin_plate_spline,
    thin_plate_spline_grid,
    transforms,
)
from attn_jax.types import Baseline, Estimator, Read, Selection, Trace

if TYPE_CHECKING:
    from attn_jax import data, laboratory, tasks, viz
    from attn_jax.runs.load import Loaded

__version__ = "0.1.0"


def load(workdir: str | PathLike, step: int | None = None) -> "Loaded":
    """The model of a run, its variables and an apply function.

    Args:
      workdir: the run's folder.
      step: of the checkpoint; None: the best on validation.

    See `attn_jax.runs.load.Loaded`.

    Raises:
      ModuleNotFoundError: without the extra `attn_jax[experiments]`.
      UserError: for a folder that holds no run.
    """
    check_installed("orbax")
    from attn_jax.runs.load import load as load_run

    return load_run(workdir, step)


_LAZY = ("data", "laboratory", "tasks", "viz")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"attn_jax.{name}")
    raise AttributeError(f"module 'attn_jax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


__all__ = [
    "Baseline",
    "Estimator",
    "Read",
    "Selection",
    "Trace",
    "__version__",
    "affine",
    "affine_grid",
    "affine_sample",
    "baselines",
    "check_fit",
    "control_grid",
    "crop",
    "data",
    "estimators",
    "gaussian_grid",
    "grid_sample",
    "laboratory",
    "load",
    "losses",
    "models",
    "modules",
    "ops",
    "projective",
    "projective_grid",
    "retina",
    "tasks",
    "thin_plate_spline",
    "thin_plate_spline_grid",
    "transforms",
    "types",
    "viz",
]
