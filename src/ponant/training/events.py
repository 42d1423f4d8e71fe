"""Events of a training process: one JSON object per line, with its kind in ``event``."""

import msgspec

from ponant.training.report import FileReport, TrainingPlan


class Phase(msgspec.Struct, frozen=True, tag_field="event", tag="phase"):
    """A phase begins: ``validating``, ``loading``, ``training`` or ``saving``."""

    name: str


class Validated(msgspec.Struct, frozen=True, tag_field="event", tag="validated"):
    """The dataset is valid: reports on the files, in the order of the run, and the plan."""

    training_files: list[FileReport]
    validation_files: list[FileReport]
    plan: TrainingPlan


class Metrics(msgspec.Struct, frozen=True):
    """Mean losses per learned token, in nats, and the share of tokens that were predicted."""

    train_loss: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None


class TrainingStep(msgspec.Struct, frozen=True, tag_field="event", tag="step"):
    """A step is done. ``tokens`` counts all steps so far; rates and times cover training only."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    tokens_per_second: float
    eta_seconds: int


class Validation(msgspec.Struct, frozen=True, tag_field="event", tag="validation"):
    """The validation loss was measured after a step."""

    step: int
    metrics: Metrics


class Checkpoint(msgspec.Struct, frozen=True, tag_field="event", tag="checkpoint"):
    """A checkpoint is on disk."""

    step: int
    metrics: Metrics


class Resumed(msgspec.Struct, frozen=True, tag_field="event", tag="resumed"):
    """The run continues after a step of an earlier process."""

    step: int


class Tracked(msgspec.Struct, frozen=True, tag_field="event", tag="tracked"):
    """Weights & Biases shows the run at a URL."""

    url: str


class Stopped(msgspec.Struct, frozen=True, tag_field="event", tag="stopped"):
    """The process was asked to end, and did so after a step with a checkpoint."""

    step: int


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """The run succeeded. ``adapter`` is a folder in PEFT's format, ``gguf`` a file in llama.cpp's."""

    adapter: str
    gguf: str
    steps: int
    trained_tokens: int
    metrics: Metrics


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """The run failed. ``error`` is one word, ``message`` is for users."""

    error: str
    message: str


Event = Phase | Validated | TrainingStep | Validation | Checkpoint | Resumed | Tracked | Stopped | Done | Failed
