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
    """A model that completes prompts, with its engine, its tokens, and the builders of its prompts.

    With ``fine_tuned`` it is the model that was made from this one.
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
        """What the model is called."""
        return self.fine_tuned.id if self.fine_tuned else self.spec.id

    @property
    def adapter(self) -> str | None:
        """The adapter that its requests name."""
        return self.fine_tuned.id if self.fine_tuned else None

    @property
    def backend(self) -> Engine:
        """What computes."""
        return self.engine


@dataclass(frozen=True, slots=True)
class LoadedEmbedder:
    """A model that embeds."""

    spec: ModelSpec
    facts: ModelFacts
    embedder: Embedder

    @property
    def id(self) -> str:
        """The model's id."""
        return self.spec.id

    @property
    def backend(self) -> Embedder:
        """What computes."""
        return self.embedder


AnyLoadedModel = LoadedModel | LoadedEmbedder
