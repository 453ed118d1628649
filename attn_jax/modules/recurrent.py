"""The recurrence: a core of cells, a step of attention, and its unrolling over time."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from attn_jax.checks import check_count, check_ids, check_keys
from attn_jax.modules.attend import Attend, Memory
from attn_jax.types import Key, PyTree, Trace


@runtime_checkable
class MakeCell(Protocol):
    """Makes a Linen cell of `width` units."""

    def __call__(self, width: int, dtype: Any, /) -> nn.RNNCellBase: ...


# name -> (width, dtype) -> cell; the gates of "gru" and "lstm" have Linen's defaults.
CORES: Mapping[str, MakeCell] = {
    "relu": lambda width, dtype: nn.SimpleCell(width, activation_fn=nn.relu, dtype=dtype),
    "tanh": lambda width, dtype: nn.SimpleCell(width, activation_fn=jnp.tanh, dtype=dtype),
    "gru": lambda width, dtype: nn.GRUCell(width, dtype=dtype),
    "lstm": lambda width, dtype: nn.OptimizedLSTMCell(width, dtype=dtype),
}


class Core(nn.Module):
    """s_t = f(W s_{t-1} + U x'_t): one Linen cell, or a stack of them.

    Attributes:
      cells: each is the input of the next; the output of the last is the state s.
    """

    cells: Sequence[nn.RNNCellBase]

    def zeros(self, batch: int) -> tuple[PyTree, Array]:
        """(carry, s) before any input: zeros."""
        unused = jax.random.key(0)  # the cells' carries start as zeros
        carry = tuple(cell.initialize_carry(unused, (batch, 1)) for cell in self.cells)
        last = carry[-1]
        return carry, last[-1] if isinstance(last, tuple) else last  # an LSTM's is (c, h)

    def __call__(self, carry: PyTree, u: Array) -> tuple[PyTree, Array]:
        """Run one step: (carry, input [B, U]) -> (carry, s)."""
        after = []
        for cell, before in zip(self.cells, carry, strict=True):
            now, u = cell(before, u)
            # A scan's carry keeps one dtype, whatever the cell computes in.
            after.append(jax.tree.map(lambda new, old: new.astype(old.dtype), now, before))
        return tuple(after), u


class Step(nn.Module):
    """One step: attend, fuse the glimpse with the input of this step, run the core.

    Attributes:
      attend: the mechanism.
      fuse: (glimpse [B, ...], where, input [B, ...] | None) -> [B, U].
      core: the recurrence.
      start: (x, zeros, mask) -> (core carry, s), the first state; None: zeros.
    """

    attend: Attend
    fuse: nn.Module
    core: Core
    start: nn.Module | None = None

    def prepare(self, x: Array, mask: Array | None = None) -> Memory:
        """Compute once what depends on x alone."""
        return self.attend.prepare(x, mask)

    def initial(self, x: Array, mask: Array | None = None) -> tuple[PyTree, PyTree]:
        """The first carry, (core carry, s_0)."""
        zeros = self.core.zeros(x.shape[0])
        return zeros if self.start is None else self.start(x, zeros, mask)

    def __call__(
        self,
        carry: tuple[PyTree, PyTree],
        memory: Memory,
        inputs: Array | None,
        keys: Key | None,
        first: Array,
    ) -> tuple[tuple[PyTree, PyTree], Trace]:
        """Run one step: the new (core carry, s_t), and its trace with leaves [B, ...]."""
        core_carry, before = carry
        glimpse, selection = self.attend(memory, before, keys, first)
        core_carry, state = self.core(core_carry, self.fuse(glimpse, selection.where, inputs))
        state = jax.tree.map(lambda new, old: new.astype(old.dtype), state, before)
        return (core_carry, state), Trace(before, state, glimpse, selection)


class Unroll(nn.Module):
    """The scan of a step, or of any module like it, over time.

    The parameters are made by one plain step. The scan is Flax's, so that the step may be made
    anywhere: here, in a user's compact method, or in a setup that shares its parts with others.

    Attributes:
      step: has `prepare`, `initial` and `__call__`, as `Step` does.
      num_steps: T.
      x_axis: None: all steps attend to the same input. 1: the input is a sequence [B, T, ...], of
        which each step attends to one entry.
      remat: recompute a step's activations in the backward pass instead of keeping them.
      unroll: how many steps one iteration of the loop holds; small steps run faster in fewer
        iterations, for more compile time.
    """

    step: nn.Module
    num_steps: int
    x_axis: int | None = None
    remat: bool = False
    unroll: int = 1

    def __post_init__(self) -> None:
        check_count("num_steps", self.num_steps)
        check_count("unroll", self.unroll)
        if self.x_axis not in (None, 1):
            raise ValueError(f"x_axis must be None or 1; got {self.x_axis!r}")
        super().__post_init__()

    def prepare(self, x: Array, mask: Array | None = None) -> Memory:
        """Compute what depends on x alone, once for all rollouts."""
        if self.x_axis is not None:
            self._check_length("x", x, self.x_axis)
        step: Any = self.step
        return step.prepare(x, mask)

    def __call__(
        self,
        memory: Memory,
        keys: Key | None = None,
        inputs: Array | None = None,
        carry: PyTree | None = None,
    ) -> tuple[PyTree, PyTree]:
        """Run T steps.

        Args:
          memory: of `prepare`.
          keys: [B, T]; None if nothing is sampled.
          inputs: [B, T, ...], one for each step; None if there are none.
          carry: the carry of an earlier call, to continue its rollout; None: a new rollout.

        Returns:
          The carry, and the second results of the steps (of `Step`, traces), leaves [B, T, ...].

        Raises:
          ValueError: if keys or inputs are of another length than T, or keys of another batch.
          TypeError: for what are no keys.
        """
        if keys is not None:
            check_keys("keys", keys, (memory.x.shape[0], self.num_steps), strict=False)
        self._check_length("inputs", inputs)
        step: Any = self.step
        # A constant where all steps are in one iteration: XLA folds the choice of start or not.
        count = np.arange if self.unroll >= self.num_steps else jnp.arange
        first = count(self.num_steps) == (0 if carry is None else -1)
        carry = step.initial(memory.x, memory.mask) if carry is None else carry
        shared, sequence = (memory, None) if self.x_axis is None else (None, memory)
        steps = (*_time_first((sequence, inputs, keys)), first)
        if self.is_initializing():
            entry, *rest, is_first = jax.tree.map(lambda a: a[0], steps)
            _, trace = step(carry, shared or entry, *rest, jnp.asarray(is_first))
            return carry, jax.tree.map(lambda a: _repeat(a, self.num_steps), trace)

        def body(step: nn.Module, carry: PyTree, step_inputs: PyTree) -> tuple[PyTree, PyTree]:
            entry, *rest = step_inputs
            return step(carry, shared or entry, *rest)

        scanned = nn.scan(
            nn.remat(body) if self.remat else body,
            variable_broadcast=True,
            split_rngs={nn.DenyList("params"): True},
            length=self.num_steps,
            unroll=self.unroll,
        )
        carry, trace = scanned(step, carry, steps)
        return carry, jax.tree.map(lambda a: jnp.moveaxis(a, 0, 1), trace)

    def _check_length(self, name: str, sequence: PyTree, axis: int = 1) -> None:
        for shape in map(jnp.shape, jax.tree.leaves(sequence)):
            if shape[axis : axis + 1] != (self.num_steps,):
                raise ValueError(
                    f"{name} must have {self.num_steps} steps on axis {axis}; got shape {shape}"
                )


def _time_first(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: jnp.moveaxis(a, 1, 0), tree)


def _repeat(a: Array, steps: int) -> Array:
    return jnp.repeat(a[:, None], steps, axis=1)


def rollout_keys(key: Key, ids: Array, num_steps: int, rollout: int | Array = 0) -> Key:
    """Fold keys [B, T] from (example id, rollout, time).

    They depend on an example's id, not on its place in the batch, so that neither the rest of the
    batch nor its sharding changes a result.

    Args:
      key: one key.
      ids: [B], an integer that names each example.
      num_steps: T.
      rollout: m, the index of the Monte-Carlo rollout.

    Raises:
      ValueError, TypeError: for what are not one key, whole numbers [B] and a number of steps.
    """
    check_keys("key", key, ())
    check_ids("ids", ids)
    check_count("num_steps", num_steps)

    def of_example(example: Array) -> Key:
        of_rollout = jax.random.fold_in(jax.random.fold_in(key, example), rollout)
        return jax.vmap(lambda t: jax.random.fold_in(of_rollout, t))(jnp.arange(num_steps))

    return jax.vmap(of_example)(ids)
