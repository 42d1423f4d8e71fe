"""Texts of guardrails, none of which this server can enforce."""

from collections.abc import Mapping

from ponant.server.document.texts.field_text import FieldText, SchemaText

_ACTION = FieldText(
    "`block` is refused, as this server has no moderation model. `none` is accepted without effect.", "none"
)
_IGNORED = FieldText("Accepted without effect.", False)
_CATEGORIES = {
    "sexual": "sexual content",
    "hate_and_discrimination": "hate and discrimination",
    "violence_and_threats": "violence and threats",
    "dangerous_and_criminal_content": "dangerous and criminal content",
    "dangerous": "dangerous content",
    "criminal": "criminal content",
    "selfharm": "self-harm",
    "health": "health advice",
    "financial": "financial advice",
    "law": "legal advice",
    "pii": "personal data",
    "jailbreaking": "any attempt to bypass the model's rules",
}
_SECOND = ("dangerous", "criminal", "jailbreaking")


def _thresholds(*names: str) -> dict[str, FieldText]:
    return {
        name: FieldText(f"Score at which {_CATEGORIES[name]} is blocked. Accepted without effect.", 0.1)
        for name in names
    }


def _configuration(model: str) -> dict[str, FieldText]:
    return {
        "model_name": FieldText("Name of the moderation model. Accepted without effect.", model),
        "custom_category_thresholds": FieldText("Thresholds by category. Accepted without effect.", {"sexual": 0.1}),
        "ignore_other_categories": _IGNORED,
        "action": _ACTION,
    }


GUARDRAIL_TEXTS: Mapping[str, SchemaText] = {
    "GuardrailConfig": SchemaText(
        "A guardrail. One that blocks content is refused, as this server has no moderation model.",
        {
            "block_on_error": _IGNORED,
            "moderation_llm_v1": FieldText("Settings of the first moderation model.", {"action": "none"}),
            "moderation_llm_v2": FieldText("Settings of the second moderation model.", {"action": "none"}),
        },
    ),
    "ModerationLLMV1Config": SchemaText(
        "Settings of the first moderation model, which this server does not have.",
        _configuration("mistral-moderation-2411"),
    ),
    "ModerationLLMV2Config": SchemaText(
        "Settings of the second moderation model, which this server does not have.",
        _configuration("mistral-moderation-2603"),
    ),
    "ModerationLLMV1CategoryThresholds": SchemaText(
        "Thresholds of the first moderation model. Accepted without effect.",
        _thresholds(*(name for name in _CATEGORIES if name not in _SECOND)),
    ),
    "ModerationLLMV2CategoryThresholds": SchemaText(
        "Thresholds of the second moderation model. Accepted without effect.",
        _thresholds(*(name for name in _CATEGORIES if name != "dangerous_and_criminal_content")),
    ),
}
