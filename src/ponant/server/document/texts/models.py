"""Texts of models."""

from collections.abc import Mapping

from ponant.server.document.examples.fine_tuning import FINE_TUNED, FINE_TUNED_MODEL, JOB_ID
from ponant.server.document.examples.models import CAPABILITIES, MODEL_CARD
from ponant.server.document.texts.field_text import FieldText, SchemaText

_OBJECT = FieldText("`model`.", "model")
_ID = FieldText("Id of the model.", FINE_TUNED)
_CHAT = FieldText("True if the model supports chat completions.", True)
_FIM = FieldText("True if the model was trained for fill-in-the-middle.", False)
_CALLS = FieldText("True if the model can call functions.", True)
_CLASSIFIES = FieldText("Always false: this server has no classifiers.", False)

_CARD = {
    "id": FieldText("Id of the model.", MODEL_CARD["id"]),
    "object": _OBJECT,
    "created": FieldText("Modification time of the model file, as a Unix timestamp in seconds.", MODEL_CARD["created"]),
    "owned_by": FieldText(
        "Organization named in the model file; `ponant` if it names none.",
        MODEL_CARD["owned_by"],
    ),
    "capabilities": FieldText("Tasks that the model supports.", CAPABILITIES),
    "name": FieldText("Display name.", MODEL_CARD["name"]),
    "description": FieldText("Description of a fine-tuned model, if it has one.", None),
    "max_context_length": FieldText("Maximum number of tokens in a prompt and its answer together.", 8192),
    "aliases": FieldText("Other names of the model, from the settings.", ["assistant"]),
    "deprecation": FieldText("Date on which the model is retired. Always null: this server has no such dates.", None),
    "deprecation_replacement_model": FieldText("Replacement of a deprecated model. Always null.", None),
    "default_model_temperature": FieldText(
        "Temperature of requests that do not set one. Null for embedding models.", 0.7
    ),
}  # fmt: skip

MODEL_TEXTS: Mapping[str, SchemaText] = {
    "ModelList": SchemaText(
        "All served models.",
        {"object": FieldText("`list`.", "list"), "data": FieldText("Cards of the models.", [MODEL_CARD])},
    ),
    "BaseModelCard": SchemaText(
        "A model from the settings.",
        {**_CARD, "type": FieldText("`base`, which marks this kind of model.", "base")},
    ),
    "FTModelCard": SchemaText(
        "A model created by a fine-tuning job.",
        {
            **_CARD,
            "id": _ID,
            "type": FieldText("`fine-tuned`, which marks this kind of model.", "fine-tuned"),
            "job": FieldText("Id of the job that created the model.", JOB_ID),
            "root": FieldText("Name of the base model, as in the job.", "smollm2"),
            "archived": FieldText("True if the model refuses requests until it is unarchived.", False),
        },
    ),
    "ModelCapabilities": SchemaText(
        "Tasks that a model supports.",
        {
            "completion_chat": _CHAT,
            "function_calling": _CALLS,
            "completion_fim": _FIM,
            "fine_tuning": FieldText("True if jobs can train the model on this server.", True),
            "vision": FieldText("Always false: models read text only.", False),
            "ocr": FieldText("Always false: models read text only.", False),
            "classification": _CLASSIFIES,
            "moderation": FieldText("Always false: this server has no moderation model.", False),
            "audio": FieldText("Always false: models read text only.", False),
            "audio_transcription": FieldText("Always false: models read text only.", False),
        },
    ),
    "DeleteModelOut": SchemaText(
        "A deleted model.",
        {"id": _ID, "object": _OBJECT, "deleted": FieldText("Always true: the model is deleted.", True)},
    ),
    "UpdateFTModelIn": SchemaText(
        "A new name or description of a fine-tuned model. Fields that are missing or null stay unchanged.",
        {
            "name": FieldText("Display name, at most 1,000 characters, without NUL characters.", "Captain"),
            "description": FieldText(
                "Description, at most 10,000 characters, without NUL characters.", FINE_TUNED_MODEL["description"]
            ),
        },
    ),
    "CompletionFTModelOut": SchemaText(
        "A fine-tuned model.",
        {
            "id": _ID,
            "object": _OBJECT,
            "created": FieldText("Time of creation, as a Unix timestamp in seconds.", FINE_TUNED_MODEL["created"]),
            "owned_by": FieldText("`ponant`.", "ponant"),
            "workspace_id": FieldText("`default`, the only workspace.", "default"),
            "root": FieldText("Name of the base model, as in the job.", "smollm2"),
            "root_version": FieldText("Always empty: base models have no versions.", ""),
            "archived": FieldText("True if the model refuses requests until it is unarchived.", False),
            "name": FieldText("Display name.", "Captain"),
            "description": FieldText("Description.", FINE_TUNED_MODEL["description"]),
            "capabilities": FieldText("Tasks that the model supports.", FINE_TUNED_MODEL["capabilities"]),
            "max_context_length": FieldText("Maximum number of tokens in a prompt and its answer together.", 8192),
            "aliases": FieldText("Always empty: fine-tuned models have no aliases.", []),
            "job": FieldText("Id of the job that created the model.", JOB_ID),
            "model_type": FieldText("`completion`, the only type of model that jobs create.", "completion"),
        },
    ),
    "FTModelCapabilitiesOut": SchemaText(
        "Tasks that a fine-tuned model supports.",
        {
            "completion_chat": _CHAT,
            "completion_fim": _FIM,
            "function_calling": _CALLS,
            "fine_tuning": FieldText("Always false: to continue, train the base model on both datasets.", False),
            "classification": _CLASSIFIES,
        },
    ),
    "ArchiveFTModelOut": SchemaText(
        "An archived model. It stays in the list and refuses requests.",
        {"id": _ID, "object": _OBJECT, "archived": FieldText("Always true: the model is archived.", True)},
    ),
    "UnarchiveFTModelOut": SchemaText(
        "A model that accepts requests again.",
        {"id": _ID, "object": _OBJECT, "archived": FieldText("Always false: the model is not archived.", False)},
    ),
}
