"""Fine-tuning jobs in OpenAI's format."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import from_json, to_json

from ponant.api.fine_tuning import CompletionTrainingParametersIn, JobIn
from ponant.server.dialects.base import Json
from ponant.server.dialects.openai_answers import OpenAIAnswers
from ponant.server.dialects.openai_files import cursor_page
from ponant.server.dialects.table import KEPT, Fields, RefusedFieldError, Rule, Table, ignored, translated

JOBS = "/v1/fine_tuning/jobs"
HISTORIES = {f"{JOBS}/{{id}}/{name}": f"{JOBS}/{{id}}" for name in ("events", "checkpoints")}
"""Paths of the events and the checkpoints of a job, and of the job, which has both."""

_RATE: float = CompletionTrainingParametersIn.model_fields["learning_rate"].default
"""Learning rate with a multiplier of 1."""
_PAGE_SIZES = {"events": 20, "checkpoints": 10}
"""Default lengths of pages."""
_LONGEST_PAGE = 10_000
_STATUSES = {
    "QUEUED": "queued",
    "VALIDATED": "queued",
    "STARTED": "queued",
    "RUNNING": "running",
    "CANCELLATION_REQUESTED": "running",
    "SUCCESS": "succeeded",
    "FAILED": "failed",
    "FAILED_VALIDATION": "failed",
    "CANCELLED": "cancelled",
}
_ENDS = ("succeeded", "failed", "cancelled")


def _hyperparameters(sent: Any) -> Any:
    if not isinstance(sent, dict):
        return sent
    read: Fields = {}
    for name, value in sent.items():
        match name:
            case "n_epochs" | "batch_size" | "learning_rate_multiplier" if value in (None, "auto"):
                continue
            case "n_epochs":
                read["epochs"] = value
            case "batch_size":
                if value != 1:
                    raise RefusedFieldError("can only be auto or 1 here: a step learns from one sequence", name)
            case "learning_rate_multiplier":
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                read["learning_rate"] = value * _RATE if is_number else value
            case _:
                read[name] = value
    return read


def _method(method: Any) -> Fields:
    match method:
        case {"type": "supervised", **rest}:
            supervised = rest.get("supervised")
            sent = supervised.get("hyperparameters") if isinstance(supervised, dict) else None
            try:
                return {} if sent is None else {"hyperparameters": _hyperparameters(sent)}
            except RefusedFieldError as error:
                raise error.within("hyperparameters").within("supervised") from None
        case _:
            raise RefusedFieldError("can only be of type supervised here: models learn from the answers of files")


def _integrations(integrations: Any) -> Fields:
    for index, one in enumerate(integrations if isinstance(integrations, list) else []):
        if isinstance(one, dict) and "wandb" in one:
            raise RefusedFieldError(
                "an integration needs its API key: send type, project and api_key, as in the Mistral API", index
            )
    return {"integrations": integrations}


_OWN: dict[str, Rule] = {
    "training_file": translated(lambda file: {"training_files": [file]}, "becomes `training_files`"),
    "validation_file": translated(lambda file: {"validation_files": [file]}, "becomes `validation_files`"),
    "hyperparameters": translated(
        lambda sent: {"hyperparameters": _hyperparameters(sent)},
        "`n_epochs` becomes `epochs`, `learning_rate_multiplier` a multiple of the default `learning_rate`; "
        "`batch_size` can only be `auto` or 1",
    ),
    "method": translated(_method, "`supervised` with its `hyperparameters`; other methods are refused"),
    "integrations": translated(_integrations, "kept in the form of the Mistral API, with the key"),
    "seed": ignored("the same job has the same result"),
    "metadata": ignored("it does not change the model"),
}
RULES: dict[str, Rule] = dict.fromkeys(JobIn.model_fields, KEPT) | _OWN
"""Rules of the fields of a new job. Fields of the Mistral API are accepted as well."""
TABLE = Table(RULES, shared=frozenset(JobIn.model_fields), defaults={"hyperparameters": {}})


class JobAnswers(OpenAIAnswers):
    """Writer of jobs, single or in a list."""

    def response(self, response: Json) -> Json:
        """Return the translation of a whole answer."""
        if response.get("object") == "list":
            return cursor_page(response, _job)
        return _job(response) if response.get("object") == "job" else response


class HistoryAnswers(OpenAIAnswers):
    """Writer of the events or the checkpoints of a job, from the job with both."""

    def whole(self, status: int, body: bytes) -> tuple[int, bytes]:
        """Return the status and JSON of a page."""
        if status >= 400:
            return super().whole(status, body)
        kind = self._exchange.path.rpartition("/")[2]
        limit = self._exchange.query.get("limit", str(_PAGE_SIZES[kind]))
        if not (re.fullmatch("[0-9]{1,5}", limit) and 1 <= int(limit) <= _LONGEST_PAGE):
            return self._refusal(f"limit must be from 1 to {_LONGEST_PAGE}", "limit")
        job: Json = from_json(body, cache_strings="keys")
        items = _events(job) if kind == "events" else _checkpoints(job)
        after = self._exchange.query.get("after")
        if after is not None and after not in [item["id"] for item in items]:
            return self._refusal(f"there is no entry {after} among the {kind} of this job", "after")
        begin = next((index for index, item in enumerate(items, 1) if item["id"] == after), 0)
        rest = items[begin:]
        page = cursor_page({"data": rest[: int(limit)], "total": len(rest)}, dict)
        return status, to_json(page)

    def _refusal(self, message: str, param: str) -> tuple[int, bytes]:
        status, error = self.error(400, {"message": message, "type": "invalid_request_error", "param": param})
        return status, to_json(error)


def _job(job: Mapping[str, Any]) -> Json:
    status = _STATUSES[job["status"]]
    hyperparameters = _used(job["hyperparameters"])
    return {
        "id": job["id"],
        "object": "fine_tuning.job",
        "model": job["model"],
        "status": status,
        "created_at": job["created_at"],
        "finished_at": job["modified_at"] if status in _ENDS else None,
        "estimated_finish": None if status in _ENDS else _estimated_finish(job["metadata"]),
        "fine_tuned_model": job["fine_tuned_model"],
        "training_file": next(iter(job["training_files"]), None),
        "validation_file": next(iter(job["validation_files"] or []), None),
        "hyperparameters": hyperparameters,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
        "trained_tokens": job["trained_tokens"],
        "error": _error_of(job) if status == "failed" else None,
        "integrations": [{"type": "wandb", "wandb": _wandb(one)} for one in job["integrations"]],
        "organization_id": "default",
        "result_files": [],
        "seed": 0,
        "metadata": None,
    }


def _used(hyperparameters: Mapping[str, Any]) -> Json:
    epochs = hyperparameters["epochs"]
    return {
        "n_epochs": "auto" if epochs is None else int(epochs) if epochs == int(epochs) else epochs,
        "batch_size": 1,
        "learning_rate_multiplier": round(hyperparameters["learning_rate"] / _RATE, 6),
    }


def _estimated_finish(metadata: Mapping[str, Any]) -> int | None:
    start, duration = metadata["estimated_start_time"], metadata["expected_duration_seconds"]
    return None if start is None or duration is None else start + duration


def _error_of(job: Mapping[str, Any]) -> Json:
    """Return the error of a failed job. Lists of jobs have no events, and so no reason."""
    reasons = (event["data"]["error"] for event in job.get("events", []) if "error" in (event["data"] or {}))
    code = "invalid_training_file" if job["status"] == "FAILED_VALIDATION" else "job_failed"
    param = "training_file" if job["status"] == "FAILED_VALIDATION" else None
    return {"code": code, "message": next(reasons, "The events of the job have the reason."), "param": param}


def _wandb(integration: Mapping[str, Any]) -> Json:
    name = integration.get("run_name") or integration.get("name")
    return {"project": integration["project"], "entity": None, "name": name, "run_id": None, "tags": None}


def _events(job: Mapping[str, Any]) -> list[Json]:
    """Return the events of a job, the newest first. Their ids count from the oldest, which stays the first."""
    events: Sequence[Json] = job["events"]
    return [
        {
            "id": f"ftevent-{job['id']}-{len(events) - index}",
            "object": "fine_tuning.job.event",
            "created_at": event["created_at"],
            "level": "error" if "error" in (event["data"] or {}) else "info",
            "message": _message(event["name"], event["data"] or {}),
            "type": "metrics" if event["name"] == "progress" else "message",
            "data": event["data"] or {},
        }
        for index, event in enumerate(events)
    ]


def _message(name: str, data: Mapping[str, Any]) -> str:
    match name:
        case "status-updated":
            error = f": {data['error']}" if "error" in data else ""
            return f"The job is {data.get('status')}{error}"
        case "progress":
            return f"Step {data.get('step')} of {data.get('steps')}: training loss={data.get('loss'):.4f}"
        case "lines-skipped":
            return f"{sum(file['skipped'] for file in data['files'])} invalid lines are skipped"
        case "resumed":
            return f"The training continues after step {data.get('step')}"
        case _:
            return name


def _checkpoints(job: Mapping[str, Any]) -> list[Json]:
    """Return the checkpoints of a job, the newest first. None of them can be used as a model; only the result can."""
    return [
        {
            "id": f"ftckpt-{job['id']}-{checkpoint['step_number']}",
            "object": "fine_tuning.job.checkpoint",
            "created_at": checkpoint["created_at"],
            "fine_tuning_job_id": job["id"],
            "fine_tuned_model_checkpoint": job["fine_tuned_model"] or "",
            "step_number": checkpoint["step_number"],
            "metrics": {"step": checkpoint["step_number"], **checkpoint["metrics"]},
        }
        for checkpoint in job["checkpoints"]
    ]
