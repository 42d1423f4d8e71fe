"""The description of a run, which its process reads."""

from pathlib import Path
from typing import Literal

import msgspec

from ponant.private_files import make_folder, read_bytes, write_bytes

Precision = Literal["float32", "bfloat16"]


class Hyperparameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hyperparameters. The first seven are those of the API, with its defaults.

    ``training_steps`` takes precedence over ``epochs``; with neither there are 3 epochs. A step learns from
    ``batch_size`` sequences of up to ``seq_len`` tokens. The learning rate rises for ``warmup_fraction`` of the steps,
    then falls to 0 along a cosine. ``clip`` is the largest norm of the gradient. ``rank`` and ``alpha`` are those of
    the adapter.
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
    """A training file. ``weight`` is the frequency of its samples relative to those of other files."""

    path: str
    weight: float = 1.0


class Wandb(msgspec.Struct, frozen=True):
    """Integration of Weights & Biases. Without a key the run is stored offline, in the run's folder.

    ``WANDB_MODE`` in the environment (``online``, ``offline``, ``disabled``) takes precedence.
    """

    project: str
    run_name: str | None = None
    api_key: str | None = None


class TrainingRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run of training.

    Attributes:
        model: GGUF file of the served model. Its tokenizer and chat template are used.
        cache: folder for weights read from GGUF files, shared by runs.
        training_files: files to learn from.
        validation_files: paths of the files for the validation loss.
        hyperparameters: hyperparameters.
        name: name of the base model, stored in the adapter.
        weights: Hugging Face folder of the model in full precision, used instead of the GGUF file's weights.
        tokenizer: file of Mistral's tokenizer.
        invalid_sample_skip_percentage: share of bad lines, 0 to 0.5, that are skipped.
        checkpoint_every: steps between checkpoints; a tenth of all steps by default.
        validate_every: steps between validations; ``checkpoint_every`` by default.
        threads: compute threads; all physical cores by default.
        memory: limit of the process in bytes, by which it fails before the machine runs out of memory.
        precision: number format of the weights; chosen by measurement by default.
        device: device of PyTorch; by default the first GPU, or else the CPU.
        wandb: integration of Weights & Biases.
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
    """Write the description of a run into its folder; create the folder if necessary."""
    make_folder(folder)
    part = folder / "run.json.part"
    write_bytes(part, msgspec.json.format(msgspec.json.encode(run)))
    part.replace(folder / "run.json")


def read_run(folder: Path) -> TrainingRun:
    """Read the description in a run's folder. Raises OSError or msgspec.DecodeError."""
    return msgspec.json.decode(read_bytes(folder / "run.json"), type=TrainingRun)
