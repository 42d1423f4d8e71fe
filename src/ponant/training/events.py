"""What a training process tells: one JSON object a line, each with its ``event``."""

import msgspec

from ponant.training.report import FileReport, TrainingPlan


class Phase(msgspec.Struct, frozen=True, tag_field="event", tag="phase"):
    """What begins: ``validating``, ``loading``, ``training`` or ``saving``."""

    name: str


class Validated(msgspec.Struct, frozen=True, tag_field="event", tag="validated"):
    """The dataset is good: what is in its files, in the run's order, and what will be done."""

    training_files: list[FileReport]
    validation_files: list[FileReport]
    plan: TrainingPlan


class Metrics(msgspec.Struct, frozen=True):
    """Mean losses per learned token, in nats, and the share of tokens that were the most likely one."""

    train_loss: float | None = None
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None


class TrainingStep(msgspec.Struct, frozen=True, tag_field="event", tag="step"):
    """A step is done. ``tokens`` are those of all steps so far; seconds are those of training alone."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    tokens_per_second: float
    eta_seconds: int


class Validation(msgspec.Struct, frozen=True, tag_field="event", tag="validation"):
    """The validation files were measured after a step."""

    step: int
    metrics: Metrics


class Checkpoint(msgspec.Struct, frozen=True, tag_field="event", tag="checkpoint"):
    """A step from which training can be resumed is on disk."""

    step: int
    metrics: Metrics


class Resumed(msgspec.Struct, frozen=True, tag_field="event", tag="resumed"):
    """The run goes on after a step of an earlier process."""

    step: int


class Tracked(msgspec.Struct, frozen=True, tag_field="event", tag="tracked"):
    """Weights & Biases shows the run at an address."""

    url: str


class Stopped(msgspec.Struct, frozen=True, tag_field="event", tag="stopped"):
    """The process was asked to end, and did after a step from which it can be resumed."""

    step: int


class Done(msgspec.Struct, frozen=True, tag_field="event", tag="done"):
    """The adapter is in the folder ``adapter``, in PEFT's format, and in the file ``gguf``, in llama.cpp's."""

    adapter: str
    gguf: str
    steps: int
    trained_tokens: int
    metrics: Metrics


class Failed(msgspec.Struct, frozen=True, tag_field="event", tag="failed"):
    """The run has ended without a result. ``error`` is one word, ``message`` is for people."""

    error: str
    message: str


Event = Phase | Validated | TrainingStep | Validation | Checkpoint | Resumed | Tracked | Stopped | Done | Failed
