"""All stores of a data folder."""

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
    """The stores of a data folder.

    Attributes:
        database: the tables.
        files: uploaded files.
        fine_tuning_jobs: fine-tuning jobs.
        fine_tuned: models that these jobs made.
        signer: signs download addresses.
    """

    database: Database
    files: FileStore
    fine_tuning_jobs: FineTuningJobStore
    fine_tuned: FineTunedStore
    signer: Signer

    @classmethod
    def open(cls, data_dir: Path, database_url: str | None = None) -> "Storage":
        """Open the stores of a folder; create it if necessary. Several servers can share a folder. Blocks.

        Args:
            data_dir: the folder.
            database_url: URL of the database; None for a file in the folder.

        Raises:
            StorageError: the database cannot be opened, or a newer version of Ponant created it.
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
        """Close the database."""
        self.database.close()
