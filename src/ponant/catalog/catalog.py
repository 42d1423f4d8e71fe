"""Names and aliases, and the loaded models behind them."""

import asyncio
import fnmatch
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ponant.catalog.spec import ModelSpec
from ponant.engine.base import Engine, EngineUnavailableError, ModelLoadError
from ponant.engine.llamacpp import Vocabulary
from ponant.prompts.fim import FimPrompts
from ponant.prompts.mistral import TokenizerError
from ponant.prompts.mistral_renderer import mistral_renderer
from ponant.prompts.prompt import PromptBuilder

logger = logging.getLogger("ponant.catalog")

PUBLIC_CHAT_NAMES = (
    "mistral-*",
    "open-mistral-*",
    "open-mixtral-*",
    "ministral-*",
    "magistral-*",
    "pixtral-*",
    "mistralai/*",
    "codestral-*",
    "devstral-*",
)
"""Mistral's own names of models that chat: aliases of the default model, so that existing code runs unchanged."""

_PUBLIC_NAMES_OF_OTHER_KINDS = ("mistral-embed*", "codestral-embed*", "mistral-moderation*", "mistral-ocr*")


class UnknownModelError(Exception):
    """No model has this name."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its engine, its tokens, and the builders of its prompts. ``created`` is in seconds since 1970."""

    spec: ModelSpec
    path: Path
    created: int
    engine: Engine
    vocabulary: Vocabulary
    prompts: PromptBuilder
    fim: FimPrompts


class Catalog:
    """The models that are served. The first one is the default."""

    def __init__(
        self,
        models: Sequence[tuple[ModelSpec, Path]],
        *,
        engine_for: Callable[[Path], Engine],
        prepare: Callable[[ModelSpec, Path, Vocabulary], Awaitable[Path]] | None = None,
        public_names: bool = True,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """Name the models; nothing is loaded before ``open``.

        Args:
            models: what to serve, with the files of the weights.
            engine_for: makes an engine for such a file.
            prepare: finds or makes the file that the engine gets in the place of a model's own.
            public_names: whether Mistral's public names stand for the default model.
            aliases: further names, of models by id.
        """
        self._models_to_load = list(models)
        self._engine_for = engine_for
        self._prepare = prepare
        self._public_names = public_names
        self._aliases = dict(aliases or {})
        self._models: dict[str, LoadedModel] = {}
        self._is_open = False

    @property
    def models(self) -> list[LoadedModel]:
        """All loaded models, the default first."""
        return list(self._models.values())

    @property
    def default(self) -> LoadedModel:
        """The model that answers when none is named."""
        return self.models[0]

    def find(self, name: str | None) -> LoadedModel:
        """The model of this id or alias; the default one for None.

        Raises:
            UnknownModelError: there is none.
            EngineUnavailableError: not all models are loaded yet.
        """
        if not self._is_open:
            raise EngineUnavailableError("the models are still being loaded")
        if name is None:
            return self.default
        model = self._models.get(self._aliases.get(name, name))
        if model:
            return model
        for model in self._models.values():
            if name in model.spec.aliases:
                return model
        if self._public_names and _is_public_chat_name(name):
            return self.default
        raise UnknownModelError(name)

    def aliases_of(self, model: LoadedModel) -> list[str]:
        """The explicit other names of a model."""
        named = [alias for alias, target in self._aliases.items() if target == model.spec.id]
        return sorted({*model.spec.aliases, *named})

    async def open(self, on_loaded: Callable[[LoadedModel], None] = lambda _: None) -> None:
        """Load all models, one after the other.

        Raises:
            ModelLoadError: one cannot be run; those loaded before are stopped.
        """
        try:
            for spec, path in self._models_to_load:
                model = await self._load(spec, path)
                self._models[spec.id] = model
                on_loaded(model)
            self._is_open = True
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Stop all engines."""
        for model in self._models.values():
            await model.engine.stop()

    async def _load(self, spec: ModelSpec, path: Path) -> LoadedModel:
        opening = asyncio.create_task(asyncio.to_thread(Vocabulary, path))
        try:
            weights = await self._prepare(spec, path, await opening) if self._prepare else path
            engine = await self._start(spec, path, weights)
        except BaseException:
            opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
            raise
        try:
            vocabulary = await opening
            prompts, fim = await asyncio.to_thread(_prompts, spec, path, vocabulary, engine.info.context)
        except BaseException:
            await engine.stop()
            raise
        created = int((await asyncio.to_thread(path.stat)).st_mtime)
        return LoadedModel(spec, path, created, engine, vocabulary, prompts, fim)

    async def _start(self, spec: ModelSpec, path: Path, weights: Path) -> Engine:
        """An engine that runs, with the model's own file where the prepared weights cannot be run."""
        engine = self._engine_for(weights)
        try:
            await engine.start()
        except BaseException as error:
            await engine.stop()
            if weights == path or not isinstance(error, ModelLoadError):
                raise
            logger.warning("prepared weights cannot be run", extra={"model": spec.id, "reason": str(error)})
            return await self._start(spec, path, path)
        return engine


def _prompts(spec: ModelSpec, weights: Path, vocabulary: Vocabulary, context: int) -> tuple[PromptBuilder, FimPrompts]:
    try:
        renderer = mistral_renderer(weights, vocabulary, context=context, tokenizer=spec.tokenizer)
    except TokenizerError as error:
        raise ModelLoadError(str(error)) from None
    prompts = PromptBuilder(vocabulary, context=context, renderer=renderer)
    name = f"{spec.id} {vocabulary.metadata.get('general.name', '')}"
    encode = renderer.encode_fim(name) if renderer else None
    return prompts, FimPrompts(vocabulary, context=context, chat=prompts, encode=encode)


def _is_public_chat_name(name: str) -> bool:
    def matches(patterns: Sequence[str]) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    return matches(PUBLIC_CHAT_NAMES) and not matches(_PUBLIC_NAMES_OF_OTHER_KINDS)
