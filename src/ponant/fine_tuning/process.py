"""The process that trains, as the server sees it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from ponant.processes.child_process import ChildProcess
from ponant.training.events import Done, Event, Failed, Stopped, Validated

_MAX_EVENT_BYTES = 2**24
_STOP_SECONDS = 15.0
"""What the process gets to end in good order: a step, and the writing of a checkpoint."""
_LOG = "trainer.log"

_decoder = msgspec.json.Decoder(Event)


class TrainerProcess:
    """A training process at work in a folder; see ``ponant.training.worker``."""

    def __init__(self, process: ChildProcess, folder: Path) -> None:
        """Of ``start``."""
        self._process = process
        self._folder = folder
        self._is_stopped = False

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, folder: Path, *, nice: int, dry_run: bool = False) -> AsyncIterator["TrainerProcess"]:
        """A process that works on the run of a folder, for as long as the block lasts.

        Args:
            folder: with the description of the run.
            nice: how low its priority is, from 0, that of this process, to 19.
            dry_run: whether it only looks at the dataset.
        """
        options = ["--dry-run"] if dry_run else []
        with (folder / _LOG).open("ab") as log:
            process = await ChildProcess.start(
                "ponant.training.worker",
                str(folder),
                *options,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                environment=os.environ | {"PYTHONUNBUFFERED": "1"},
                line_limit=_MAX_EVENT_BYTES,
            )
        process.lower_priority(nice)
        trainer = cls(process, folder)
        try:
            yield trainer
        finally:
            reading = asyncio.ensure_future(process.stdout.read())  # or else a full pipe would keep it from ending
            await asyncio.shield(asyncio.ensure_future(trainer.stop()))
            reading.cancel()

    async def events(self) -> AsyncIterator[Event]:
        """What it tells. The last event is one that ends it, even if the process itself did not come to tell it."""
        last: Event | None = None
        while (line := await self._process.stdout.readline()).endswith(
            b"\n"
        ):  # or else it was killed while it told something
            last = _decoder.decode(line)
            yield last
        code = await self._process.wait()
        if not isinstance(last, Done | Failed | Stopped | Validated):
            yield Stopped(0) if self._is_stopped else Failed("died", await asyncio.to_thread(self._reason, code))

    async def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """End the process: in good order, or by force if that takes longer."""
        self._is_stopped = True
        await self._process.end(grace=seconds, terminate=True)

    def _reason(self, code: int) -> str:
        """How the process died, and what helps."""
        if -code == signal.SIGKILL:
            return (
                "the training process was killed, most likely because the machine ran out of memory: lower seq_len, "
                "train a smaller model, or let less run beside it"
            )
        with (self._folder / _LOG).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
            words = log.read().decode("utf-8", "replace").strip().splitlines()
        name = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return f"the training process ended {name}" + (f"; its last words: {words[-1]}" if words else "")
