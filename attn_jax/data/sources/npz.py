"""Files of arrays as Keras stores its data sets: x_train, y_train, x_test, y_test."""

import math
import os
import zipfile

import numpy as np

from attn_jax.data.sources.images import (
    Images,
    Source,
    check_images,
    check_source,
    hold_out,
    numbered,
    plain_preparation,
    sizes,
)
from attn_jax.errors import UserError
from attn_jax.memory import check_bytes

NAMES = ("x_train", "y_train", "x_test", "y_test")


def load_npz(path: str | os.PathLike, *, num_classes: int | None = None) -> Source:
    """Load a .npz file with x_train, y_train, x_test and y_test, and perhaps class_names.

    The last 5,000 training images become the validation split; of fewer than 10,000, the last
    tenth.

    Args:
      path: the file. Images are [N, H, W] or [N, H, W, C], uint8 or float in [0, 1]. class_names
        are texts [K]; without them classes are named by their numbers.
      num_classes: by default as many as there are names, or one more than the largest training
        label.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not a .npz file, or its arrays are not as described.
    """
    arrays = _read(path)
    classes = _classes(arrays, num_classes, str(path))

    def split(part: str) -> Images:
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        return check_images(images, labels, len(classes), f"{path}: x_{part}, y_{part}")

    train, validation = hold_out(split("train"), f"{path}: y_train")
    like = plain_preparation(train)
    source = Source(train, validation, split("test"), classes, like, "npz", "")
    name = os.path.basename(path)
    return check_source(source)._replace(
        description=f"{name}: {sizes(source)}; the last training images validate"
    )


def _classes(arrays: dict[str, np.ndarray], count: int | None, path: str) -> tuple[str, ...]:
    """The names of the classes, or their numbers."""
    if "class_names" in arrays:
        names = tuple(map(str, np.ravel(arrays["class_names"])))
        if len(set(names)) != len(names) or count not in (None, len(names)):
            expected = "different names" if count is None else f"{count} different names"
            raise ValueError(f"{path}: class_names must be {expected}; got {', '.join(names)}")
        return names
    return numbered(_count(arrays["y_train"], f"{path}: y_train") if count is None else count)


def _read(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the four arrays, and class_names if they are there."""
    if not os.path.exists(path):
        raise FileNotFoundError(f"expected a .npz file at {path}; there is none")
    if not zipfile.is_zipfile(path):
        raise ValueError(f"expected a .npz file with {', '.join(NAMES)}; {path} is not one")
    try:
        with zipfile.ZipFile(path) as file:
            found = [name.removesuffix(".npy") for name in file.namelist()]
            missing = [name for name in NAMES if name not in found]
            if missing:
                raise ValueError(
                    f"expected {', '.join(NAMES)}; there is no {', '.join(missing)} "
                    f"among {', '.join(found) or 'no arrays'}"
                )
            wanted = [*NAMES, *({"class_names"} & {*found})]
            return {name: _array(file, f"{name}.npy", path) for name in wanted}
    except UserError:
        raise
    except Exception as error:  # zipfile and NumPy raise many kinds of error on damaged files
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ValueError(f"cannot read {path}: {reason}") from error


def _array(file: zipfile.ZipFile, name: str, path: str | os.PathLike) -> np.ndarray:
    """One array, once its header claims as many bytes as are stored: they are allocated first."""
    with file.open(name) as member:
        try:
            shape, _, dtype = _HEADERS[np.lib.format.read_magic(member)](member)
        except (RuntimeError, NotImplementedError):  # of zipfile: encrypted, oddly compressed
            raise
        except Exception as error:  # NumPy evaluates the header's text
            raise ValueError(f"the header of {name} is damaged") from error
        claimed = math.prod(shape) * dtype.itemsize
        stored = file.getinfo(name).file_size - member.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, not numbers")
    if claimed != stored:
        raise ValueError(f"{name} claims {claimed:,} bytes of data and has {stored:,}")
    check_bytes(f"{path}: {name}", claimed, on_host=True)
    with file.open(name) as member:
        return np.lib.format.read_array(member, allow_pickle=False)


_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def _count(labels: np.ndarray, where: str) -> int:
    """The number of classes, by the largest label."""
    if not np.issubdtype(labels.dtype, np.integer) or labels.size == 0:
        raise ValueError(f"{where}: expected integer labels; got {labels.dtype} {labels.shape}")
    largest = int(labels.max())
    if largest >= labels.size:  # not classes, but ids or a fill value
        raise ValueError(f"{where}: label {largest} is no class of {labels.size} images")
    return largest + 1
