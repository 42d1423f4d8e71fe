"""Texts of the parameters in paths and queries."""

from ponant.server.document.examples.files import FILE_ID
from ponant.server.document.examples.fine_tuning import FINE_TUNED, JOB_ID
from ponant.server.document.texts.field_text import FieldText, FieldTexts

_PAGE: FieldTexts = {
    "page": FieldText("Page number, starting at 0. Values out of range are refused with a 400.", 0),
    "page_size": FieldText(
        "Maximum number of items per page, from 1 to 1,000. Values out of range are refused with a 400.", 100
    ),
}

ANY_MODEL: FieldTexts = {
    "model_id": FieldText(
        "Id or alias of the model, or the public Mistral name that stands for it. It may contain slashes.", "smollm2"
    )
}
FINE_TUNED_MODEL: FieldTexts = {
    "model_id": FieldText("Id of the fine-tuned model. It may contain slashes.", FINE_TUNED)
}
FILE: FieldTexts = {"file_id": FieldText("Id of the file, a UUID.", FILE_ID)}
JOB: FieldTexts = {"job_id": FieldText("Id of the job, a UUID.", JOB_ID)}

MODELS: FieldTexts = {
    "provider": FieldText("Return only models owned by this organization (`owned_by`).", "HuggingFaceTB"),
    "model": FieldText("Return only the model with this id or alias.", "smollm2"),
}
FILES: FieldTexts = {
    **_PAGE,
    "include_total": FieldText("True to include the total number of files in the response.", True),
    "sample_type": FieldText(
        "Return only files with these types of samples. Repeat the parameter for several types.", ["instruct"]
    ),
    "source": FieldText(
        "Return only files from these sources. Repeat the parameter for several sources. The source of every file is "
        "`upload`.",
        ["upload"],
    ),
    "search": FieldText("Return only files whose name contains this text, ignoring case.", "capitals"),
    "purpose": FieldText("Return only files with this purpose.", "fine-tune"),
    "mimetypes": FieldText(
        "Return only files with these media types. Repeat the parameter for several types.", ["application/jsonl"]
    ),
}
EXPIRY: FieldTexts = {
    "expiry": FieldText(
        "Number of hours for which the address is valid, from 1 to 168. Values out of range are refused with a 400.", 24
    )
}
JOBS: FieldTexts = {
    **_PAGE,
    "model": FieldText("Return only jobs that train this model, by the name in their requests.", "open-mistral-7b"),
    "created_after": FieldText(
        "Return only jobs created after this date and time (ISO 8601; UTC without an offset). Numbers are refused.",
        "2026-11-01T00:00:00Z",
    ),
    "created_before": FieldText(
        "Return only jobs created before this date and time (ISO 8601; UTC without an offset). Numbers are refused.",
        "2026-12-01T00:00:00Z",
    ),
    "created_by_me": FieldText("Accepted without effect: every key of this server sees every job.", False),
    "status": FieldText("Return only jobs with this status.", "SUCCESS"),
    "wandb_project": FieldText("Return only jobs that report to this Weights & Biases project.", "captains"),
    "wandb_name": FieldText("Return only jobs with this run name in Weights & Biases.", "captain-1"),
    "suffix": FieldText("Return only jobs with this suffix.", "captain"),
}
DRY_RUN: FieldTexts = {
    "dry_run": FieldText("True to check the files and estimate the duration without creating a job.", True, False)
}
