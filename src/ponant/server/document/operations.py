"""The operations of the Mistral API in the order of its reference, and the tags that group them."""

import datetime
from collections.abc import Mapping
from typing import Any

from ponant.server.document.examples import chat, embeddings, errors, files, fine_tuning, models
from ponant.server.document.operation_text import CONTENT, EVENT_STREAM, JSON, AnswerExample, OperationText, one
from ponant.server.document.texts import parameters

_NOVEMBER_29 = datetime.date(2026, 11, 29)
_NOVEMBER_30 = datetime.date(2026, 11, 30)

TAGS: Mapping[str, tuple[str, str]] = {
    "chat": ("Chat", "Answers to conversations: text, JSON or tool calls, with or without reasoning."),
    "fim": ("FIM", "Fill-in-the-middle: text or code between a prompt and a suffix."),
    "embeddings": ("Embeddings", "Vectors of texts, whose dot products measure similarity in meaning."),
    "models": ("Models", "The models of this server, including fine-tuned ones."),
    "files": ("Files", "Files on the server, such as datasets for fine-tuning. They survive restarts."),
    "fine-tuning": (
        "Fine-tuning",
        "Jobs that train a model on a dataset. The result is served next to its base model without a restart.",
    ),
    "further": (
        "Further operations",
        "Operations beyond those in the Mistral API reference: the content of files, single models, and changes to "
        "jobs and fine-tuned models.",
    ),
}
"""Names for people, and descriptions, by the names of the tags."""


def _answer(name: str, summary: str, value: Any) -> AnswerExample:
    return AnswerExample(name=name, summary=summary, value=value)


_COMPUTED = {429: errors.ERRORS[429], 504: errors.ERRORS[504]}
_STORED = {507: errors.ERRORS[507]}
_READ = {422: errors.ERRORS[422]}
_LISTED = {400: errors.PAGE_SIZE, 422: errors.ErrorExample(errors.ERRORS[422].text, errors.INVALID_QUERY)}
_MODEL = {404: errors.NO_MODEL}
_FILE = {404: errors.NO_FILE}
_JOB = {404: errors.NO_JOB}
_STREAMED = (
    "The answer. With `stream`, it is sent as server-sent events: lines `data: {...}`, each with a piece of the "
    "answer, and `data: [DONE]` at the end. An error during the stream is sent as an event with the error object, and "
    "no `[DONE]` follows."
)

