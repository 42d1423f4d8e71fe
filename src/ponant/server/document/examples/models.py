"""Examples of model cards."""

from typing import Any

CAPABILITIES: dict[str, bool] = {
    "completion_chat": True,
    "function_calling": True,
    "completion_fim": False,
    "fine_tuning": True,
    "vision": False,
    "ocr": False,
    "classification": False,
    "moderation": False,
    "audio": False,
    "audio_transcription": False,
}
MODEL_CARD: dict[str, Any] = {
    "id": "smollm2",
    "object": "model",
    "created": 1730384048,
    "owned_by": "HuggingFaceTB",
    "capabilities": CAPABILITIES,
    "name": "SmolLM2 135M Instruct",
    "description": None,
    "max_context_length": 8192,
    "aliases": [],
    "deprecation": None,
    "deprecation_replacement_model": None,
    "default_model_temperature": 0.7,
    "type": "base",
}
MODEL_LIST: dict[str, Any] = {"object": "list", "data": [MODEL_CARD]}
