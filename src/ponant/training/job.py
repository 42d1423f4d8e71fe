"""What is to be trained, and how: the description of a run that its process reads."""

from pathlib import Path
from typing import Literal

import msgspec

Precision = Literal["float32", "bfloat16"]


class Hyperparameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to train. The first seven are those of the API, with its defaults.

    ``training_steps`` is stronger than ``epochs``; with neither there are 3 epochs. A step learns from ``batch_size``
    sequences of up to ``seq_len`` tokens. ``warmup_fraction`` of the steps the learning rate rises, then it falls to 0
    along a cosine. ``clip`` is the largest norm of the gradient. ``rank`` and ``alpha`` are the adapter's.
    """

    training_steps: int | None = None
    epochs: float | None = None
    learning_rate: float = 1e-4
    weight_decay: float = 0.1
    warmup_fraction: float = 0.05
    seq_len: int = 512
    fim_ratio: float = 0.9
    batch_size: int = 1
    rank: int = 16
    alpha: int = 32
    clip: float = 1.0
    seed: int = 0


class DatasetFile(msgspec.Struct, frozen=True):
    """A file to learn from, and how often its samples are seen beside those of others."""

    path: str
    weight: float = 1.0


class Wandb(msgspec.Struct, frozen=True):
    """Where Weights & Biases keeps the run. Without a key it is kept offline, in the run's folder.

    ``WANDB_MODE`` in the environment (``online``, ``offline``, ``disabled``) is stronger than either.
    """

    project: str
    run_name: str | None = None
    api_key: str | None = None


class TrainingRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of training.

    Attributes:
        model: GGUF file of the served model, whose tokens and template are used.
        cache: folder for weights that were read from GGUF files, shared by runs.
        training_files: what to learn from.
        validation_files: what to measure by.
        hyperparameters: how to train.
        name: of the base model, as the adapter's file has it.
        weights: Hugging Face folder of the model in full precision, in the place of the GGUF file's weights.
        tokenizer: file of Mistral's own tokenizer.
        invalid_sample_skip_percentage: share of bad lines, 0 to 0.5, that are skipped.
        checkpoint_every: steps between checkpoints; a tenth of all by default.
        validate_every: steps between measures on the validation files; those of checkpoints by default.
        threads: that compute; all physical cores by default.
        memory: bytes that the process may take, so that it fails before the machine is out of memory.
        precision: measured by default.
        device: of PyTorch: the first GPU by default, or else the CPU.
        wandb: the integration, if it is wanted.
    """

    model: str
    cache: str
    training_files: list[DatasetFile]
    validation_files: list[str] = []
    hyperparameters: Hyperparameters = Hyperparameters()
    name: str = ""
    weights: str | None = None
    tokenizer: str | None = None
    invalid_sample_skip_percentage: float = 0.0
    checkpoint_every: int | None = None
    validate_every: int | None = None
    threads: int | None = None
    memory: int | None = None
    precision: Precision | None = None
    device: str | None = None
    wandb: Wandb | None = None


def write_run(run: TrainingRun, folder: Path) -> None:
    """Describe a run in its folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "run.json.part"
    part.touch(mode=0o600)  # it may hold a key
    part.write_bytes(msgspec.json.format(msgspec.json.encode(run)))
    part.replace(folder / "run.json")


def read_run(folder: Path) -> TrainingRun:
    """The description in a run's folder. Raises OSError or msgspec.DecodeError."""
    return msgspec.json.decode((folder / "run.json").read_bytes(), type=TrainingRun)
