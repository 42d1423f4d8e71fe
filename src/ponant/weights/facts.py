"""The facts that a GGUF file states about its model."""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ponant.weights.kinds import Kind, kind_of

if TYPE_CHECKING:
    from ponant.llamacpp.vocabulary import GGUFVocabulary


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts stated by a GGUF file; None if it does not state them. ``context`` and ``vocabulary`` are in tokens."""

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
    """Read the facts from a GGUF file.

    Raises:
        ModelLoadError: the file is not a model.
    """
    from ponant.llamacpp.vocabulary import GGUFVocabulary  # here: cached facts do not need llama.cpp

    with contextlib.closing(GGUFVocabulary(path)) as vocabulary:
        return facts_of(vocabulary)


def facts_of(vocabulary: "GGUFVocabulary") -> Facts:
    """Return the facts of an opened file."""
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
