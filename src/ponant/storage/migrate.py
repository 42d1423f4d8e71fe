"""Migration of a database to the schema of this version."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

from ponant.storage.errors import StorageError

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x506F6E616E74  # key of Ponant's advisory lock in a PostgreSQL database


def migrate(connection: Connection) -> None:
    """Run the missing migrations, all or none.

    Args:
        connection: has a transaction that excludes those of other servers; on PostgreSQL, a lock taken here does.

    Raises:
        StorageError: a newer version of Ponant created the database.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    current = _current(connection)
    known = sorted(path.stem[1:5] for path in (_MIGRATIONS / "versions").glob("v*.py"))
    if current == known[-1]:
        return
    if current is not None and current not in known:
        raise StorageError(
            f"the database was made by a newer version of Ponant (its state is {current}); "
            "upgrade Ponant, or give another data_dir"
        )
    from alembic import command  # takes 0.3 s, and most starts need no migration
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _current(connection: Connection) -> str | None:
    """Return Alembic's revision of the database; None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
