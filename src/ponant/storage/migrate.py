"""Bringing a database to the state that this version needs."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

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
    current = _current(connection)
    known = sorted(path.stem[1:5] for path in (_MIGRATIONS / "versions").glob("v*.py"))
    if current == known[-1]:
        return
    if current is not None and current not in known:
        raise StorageError(
            f"the database was made by a newer version of Ponant (its state is {current}); "
            "upgrade Ponant, or give another data_dir"
        )
    from alembic import command  # takes a third of a second, and most starts do without
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _current(connection: Connection) -> str | None:
    """The revision of the database, as Alembic keeps it; None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision
