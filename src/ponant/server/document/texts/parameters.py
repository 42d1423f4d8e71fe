"""Texts of the parameters in paths and queries."""

from ponant.server.document.examples.files import FILE_ID
from ponant.server.document.examples.fine_tuning import FINE_TUNED, JOB_ID
from ponant.server.document.texts.field_text import FieldText, FieldTexts

_PAGE: FieldTexts = {
    "page": FieldText("Number of the page, from 0. Out of bounds it is refused with a 400.", 0),
    "page_size": FieldText("Most items of the page, from 1 to 1,000. Out of bounds it is refused with a 400.", 100),
}

ANY_MODEL: FieldTexts = {
    "model_id": FieldText("Id, alias or public Mistral name of the model. It may have slashes.", "smollm2")
}
FINE_TUNED_MODEL: FieldTexts = {"model_id": FieldText("Id of the fine-tuned model. It may have slashes.", FINE_TUNED)}
FILE: FieldTexts = {"file_id": FieldText("Id of the file, a UUID.", FILE_ID)}
JOB: FieldTexts = {"job_id": FieldText("Id of the job, a UUID.", JOB_ID)}

MODELS: FieldTexts = {
    "provider": FieldText("Return only the models of this organization (`owned_by`).", "HuggingFaceTB"),
    "model": FieldText("Return only the model with this id or alias.", "smollm2"),
}
FILES: FieldTexts = {
    **_PAGE,
    "include_total": FieldText("True to return the number of files on all pages.", True),
    "sample_type": FieldText("Return only files with samples of these kinds; repeatable.", ["instruct"]),
    "source": FieldText("Return only files of these origins; repeatable. All files have `upload`.", ["upload"]),
    "search": FieldText("Return only files whose name contains this text; case does not matter.", "capitals"),
    "purpose": FieldText("Return only files with this purpose.", "fine-tune"),
    "mimetypes": FieldText("Return only files of these media types; repeatable.", ["application/jsonl"]),
}
EXPIRY: FieldTexts = {
    "expiry": FieldText(
        "Hours for which the address is valid, from 1 to 168. Out of bounds it is refused with a 400.", 24
    )
}
JOBS: FieldTexts = {
    **_PAGE,
    "model": FieldText("Return only jobs of this model, as named in their requests.", "open-mistral-7b"),
    "created_after": FieldText(
        "Return only jobs created after this date and time (ISO 8601; UTC without an offset). Numbers are refused.",
        "2026-11-01T00:00:00Z",
    ),
    "created_before": FieldText(
        "Return only jobs created before this date and time (ISO 8601; UTC without an offset). Numbers are refused.",
        "2026-12-01T00:00:00Z",
    ),
    "created_by_me": FieldText("Accepted without effect: every key of this server sees every job.", False),
    "status": FieldText("Return only jobs in this state.", "SUCCESS"),
    "wandb_project": FieldText("Return only jobs with this project of Weights & Biases.", "captains"),
    "wandb_name": FieldText("Return only jobs with this name of their run in Weights & Biases.", "captain-1"),
    "suffix": FieldText("Return only jobs with this suffix.", "captain"),
}
DRY_RUN: FieldTexts = {
    "dry_run": FieldText("True to check the files and estimate the duration without creating a job.", True, False)
}
