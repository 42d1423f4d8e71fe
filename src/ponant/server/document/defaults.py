"""Defaults that depend on the served models."""

from collections.abc import Mapping
from dataclasses import dataclass

from ponant.catalog.catalog import Catalog, UnknownModelError
from ponant.catalog.served import ServedModel
from ponant.errors import EngineUnavailableError
from ponant.server.dialects.nim import DEFAULTS as NIM_DEFAULTS
from ponant.server.document.examples.chat import CHAT_MODEL, CODE_MODEL
from ponant.server.document.examples.embeddings import EMBEDDING_MODEL
from ponant.server.document.examples.fine_tuning import TRAINED_MODEL
from ponant.weights.kinds import Kind

_EXAMPLES: Mapping[str, Kind] = {
    CHAT_MODEL: "chat",
    CODE_MODEL: "fim",
    EMBEDDING_MODEL: "embed",
    TRAINED_MODEL: "chat",
    str(NIM_DEFAULTS["model"]): "chat",
}
"""Public names of models in the examples, by the task that each stands for."""


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """Defaults of the served models.

    Attributes:
        chat: default temperature of the first chat model.
        fim: default temperature of the first model for code.
        others: models with another default temperature than the first chat model, with that temperature.
        names: pairs of a model in the examples, and the model that replaces it where the public names are off.
    """

    chat: float
    fim: float
    others: tuple[tuple[str, float], ...] = ()
    names: tuple[tuple[str, str], ...] = ()

    @property
    def sentence(self) -> str:
        """Sentence with the default temperatures of the other models; empty for none."""
        if not self.others:
            return ""
        return " That of " + ", ".join(f"{name} is {temperature:g}" for name, temperature in self.others) + "."


def read_defaults(catalog: Catalog, *, temperature: float, public_names: bool) -> ModelDefaults:
    """Return the defaults of the served models.

    Args:
        catalog: the models. Before it is open, the defaults are those of the settings.
        temperature: the setting of the default temperature.
        public_names: True if Mistral's public names stand for the served models.
    """
    chat, fim = _first(catalog, "chat"), _first(catalog, "fim")
    default = chat.spec.default_temperature if chat else temperature
    writers = [model for model in catalog.models if model.spec.kind != "embed"]
    named = {} if public_names else {name: _first(catalog, kind) for name, kind in _EXAMPLES.items()}
    return ModelDefaults(
        default,
        fim.spec.default_temperature if fim else default,
        tuple(
            (model.spec.id, model.spec.default_temperature)
            for model in writers
            if model.spec.default_temperature != default
        ),
        tuple((name, model.spec.id) for name, model in named.items() if model),
    )


def _first(catalog: Catalog, kind: Kind) -> ServedModel | None:
    """Return the default model of a task, if there is one."""
    try:
        found = catalog.find(None, kind)
    except (UnknownModelError, EngineUnavailableError):
        return None
    return found if isinstance(found, ServedModel) else None
