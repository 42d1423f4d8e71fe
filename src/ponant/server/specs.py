"""The specs of the models in the settings."""

from collections.abc import Sequence

from ponant.catalog.spec import LOCAL, ModelSpec
from ponant.engine.llama.placement import DeviceSettings
from ponant.llamacpp.handles import check_model_file
from ponant.llamacpp.vocabulary import open_vocabulary
from ponant.model_settings import ModelSettings
from ponant.settings import Settings
from ponant.weights.bundled import BUNDLED, BUNDLED_EMBEDDER, has_bundled_embedder, locate_bundled_embedder
from ponant.weights.errors import ModelNotFoundError
from ponant.weights.kinds import Kind, kind_of
from ponant.weights.locate import locate
from ponant.weights.store import model_id


def model_specs(settings: Settings) -> list[ModelSpec]:
    """Return the specs of the models to serve.

    If no model embeds, the bundled embedding model is added, if it is installed.

    Raises:
        ModelNotFoundError: weights were not found, or two models have the same id.
        ModelLoadError: a file is not a model.
    """
    specs: list[ModelSpec] = []
    for model in settings.models:
        spec = _spec(model, settings)
        if any(spec.id == other.id for other in specs):
            raise ModelNotFoundError(f"two models have the id {spec.id}; set another id for one of them")
        specs.append(spec)
    if has_bundled_embedder() and not any(spec.kind == "embed" for spec in specs):
        specs.append(_bundled_embedder(settings, specs))
    return specs


def model_aliases(settings: Settings, specs: Sequence[ModelSpec]) -> dict[str, str]:
    """Return the ids of models by their aliases. Raises ModelNotFoundError if two models share a name."""
    ids = {spec.source: spec.id for spec in specs} | {spec.id: spec.id for spec in specs}
    for alias, target in settings.aliases.items():
        if target not in ids:
            raise ModelNotFoundError(f"alias {alias}: {target} is not served, only {', '.join(sorted(set(ids)))}")
    aliases = {alias: ids[target] for alias, target in settings.aliases.items()}
    for spec in specs:
        for alias in spec.aliases:
            if aliases.setdefault(alias, spec.id) != spec.id:
                raise ModelNotFoundError(f"alias {alias} names two models, {aliases[alias]} and {spec.id}")
    for alias, target in aliases.items():
        if alias in ids.values() and alias != target:
            raise ModelNotFoundError(f"alias {alias} is the id of another model")
    return aliases


def _spec(model: ModelSettings, settings: Settings) -> ModelSpec:
    kind: Kind
    if model.source == BUNDLED_EMBEDDER:
        path, kind = locate_bundled_embedder(), "embed"
    else:
        path = locate(model.source, settings.data_dir / "models")
        check_model_file(path)
        kind = model.kind or ("chat" if model.source == BUNDLED else kind_of(open_vocabulary(path)))
    if model.tokenizer and not model.tokenizer.is_file():
        raise ModelNotFoundError(f"{model.source}: the tokenizer file {model.tokenizer} does not exist")
    if model.training_weights and not (model.training_weights / "config.json").is_file():
        raise ModelNotFoundError(
            f"{model.source}: training_weights {model.training_weights} is not a Hugging Face model folder: it has "
            "no config.json"
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
        long_texts=model.long_texts or settings.long_texts,
        embed_as=model.embed_as,
        kv_type=model.kv_type or settings.kv_type,
        devices=_devices(model, settings),
    )


def _devices(model: ModelSettings, settings: Settings) -> DeviceSettings:
    """Return the devices of a model: its own settings, or else those of the server."""
    return DeviceSettings(
        names=settings.devices if model.devices is None else model.devices,
        gpu_layers=settings.gpu_layers if model.gpu_layers is None else model.gpu_layers,
        split_mode=model.split_mode or settings.split_mode,
        tensor_split=model.tensor_split or settings.tensor_split,
        main_device=model.main_device or settings.main_device,
        cpu_moe=settings.cpu_moe if model.cpu_moe is None else model.cpu_moe,
    )


def _bundled_embedder(settings: Settings, others: Sequence[ModelSpec]) -> ModelSpec:
    """Return the spec of the bundled embedder. Its threads are limited so that core groups stay the same."""
    here = [spec for spec in others if spec.loader == LOCAL]
    threads = [spec.threads for spec in here if spec.threads]
    most = max(threads) if threads and len(threads) == len(here) else None
    return _spec(ModelSettings(source=BUNDLED_EMBEDDER, threads=most), settings)
