"""The models of this machine: those that come with packages, those that were pulled, those of the settings."""

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
    """A model: its id, what `ponant serve` takes for it, and what is known of it without loading it.

    ``size`` is in bytes, ``context`` in tokens; ``problem`` says why it cannot be served.
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
    """All models of this machine, each once: those of the settings, then the others.

    Args:
        configured: the ids of those of the settings, by their sources.
        models_dir: where pulled ones are.
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
    """The file of a source that is here; else what is to be done about it."""
    try:
        if not is_hub_source(source):
            return locate(source, models_dir), None
        path = find_stored(hub_name(source), models_dir)
    except ModelNotFoundError as error:
        return None, str(error)
    return path, None if path else f"not on this machine; ponant pull {source} fetches it"


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
