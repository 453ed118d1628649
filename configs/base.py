"""The sections that configs start from; `--helpconfig` tells what each field means."""

from collections.abc import Mapping, Sequence

from ml_collections import ConfigDict, config_dict


def arguments(file: str, arg: str | None, valid: Sequence[str]) -> list[str]:
    """The words of a config's argument, each of them "tiny" or a valid one.

    Args:
      file: the config's name, for the message.
      arg: after the colon of --config=file:arg: a word, and tiny with a comma; None: none.
      valid: words beside "tiny".

    Raises:
      ValueError: naming the words that there are.
    """
    words = arg.split(",") if arg else []
    valid = (*valid, "tiny")
    names = ", ".join(f":{word}" for word in valid)
    if strange := [word for word in words if word not in valid]:
        raise ValueError(f"{file} takes {names}; got :{strange[0]}")
    if len(words) > 1 + ("tiny" in words):
        raise ValueError(f"{file} takes one of {names}, and tiny beside it; got :{arg}")
    return words


def choices(
    file: str, arg: str | None, groups: Mapping[str, Sequence[str]]
) -> tuple[dict[str, str], bool]:
    """The words of a config's argument, at most one of each group, and whether "tiny" is there.

    Args:
      file: the config's name, for the message.
      arg: after the colon of --config=file:arg: words with commas between them; None: none.
      groups: name -> words, the first of which is meant where none is given.

    Raises:
      ValueError: naming the words that there are.
    """
    words = arg.split(",") if arg else []
    valid = [word for group in groups.values() for word in group]
    names = ", ".join(f":{word}" for word in (*valid, "tiny"))
    if strange := [word for word in words if word not in (*valid, "tiny")]:
        raise ValueError(f"{file} takes {names}; got :{strange[0]}")
    chosen = {}
    for name, group in groups.items():
        given = [word for word in words if word in group]
        if len(given) > 1:
            raise ValueError(f"{file} takes one of {', '.join(group)}; got :{arg}")
        chosen[name] = given[0] if given else group[0]
    return chosen, "tiny" in words


def engine(system: str) -> ConfigDict:
    """The sections that the engine reads, at the values of most configs."""
    config = ConfigDict()
    config.system = system
    config.seed = 0

    config.train = ConfigDict()
    config.train.steps = 5000
    config.train.batch = 256
    config.train.steps_per_call = 50
    config.train.checkpoint_seconds = 3.0
    config.train.state = "replicated"

    config.optimizer = ConfigDict()
    config.optimizer.name = "adamw"
    config.optimizer.learning_rate = 2e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.warmup = 0
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 0.01
    config.optimizer.clip = 5.0
    config.optimizer.average = 0.0

    config.evaluate = ConfigDict()
    config.evaluate.every = 500

    config.log = ConfigDict()
    config.log.tensorboard = True
    config.log.progress = True
    config.log.pictures = True
    return config


def recurrent(system: str) -> ConfigDict:
    """The engine's sections and those of a recurrent system whose choices may be credited."""
    config = engine(system)
    config.compute = ConfigDict()
    config.compute.dtype = "float32"
    config.compute.remat = False
    config.compute.unroll = 1

    config.train.rollouts = 1
    config.train.baseline = "learned_value"
    config.train.reward = "right"
    config.train.policy_weight = 0.1
    config.train.value_weight = 1.0
    config.train.entropy_weight = 0.0

    config.evaluate.batch = 500
    return config


def digits() -> ConfigDict:
    """The section of small images: the embedded digits."""
    data = ConfigDict()
    data.source = "embedded"
    data.path = config_dict.placeholder(str)
    data.stream = False
    data.task = "centered"
    data.size = config_dict.placeholder(int)
    data.shift = 1
    data.pieces = 4
    data.piece = 8
    data.angle = config_dict.placeholder(float)
    data.seed = 1
    data.resize = config_dict.placeholder(int)
    data.channels = config_dict.placeholder(int)
    data.aspect = "stretch"
    data.background = 255
    data.digits = config_dict.placeholder(bool)
    data.recursive = True
    data.fraction = 0.1
    return data


def transformers() -> ConfigDict:
    """The section of spatial transformers: an affine one that starts at the identity."""
    mechanism = ConfigDict()
    mechanism.transform = "affine"
    mechanism.parallel = 1
    mechanism.steps = 0
    mechanism.size = 28
    mechanism.padding = "zeros"
    mechanism.fill = 0.0
    mechanism.zoom = 1.0
    mechanism.bound = 0.0
    mechanism.last_layer = 0.0
    mechanism.penalty = 0.0
    mechanism.rate = 1.0
    return mechanism


def tiny(config: ConfigDict) -> ConfigDict:
    """Shrink a config to a few updates of a few examples, to see that it runs."""
    config.train.steps = 6
    config.train.steps_per_call = 2
    config.train.batch = 8
    config.train.checkpoint_seconds = 0.0
    config.evaluate.every = 2
    if "model" in config and "core_widths" in config.model:
        config.model.core_widths = (8,)
    return config
