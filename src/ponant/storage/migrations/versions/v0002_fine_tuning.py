"""Fine-tuning jobs, their events and checkpoints, and fine-tuned models."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "fine_tuning_jobs",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("auto_start", sa.Boolean(), nullable=False),
        sa.Column("training_files", sa.JSON(), nullable=False),
        sa.Column("validation_files", sa.JSON(), nullable=False),
        sa.Column("hyperparameters", sa.JSON(), nullable=False),
        sa.Column("integrations", sa.JSON(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=True),
        sa.Column("suffix", sa.Text(), nullable=True),
        sa.Column("invalid_sample_skip_percentage", sa.Double(), nullable=False),
        sa.Column("wandb_project", sa.Text(), nullable=True),
        sa.Column("wandb_name", sa.Text(), nullable=True),
        sa.Column("fine_tuned_model", sa.Text(), nullable=True),
        sa.Column("trained_tokens", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("modified_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_fine_tuning_jobs")),
        sa.UniqueConstraint("id", name=op.f("uq_fine_tuning_jobs_id")),
    )
    op.create_index(op.f("ix_fine_tuning_jobs_status"), "fine_tuning_jobs", ["status"])
    op.create_table(
        "fine_tuning_events",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_fine_tuning_events")),
        sa.ForeignKeyConstraint(["job_id"], ["fine_tuning_jobs.id"], name=op.f("fk_fine_tuning_events_job_id")),
    )
    op.create_index(op.f("ix_fine_tuning_events_job_id"), "fine_tuning_events", ["job_id"])
    op.create_table(
        "fine_tuning_checkpoints",
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("step_number", sa.Integer(), nullable=False),
        sa.Column("train_loss", sa.Double(), nullable=True),
        sa.Column("valid_loss", sa.Double(), nullable=True),
        sa.Column("valid_mean_token_accuracy", sa.Double(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("job_id", "step_number", name=op.f("pk_fine_tuning_checkpoints")),
        sa.ForeignKeyConstraint(["job_id"], ["fine_tuning_jobs.id"], name=op.f("fk_fine_tuning_checkpoints_job_id")),
    )
    op.create_table(
        "fine_tuned_models",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("job_id", sa.String(36), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("root", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_fine_tuned_models")),
        sa.UniqueConstraint("id", name=op.f("uq_fine_tuned_models_id")),
        sa.ForeignKeyConstraint(["job_id"], ["fine_tuning_jobs.id"], name=op.f("fk_fine_tuned_models_job_id")),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("fine_tuned_models", "fine_tuning_checkpoints", "fine_tuning_events", "fine_tuning_jobs"):
        op.drop_table(table)
