"""Files of arrays as Keras stores its data sets: x_train, y_train, x_test, y_test."""

import os
import zipfile
import zlib

import numpy as np

from attn_jax.data.sources.images import Images, Source, check_images, check_source, hold_out, sizes

NAMES = ("x_train", "y_train", "x_test", "y_test")


def load_npz(path: str | os.PathLike, *, num_classes: int | None = None) -> Source:
    """Load a .npz file with x_train, y_train, x_test and y_test.

    The last 5,000 training images become the validation split; of fewer than 10,000, the last
    tenth.

    Args:
      path: the file. Images are [N, H, W] or [N, H, W, C], uint8 or float in [0, 1].
      num_classes: by default, one more than the largest training label.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not a .npz file, or its arrays are not as described.
    """
    arrays = _read(path)
    if num_classes is None:
        num_classes = _count(arrays["y_train"], f"{path}: y_train")

    def split(part: str) -> Images:
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        return check_images(images, labels, num_classes, f"{path}: x_{part}, y_{part}")

    train, validation = hold_out(split("train"), f"{path}: y_train")
    source = Source(train, validation, split("test"), num_classes, "npz", "")
    name = os.path.basename(path)
    return check_source(source)._replace(
        description=f"{name}: {sizes(source)}; the last training images validate"
    )


def _read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the four arrays."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"expected a .npz file at {path}; there is none")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"expected a .npz file with {', '.join(NAMES)}; {path} is not one")
    try:
        with open(path, "rb") as raw, np.load(raw) as file:
            missing = [name for name in NAMES if name not in file.files]
            if missing:
                raise ValueError(
                    f"expected {', '.join(NAMES)}; there is no {', '.join(missing)} "
                    f"among {', '.join(file.files) or 'no arrays'}"
                )
            return {name: file[name] for name in NAMES}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"cannot read {path}: {error}") from error


def _count(labels: np.ndarray, where: str) -> int:
    """The number of classes, by the largest label."""
    if not np.issubdtype(labels.dtype, np.integer) or labels.size == 0:
        raise ValueError(f"{where}: expected integer labels; got {labels.dtype} {labels.shape}")
    largest = int(labels.max())
    if largest >= labels.size:  # not classes, but ids or a fill value
        raise ValueError(f"{where}: label {largest} is no class of {labels.size} images")
    return largest + 1
