"""What is to be served as a model."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to serve: where its weights come from, its id, other names for it, and its default temperature.

    ``source`` is ``smollm2`` (the bundled model), the path of a GGUF file, or ``hf:org/repo[:file]``. ``tokenizer`` is
    the file of Mistral's own tokenizer, if it has one that is not beside the weights.
    """

    source: str
    id: str
    aliases: tuple[str, ...] = ()
    default_temperature: float = 0.7
    tokenizer: Path | None = None
