"""Sequences of three digits read one after the other (Sonderby et al. 2015).

uv run python -m experiments.train --config=configs/rnn_spn.py --workdir=runs/rnn_spn

A recurrent network sees a cluttered canvas of 100x100 and finds three transforms, one after the
other; what each reads is classified by the same convolutions. All of MNIST: the word full, with
--config.data.path=DIR of a prepared TFDS directory. `attn_jax.data.sequence` says how sequences are
drawn.
"""

from ml_collections import ConfigDict

from configs import base, stn_mnist


def get_config(arg: str | None = None) -> ConfigDict:
    """Three affine transforms on the embedded digits; "full": all of MNIST; "tiny"."""
    words = base.arguments("rnn_spn.py", arg, ["full"])
    config = base.engine("spatial_transformer")
    config.data = base.digits()
    config.data.task = "sequence"
    config.data.size = 100
    config.data.shift = 0
    config.data.pieces = 8
    config.data.piece = 9
    config.mechanism = base.transformers()
    config.mechanism.steps = 3
    config.model = stn_mnist.cnn()
    config.model.localisation_filters = (20, 20, 20)
    config.model.localisation_kernels = (3, 3, 3)
    config.model.localisation_hidden = ()
    config.model.filters = (32, 32, 32)
    config.model.kernels = (3, 3, 3)
    config.model.hidden = (256,)
    stn_mnist.train(config)
    config.evaluate.batch = 100
    if "full" in words:
        config.data.source = "tfds"
        config.train.steps = 20_000
        config.evaluate.every = 1000
    return stn_mnist.shrink(config) if "tiny" in words else config
