"""Fine-tuned models: their rows in the database, and their files in the folders of the jobs that made them."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ponant.storage.database import Database
from ponant.storage.tables import FineTunedModelRow
from ponant.storage.threads import in_thread


class FineTunedStore:
    """Fine-tuned models of a database and their files. Every method raises StorageError on failures."""

    def __init__(self, database: Database, folder: Path) -> None:
        """Use the folder ``folder``, which has one folder per job."""
        self._database = database
        self.folder = folder

    def adapter(self, model: FineTunedModelRow) -> Path:
        """Return the path of a model's adapter, in llama.cpp's GGUF format."""
        return self.folder / model.job_id / "adapter.gguf"

    def all_now(self) -> Sequence[FineTunedModelRow]:
        """Return all models, the oldest first. Blocks."""
        statement = select(FineTunedModelRow).order_by(FineTunedModelRow.number)
        return self._database.read_now(lambda session: session.scalars(statement).all())

    async def all(self) -> Sequence[FineTunedModelRow]:
        """Return all models, the oldest first."""
        return await in_thread(self.all_now)

    async def change(self, id_: str, **changes: Any) -> FineTunedModelRow | None:
        """Change columns of a model, and return it; None if no model has this id."""

        def write(session: Session) -> FineTunedModelRow | None:
            model = session.scalar(select(FineTunedModelRow).where(FineTunedModelRow.id == id_))
            if model:
                for name, value in changes.items():
                    setattr(model, name, value)
            return model

        return await self._database.write(write)

    async def delete(self, id_: str) -> None:
        """Delete a model, if there is one, and its files."""
        statement = delete(FineTunedModelRow).where(FineTunedModelRow.id == id_).returning(FineTunedModelRow.job_id)
        job_id = await self._database.free(lambda session: session.scalar(statement))
        if job_id:
            await in_thread(shutil.rmtree, self.folder / job_id, ignore_errors=True)
        await in_thread(self._database.fill_reserve)
