"""Where everything is kept, and whether anything is."""

from pathlib import Path

from ponant.storage.errors import StorageError

DATABASE = "ponant.db"
"""The name of the database in the data folder."""


def has_storage(data_dir: Path, database_url: str | None = None) -> bool:
    """Whether anything may have been kept; if not, opening the storage would make an empty one."""
    return bool(database_url) or (data_dir / DATABASE).is_file()


def make_data_dir(data_dir: Path) -> None:
    """Make the data folder if need be. Raises StorageError if it cannot be made."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make data_dir {data_dir}: {error.strerror}; give another --data-dir") from None
