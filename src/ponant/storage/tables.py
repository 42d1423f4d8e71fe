"""Tables of the database. Every change needs a migration (see ``migrations/versions``)."""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all tables. Constraints have names, which migrations need to change them."""

    metadata = MetaData(naming_convention=_NAMES)


class NumberedRow(Base):
    """A row with a ``number`` that increases in the order of insertion."""

    __abstract__ = True

    number: Mapped[int] = mapped_column(primary_key=True)


class JobRow(NumberedRow):
    """A job of any kind.

    Attributes:
        id: a UUID.
        status: state, as in the API.
        created_at, modified_at: seconds since the epoch.
    """

    __abstract__ = True

    id: Mapped[str] = mapped_column(String(36), unique=True)
    status: Mapped[str] = mapped_column(String(32), index=True)
    created_at: Mapped[int] = mapped_column(BigInteger)
    modified_at: Mapped[int] = mapped_column(BigInteger)


class FileRow(NumberedRow):
    """A file. Its content is the blob with the same id.

    Attributes:
        id: a UUID.
        filename: name given by the client; never used as a path.
        purpose, sample_type, source, visibility: as in the API.
        mimetype: media type.
        size: bytes of the content.
        num_lines: lines of the content, for JSON Lines.
        sha256: digest of the content, in hexadecimal.
        created_at: seconds since the epoch.
        expires_at: seconds since the epoch; None if the file does not expire.
    """

    __tablename__ = "files"

    id: Mapped[str] = mapped_column(String(36), unique=True)
    filename: Mapped[str] = mapped_column(Text)
    purpose: Mapped[str] = mapped_column(String(32))
    sample_type: Mapped[str] = mapped_column(String(32))
    source: Mapped[str] = mapped_column(String(32))
    visibility: Mapped[str] = mapped_column(String(32))
    mimetype: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    num_lines: Mapped[int | None] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int | None] = mapped_column(BigInteger)


class FineTuningJobRow(JobRow):
    """A fine-tuning job.

    Attributes:
        model: name of the base model in the request.
        base: id of the base model.
        auto_start: True if training starts as soon as the files are validated.
        training_files: ids and weights of the files.
        validation_files: ids of the files.
        hyperparameters, integrations, plan: as in the API (``plan`` is ``metadata``), without API keys.
        suffix: part of the new model's id.
        invalid_sample_skip_percentage: share of invalid lines that are skipped.
        wandb_project, wandb_name: project and name of the run at Weights & Biases.
        fine_tuned_model: id of the resulting model.
        trained_tokens: tokens of all training steps.
    """

    __tablename__ = "fine_tuning_jobs"

    model: Mapped[str] = mapped_column(Text)
    base: Mapped[str] = mapped_column(Text)
    auto_start: Mapped[bool]
    training_files: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    validation_files: Mapped[list[str]] = mapped_column(JSON)
    hyperparameters: Mapped[dict[str, Any]] = mapped_column(JSON)
    integrations: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    plan: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    suffix: Mapped[str | None] = mapped_column(Text)
    invalid_sample_skip_percentage: Mapped[float]
    wandb_project: Mapped[str | None] = mapped_column(Text)
    wandb_name: Mapped[str | None] = mapped_column(Text)
    fine_tuned_model: Mapped[str | None] = mapped_column(Text)
    trained_tokens: Mapped[int | None] = mapped_column(BigInteger)


class FineTuningEventRow(NumberedRow):
    """An event of a job. ``created_at`` is in seconds since the epoch."""

    __tablename__ = "fine_tuning_events"

    job_id: Mapped[str] = mapped_column(ForeignKey("fine_tuning_jobs.id"), index=True)
    name: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[int] = mapped_column(BigInteger)


class FineTuningCheckpointRow(Base):
    """Metrics of a job after a step. Losses are means per learned token, in nats."""

    __tablename__ = "fine_tuning_checkpoints"

    job_id: Mapped[str] = mapped_column(ForeignKey("fine_tuning_jobs.id"), primary_key=True)
    step_number: Mapped[int] = mapped_column(primary_key=True)
    train_loss: Mapped[float | None]
    valid_loss: Mapped[float | None]
    valid_mean_token_accuracy: Mapped[float | None]
    created_at: Mapped[int] = mapped_column(BigInteger)


class FineTunedModelRow(NumberedRow):
    """A fine-tuned model.

    Attributes:
        id: ``ft:<base>:<suffix>:<date>:<id>``.
        job_id: id of the job that made it.
        base: id of the base model.
        root: name of the base model in the job.
        name, description: set by users.
        archived: True if the model refuses requests.
        created_at: seconds since the epoch.
    """

    __tablename__ = "fine_tuned_models"

    id: Mapped[str] = mapped_column(Text, unique=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("fine_tuning_jobs.id"))
    base: Mapped[str] = mapped_column(Text)
    root: Mapped[str] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    archived: Mapped[bool]
    created_at: Mapped[int] = mapped_column(BigInteger)
