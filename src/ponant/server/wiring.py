"""The catalog that the settings describe."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import structs

from ponant.catalog.catalog import Catalog
from ponant.catalog.loading.embedders import EmbedderLoader
from ponant.catalog.loading.llama import LlamaLoader
from ponant.catalog.loading.local import LocalLoader
from ponant.catalog.spec import LOCAL, ModelSpec
from ponant.engine.base import Engine
from ponant.engine.embed.base import Embedder, EmbedderConfig
from ponant.engine.embed.process import EmbedderProcess
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.process import EngineProcess
from ponant.llamacpp.handles import check_model_file
from ponant.llamacpp.vocabulary import Vocabulary, open_vocabulary
from ponant.settings import ModelSettings, Settings
from ponant.weights.bundled import BUNDLED, BUNDLED_EMBEDDER, has_bundled_embedder, locate_bundled_embedder
from ponant.weights.errors import ModelNotFoundError
from ponant.weights.kinds import Kind, kind_of
from ponant.weights.locate import locate
from ponant.weights.store import model_id


def make_catalog(
    settings: Settings,
    *,
    say: Callable[[str], None] = lambda _: None,
) -> Catalog:
    """The models of the settings, found but not loaded; if none embeds, the bundled one that does, if installed.

    Args:
        settings: what and how to serve.
        say: gets the lines that a person at the terminal should read while weights are prepared.

    Raises:
        ModelNotFoundError: there are no such weights, or a name is not clear.
        ModelLoadError: a file is not a model.
    """
    specs: list[ModelSpec] = []
    for model in settings.models:
        spec = _spec(model, settings)
        if any(spec.id == other.id for other in specs):
            raise ModelNotFoundError(f"two models would be called {spec.id}; give one of them another id")
        specs.append(spec)
    if has_bundled_embedder() and not any(spec.kind == "embed" for spec in specs):
        specs.append(_bundled_embedder(settings, specs))

    def engine_for(config: EngineConfig) -> EngineProcess:
        return EngineProcess(config, queue_limit=settings.queue_limit)

    def embedder_for(config: EmbedderConfig) -> Embedder:
        return EmbedderProcess(config, queue_limit=settings.queue_limit)

    def config_for(spec: ModelSpec) -> EngineConfig:
        return EngineConfig(
            model_path=str(spec.weights),
            context=spec.context,
            kv_memory=spec.kv_memory,
            parallel=spec.parallel,
            threads=spec.threads,
            deterministic=settings.deterministic,
            prefix_cache=settings.prefix_cache != "off",
            prefix_memory=None if settings.prefix_cache_memory is None else int(settings.prefix_cache_memory),
            drafting=settings.drafting,
            flash_attention=settings.flash_attention,
            kv_type=settings.kv_type,
        )

    loader = LocalLoader(
        LlamaLoader(config_for, engine_for, prepare=_preparing(settings, config_for, engine_for, say)),
        EmbedderLoader(embedder_for),
        threads=[spec.threads for spec in specs],
        memory=None if settings.model_memory is None else int(settings.model_memory),
    )
    return Catalog(
        specs,
        {LOCAL: loader},
        aliases=_aliases(settings, specs),
        public_names=settings.public_names,
        preload=settings.preload,
        unload_after=settings.unload_after,
    )


def _spec(model: ModelSettings, settings: Settings) -> ModelSpec:
    kind: Kind
    if model.source == BUNDLED_EMBEDDER:
        path, kind = locate_bundled_embedder(), "embed"
    else:
        path = locate(model.source, settings.data_dir / "models")
        check_model_file(path)
        kind = model.kind or ("chat" if model.source == BUNDLED else kind_of(open_vocabulary(path)))
    if model.tokenizer and not model.tokenizer.is_file():
        raise ModelNotFoundError(f"{model.source}: there is no tokenizer file {model.tokenizer}")
    if model.training_weights and not (model.training_weights / "config.json").is_file():
        raise ModelNotFoundError(
            f"{model.source}: training_weights {model.training_weights} is no folder of a Hugging Face model: it "
            "has no config.json"
        )
    kv_memory = settings.kv_memory if model.kv_memory is None else model.kv_memory
    return ModelSpec(
        model.source,
        model.id or model_id(model.source),
        path,
        kind=kind,
        aliases=tuple(model.aliases),
        default_temperature=(
            settings.default_temperature if model.default_temperature is None else model.default_temperature
        ),
        tokenizer=model.tokenizer,
        context=model.context or (None if kind == "embed" else settings.context),
        kv_memory=None if kv_memory is None else int(kv_memory),
        parallel=model.parallel or settings.parallel,
        threads=model.threads or settings.threads,
        training_weights=model.training_weights,
        truncate=model.truncate,
        embed_as=model.embed_as,
    )


def _bundled_embedder(settings: Settings, others: Sequence[ModelSpec]) -> ModelSpec:
    """The embedder that nobody named, with no more threads than the others have: cores are divided as without it."""
    threads = [spec.threads for spec in others if spec.threads]
    most = max(threads) if len(threads) == len(others) else None
    return _spec(ModelSettings(source=BUNDLED_EMBEDDER, threads=most), settings)


def _aliases(settings: Settings, specs: list[ModelSpec]) -> dict[str, str]:
    """The settings' aliases, of models by id. Raises ModelNotFoundError if two models have one name."""
    ids = {spec.source: spec.id for spec in specs} | {spec.id: spec.id for spec in specs}
    for alias, target in settings.aliases.items():
        if target not in ids:
            raise ModelNotFoundError(f"alias {alias}: {target} is not served; there is {', '.join(sorted(set(ids)))}")
    aliases = {alias: ids[target] for alias, target in settings.aliases.items()}
    for spec in specs:
        for alias in spec.aliases:
            if aliases.setdefault(alias, spec.id) != spec.id:
                raise ModelNotFoundError(f"alias {alias}: it cannot stand for both {aliases[alias]} and {spec.id}")
    for alias, target in aliases.items():
        if alias in ids.values() and alias != target:
            raise ModelNotFoundError(f"alias {alias}: a model is called that already")
    return aliases


def _preparing(
    settings: Settings,
    config_for: Callable[[ModelSpec], EngineConfig],
    engine_for: Callable[[EngineConfig], Engine],
    say: Callable[[str], None],
) -> Callable[[ModelSpec, Vocabulary], Awaitable[Path]] | None:
    """What finds or makes other weights for a model, if the settings want that."""
    mode = settings.prepare_weights
    if mode == "off":
        return None
    from ponant.weights.prepare import Preparer  # takes memory and time that few servers need to spend

    async def prepare(spec: ModelSpec, vocabulary: Vocabulary) -> Path:
        preparer = Preparer(
            settings.data_dir / "prepared",
            mode=mode,
            load=settings.prepare_for,
            threads=spec.threads,
            parallel=spec.parallel,
            engine_for=lambda path: engine_for(structs.replace(config_for(spec), model_path=str(path))),
            say=say,
            progress=_show_progress,
        )
        return await preparer(spec.id, spec.weights, vocabulary)

    return prepare


def _show_progress(done: int, total: int) -> None:
    """How much is done, in a line that the next one overwrites; for people alone."""
    if sys.stdout.isatty():
        sys.stdout.write(f"\r{100 * done // total:3} %\r" if done < total else "\r     \r")
        sys.stdout.flush()
