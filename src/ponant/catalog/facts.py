"""What can be told of a model."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What can be told of a model: ``created`` in seconds since 1970, ``context`` in tokens, ``memory`` in bytes.

    Until it is loaded, the last two are what is to be expected. ``native_fim`` says whether it was trained to fill in
    the middle, ``architecture`` what kind of network it is, as GGUF files name them.
    """

    name: str
    owner: str | None
    created: int
    context: int
    memory: int
    native_fim: bool = False
    architecture: str = ""
