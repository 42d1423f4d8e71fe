"""``/v1/models``: cards of the served models."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from ponant.api.base import ResponseModel


class ModelCapabilities(ResponseModel):
    """Capabilities of a model."""

    completion_chat: bool = False
    function_calling: bool = False
    completion_fim: bool = False
    fine_tuning: bool = False
    vision: bool = False
    ocr: bool = False
    classification: bool = False
    moderation: bool = False
    audio: bool = False
    audio_transcription: bool = False


class _ModelCard(ResponseModel):
    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "mistralai"
    capabilities: ModelCapabilities
    name: str | None = None
    description: str | None = None
    max_context_length: int = 32768
    aliases: list[str] = Field(default=[])
    deprecation: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None = None
    deprecation_replacement_model: str | None = None
    default_model_temperature: float | None = None


class BaseModelCard(_ModelCard):
    """A base model."""

    type: Literal["base"] = "base"


class FTModelCard(_ModelCard):
    """A model made by a fine-tuning job."""

    model_config = ConfigDict(title="FTModelCard")

    type: Literal["fine-tuned"] = "fine-tuned"
    job: str
    root: str
    archived: bool = False


ModelCard = Annotated[BaseModelCard | FTModelCard, Field(discriminator="type")]


class ModelList(ResponseModel):
    """All served models."""

    object: str = "list"
    data: list[ModelCard] = Field(default=[])


class DeleteModelOut(ResponseModel):
    """A deleted model."""

    id: str
    object: str = "model"
    deleted: bool = True
