"""Loaded models."""

from dataclasses import dataclass

from ponant.catalog.facts import ModelFacts
from ponant.catalog.spec import FineTunedSpec, ModelSpec
from ponant.engine.base import AdapterHost, Engine
from ponant.engine.embed.base import Embedder
from ponant.prompts.chat.prompt import PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts
from ponant.prompts.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A loaded model that completes prompts.

    ``fine_tuned`` is set if a request uses a fine-tuned model in the engine of this one.
    """

    spec: ModelSpec
    facts: ModelFacts
    engine: Engine
    adapters: AdapterHost | None
    vocabulary: Vocabulary
    prompts: PromptBuilder
    fim: FimPrompts
    fine_tuned: FineTunedSpec | None = None

    @property
    def id(self) -> str:
        """Id of the model, or of the fine-tuned model."""
        return self.fine_tuned.id if self.fine_tuned else self.spec.id

    @property
    def adapter(self) -> str | None:
        """Id of the adapter that requests use."""
        return self.fine_tuned.id if self.fine_tuned else None

    @property
    def backend(self) -> Engine:
        """The engine."""
        return self.engine


@dataclass(frozen=True, slots=True)
class LoadedEmbedder:
    """A loaded embedding model."""

    spec: ModelSpec
    facts: ModelFacts
    embedder: Embedder

    @property
    def id(self) -> str:
        """Id of the model."""
        return self.spec.id

    @property
    def backend(self) -> Embedder:
        """The embedder."""
        return self.embedder


AnyLoadedModel = LoadedModel | LoadedEmbedder
