"""Extruded digits in volumes of 60x60x60, through a transformer in three dimensions.

uv run python -m experiments.train --config=configs/stn_3d.py --workdir=runs/stn_3d

A digit is extruded, rotated in space and put anywhere in the volume; an affine transformer in 3-D
reads the volume, whose depth is then averaged, so that an image is classified (Jaderberg et al.
2015, appendix A.3; the paper does not say how thick its digits are, or how far they turn).
"""

from ml_collections import ConfigDict

from configs import base, stn_mnist


def get_config(arg: str | None = None) -> ConfigDict:
    """Volumes of 60 voxels a side, read as 30; "tiny": of 28, read as 28."""
    words = base.arguments("stn_3d.py", arg, [])
    config = base.engine("spatial_transformer")
    config.data = base.digits()
    config.data.task = "extruded"
    config.data.shift = 0
    config.mechanism = base.transformers()
    config.mechanism.transform = "affine_3d"
    config.mechanism.size = 30
    config.model = stn_mnist.cnn()
    config.model.kernels = (9, 5)
    stn_mnist.train(config)
    config.train.batch = 16
    config.train.steps_per_call = 10
    config.evaluate.batch = 50
    config.evaluate.shift = 0
    if "tiny" in words:
        config.data.size = 28
        config.mechanism.size = 28
        return stn_mnist.shrink(config)
    return config
