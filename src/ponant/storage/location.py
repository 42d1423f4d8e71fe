"""The data folder."""

from pathlib import Path

from ponant.storage.errors import StorageError

DATABASE = "ponant.db"
"""File name of the database in the data folder."""


def has_storage(data_dir: Path, database_url: str | None = None) -> bool:
    """Return True if a database exists. Opening the storage creates one otherwise."""
    return bool(database_url) or (data_dir / DATABASE).is_file()


def make_data_dir(data_dir: Path) -> None:
    """Create the data folder if necessary. Raises StorageError."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make data_dir {data_dir}: {error.strerror}; give another --data-dir") from None
