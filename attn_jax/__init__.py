"""attn_jax: learning where to look. Recurrent visual attention in JAX.

    propose (learned: where might I look?) -> choose (the only randomness) -> read (a kernel)

`ops`, `losses`, `estimators`, `baselines`, `laboratory`, `modules`, `models` and `tasks` need jax,
flax, optax, numpy and jaxtyping alone. `data`, `viz`, `training`, `parts`, `systems`, `runs`,
`studies` and `yardsticks` need the extra `attn_jax[experiments]`.
"""

from os import PathLike
from typing import TYPE_CHECKING

from attn_jax import baselines, estimators, losses, models, modules, ops, types
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
    from attn_jax.runs.load import Loaded

__version__ = "0.1.0"


def load(workdir: str | PathLike, step: int | None = None) -> "Loaded":
    """The model of a run, its variables and an apply function.

    Args:
      workdir: the run's folder.
      step: of the checkpoint; None: the best on validation.

    See `attn_jax.runs.load.Loaded`. Needs the extra `attn_jax[experiments]`.
    """
    from attn_jax.runs.load import load as load_run

    return load_run(workdir, step)


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
    "estimators",
    "gaussian_grid",
    "grid_sample",
    "load",
    "losses",
    "models",
    "modules",
    "ops",
    "projective",
    "projective_grid",
    "retina",
    "thin_plate_spline",
    "thin_plate_spline_grid",
    "transforms",
    "types",
]
