"""The data folder."""

from pathlib import Path

from ponant.private_files import make_folder, make_private
from ponant.storage.errors import StorageError

DATABASE = "ponant.db"
"""File name of the database in the data folder."""
_OWN = frozenset(
    {
        *(DATABASE + suffix for suffix in ("", "-wal", "-shm", "-journal", "-reserve")),
        "chat-history",
        "files",
        "fine_tuning",
        "models",
        "prepared",
        "secret.key",
    }
)
"""Names of files and folders of Ponant in the data folder."""


def has_storage(data_dir: Path, database_url: str | None = None) -> bool:
    """Return True if a database exists. Opening the storage creates one otherwise."""
    return bool(database_url) or (data_dir / DATABASE).is_file()


def make_data_dir(data_dir: Path) -> None:
    """Create the data folder if necessary, and make its content private. Raises StorageError.

    The folder itself is made private too, unless it has files that are not Ponant's.
    """
    try:
        make_folder(data_dir)
        names = {path.name for path in data_dir.iterdir()}
    except OSError as error:
        raise StorageError(f"cannot make data_dir {data_dir}: {error.strerror}; give another --data-dir") from None
    if names <= _OWN:
        make_private(data_dir)
        return
    for name in names & _OWN:
        if not (data_dir / name).is_symlink():
            make_private(data_dir / name)
