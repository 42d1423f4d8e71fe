"""Bringing a database to the state that this version needs."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from ponant.storage.errors import StorageError

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x506F6E616E74  # a number of Ponant's own among the advisory locks of a PostgreSQL database


def migrate(connection: Connection) -> None:
    """Run the migrations that are missing, all or none.

    Args:
        connection: is in a transaction that no other server's can overlap, or on PostgreSQL, where it is made so here.

    Raises:
        StorageError: the database is newer than this version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return
    if current is not None and current not in {known.revision for known in script.walk_revisions()}:
        raise StorageError(
            f"the database was made by a newer version of Ponant (its state is {current}); "
            "upgrade Ponant, or give another data_dir"
        )
    command.upgrade(config, "head")
