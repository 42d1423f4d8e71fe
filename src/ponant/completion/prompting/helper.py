"""The helper of the server: a process that builds long prompts, and ends with a request that is cancelled."""

import asyncio
import contextlib
import functools
import signal

from ponant.completion.prompting.pipe import PromptJob, PromptSource, packed, read_answer
from ponant.completion.prompting.threads import InterruptibleThreads
from ponant.errors import EngineUnavailableError, InvalidRequestError
from ponant.processes.child_process import ChildProcess
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.request import PromptRequest

_SECONDS = 60.0
_MEMORY = 2**30
_IDLE_SECONDS = 60.0
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)
"""Exit statuses whose cause may be outside of the prompt."""


class PromptHelper:
    """Builder of long prompts, one at a time, in a process that is started by the first one."""

    def __init__(
        self, *, seconds: float = _SECONDS, memory: int = _MEMORY, idle_seconds: float = _IDLE_SECONDS
    ) -> None:
        """Build prompts.

        Args:
            seconds: most seconds of processor time of a prompt.
            memory: most bytes of memory that a prompt may take.
            idle_seconds: time without a prompt after which the process ends.
        """
        self._seconds = seconds
        self._memory = memory
        self._idle_seconds = idle_seconds
        self._lock = asyncio.Lock()
        self._process: ChildProcess | None = None
        self._ending: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def process_id(self) -> int | None:
        """Process id of the helper; None if it does not run."""
        return self._process.pid if self._process else None

    async def build(self, request: PromptRequest, source: PromptSource, threads: InterruptibleThreads) -> Prompt:
        """Build a prompt. Cancelling the call ends the process.

        Args:
            request: the prompt.
            source: the model.
            threads: threads in which the request is packed.

        Raises:
            InvalidRequestError: the prompt cannot be built, or takes too much time or memory.
            EngineUnavailableError: the process was killed twice, or the helper was closed.
        """
        frame = await threads.run(functools.partial(packed, PromptJob(source, request)))
        async with self._lock:
            self._keep()
            try:
                answer = await self._answer(frame)
            except BaseException:
                await self._end()
                raise
            if not self._closed:
                self._ending = asyncio.create_task(self._end_when_idle())
        if isinstance(answer, Prompt):
            return answer
        raise answer

    async def close(self) -> None:
        """End the process. The prompt that it builds, and those that wait, fail."""
        self._closed = True
        self._keep()
        await self._end()

    async def _answer(self, frame: bytes) -> Prompt | Exception:
        for _ in range(2):
            process = await self._running()
            try:
                with contextlib.suppress(ConnectionError):
                    process.stdin.write(frame)
                    await process.stdin.drain()
                answer: Prompt | Exception = await read_answer(process.stdout)
            except asyncio.IncompleteReadError:
                status = await process.wait()
                await self._end()
                if status not in _KILLED:
                    raise self._blame(status) from None
            else:
                return answer
        raise EngineUnavailableError("the process that builds long prompts was killed")

    def _blame(self, status: int) -> Exception:
        if status == -signal.SIGPROF:
            limit = f"longer than {self._seconds:g} s"
        elif status < 0:
            limit = f"more than {self._memory // 2**20} MB of memory"
        else:
            return RuntimeError(f"the process that builds long prompts ended with status {status}")
        return InvalidRequestError(f"The prompt takes {limit} to build: send shorter or fewer messages")

    async def _running(self) -> ChildProcess:
        if self._closed:
            raise EngineUnavailableError("the server is stopping")
        if self._process is None or self._process.has_ended:
            self._process = await ChildProcess.start(
                "ponant.completion.prompting.worker",
                str(self._seconds),
                str(self._memory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
        return self._process

    def _keep(self) -> None:
        """Do not end the process for being idle."""
        if self._ending:
            self._ending.cancel()
            self._ending = None

    async def _end_when_idle(self) -> None:
        await asyncio.sleep(self._idle_seconds)
        self._ending = None
        await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            await process.end(grace=0)
            with contextlib.suppress(ConnectionError):  # the rest of a prompt was not read
                await process.stdin.wait_closed()
