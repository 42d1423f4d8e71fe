"""The training process, seen from the server."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from ponant.fine_tuning.runs import TRAINER_LOG
from ponant.private_files import open_file
from ponant.processes.child_process import ChildProcess
from ponant.processes.temporary_folder import TemporaryFolder
from ponant.training.events import Done, Event, Failed, Stopped, Validated

_MAX_EVENT_BYTES = 2**24
_STOP_SECONDS = 15.0
"""Time for an orderly end: one step, and writing a checkpoint."""
STILL_SECONDS = 120.0
"""Time without use of the processor or a disk after which a process is hung. It may wait for a network that long."""
HUNG = "hung"
"""Error of a process that was killed because it was hung."""

_decoder = msgspec.json.Decoder(Event)


class TrainerProcess:
    """A training process that works in a folder; see ``ponant.training.worker``."""

    def __init__(self, process: ChildProcess, folder: Path) -> None:
        """Wrap a process; see ``start``."""
        self._process = process
        self._folder = folder
        self._is_stopped = False

    @classmethod
    @contextlib.asynccontextmanager
    async def start(cls, folder: Path, *, nice: int, dry_run: bool = False) -> AsyncIterator["TrainerProcess"]:
        """Run a process for the duration of the block.

        Args:
            folder: folder with the description of the run.
            nice: value by which the priority is lowered, 0 to 19.
            dry_run: validate the dataset only.

        Temporary files of the process and its libraries are in a folder that is removed with it.
        """
        options = ["--dry-run"] if dry_run else []
        with await asyncio.to_thread(TemporaryFolder) as temporary:
            with open_file(folder / TRAINER_LOG, "ab") as log:
                process = await ChildProcess.start(
                    "ponant.training.worker",
                    str(folder),
                    *options,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    environment=os.environ | {"PYTHONUNBUFFERED": "1", "TMPDIR": str(temporary.path)},
                    line_limit=_MAX_EVENT_BYTES,
                )
            process.lower_priority(nice)
            trainer = cls(process, folder)
            try:
                yield trainer
            finally:
                reading = asyncio.ensure_future(process.stdout.read())  # a full pipe would block its end
                await asyncio.shield(asyncio.ensure_future(trainer.stop()))
                reading.cancel()

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events of the process. The last one is final, even if the process died without it."""
        last: Event | None = None
        async with self._process.killed_if_still(STILL_SECONDS) as hung:
            # An incomplete line is the last one of a process that was killed.
            while (line := await self._process.stdout.readline()).endswith(b"\n"):
                last = _decoder.decode(line)
                yield last
            code = await self._process.wait()
        if hung.is_set():
            yield Failed(HUNG, f"the training process did nothing for {STILL_SECONDS:g} s and was ended")
        elif not isinstance(last, Done | Failed | Stopped | Validated):
            yield Stopped(0) if self._is_stopped else Failed("died", await asyncio.to_thread(self._reason, code))

    async def stop(self, seconds: float = _STOP_SECONDS) -> None:
        """Terminate the process; kill it after a number of seconds."""
        self._is_stopped = True
        await self._process.end(grace=seconds, terminate=True)

    def _reason(self, code: int) -> str:
        """Return the reason of a failure without a last event, and advice."""
        if -code == signal.SIGKILL:
            return (
                "the training process was killed, probably because the machine ran out of memory. Lower seq_len, "
                "train a smaller model, or stop other programs"
            )
        with open_file(self._folder / TRAINER_LOG, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 2000))
            words = log.read().decode("utf-8", "replace").strip().splitlines()
        name = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        return f"the training process ended {name}" + (f"; its last output: {words[-1]}" if words else "")
