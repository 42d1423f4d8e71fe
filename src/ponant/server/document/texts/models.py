"""Texts of models."""

from collections.abc import Mapping

from ponant.server.document.examples.fine_tuning import FINE_TUNED, FINE_TUNED_MODEL, JOB_ID
from ponant.server.document.examples.models import CAPABILITIES, MODEL_CARD
from ponant.server.document.texts.field_text import FieldText, SchemaText

_OBJECT = FieldText("`model`.", "model")
_ID = FieldText("Id of the model.", FINE_TUNED)
_CHAT = FieldText("True if the model answers conversations.", True)
_FIM = FieldText("True if the model was trained to fill in code.", False)
_CALLS = FieldText("True if the model can call functions.", True)
_CLASSIFIES = FieldText("Always false: there are no classifiers.", False)

_CARD = {
    "id": FieldText("Id of the model.", MODEL_CARD["id"]),
    "object": _OBJECT,
    "created": FieldText("Time of the model's file, in seconds since 1970.", MODEL_CARD["created"]),
    "owned_by": FieldText(
        "Organization that the model's file names. This server returns `ponant` if it names none.",
        MODEL_CARD["owned_by"],
    ),
    "capabilities": FieldText("Tasks that the model supports.", CAPABILITIES),
    "name": FieldText("Name for people.", MODEL_CARD["name"]),
    "description": FieldText("Description, if a fine-tuned model has one.", None),
    "max_context_length": FieldText("Most tokens of a prompt and its answer together.", 8192),
    "aliases": FieldText("Further names that the settings give the model.", ["assistant"]),
    "deprecation": FieldText("Date of the model's end. Always null: the server's owner decides.", None),
    "deprecation_replacement_model": FieldText("Successor of the model. Always null.", None),
    "default_model_temperature": FieldText(
        "Temperature of requests that have none. Null for embedding models.", 0.7
    ),
}  # fmt: skip

MODEL_TEXTS: Mapping[str, SchemaText] = {
    "ModelList": SchemaText(
        "All served models.",
        {"object": FieldText("`list`.", "list"), "data": FieldText("Cards of the models.", [MODEL_CARD])},
    ),
    "BaseModelCard": SchemaText(
        "A model that the settings name.",
        {**_CARD, "type": FieldText("`base`, which marks this kind of model.", "base")},
    ),
    "FTModelCard": SchemaText(
        "A model that a fine-tuning job made.",
        {
            **_CARD,
            "id": _ID,
            "type": FieldText("`fine-tuned`, which marks this kind of model.", "fine-tuned"),
            "job": FieldText("Id of the job that made it.", JOB_ID),
            "root": FieldText("Name of the base model in the job.", "smollm2"),
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
            "moderation": FieldText("Always false: there is no moderation model.", False),
            "audio": FieldText("Always false: models read text only.", False),
            "audio_transcription": FieldText("Always false: models read text only.", False),
        },
    ),
    "DeleteModelOut": SchemaText(
        "A deleted model.",
        {"id": _ID, "object": _OBJECT, "deleted": FieldText("True: the model was deleted.", True)},
    ),
    "UpdateFTModelIn": SchemaText(
        "New name or description of a fine-tuned model. Missing fields and nulls leave it unchanged.",
        {
            "name": FieldText("Name for people, at most 1,000 characters, without NUL.", "Captain"),
            "description": FieldText(
                "Description for people, at most 10,000 characters, without NUL.", FINE_TUNED_MODEL["description"]
            ),
        },
    ),
    "CompletionFTModelOut": SchemaText(
        "A fine-tuned model.",
        {
            "id": _ID,
            "object": _OBJECT,
            "created": FieldText("Time of its creation, in seconds since 1970.", FINE_TUNED_MODEL["created"]),
            "owned_by": FieldText("`ponant`.", "ponant"),
            "workspace_id": FieldText("`default`, the only workspace.", "default"),
            "root": FieldText("Name of the base model in the job.", "smollm2"),
            "root_version": FieldText("Always empty: base models have no versions.", ""),
            "archived": FieldText("True if the model refuses requests until it is unarchived.", False),
            "name": FieldText("Name for people.", "Captain"),
            "description": FieldText("Description for people.", FINE_TUNED_MODEL["description"]),
            "capabilities": FieldText("Tasks that the model supports.", FINE_TUNED_MODEL["capabilities"]),
            "max_context_length": FieldText("Most tokens of a prompt and its answer together.", 8192),
            "aliases": FieldText("Always empty: fine-tuned models have no aliases.", []),
            "job": FieldText("Id of the job that made it.", JOB_ID),
            "model_type": FieldText("`completion`, the only kind of model that jobs make.", "completion"),
        },
    ),
    "FTModelCapabilitiesOut": SchemaText(
        "Tasks that a fine-tuned model supports.",
        {
            "completion_chat": _CHAT,
            "completion_fim": _FIM,
            "function_calling": _CALLS,
            "fine_tuning": FieldText("Always false: train the base model with the data of both.", False),
            "classification": _CLASSIFIES,
        },
    ),
    "ArchiveFTModelOut": SchemaText(
        "An archived model. It stays in the list and refuses requests.",
        {"id": _ID, "object": _OBJECT, "archived": FieldText("True: the model is archived.", True)},
    ),
    "UnarchiveFTModelOut": SchemaText(
        "A model that accepts requests again.",
        {"id": _ID, "object": _OBJECT, "archived": FieldText("False: the model is not archived.", False)},
    ),
}
