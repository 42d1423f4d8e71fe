"""The tables. To add one, or a column: change this file, and add a migration (see ``migrations/versions``)."""

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
    """All tables. Constraints have names, so that migrations can change them in every database."""

    metadata = MetaData(naming_convention=_NAMES)


class NumberedRow(Base):
    """A row with a ``number`` that counts up in the order in which rows are added."""

    __abstract__ = True

    number: Mapped[int] = mapped_column(primary_key=True)


class JobRow(NumberedRow):
    """A job of any kind.

    Attributes:
        id: a UUID.
        status: as the API has it.
        created_at, modified_at: seconds since the epoch.
    """

    __abstract__ = True

    id: Mapped[str] = mapped_column(String(36), unique=True)
    status: Mapped[str] = mapped_column(String(32), index=True)
    created_at: Mapped[int] = mapped_column(BigInteger)
    modified_at: Mapped[int] = mapped_column(BigInteger)


class FileRow(NumberedRow):
    """A file that is kept; its content is a blob with the same id.

    Attributes:
        id: a UUID.
        filename: what its sender called it; never a name on this disk.
        purpose, sample_type, source, visibility: as the API has them.
        mimetype: its media type.
        size: bytes of its content.
        num_lines: lines of its content, where it is made of lines.
        sha256: of its content, in hexadecimal.
        created_at: seconds since the epoch.
        expires_at: seconds since the epoch from which on it is gone; None if it stays.
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
    """A job that trains a model.

    Attributes:
        model: what the request called the model to be trained.
        base: the id of that model.
        auto_start: whether it is run as soon as its files are validated.
        training_files: ids of files and their weights.
        validation_files: ids of files.
        hyperparameters, integrations, plan: as the API has them, the last as ``metadata``; keys are not among them.
        suffix: a part of the new model's name.
        invalid_sample_skip_percentage: share of bad lines that are skipped.
        wandb_project, wandb_name: of the integration, where there is one.
        fine_tuned_model: the id of the model that it made.
        trained_tokens: tokens that it learned from.
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
    """Something that happened to a job, in seconds since the epoch."""

    __tablename__ = "fine_tuning_events"

    job_id: Mapped[str] = mapped_column(ForeignKey("fine_tuning_jobs.id"), index=True)
    name: Mapped[str] = mapped_column(Text)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[int] = mapped_column(BigInteger)


class FineTuningCheckpointRow(Base):
    """What a job had reached after a step. Losses are means per learned token, in nats."""

    __tablename__ = "fine_tuning_checkpoints"

    job_id: Mapped[str] = mapped_column(ForeignKey("fine_tuning_jobs.id"), primary_key=True)
    step_number: Mapped[int] = mapped_column(primary_key=True)
    train_loss: Mapped[float | None]
    valid_loss: Mapped[float | None]
    valid_mean_token_accuracy: Mapped[float | None]
    created_at: Mapped[int] = mapped_column(BigInteger)


class FineTunedModelRow(NumberedRow):
    """A model that a job made.

    Attributes:
        id: ``ft:<base>:<suffix>:<date>:<id>``.
        job_id: the job.
        base: the id of the model that it was made from.
        root: what the job called that one.
        name, description: what its owner calls it.
        archived: whether it answers nothing for the time being.
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
