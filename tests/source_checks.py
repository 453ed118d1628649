"""What every source is held to."""

import numpy as np
import pytest

from attn_jax.data import Source


def refuses(message: str, error: type[Exception] = ValueError):
    """One clear line, which holds the message (a regular expression)."""
    return pytest.raises(error, match=rf"\A(?!.*\n).*{message}.*\Z")


def same(source: Source, other: Source) -> bool:
    pairs = zip(source[:3], other[:3], strict=True)
    return all((a.images == b.images).all() and (a.labels == b.labels).all() for a, b in pairs)


def check_form(source: Source) -> None:
    for split in source[:3]:
        assert split.images.dtype == np.uint8
        assert split.images.ndim == 4
        assert split.labels.dtype == np.int32
        assert split.labels.shape == split.images.shape[:1]
        assert 0 <= split.labels.min() <= split.labels.max() < source.num_classes
