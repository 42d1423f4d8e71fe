"""Moderation settings of a chat request."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class _GuardrailModel(BaseModel):
    model_config = ConfigDict(strict=True, protected_namespaces=())


class ModerationLLMV1CategoryThresholds(_GuardrailModel):
    """Thresholds of the first moderation model's scores, by category."""

    sexual: float | None = None
    hate_and_discrimination: float | None = None
    violence_and_threats: float | None = None
    dangerous_and_criminal_content: float | None = None
    selfharm: float | None = None
    health: float | None = None
    financial: float | None = None
    law: float | None = None
    pii: float | None = None


class ModerationLLMV2CategoryThresholds(_GuardrailModel):
    """Thresholds of the second moderation model's scores, by category."""

    sexual: float | None = None
    hate_and_discrimination: float | None = None
    violence_and_threats: float | None = None
    dangerous: float | None = None
    criminal: float | None = None
    selfharm: float | None = None
    health: float | None = None
    financial: float | None = None
    law: float | None = None
    pii: float | None = None
    jailbreaking: float | None = None


class ModerationLLMV1Config(_GuardrailModel):
    """Configuration of the first moderation model."""

    model_name: str = "mistral-moderation-2411"
    custom_category_thresholds: ModerationLLMV1CategoryThresholds | None = None
    ignore_other_categories: bool = False
    action: Literal["none", "block"] = "none"


class ModerationLLMV2Config(_GuardrailModel):
    """Configuration of the second moderation model."""

    model_name: str = "mistral-moderation-2603"
    custom_category_thresholds: ModerationLLMV2CategoryThresholds | None = None
    ignore_other_categories: bool = False
    action: Literal["none", "block"] = "none"


class GuardrailConfig(_GuardrailModel):
    """A guardrail of a request."""

    block_on_error: bool = False
    moderation_llm_v1: ModerationLLMV1Config | None = None
    moderation_llm_v2: ModerationLLMV2Config | None = None

    def blocks(self) -> bool:
        """Return True if this guardrail blocks any content."""
        return any(config and config.action == "block" for config in (self.moderation_llm_v1, self.moderation_llm_v2))
