"""Rates that the machine reaches at best: its memory's, and that of large matrix products."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

_SIDE = 2048


def copy_rate(megabytes: int = 256) -> float:
    """GB/s of adding 1 to so much memory in place, read and written: what memory gives at best."""
    a = jnp.zeros(megabytes * 2**18, jnp.float32)
    add = jax.jit(lambda a: a + 1, donate_argnums=0)
    seconds = []
    for _ in range(10):  # the first compiles
        began = time.perf_counter()
        a = jax.block_until_ready(add(a))
        seconds.append(time.perf_counter() - began)
    return 2 * a.nbytes / statistics.median(seconds) / 1e9


def matmul_rate(calls: int = 10) -> float:
    """GFLOP/s of a 2048^3 float32 matrix product: the median of `calls`."""
    a = jax.random.normal(jax.random.key(0), (_SIDE, _SIDE))
    product = jax.jit(lambda a: jnp.matmul(a, a))
    return 2e-9 * _SIDE**3 / statistics.median(timed(lambda: product(a), calls))


def timed(call: Callable[[], Any], calls: int) -> list[float]:
    """Seconds of each of `calls`, after one that is not counted; each waits for its result."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(calls):
        began = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - began)
    return seconds