OPERATIONS: Mapping[str, OperationText] = {
    "chat_completion_v1_chat_completions_post": OperationText(
        title="Create Chat Completions",
        tag="chat",
        text="Generate the next message of a conversation, in one piece or streamed token by token. Answers can follow "
        "a JSON schema, call tools, continue a given beginning, and show the model's reasoning.",
        modified=_NOVEMBER_30,
        requests=chat.CHAT_REQUESTS,
        answers={
            JSON: (
                _answer("plain", "A text", chat.CHAT_ANSWERS["plain"]),
                _answer("tools", "A call of a function", chat.CHAT_ANSWERS["tools"]),
                _answer("reasoning", "Thinking and a text", chat.CHAT_ANSWERS["reasoning"]),
            ),
            EVENT_STREAM: (
                _answer("piece", "An event", {"data": chat.CHUNK}),
                _answer("last", "The last event before `data: [DONE]`", {"data": chat.LAST_CHUNK}),
            ),
        },
        success=_STREAMED,
        statuses=_READ | _COMPUTED | {400: errors.TOP_LOGPROBS},
    ),
    "fim_completion_v1_fim_completions_post": OperationText(
        title="Create FIM Completions",
        tag="fim",
        text="Generate the text or code between a prompt and a suffix, in one piece or streamed token by token. Models "
        "trained for it (`completion_fim` in their cards) give the best results.",
        modified=_NOVEMBER_30,
        requests=chat.FIM_REQUESTS,
        answers={
            JSON: (_answer("code", "Code", chat.FIM_ANSWER),),
            EVENT_STREAM: (
                _answer("piece", "An event", {"data": chat.FIM_CHUNK}),
                _answer("last", "The last event before `data: [DONE]`", {"data": chat.LAST_FIM_CHUNK}),
            ),
        },
        success=_STREAMED,
        statuses=_READ | _COMPUTED | {400: errors.MIN_TOKENS},
    ),
    "embeddings_v1_embeddings_post": OperationText(
        title="Create Embeddings",
        tag="embeddings",
        text="Turn texts into vectors of length 1, whose dot products measure how similar the texts are in meaning.",
        modified=_NOVEMBER_30,
        requests=embeddings.EMBEDDING_REQUESTS,
        answers=one(embeddings.EMBEDDING_ANSWER),
        success="The vectors, in the order of the texts. Those in the example are shortened.",
        statuses=_READ | _COMPUTED | {400: errors.EMPTY_TEXT},
    ),
    "list_models_v1_models_get": OperationText(
        title="List Available Models",
        tag="models",
        text="List all models of this server: those in its settings, and fine-tuned ones. Mistral's public names, such "
        "as `mistral-small-latest`, are not listed; they stand for the default models, unless the setting "
        "`public_names` is false.",
        modified=_NOVEMBER_29,
        parameters=parameters.MODELS,
        answers=one(models.MODEL_LIST),
        success="The models.",
        statuses=_READ,
    ),
    "delete_model_v1_models__model_id__delete": OperationText(
        title="Delete Model",
        tag="models",
        text="Delete a fine-tuned model. Requests that are already running finish. Base models cannot be deleted: such "
        "a request is refused with a 400.",
        modified=_NOVEMBER_29,
        parameters=parameters.FINE_TUNED_MODEL,
        answers=one(fine_tuning.DELETED_MODEL),
        success="The model is deleted.",
        statuses=_READ | _MODEL | {400: errors.BASE_MODEL},
    ),
    "upload_file_v1_files_post": OperationText(
        title="Upload File",
        tag="files",
        text="Store a file on the server. Datasets for fine-tuning are JSON Lines, which are checked line by line "
        "during the upload.",
        modified=_NOVEMBER_30,
        requests=files.UPLOADS,
        answers=one(files.FILE),
        success="The file is stored.",
        statuses=_READ | _STORED | {400: errors.EMPTY_FILE},
    ),
    "list_files_v1_files_get": OperationText(
        title="List Files",
        tag="files",
        text="List the uploaded files page by page, newest first.",
        modified=_NOVEMBER_30,
        parameters=parameters.FILES,
        answers=one(files.FILE_LIST),
        success="A page of files.",
        statuses=_LISTED,
    ),
    "retrieve_file_v1_files__file_id__get": OperationText(
        title="Retrieve File",
        tag="files",
        text="Return the metadata of a file.",
        modified=_NOVEMBER_29,
        parameters=parameters.FILE,
        answers=one(files.FILE | {"deleted": False}),
        success="The file's metadata.",
        statuses=_FILE,
    ),
    "delete_file_v1_files__file_id__delete": OperationText(
        title="Delete File",
        tag="files",
        text="Delete a file. Downloads in progress continue.",
        modified=_NOVEMBER_29,
        parameters=parameters.FILE,
        answers=one(files.DELETED_FILE),
        success="The file is deleted.",
        statuses=_FILE,
    ),
    "list_jobs_v1_fine_tuning_jobs_get": OperationText(
        title="List Fine Tuning Jobs",
        tag="fine-tuning",
        text="List fine-tuning jobs page by page, newest first.",
        modified=_NOVEMBER_30,
        parameters=parameters.JOBS,
        answers=one(fine_tuning.JOB_LIST),
        success="A page of jobs.",
        statuses=_LISTED,
    ),
    "create_job_v1_fine_tuning_jobs_post": OperationText(
        title="Create Fine Tuning Job",
        tag="fine-tuning",
        text="Create a job that fine-tunes a model on uploaded files with LoRA. With `dry_run=true`, only check the "
        "files and estimate the duration. The server needs the extra `finetune`; without it, the request is "
        "refused with a 400.",
        modified=_NOVEMBER_30,
        parameters=parameters.DRY_RUN,
        requests=fine_tuning.JOB_REQUESTS,
        answers={
            JSON: (
                _answer("create", "A job", fine_tuning.JOB),
                _answer("dry-run", "Estimates of a dry run", fine_tuning.DRY_RUN),
            )
        },
        success="The new job; for a dry run, its estimates.",
        statuses=_READ | _STORED | {400: errors.NO_TRAINING_FILES},
    ),
    "get_job_v1_fine_tuning_jobs__job_id__get": OperationText(
        title="Get Fine Tuning Job",
        tag="fine-tuning",
        text="Return a job with its events and checkpoints. Clients can poll it until the status is final.",
        modified=_NOVEMBER_29,
        parameters=parameters.JOB,
        answers=one(fine_tuning.DETAILED_JOB),
        success="The job.",
        statuses=_JOB,
    ),
    "cancel_job_v1_fine_tuning_jobs__job_id__cancel_post": OperationText(
        title="Cancel Fine Tuning Job",
        tag="fine-tuning",
        text="Cancel a job that has not ended. Training stops after the current step.",
        modified=_NOVEMBER_29,
        parameters=parameters.JOB,
        answers=one(fine_tuning.DETAILED_JOB | fine_tuning.CANCELLED),
        success="The job, which is cancelled now or after the current step.",
        statuses=_JOB | {400: errors.ENDED},
    ),
    "retrieve_model_v1_models__model_id__get": OperationText(
        title="Retrieve Model",
        tag="further",
        text="Return the card of a model: its capabilities, context length and default temperature.",
        modified=_NOVEMBER_29,
        parameters=parameters.ANY_MODEL,
        answers=one(models.MODEL_CARD),
        success="The model's card.",
        statuses=_READ | _MODEL,
    ),
    "download_file_v1_files__file_id__content_get": OperationText(
        title="Download File",
        tag="further",
        text="Return the content of a file, or the part that a `Range` header of bytes asks for.",
        modified=_NOVEMBER_30,
        parameters=parameters.FILE,
        answers=one(files.DATASET, CONTENT),
        success="The content.",
        statuses=_FILE | {400: errors.BAD_RANGE, 416: errors.ERRORS[416]},
    ),
    "get_signed_url_v1_files__file_id__url_get": OperationText(
        title="Get Signed URL",
        tag="further",
        text="Return an address that returns the content of a file without a key, for a limited time.",
        modified=_NOVEMBER_29,
        parameters={**parameters.FILE, **parameters.EXPIRY},
        answers=one(files.SIGNED_URL),
        success="The address.",
        statuses=_FILE | {400: errors.EXPIRY, 422: errors.ErrorExample(errors.ERRORS[422].text, errors.INVALID_EXPIRY)},
    ),
    "start_job_v1_fine_tuning_jobs__job_id__start_post": OperationText(
        title="Start Fine Tuning Job",
        tag="further",
        text="Start a job that was created with `auto_start` false. It starts as soon as its files are validated.",
        modified=_NOVEMBER_29,
        parameters=parameters.JOB,
        answers=one(fine_tuning.DETAILED_JOB | fine_tuning.STARTED),
        success="The job, which starts as soon as possible.",
        statuses=_JOB | _STORED | {400: errors.STARTED},
    ),
    "update_model_v1_fine_tuning_models__model_id__patch": OperationText(
        title="Update Fine Tuned Model",
        tag="further",
        text="Change the name or the description of a fine-tuned model. The id stays the same.",
        modified=_NOVEMBER_30,
        parameters=parameters.FINE_TUNED_MODEL,
        requests=fine_tuning.MODEL_CHANGES,
        answers=one(fine_tuning.FINE_TUNED_MODEL),
        success="The model.",
        statuses=_READ | _MODEL | _STORED | {400: errors.NUL},
    ),
    "archive_model_v1_fine_tuning_models__model_id__archive_post": OperationText(
        title="Archive Fine Tuned Model",
        tag="further",
        text="Disable a fine-tuned model. It stays in the list of models, and requests for it are refused.",
        modified=_NOVEMBER_30,
        parameters=parameters.FINE_TUNED_MODEL,
        answers=one(fine_tuning.ARCHIVED),
        success="The model is archived.",
        statuses=_MODEL | _STORED,
    ),
    "unarchive_model_v1_fine_tuning_models__model_id__archive_delete": OperationText(
        title="Unarchive Fine Tuned Model",
        tag="further",
        text="Enable an archived model again: it accepts requests as before.",
        modified=_NOVEMBER_30,
        parameters=parameters.FINE_TUNED_MODEL,
        answers=one(fine_tuning.UNARCHIVED),
        success="The model accepts requests again.",
        statuses=_MODEL | _STORED,
    ),
}
"""Texts by operation id, in the order of the documents."""
