"""A module of Ponant in a child process."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Self

from ponant.processes import launch
from ponant.processes.environment import without_secrets
from ponant.processes.lifeline import lifeline
from ponant.processes.vital_signs import until_still

_DEVNULL = asyncio.subprocess.DEVNULL


class ChildProcess:
    """A child process that runs a module, in a session of its own. Its owner ends it with ``end``.

    It is killed when this process ends, however that ends (see ``launch``). It inherits no secrets of the environment.
    Workers, the schema checker, the trainer and the preparation of weights all start and end this way. ``-m`` is used
    instead of multiprocessing, whose spawn runs the user's script again; ``-P`` keeps the working directory out of the
    child's import path.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Wrap a process that ``start`` has made."""
        self._process = process

    @classmethod
    async def start(
        cls,
        module: str,
        *arguments: str,
        stdin: int = _DEVNULL,
        stdout: int = _DEVNULL,
        stderr: int | IO[bytes] | None = None,
        pass_fds: Collection[int] = (),
        environment: Mapping[str, str] | None = None,
        line_limit: int = 2**16,
    ) -> Self:
        """Start ``python -P -m MODULE ARGUMENTS``, by way of ``launch``.

        Args:
            module: dotted name of the module.
            arguments: command line.
            stdin: as for ``subprocess``; nothing by default.
            stdout: as for ``subprocess``; nothing by default.
            stderr: as for ``subprocess``; that of this process by default.
            pass_fds: file descriptors that the child inherits.
            environment: the child's environment; that of this process by default. Secrets in it are not passed on.
            line_limit: longest line of standard output, in bytes.

        Raises:
            OSError: the process cannot be started.
        """
        watched = None if launch.KERNEL_WATCHES else lifeline()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "ponant.processes.launch",
            str(os.getpid()),
            str(-1 if watched is None else watched),
            module,
            *arguments,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=[*pass_fds, *([] if watched is None else [watched])],
            env=without_secrets(os.environ if environment is None else environment),
            limit=line_limit,
            start_new_session=True,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """True if the process has ended and its exit status was collected."""
        return self._process.returncode is not None

    @property
    def stdin(self) -> asyncio.StreamWriter:
        """Pipe to the child; it must have been started with one."""
        assert self._process.stdin
        return self._process.stdin

    @property
    def stdout(self) -> asyncio.StreamReader:
        """Pipe from the child; it must have been started with one."""
        assert self._process.stdout
        return self._process.stdout

    def lower_priority(self, nice: int) -> None:
        """Lower the child's priority, where the system allows it.

        Linux may divide time among sessions before processes, so the session's own niceness is set as well.
        """
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self.pid, os.nice(0) + nice)
        with contextlib.suppress(OSError):
            Path(f"/proc/{self.pid}/autogroup").write_text(str(nice))

    @contextlib.asynccontextmanager
    async def killed_if_still(self, seconds: float) -> AsyncIterator[asyncio.Event]:
        """Kill the child if it neither uses the processor nor a disk for some seconds of the block.

        Yields an event that is set if it is killed.
        """
        killed = asyncio.Event()

        async def watch() -> None:
            await until_still(self.pid, seconds)
            killed.set()
            self._signal(self._process.kill)

        watcher = asyncio.create_task(watch())
        try:
            yield killed
        finally:
            watcher.cancel()

    async def wait(self) -> int:
        """Wait for the end; returns the exit status, negative for a signal."""
        return await self._process.wait()

    async def end(self, *, grace: float, terminate: bool = False) -> int:
        """Close the child's standard input, wait for its end, and kill it if that takes too long.

        Args:
            grace: seconds to wait before the kill.
            terminate: send SIGTERM first.

        Returns:
            The exit status, negative for a signal.
        """
        if self._process.stdin:
            self._process.stdin.close()
        if terminate:
            self._signal(self._process.terminate)
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            self._signal(self._process.kill)
            return await self.wait()

    def _signal(self, send: Callable[[], None]) -> None:
        if not self.has_ended:
            with contextlib.suppress(ProcessLookupError):
                send()
