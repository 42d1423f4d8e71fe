"""The facts that a GGUF file states about its model."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ponant.weights.kinds import Kind, kind_of

if TYPE_CHECKING:
    from ponant.llamacpp.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Facts:
    """What the file says: sizes in bytes, the context in tokens; None where it does not say."""

    kind: Kind
    name: str | None
    architecture: str | None
    parameters: int
    quantization: str | None
    context: int | None
    vocabulary: int
    license: str | None
    organization: str | None


def read_facts(path: Path) -> Facts:
    """What a GGUF file says.

    Raises:
        ModelLoadError: it is no model.
    """
    from ponant.llamacpp.vocabulary import Vocabulary  # llama.cpp's library, which cached facts do without

    with contextlib.closing(Vocabulary(path)) as vocabulary:
        return facts_of(vocabulary)


def facts_of(vocabulary: "Vocabulary") -> Facts:
    """What an opened file says."""
    metadata = vocabulary.metadata
    architecture = metadata.get("general.architecture", "")
    context = metadata.get(f"{architecture}.context_length", "")
    return Facts(
        kind=kind_of(vocabulary),
        name=metadata.get("general.name"),
        architecture=architecture or None,
        parameters=vocabulary.parameters,
        quantization=vocabulary.quantization,
        context=int(context) if context.isdecimal() else None,
        vocabulary=vocabulary.size,
        license=metadata.get("general.license"),
        organization=metadata.get("general.organization"),
    )
