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
_RUN_NAME = FieldText("Name of the run. Null takes `name`.", "captain-1")
_WANDB_NAME = FieldText("Name of the run, if `run_name` is null.", "captain")

_PARAMETERS = {
    "training_steps": FieldText("Number of steps; takes precedence over `epochs`. Null computes it from `epochs`.", 10),
    "learning_rate": FieldText("Learning rate at its peak, from 0.00000001 to 1.", 0.0001),
    "weight_decay": FieldText("Weight decay of AdamW, from 0 to 1. Null is 0.1.", 0.1),
    "warmup_fraction": FieldText(
        "Fraction of the steps in which the learning rate rises, from 0 to 1. Null is 0.05.", 0.05
    ),
    "epochs": FieldText("Passes over all samples. Null is 3, unless there are `training_steps`.", 3),
    "seq_len": FieldText(
        "Tokens of a training sequence, at least 100. Longer conversations are cut after the last answer that fits. "
        "More than the model's context is refused. Null is 512.",
        512,
    ),
    "fim_ratio": FieldText(
        "Fraction of the code samples that are learned as fill-in-the-middle, not as continuation, from 0 to 1. Null "
        "is 0.9.",
        0.9,
    ),
}
_ESTIMATES = {
    "expected_duration_seconds": FieldText("Estimated duration of the training, in seconds.", 94),
    "cost": FieldText("Always 0: training costs nothing here.", 0),
    "cost_currency": FieldText("Always null: training costs nothing here.", None),
    "train_tokens_per_step": FieldText("Tokens that one step computes.", 128),
    "train_tokens": FieldText("Tokens that all steps compute.", 1280),
    "data_tokens": FieldText("Tokens of all samples.", 212),
    "estimated_start_time": FieldText("Estimated start, in seconds since 1970.", DRY_RUN["estimated_start_time"]),
}
_JOB = {
    "id": FieldText("Id of the job.", JOB_ID),
    "auto_start": FieldText("True if the job starts as soon as its files are validated.", True),
    "model": FieldText("Name of the model to train, as in the request.", JOB["model"]),
    "status": FieldText(
        "State of the job. `QUEUED`, `VALIDATED`, `STARTED`, `RUNNING` and `CANCELLATION_REQUESTED` lead to one of "
        "`SUCCESS`, `FAILED_VALIDATION`, `FAILED` and `CANCELLED`.",
        "QUEUED",
    ),
    "created_at": FieldText("Time of its creation, in seconds since 1970.", JOB["created_at"]),
    "modified_at": FieldText("Time of its last change, in seconds since 1970.", JOB["modified_at"]),
    "training_files": FieldText("Ids of the files with samples to learn.", [FILE_ID]),
    "validation_files": FieldText("Ids of the files with samples to measure on.", [FILE_ID]),
    "object": FieldText("`job`.", "job"),
    "fine_tuned_model": FieldText("Id of the resulting model; null before the job's success.", FINE_TUNED),
    "suffix": FieldText("Part of the resulting model's name.", "captain"),
    "integrations": FieldText(
        "Services that receive the metrics, without their keys.", [{"type": "wandb", "project": "captains"}]
    ),
    "trained_tokens": FieldText("Tokens trained so far.", 1280),
    "metadata": FieldText("Estimates. Their values are null before the validation of the files.", JOB["metadata"]),
    "job_type": FieldText("`completion`, the only kind of job.", "completion"),
    "hyperparameters": FieldText("Training parameters.", JOB["hyperparameters"]),
    "repositories": FieldText("Always empty: jobs with repositories are refused.", []),
}

