"""All that is kept, opened and closed as one."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from ponant.storage.database import Database
from ponant.storage.files import FileStore
from ponant.storage.fine_tuned import FineTunedStore
from ponant.storage.fine_tuning_jobs import FineTuningJobStore
from ponant.storage.location import DATABASE, make_data_dir
from ponant.storage.signing import Signer


@dataclass(frozen=True)
class Storage:
    """What is kept.

    Attributes:
        database: the tables.
        files: files of users.
        fine_tuning_jobs: fine-tuning jobs.
        fine_tuned: the models that those made.
        signer: signs addresses.
    """

    database: Database
    files: FileStore
    fine_tuning_jobs: FineTuningJobStore
    fine_tuned: FineTunedStore
    signer: Signer

    @classmethod
    def open(cls, data_dir: Path, database_url: str | None = None) -> "Storage":
        """Open what is kept in a folder, which is made if need be. Several servers may do so at once. Blocks.

        Args:
            data_dir: the folder.
            database_url: the database, if it is not to be a file in the folder.

        Raises:
            StorageError: it cannot be opened, or is of a newer version.
        """
        make_data_dir(data_dir)
        local = URL.create("sqlite", database=str(data_dir.absolute() / DATABASE))
        database = Database(database_url or local.render_as_string())
        try:
            return cls(
                database,
                FileStore(database, data_dir / "files"),
                FineTuningJobStore(database),
                FineTunedStore(database, data_dir / "fine_tuning"),
                Signer.open(data_dir / "secret.key"),
            )
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close it."""
        self.database.close()
