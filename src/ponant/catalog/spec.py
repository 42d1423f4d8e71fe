"""What is to be served as a model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to serve: where its weights come from, its id, other names for it, and its default temperature.

    ``source`` is ``smollm2`` (the bundled model), the path of a GGUF file, or ``hf:org/repo[:file]``.
    """

    source: str
    id: str
    aliases: tuple[str, ...] = ()
    default_temperature: float = 0.7