JOB_TEXTS: Mapping[str, SchemaText] = {
    "JobIn": SchemaText(
        "A new fine-tuning job.",
        {
            "model": FieldText(
                "Id, alias or public Mistral name of the model to train. Embedding models, fine-tuned models and "
                "architectures that cannot be trained are refused.",
                "open-mistral-7b",
            ),
            "training_files": FieldText(
                "Files with samples to learn, at least one: uploaded with the purpose `fine-tune`. A file may also be "
                "given as its id alone.",
                [{"file_id": FILE_ID, "weight": 1}],
            ),
            "validation_files": FieldText("Ids of files with samples to measure on, which are not learned.", [FILE_ID]),
            "suffix": FieldText(
                "Part of the resulting model's name: at most 18 letters, digits, dots, underscores and dashes. Null "
                "is `ponant`.",
                "captain",
            ),
            "integrations": FieldText(
                "Service that also receives the metrics. More than one is refused.",
                [{"type": "wandb", "project": "captains", "api_key": "0123456789" * 4}],
            ),
            "auto_start": FieldText(
                "True to start the job as soon as its files are validated, false to wait for Start Fine Tuning Job.",
                True,
            ),
            "invalid_sample_skip_percentage": FieldText(
                "Largest fraction of invalid lines that are skipped, from 0 to 0.5. A job with more of them fails.", 0
            ),
            "job_type": FieldText("`completion`. `classifier` is refused. Null is `completion`.", "completion"),
            "hyperparameters": FieldText("Training parameters.", HYPERPARAMETERS),
            "repositories": FieldText(
                "Repositories with samples. Refused unless empty: upload their code as files.", []
            ),
            "classifier_targets": FieldText("Targets of a classifier. Refused unless empty.", []),
        },
    ),
    "TrainingFile": SchemaText(
        "A file with samples to learn.",
        {
            "file_id": FieldText("Id of the file.", FILE_ID),
            "weight": FieldText(
                "Weight of its samples relative to those of the other files, above 0, at most 1,000,000,000.", 1
            ),
        },
    ),
    "CompletionTrainingParametersIn": SchemaText("Training parameters of a new job.", _PARAMETERS),
    "CompletionTrainingParameters": SchemaText(
        "Training parameters of a job. After the validation of its files, none of them is null.", _PARAMETERS
    ),
    "WandbIntegration": SchemaText(
        "Weights & Biases, which receives the metrics of a job. It needs the extra `wandb`.",
        {
            "type": _WANDB,
            "project": _PROJECT,
            "name": _WANDB_NAME,
            "api_key": FieldText("Key of Weights & Biases, 40 characters. No response contains it.", "0123456789" * 4),
            "run_name": _RUN_NAME,
        },
    ),
    "WandbIntegrationOut": SchemaText(
        "Weights & Biases, which receives the metrics of a job.",
        {
            "type": _WANDB,
            "project": _PROJECT,
            "name": _WANDB_NAME,
            "run_name": _RUN_NAME,
            "url": FieldText("Address of the run, if it has begun.", "https://wandb.example/captains/runs/1"),
        },
    ),
    "GithubRepositoryIn": SchemaText(
        "A repository with samples. Part of the Mistral API; this server refuses it.",
        {
            "type": FieldText("`github`, the only kind of repository.", "github"),
            "name": FieldText("Name of the repository.", "captain"),
            "owner": FieldText("Owner of the repository.", "example"),
            "ref": FieldText("Branch, tag or commit.", "main"),
            "weight": FieldText("Weight of its samples, above 0, at most 1,000,000,000.", 1),
            "token": FieldText("Token that may read it.", "ghp_example"),
        },
    ),
    "CompletionJobOut": SchemaText("A job.", _JOB),
    "CompletionDetailedJobOut": SchemaText(
        "A job with its events and checkpoints.",
        {
            **_JOB,
            "status": FieldText(_JOB["status"].text, "SUCCESS"),
            "events": FieldText("Changes of the job, the newest first.", DETAILED_JOB["events"]),
            "checkpoints": FieldText("Measurements of the training, the newest first.", DETAILED_JOB["checkpoints"]),
        },
    ),
    "JobMetadataOut": SchemaText("Estimates of a job.", _ESTIMATES),
    "LegacyJobMetadataOut": SchemaText(
        "Estimates of a job that was not created: the response to a dry run.",
        {
            **_ESTIMATES,
            "deprecated": FieldText("Always true, as in the Mistral API.", True),
            "details": FieldText("Steps, samples and skipped lines, for people.", DRY_RUN["details"]),
            "epochs": FieldText("Passes over all samples.", DRY_RUN["epochs"]),
            "training_steps": FieldText("Number of steps.", 10),
            "object": FieldText("`job.metadata`.", "job.metadata"),
        },
    ),
    "JobsOut": SchemaText(
        "A page of jobs, the newest first.",
        {
            "data": FieldText("Jobs of the page.", [JOB]),
            "object": FieldText("`list`.", "list"),
            "total": FieldText("Number of jobs on all pages.", 1),
        },
    ),
    "EventOut": SchemaText(
        "A change of a job.",
        {
            "name": FieldText("`status-updated` for a new state, or `progress` during the training.", EVENT["name"]),
            "data": FieldText(
                "The state and the error of a failure; for `progress` the step, the loss, the speed in tokens per "
                "second and the seconds that are left.",
                EVENT["data"],
            ),
            "created_at": FieldText("Time of the event, in seconds since 1970.", EVENT["created_at"]),
        },
    ),
    "CheckpointOut": SchemaText(
        "Measurements after a step.",
        {
            "metrics": FieldText("The measurements.", CHECKPOINT["metrics"]),
            "step_number": FieldText("The step, from 1.", CHECKPOINT["step_number"]),
            "created_at": FieldText("Time of the measurement, in seconds since 1970.", CHECKPOINT["created_at"]),
        },
    ),
    "MetricOut": SchemaText(
        "Measurements of a training.",
        {
            "train_loss": FieldText("Mean loss of a learned token, in nats.", 0.41),
            "valid_loss": FieldText("Mean loss of a token of the validation files, in nats.", 0.53),
            "valid_mean_token_accuracy": FieldText(
                "Fraction of the validation files' tokens that were the most likely ones, from 0 to 1.", 0.87
            ),
        },
    ),
}
