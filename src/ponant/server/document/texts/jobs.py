"""Texts of fine-tuning jobs."""

from collections.abc import Mapping

from ponant.server.document.examples.files import FILE_ID
from ponant.server.document.examples.fine_tuning import (
    CHECKPOINT,
    DETAILED_JOB,
    DRY_RUN,
    EVENT,
    FINE_TUNED,
    HYPERPARAMETERS,
    JOB,
    JOB_ID,
)
from ponant.server.document.texts.field_text import FieldText, SchemaText

_WANDB = FieldText("`wandb`, the only integration.", "wandb")
_PROJECT = FieldText("Name of the project, without NUL characters.", "captains")
_RUN_NAME = FieldText("Name of the run. With null, `name` is used.", "captain-1")
_WANDB_NAME = FieldText("Name of the run, if `run_name` is null.", "captain")

_PARAMETERS = {
    "training_steps": FieldText(
        "Number of steps, which takes precedence over `epochs`. With null, it is computed from `epochs`.", 10
    ),
    "learning_rate": FieldText("Peak learning rate, from 0.00000001 to 1.", 0.0001),
    "weight_decay": FieldText("Weight decay of AdamW, from 0 to 1. Null means 0.1.", 0.1),
    "warmup_fraction": FieldText(
        "Fraction of the steps during which the learning rate rises, from 0 to 1. Null means 0.05.", 0.05
    ),
    "epochs": FieldText("Number of passes over all samples. Null means 3, unless `training_steps` is set.", 3),
    "seq_len": FieldText(
        "Length of a training sequence in tokens, at least 100. Longer conversations are cut after the last answer "
        "that fits. More than the model's context length is refused. Null means 512.",
        512,
    ),
    "fim_ratio": FieldText(
        "Fraction of the code samples that are trained as fill-in-the-middle rather than as continuation, from 0 to 1. "
        "Null means 0.9.",
        0.9,
    ),
}
_ESTIMATES = {
    "expected_duration_seconds": FieldText("Estimated duration of the training, in seconds.", 94),
    "cost": FieldText("Always 0: this server charges nothing.", 0),
    "cost_currency": FieldText("Always null: this server charges nothing.", None),
    "train_tokens_per_step": FieldText("Number of tokens processed per step.", 128),
    "train_tokens": FieldText("Number of tokens processed in all steps.", 1280),
    "data_tokens": FieldText("Number of tokens in all samples.", 212),
    "estimated_start_time": FieldText(
        "Estimated start time, as a Unix timestamp in seconds.", DRY_RUN["estimated_start_time"]
    ),
}
_JOB = {
    "id": FieldText("Id of the job.", JOB_ID),
    "auto_start": FieldText("True if the job starts as soon as its files are validated.", True),
    "model": FieldText("Name of the model to train, as in the request.", JOB["model"]),
    "status": FieldText(
        "Status of the job. `QUEUED`, `VALIDATED`, `STARTED`, `RUNNING` and `CANCELLATION_REQUESTED` lead to one of "
        "`SUCCESS`, `FAILED_VALIDATION`, `FAILED` and `CANCELLED`.",
        "QUEUED",
    ),
    "created_at": FieldText("Time of creation, as a Unix timestamp in seconds.", JOB["created_at"]),
    "modified_at": FieldText("Time of the last change, as a Unix timestamp in seconds.", JOB["modified_at"]),
    "training_files": FieldText("Ids of the files with training samples.", [FILE_ID]),
    "validation_files": FieldText("Ids of the files with validation samples.", [FILE_ID]),
    "object": FieldText("`job`.", "job"),
    "fine_tuned_model": FieldText("Id of the resulting model; null until the job has succeeded.", FINE_TUNED),
    "suffix": FieldText("Suffix in the resulting model's id.", "captain"),
    "integrations": FieldText(
        "Services that receive the metrics, without their keys.", [{"type": "wandb", "project": "captains"}]
    ),
    "trained_tokens": FieldText("Number of tokens trained so far.", 1280),
    "metadata": FieldText("Estimates. Their values are null until the files are validated.", JOB["metadata"]),
    "job_type": FieldText("`completion`, the only type of job.", "completion"),
    "hyperparameters": FieldText("Training parameters.", JOB["hyperparameters"]),
    "repositories": FieldText("Always empty: jobs with repositories are refused.", []),
}

