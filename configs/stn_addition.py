"""Two digits added by transformers in parallel (Jaderberg et al. 2015, appendix A.2).

uv run python -m experiments.train --config=configs/stn_addition.py --workdir=runs/addition

Two digits, each rotated, scaled and placed on a channel of 42x42; the answer is their sum, of 19.
Both transformers start at two thirds of the image and learn at a tenth of the classifier's rate: at
equal rates they zoom out until nothing is left (docs/trainability.md).
"""

from ml_collections import ConfigDict

from configs import base, stn_mnist


def get_config(arg: str | None = None) -> ConfigDict:
    """Two affine transformers on the embedded digits; "full": all of MNIST; "tiny"."""
    words = base.arguments("stn_addition.py", arg, ["full"])
    config = base.engine("spatial_transformer")
    config.data = base.digits()
    config.data.task = "summed"
    config.data.shift = 0
    config.mechanism = base.transformers()
    config.mechanism.parallel = 2
    config.mechanism.zoom = 2 / 3
    config.mechanism.rate = 0.1
    config.model = stn_mnist.cnn()
    config.model.hidden = (256,)
    stn_mnist.train(config)
    if "full" in words:
        config.data.source = "tfds"
        config.train.steps = 43_000
        config.evaluate.every = 1000
    return stn_mnist.shrink(config) if "tiny" in words else config
