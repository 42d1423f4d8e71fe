"""The loader protocol: from the spec of a model to the loaded model."""

from typing import Protocol

from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.loaded import AnyLoadedModel
from ponant.catalog.spec import ModelSpec


class Loader(Protocol):
    """Loads and unloads models, and owns their resources: memory and cores, or connections.

    The catalog calls ``load`` and ``unload`` one at a time. It decides which idle models are unloaded when there is no
    room for another one.
    """

    async def describe(self, spec: ModelSpec) -> ModelFacts:
        """Return the facts about a model before it is loaded. Raises ModelLoadError."""
        ...

    def has_room(self, spec: ModelSpec, facts: ModelFacts) -> bool:
        """Return True if a model can be loaded in addition to those that are loaded.

        Raises:
            ModelLoadError: it is too large, even if no other model is loaded.
        """
        ...

    async def load(self, spec: ModelSpec, facts: ModelFacts) -> AnyLoadedModel:
        """Load a model. Raises ModelLoadError."""
        ...

    async def unload(self, model: AnyLoadedModel) -> None:
        """Stop a loaded model and free its resources. A model that was unloaded before is ignored."""
        ...

    async def close(self) -> None:
        """Free what the models shared. All of them must be unloaded."""
        ...
