"""The files, jobs and models of the documented ids, as they are before each program."""

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import delete
from sqlalchemy.orm import Session

from ponant.catalog.catalog import Catalog
from ponant.fine_tuning.registry import ModelRegistry
from ponant.server.document.examples.files import DATASET
from ponant.storage.lazy import LazyStorage
from ponant.storage.tables import (
    Base,
    FileRow,
    FineTunedModelRow,
    FineTuningCheckpointRow,
    FineTuningEventRow,
    FineTuningJobRow,
)

CONTENT = DATASET.encode()
"""Content of the stored file, and of the file that programs upload."""
_TABLES: tuple[type[Base], ...] = (
    FineTunedModelRow,
    FineTuningCheckpointRow,
    FineTuningEventRow,
    FineTuningJobRow,
    FileRow,
)
"""Tables in an order in which their rows can be deleted."""


@dataclass
class Shelf:
    """A server's files, jobs and fine-tuned models.

    Attributes:
        storage: the stores.
        catalog: the models.
        folder: folder of all data.
    """

    storage: LazyStorage
    catalog: Catalog
    folder: Path
    base: str = field(init=False)

    def __post_init__(self) -> None:
        self.base = self.catalog.models[0].spec.id

    async def fill(self, *, file: str, job: str, status: str, model: str, archived: bool) -> None:
        """Replace all rows by a file, a job in a state, and a fine-tuned model, with these ids."""
        storage = await self.storage.open()
        rows = [self._file(file), self._job(job, file, status), self._model(model, job, archived=archived)]

        def write(session: Session) -> None:
            for table in _TABLES:
                session.execute(delete(table))
            for row in rows:
                session.add(row)
                session.flush()

        await storage.database.write(write)
        (self.folder / "files" / file).write_bytes(CONTENT)
        adapter = storage.fine_tuned.adapter(rows[2])  # type: ignore[arg-type]
        adapter.parent.mkdir(parents=True, exist_ok=True)
        adapter.write_bytes(b"")
        await ModelRegistry(self.catalog, self.storage).sync()

    def _file(self, id_: str) -> FileRow:
        return FileRow(
            id=id_,
            filename="capitals.jsonl",
            purpose="fine-tune",
            sample_type="instruct",
            source="upload",
            visibility="workspace",
            mimetype="application/jsonl",
            size=len(CONTENT),
            num_lines=CONTENT.count(b"\n"),
            sha256=hashlib.sha256(CONTENT).hexdigest(),
            created_at=int(time.time()),
        )

    def _job(self, id_: str, file: str, status: str) -> FineTuningJobRow:
        given: dict[str, Any] = {"training_steps": 10, "learning_rate": 0.0001}
        return FineTuningJobRow(
            id=id_,
            status=status,
            created_at=int(time.time()),
            modified_at=int(time.time()),
            model=self.base,
            base=self.base,
            auto_start=False,
            training_files=[{"file_id": file, "weight": 1.0}],
            validation_files=[],
            hyperparameters=given,
            integrations=[],
            plan=None,
            invalid_sample_skip_percentage=0.0,
        )

    def _model(self, id_: str, job: str, *, archived: bool) -> FineTunedModelRow:
        return FineTunedModelRow(
            id=id_, job_id=job, created_at=int(time.time()), base=self.base, root=self.base, archived=archived
        )