JOB_TEXTS: Mapping[str, SchemaText] = {
    "JobIn": SchemaText(
        "A new fine-tuning job.",
        {
            "model": FieldText(
                "Id or alias of the model to train, or the public Mistral name that stands for it. Embedding models, "
                "fine-tuned models and architectures that cannot be trained are refused.",
                "open-mistral-7b",
            ),
            "training_files": FieldText(
                "Files with training samples, at least one, uploaded with the purpose `fine-tune`. A file may also be "
                "given by its id alone.",
                [{"file_id": FILE_ID, "weight": 1}],
            ),
            "validation_files": FieldText(
                "Ids of files with samples that are used to measure the model, not to train it.", [FILE_ID]
            ),
            "suffix": FieldText(
                "Suffix in the resulting model's id: at most 18 letters, digits, dots, underscores and dashes. Null "
                "means `ponant`.",
                "captain",
            ),
            "integrations": FieldText(
                "Service to which the metrics are also sent. More than one is refused.",
                [{"type": "wandb", "project": "captains", "api_key": "0123456789" * 4}],
            ),
            "auto_start": FieldText(
                "True to start the job as soon as its files are validated, false to wait for Start Fine Tuning Job.",
                True,
            ),
            "invalid_sample_skip_percentage": FieldText(
                "Fraction of invalid lines that may be skipped, from 0 to 0.5. A job with more of them fails.", 0
            ),
            "job_type": FieldText("`completion`, which null means too. `classifier` is refused.", "completion"),
            "hyperparameters": FieldText("Training parameters.", HYPERPARAMETERS),
            "repositories": FieldText(
                "Repositories with samples. Refused unless empty: upload their code as files.", []
            ),
            "classifier_targets": FieldText("Targets of a classifier. Refused unless empty.", []),
        },
    ),
    "TrainingFile": SchemaText(
        "A file with training samples.",
        {
            "file_id": FieldText("Id of the file.", FILE_ID),
            "weight": FieldText(
                "Weight of the file's samples relative to those of the other files, above 0 and at most 1,000,000,000.",
                1,
            ),
        },
    ),
    "CompletionTrainingParametersIn": SchemaText("Training parameters of a new job.", _PARAMETERS),
    "CompletionTrainingParameters": SchemaText(
        "Training parameters of a job. None of them is null once its files are validated.", _PARAMETERS
    ),
    "WandbIntegration": SchemaText(
        "Weights & Biases, to which the metrics of a job are sent. The server needs the extra `wandb`.",
        {
            "type": _WANDB,
            "project": _PROJECT,
            "name": _WANDB_NAME,
            "api_key": FieldText("API key of Weights & Biases, 40 characters. It is in no response.", "0123456789" * 4),
            "run_name": _RUN_NAME,
        },
    ),
    "WandbIntegrationOut": SchemaText(
        "Weights & Biases, to which the metrics of a job are sent.",
        {
            "type": _WANDB,
            "project": _PROJECT,
            "name": _WANDB_NAME,
            "run_name": _RUN_NAME,
            "url": FieldText("Address of the run, once it has started.", "https://wandb.example/captains/runs/1"),
        },
    ),
    "GithubRepositoryIn": SchemaText(
        "A repository with samples. Part of the Mistral API; this server refuses it.",
        {
            "type": FieldText("`github`, the only kind of repository.", "github"),
            "name": FieldText("Name of the repository.", "captain"),
            "owner": FieldText("Owner of the repository.", "example"),
            "ref": FieldText("Branch, tag or commit.", "main"),
            "weight": FieldText("Weight of its samples, above 0 and at most 1,000,000,000.", 1),
            "token": FieldText("Access token that can read the repository.", "ghp_example"),
        },
    ),
    "CompletionJobOut": SchemaText("A job.", _JOB),
    "CompletionDetailedJobOut": SchemaText(
        "A job with its events and checkpoints.",
        {
            **_JOB,
            "status": FieldText(_JOB["status"].text, "SUCCESS"),
            "events": FieldText("Events of the job, newest first.", DETAILED_JOB["events"]),
            "checkpoints": FieldText("Measurements during training, newest first.", DETAILED_JOB["checkpoints"]),
        },
    ),
    "JobMetadataOut": SchemaText("Estimates of a job.", _ESTIMATES),
    "LegacyJobMetadataOut": SchemaText(
        "Estimates of a job that was not created: the response to a dry run.",
        {
            **_ESTIMATES,
            "deprecated": FieldText("Always true, as in the Mistral API.", True),
            "details": FieldText("Summary of steps, samples and skipped lines.", DRY_RUN["details"]),
            "epochs": FieldText("Number of passes over all samples.", DRY_RUN["epochs"]),
            "training_steps": FieldText("Number of steps.", 10),
            "object": FieldText("`job.metadata`.", "job.metadata"),
        },
    ),
    "JobsOut": SchemaText(
        "A page of jobs, newest first.",
        {
            "data": FieldText("Jobs of the page.", [JOB]),
            "object": FieldText("`list`.", "list"),
            "total": FieldText("Total number of jobs on all pages.", 1),
        },
    ),
    "EventOut": SchemaText(
        "An event of a job.",
        {
            "name": FieldText("`status-updated` for a new status, or `progress` during training.", EVENT["name"]),
            "data": FieldText(
                "The status, with the error if the job failed; for `progress`, the step, the loss, the speed in tokens "
                "per second, and the remaining time in seconds.",
                EVENT["data"],
            ),
            "created_at": FieldText("Time of the event, as a Unix timestamp in seconds.", EVENT["created_at"]),
        },
    ),
    "CheckpointOut": SchemaText(
        "Measurements after a step.",
        {
            "metrics": FieldText("The measurements.", CHECKPOINT["metrics"]),
            "step_number": FieldText("Number of the step, starting at 1.", CHECKPOINT["step_number"]),
            "created_at": FieldText(
                "Time of the measurement, as a Unix timestamp in seconds.", CHECKPOINT["created_at"]
            ),
        },
    ),
    "MetricOut": SchemaText(
        "Losses and accuracy.",
        {
            "train_loss": FieldText("Mean training loss per token, in nats.", 0.41),
            "valid_loss": FieldText("Mean loss per token of the validation files, in nats.", 0.53),
            "valid_mean_token_accuracy": FieldText(
                "Fraction of the tokens in the validation files that the model ranks first, from 0 to 1.", 0.87
            ),
        },
    ),
}
