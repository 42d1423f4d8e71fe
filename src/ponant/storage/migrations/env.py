"""Entry point of Alembic: runs the migrations in the transaction of ``ponant.storage.migrate``."""

from alembic import context

from ponant.storage.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
