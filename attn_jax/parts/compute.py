"""How a model computes: its dtype, its memory, its cells."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from attn_jax import modules
from attn_jax.errors import UserError
from attn_jax.fields import field, section
from attn_jax.ops.implementation import best_implementation

DTYPES: Mapping[str, Any] = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@section
class Dtype:
    """The dtype that a model computes in."""

    dtype: str = field("dtype of the computation; parameters stay float32", names=DTYPES)

    @property
    def jax_dtype(self) -> Any:
        """The dtype as JAX knows it."""
        return DTYPES[self.dtype]


@section
class Compute(Dtype):
    """How a recurrent model computes."""

    remat: bool = field("whether the backward pass computes activations again instead of keeping")
    unroll: int = field(
        "steps in one turn of the loop: faster, longer to compile", least=1, most=128
    )

    def loop(self, steps: int) -> dict[str, Any]:
        """The arguments of a model that unrolls `steps` steps."""
        return {
            "remat": self.remat,
            "unroll": min(self.unroll, steps),
            "dtype": self.jax_dtype,
        }


@section
class Sampling(Dtype):
    """How a model computes that samples images by transforms."""

    sampler: str | None = field(
        "what samples; None: native code of the CPU where it can be built, otherwise xla",
        names=("native", "xla"),
        settle=best_implementation,
    )

    def check_sampler(self) -> None:
        """Refuse to train where the run's sampler is not: the other's sums are rounded otherwise.

        It may still be measured and asked, through XLA.

        Raises:
          UserError: in one line.
        """
        if self.sampler == "native" and best_implementation() != "native":
            raise UserError(
                "compute.sampler is native, which this machine cannot build; a new run may have "
                "compute.sampler=xla"
            )

    def implementation(self, rank: int) -> str:
        """The `implementation` of the samplers for images of rank 2, or volumes of rank 3."""
        return (
            "native" if rank == 2 and self.sampler == best_implementation() == "native" else "xla"
        )


@section
class CoreModel:
    """The recurrent core, which every model has."""

    core: str = field("kind of the core's cells", names=modules.CORES)
    core_widths: tuple[int, ...] = field("units of the core's cells, a stack if several", least=1)

    def cells(self, compute: Dtype) -> tuple[nn.RNNCellBase, ...]:
        """The core's cells."""
        make = modules.CORES[self.core]
        return tuple(make(width, compute.jax_dtype) for width in self.core_widths)


def view(detach: bool) -> Callable[[Array], Array]:
    """A policy's view of the state: all of it, or all but its gradient."""
    return jax.lax.stop_gradient if detach else modules.full_view
