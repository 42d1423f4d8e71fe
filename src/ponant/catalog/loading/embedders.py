"""The loader of embedding models: the bundled one and GGUF files."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from msgspec import structs

from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.loaded import LoadedEmbedder
from ponant.catalog.spec import ModelSpec
from ponant.engine.embed.base import USUAL_CONTEXT, Embedder, EmbedderConfig, longest_text
from ponant.engine.embed.e5_weights import CONTEXT
from ponant.llamacpp.memory import model_size
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.processes.core_lock import CoreSlot
from ponant.weights.bundled import BUNDLED_EMBEDDER

_OWNER = "intfloat"
_WORKING_MEMORY = 64 * 2**20
"""Memory of an embedder in addition to its weights, in bytes."""


class EmbedderLoader:
    """Loads embedding models into workers."""

    def __init__(self, embedder_for: Callable[[EmbedderConfig], Embedder]) -> None:
        """Initialize the loader; ``embedder_for`` creates an embedder."""
        self._embedder_for = embedder_for

    async def describe(self, spec: ModelSpec) -> ModelFacts:
        """Return the facts about a model before it is loaded. Raises ModelLoadError."""
        return await asyncio.to_thread(_describe, spec)

    async def load(self, spec: ModelSpec, facts: ModelFacts, slot: CoreSlot) -> LoadedEmbedder:
        """Load a model into a worker with this core slot. Raises ModelLoadError."""
        embedder = self._embedder_for(structs.replace(_config(spec), core_slot=slot))
        try:
            await embedder.start()
        except BaseException:
            await embedder.stop()
            raise
        return LoadedEmbedder(spec, replace(facts, context=embedder.info.context), embedder)


def _config(spec: ModelSpec) -> EmbedderConfig:
    return EmbedderConfig(
        model_path=None if spec.source == BUNDLED_EMBEDDER else str(spec.weights),
        context=spec.context,
        threads=spec.threads,
        long_texts=spec.long_texts,
        role=spec.embed_as,
    )


def _describe(spec: ModelSpec) -> ModelFacts:
    file = spec.weights.stat()
    memory = file.st_size + _WORKING_MEMORY
    created = int(file.st_mtime)
    if spec.source == BUNDLED_EMBEDDER:
        longest = longest_text(spec.context or CONTEXT, spec.long_texts)
        return ModelFacts(BUNDLED_EMBEDDER, _OWNER, created, longest, memory)
    metadata = GGUFVocabulary(spec.weights).metadata
    window = spec.context or min(model_size(metadata, file.st_size, "f16").context, USUAL_CONTEXT)
    context = longest_text(window, spec.long_texts)
    name = metadata.get("general.name", spec.id)
    return ModelFacts(name, metadata.get("general.organization"), created, context, memory)
