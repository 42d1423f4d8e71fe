"""Examples of fine-tuning jobs and of their models."""

from typing import Any

from ponant.server.document.examples.example import RequestExample
from ponant.server.document.examples.files import CREATED, FILE_ID

JOB_ID = "3a1b5c7d-9e2f-4a6b-8c0d-1e2f3a4b5c6d"
TRAINED_MODEL = "open-mistral-7b"
FINE_TUNED = "ft:smollm2:captain:20261130:3a1b5c7d"
DELETED_MODEL: dict[str, Any] = {"id": FINE_TUNED, "object": "model", "deleted": True}
FINE_TUNED_MODEL: dict[str, Any] = {
    "id": FINE_TUNED,
    "object": "model",
    "created": CREATED,
    "owned_by": "ponant",
    "workspace_id": "default",
    "root": "smollm2",
    "root_version": "",
    "archived": False,
    "name": "Captain",
    "description": "Answers like a captain.",
    "capabilities": {
        "completion_chat": True,
        "completion_fim": False,
        "function_calling": True,
        "fine_tuning": False,
        "classification": False,
    },
    "max_context_length": 8192,
    "aliases": [],
    "job": JOB_ID,
    "model_type": "completion",
}
MODEL_CHANGES = (
    RequestExample(
        "rename", "A new name and description", "Fields that are left out stay unchanged.",
        {"name": "Captain", "description": "Answers like a captain."},
    ),
)  # fmt: skip

HYPERPARAMETERS: dict[str, Any] = {"training_steps": 10, "learning_rate": 0.0001, "seq_len": 128}
_JOB_REQUEST: dict[str, Any] = {
    "model": TRAINED_MODEL,
    "training_files": [{"file_id": FILE_ID, "weight": 1}],
    "suffix": "captain",
    "hyperparameters": HYPERPARAMETERS,
}
JOB_REQUESTS = (
    RequestExample(
        "create", "A job", "The job starts as soon as its files are validated.", _JOB_REQUEST | {"auto_start": True}
    ),
    RequestExample(
        "dry-run", "A dry run", "With `dry_run=true` in the query: the files are checked and the duration is "
        "estimated, and no job is created.", _JOB_REQUEST, {"dry_run": "true"},
    ),
)  # fmt: skip
_ESTIMATES: dict[str, Any] = {
    "expected_duration_seconds": 94,
    "cost": 0.0,
    "cost_currency": None,
    "train_tokens_per_step": 128,
    "train_tokens": 1280,
    "data_tokens": 212,
    "estimated_start_time": CREATED,
}
PARAMETERS: dict[str, Any] = HYPERPARAMETERS | {
    "weight_decay": 0.1,
    "warmup_fraction": 0.05,
    "epochs": 10.0,
    "fim_ratio": 0.9,
}
JOB: dict[str, Any] = {
    "id": JOB_ID,
    "auto_start": True,
    "model": "smollm2",
    "status": "QUEUED",
    "created_at": CREATED,
    "modified_at": CREATED,
    "training_files": [FILE_ID],
    "validation_files": [],
    "object": "job",
    "fine_tuned_model": None,
    "suffix": "captain",
    "integrations": [],
    "trained_tokens": None,
    "metadata": _ESTIMATES,
    "job_type": "completion",
    "hyperparameters": PARAMETERS,
    "repositories": [],
}
DRY_RUN: dict[str, Any] = _ESTIMATES | {
    "deprecated": True,
    "details": "10 steps, from 4 samples",
    "epochs": 10.0,
    "training_steps": 10,
    "object": "job.metadata",
}
JOB_LIST: dict[str, Any] = {"data": [JOB], "object": "list", "total": 1}
EVENT: dict[str, Any] = {"name": "status-updated", "data": {"status": "SUCCESS"}, "created_at": CREATED + 94}
CHECKPOINT: dict[str, Any] = {
    "metrics": {"train_loss": 0.41, "valid_loss": 0.53, "valid_mean_token_accuracy": 0.87},
    "step_number": 10,
    "created_at": CREATED + 93,
}
DETAILED_JOB: dict[str, Any] = JOB | {
    "status": "SUCCESS",
    "modified_at": CREATED + 94,
    "fine_tuned_model": FINE_TUNED,
    "trained_tokens": 1280,
    "events": [EVENT],
    "checkpoints": [CHECKPOINT],
}
ARCHIVED: dict[str, Any] = {"id": FINE_TUNED, "object": "model", "archived": True}
UNARCHIVED: dict[str, Any] = {"id": FINE_TUNED, "object": "model", "archived": False}
CANCELLED: dict[str, Any] = {"status": "CANCELLED", "fine_tuned_model": None, "events": [], "checkpoints": []}
STARTED: dict[str, Any] = {"status": "STARTED", "fine_tuned_model": None, "events": [], "checkpoints": []}
