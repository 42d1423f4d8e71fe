"""The loader of GGUF files into llama.cpp engines."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from msgspec import structs

from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.loaded import LoadedModel
from ponant.catalog.loading.templates import TemplateChecker
from ponant.catalog.spec import ModelSpec
from ponant.engine.base import AdapterHost, Engine
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.memory import expected_memory
from ponant.errors import ModelLoadError
from ponant.llamacpp.memory import model_size
from ponant.llamacpp.vocabulary import GGUFVocabulary, open_vocabulary
from ponant.processes.core_lock import CoreSlot
from ponant.prompts.build import build_prompts, has_native_fim
from ponant.prompts.chat.prompt import PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts
from ponant.prompts.mistral.tokenizer import find_tokenizer_file

logger = logging.getLogger("ponant.catalog")


class LocalEngine(Engine, AdapterHost, Protocol):
    """An engine that serves adapters."""


class LlamaLoader:
    """Loads GGUF files: the engine, the vocabulary and the prompt builders of each."""

    def __init__(
        self,
        config_for: Callable[[ModelSpec], EngineConfig],
        engine_for: Callable[[EngineConfig], LocalEngine],
        *,
        templates: TemplateChecker,
        prepare: Callable[[ModelSpec, GGUFVocabulary], Awaitable[Path]] | None = None,
    ) -> None:
        """Initialize the loader.

        Args:
            config_for: returns the configuration of a model's engine.
            engine_for: creates an engine.
            templates: checks chat templates.
            prepare: returns the file to load instead of a model's own.
        """
        self._config_for = config_for
        self._engine_for = engine_for
        self._templates = templates
        self._prepare = prepare

    async def describe(self, spec: ModelSpec) -> ModelFacts:
        """Return the facts about a model before it is loaded. Raises ModelLoadError."""
        return await asyncio.to_thread(_describe, spec, self._config_for(spec))

    async def load(self, spec: ModelSpec, facts: ModelFacts, slot: CoreSlot) -> LoadedModel:
        """Load a model into a worker with this core slot. Raises ModelLoadError."""
        vocabulary = await asyncio.to_thread(open_vocabulary, spec.weights)
        # Build the prompts while the engine loads the weights. The engine usually has the expected context.
        building = asyncio.create_task(self._prompts(spec, vocabulary, facts.context))
        try:
            weights = await self._prepare(spec, vocabulary) if self._prepare else spec.weights
            config = structs.replace(self._config_for(spec), core_slot=slot)
            engine = await self._start(spec, structs.replace(config, model_path=str(weights)))
        except BaseException:
            building.cancel()
            await asyncio.gather(building, return_exceptions=True)
            raise
        try:
            prompts, fim = await building
            context = engine.limits.context
            if context != facts.context:
                prompts, fim = await asyncio.to_thread(_build_prompts, spec, vocabulary, context)
        except BaseException:
            await engine.stop()
            raise
        facts = replace(facts, context=context, memory=engine.memory)
        return LoadedModel(spec, facts, engine, engine, vocabulary, prompts, fim)

    async def _prompts(
        self, spec: ModelSpec, vocabulary: GGUFVocabulary, context: int
    ) -> tuple[PromptBuilder, FimPrompts]:
        """Check the chat template, and return the prompt builders."""
        if not spec.tokenizer and not find_tokenizer_file(spec.weights):
            await self._templates.check(spec.id, vocabulary)
        return await asyncio.to_thread(_build_prompts, spec, vocabulary, context)

    async def _start(self, spec: ModelSpec, config: EngineConfig) -> LocalEngine:
        """Start an engine. Fall back to the model's own file if the prepared weights fail to load."""
        engine = self._engine_for(config)
        try:
            await engine.start()
        except BaseException as error:
            await engine.stop()
            if config.model_path == str(spec.weights) or not isinstance(error, ModelLoadError):
                raise
            logger.warning("prepared weights cannot be run", extra={"model": spec.id, "reason": str(error)})
            return await self._start(spec, structs.replace(config, model_path=str(spec.weights)))
        return engine


def _describe(spec: ModelSpec, config: EngineConfig) -> ModelFacts:
    vocabulary = open_vocabulary(spec.weights)
    metadata = vocabulary.metadata
    file = spec.weights.stat()
    size = model_size(metadata, file.st_size, config.kv_type)
    context = config.context or size.context
    return ModelFacts(
        name=metadata.get("general.name", spec.id),
        owner=metadata.get("general.organization"),
        created=int(file.st_mtime),
        context=context,
        memory=expected_memory(size, config),
        native_fim=has_native_fim(spec.id, spec.weights, vocabulary, context=context, tokenizer=spec.tokenizer),
        architecture=metadata.get("general.architecture", ""),
    )


def _build_prompts(spec: ModelSpec, vocabulary: GGUFVocabulary, context: int) -> tuple[PromptBuilder, FimPrompts]:
    return build_prompts(spec.id, spec.weights, vocabulary, context=context, tokenizer=spec.tokenizer)
