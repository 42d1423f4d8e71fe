"""Reports on fine-tuning jobs, which are additions to the Mistral API: a verdict on the files, and the losses."""

from typing import Literal

from pydantic import Field

from ponant.api.base import ResponseModel


class BadLineOut(ResponseModel):
    """An invalid line of a dataset."""

    line: int = Field(description="Number of the line, from 1.", examples=[3])
    reason: str = Field(description="Reason why it cannot be learned.", examples=["not a JSON object"])


class FileVerdict(ResponseModel):
    """Verdict on a dataset file. The numbers are null if the check ended before the file."""

    file_id: str = Field(description="Id of the file.")
    kind: Literal["training", "validation"] = Field(description="Use of the file.")
    lines: int | None = Field(default=None, description="Lines that are not blank.")
    samples: int | None = Field(default=None, description="Samples of all lines.")
    tokens: int | None = Field(default=None, description="Tokens of all samples.")
    learned_tokens: int | None = Field(default=None, description="Tokens that contribute to the loss.")
    cut: int | None = Field(default=None, description="Conversations whose end exceeds `seq_len`.")
    fim: int | None = Field(default=None, description="Lines for fill-in-the-middle.")
    invalid: int | None = Field(default=None, description="Invalid lines.")
    bad_lines: list[BadLineOut] | None = Field(default=None, description="The first 100 invalid lines with reasons.")


class PlanOut(ResponseModel):
    """Size and duration of a job."""

    steps: int = Field(description="Steps of the training.")
    epochs: float = Field(description="Passes over all samples.")
    data_tokens: int = Field(description="Tokens of the training files.")
    train_tokens: int = Field(description="Most tokens of all steps.")
    expected_duration_seconds: int | None = Field(default=None, description="Estimated duration in seconds.")


class JobVerdict(ResponseModel):
    """Verdict on the files of a job that was not created."""

    object: Literal["fine_tuning.verdict"] = "fine_tuning.verdict"
    accepted: bool = Field(description="True if a job with these files would be trained.")
    message: str | None = Field(default=None, description="Reason of a refusal.")
    files: list[FileVerdict] = Field(description="Verdicts on the files, in the order of the job.")
    plan: PlanOut | None = Field(default=None, description="Size and duration of the job; null if it is refused.")


class JobMetrics(ResponseModel):
    """History of a job's losses."""

    object: Literal["fine_tuning.metrics"] = "fine_tuning.metrics"
    job_id: str = Field(description="Id of the job.")
    every: int = Field(description="Distance of the steps that are listed: long histories are thinned.", examples=[1])
    train: list[tuple[int, float]] = Field(
        description="Pairs of a step and its training loss, a mean per learned token in nats.", examples=[[[1, 2.4]]]
    )
    validation: list[tuple[int, float, float | None]] = Field(
        description="Triples of a step, the validation loss after it, and the share of tokens that were predicted.",
        examples=[[[3, 1.9, 0.55]]],
    )
