"""The list of the models on this machine: bundled, pulled and configured ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ponant.engine.embed.e5_weights import CONTEXT, weights_file
from ponant.errors import ModelLoadError
from ponant.weights.bundled import BUNDLED, BUNDLED_EMBEDDER
from ponant.weights.errors import ModelNotFoundError
from ponant.weights.facts_cache import FactsCache
from ponant.weights.file_names import files_of
from ponant.weights.kinds import Kind
from ponant.weights.locate import locate
from ponant.weights.store import find_stored, hub_name, is_hub_source, model_id, stored_models

_CACHE = ".facts.json"


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A model on this machine. ``None`` stands for unknown facts.

    Attributes:
        id: id of the model.
        source: argument of `ponant serve`.
        path: file of the weights.
        size: size of the weights in bytes.
        kind: task of the model.
        quantization: format of most of the weights.
        context: longest sequence in tokens.
        problem: reason why it cannot be served.
    """

    id: str
    source: str
    path: Path | None = None
    size: int | None = None
    kind: Kind | None = None
    quantization: str | None = None
    context: int | None = None
    problem: str | None = None


def list_models(configured: Mapping[str, str], models_dir: Path) -> list[ListedModel]:
    """Return all models on this machine, each once, the configured ones first.

    Args:
        configured: ids of the configured models by their sources.
        models_dir: folder of pulled models.
    """
    cache = FactsCache(models_dir / _CACHE)
    models: list[ListedModel] = []
    for source, name in configured.items():
        if source != BUNDLED_EMBEDDER:
            path, problem = _find(source, models_dir)
            models.append(_read(name, source, path, cache) if path else ListedModel(name, source, problem=problem))
    bundled, _ = _find(BUNDLED, models_dir)
    others = {bundled: BUNDLED} if bundled else {}
    others |= {model.path: str(model.source) for model in stored_models(models_dir)}
    known = {model.path for model in models}
    models += [_read(model_id(source), source, path, cache) for path, source in others.items() if path not in known]
    cache.save()
    return [*models, *_embedder()]


def _find(source: str, models_dir: Path) -> tuple[Path | None, str | None]:
    """Return the file of a source, or the reason why it is missing. Nothing is downloaded."""
    try:
        if not is_hub_source(source):
            return locate(source, models_dir), None
        path = find_stored(hub_name(source), models_dir)
    except ModelNotFoundError as error:
        return None, str(error)
    return path, None if path else f"not on this machine; ponant pull {source} downloads it"


def _read(name: str, source: str, path: Path, cache: FactsCache) -> ListedModel:
    size = sum(file.stat().st_size for file in files_of(path))
    try:
        facts = cache.facts(path)
    except ModelLoadError as error:
        return ListedModel(name, source, path, size, problem=str(error))
    return ListedModel(name, source, path, size, facts.kind, facts.quantization, facts.context)


def _embedder() -> list[ListedModel]:
    path = weights_file()
    if path is None:
        return []
    return [ListedModel(BUNDLED_EMBEDDER, BUNDLED_EMBEDDER, path, path.stat().st_size, "embed", "Q4", CONTEXT)]
