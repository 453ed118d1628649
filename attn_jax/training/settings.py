"""The sections of a config that the engine reads; a system's own sections extend them."""

from attn_jax.fields import field, section
from attn_jax.training.optimizer import Optimizer


@section
class Train:
    """How long, and how many at a time."""

    steps: int = field("updates in all", least=1)
    batch: int = field("examples in an update", least=1)
    steps_per_call: int = field("updates in one call of the compiled program", least=1)
    checkpoint_seconds: float = field("seconds between two checkpoints", least=0)
    state: str = field(
        "whether each device holds the whole train state or a part of it",
        names=("replicated", "sharded"),
    )


@section
class Evaluate:
    """When a run is measured while it trains."""

    every: int = field("steps between two validations", least=1)


@section
class Log:
    """A run's output; it may change when the run is taken up again."""

    tensorboard: bool = field("whether to write TensorBoard events")
    progress: bool = field("whether to print how training goes")
    pictures: bool = field("whether to draw pictures and put them in the report")


@section
class Settings:
    """The sections that every config has; a system adds its own."""

    system: str = field("the row of systems.SYSTEMS that trains")
    seed: int = field("of parameters, choices and the order of examples", least=0)
    train: Train
    optimizer: Optimizer
    evaluate: Evaluate
    log: Log

    def __post_init__(self) -> None:
        every, per_call = self.evaluate.every, self.train.steps_per_call
        if every % per_call:
            raise ValueError(
                f"evaluate.every must be a multiple of train.steps_per_call={per_call}; got {every}"
            )
        if self.optimizer.warmup >= self.train.steps:
            raise ValueError(
                f"optimizer.warmup must be from 0 to below train.steps={self.train.steps}; "
                f"got {self.optimizer.warmup}"
            )
