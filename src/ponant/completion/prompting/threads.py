"""Threads whose work can be interrupted."""

import asyncio
import contextlib
import ctypes
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ponant.errors import EngineUnavailableError

T = TypeVar("T")

_MOST = 2
"""Threads of a model. They hold the interpreter's lock most of the time."""
_INTERVAL = 0.02
"""Seconds between two attempts to interrupt a thread: code in a callback of C may swallow the exception."""
_CLOSE_SECONDS = 1.0
"""Longest wait for the end of interrupted threads when they are closed."""
_STOPPING = "the server is stopping"


class _Interrupt(SystemExit):
    """Interruption of a thread, which code that handles ``Exception`` does not catch."""


_Job = Callable[[], None]


class InterruptibleThreads:
    """Threads for work that may have no end.

    Cancelling a call interrupts its work: an exception is raised in the thread, at its next instruction of Python. Its
    place is free when the thread has ended. The threads end with the process; nothing waits for them.
    """

    def __init__(self, most: int = _MOST) -> None:
        """Run up to ``most`` calls at a time; further ones wait in order."""
        self._places = asyncio.Semaphore(most)
        self._idle: list[_Worker] = []
        self._interrupting: set[asyncio.Task[None]] = set()
        self._running: set[asyncio.Future[Any]] = set()
        self._closed = asyncio.Event()

    @property
    def interrupting(self) -> int:
        """Number of interrupted threads that have not ended yet."""
        return len(self._interrupting)

    async def run(self, work: Callable[[], T], *, seconds: float | None = None) -> T:
        """Call ``work`` in a thread; return its result, or raise its exception.

        Args:
            work: the work.
            seconds: longest time from its start to its end; None for no limit.

        Raises:
            TimeoutError: it took longer.
            EngineUnavailableError: the threads were closed.
        """
        await self._places.acquire()
        if self._closed.is_set():
            self._places.release()
            raise EngineUnavailableError(_STOPPING)
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._running.add(done)
        worker = self._idle.pop() if self._idle else _Worker()
        worker.start(_settling(work, done))
        try:
            async with asyncio.timeout(seconds):
                return await done
        finally:
            self._running.discard(done)
            if self._closed.is_set() or done.cancelled():
                task = asyncio.create_task(self._interrupt(worker))
                self._interrupting.add(task)
                task.add_done_callback(self._interrupting.discard)
            else:
                self._idle.append(worker)
                self._places.release()

    async def close(self) -> None:
        """End the idle threads, and interrupt the others, whose calls fail."""
        self._closed.set()
        while self._idle:
            self._idle.pop().end()
        for done in self._running:
            if not done.done():
                done.set_exception(EngineUnavailableError(_STOPPING))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                while self._running or self._interrupting:  # noqa: ASYNC110 - as in _interrupt
                    await asyncio.sleep(_INTERVAL)

    async def _interrupt(self, worker: "_Worker") -> None:
        try:
            while worker.interrupt():  # noqa: ASYNC110 - a thread sets no event when it is interrupted
                await asyncio.sleep(_INTERVAL)
        finally:
            self._places.release()


class _Worker:
    """A thread that runs one job after another, until it is ended or interrupted."""

    def __init__(self) -> None:
        self._jobs = queue.SimpleQueue[_Job | None]()
        self._thread = threading.Thread(target=self._run, name="prompts", daemon=True)
        self._thread.start()

    def start(self, job: _Job) -> None:
        self._jobs.put(job)

    def end(self) -> None:
        """End the thread after its job."""
        self._jobs.put(None)

    def interrupt(self) -> bool:
        """End the thread at its next instruction of Python. Returns False if it has ended."""
        self.end()
        if self._thread.is_alive() and self._thread.ident:
            interrupt, thread = ctypes.pythonapi.PyThreadState_SetAsyncExc, ctypes.c_ulong(self._thread.ident)
            interrupt(thread, ctypes.py_object(_Interrupt))
        return self._thread.is_alive()

    def _run(self) -> None:
        with contextlib.suppress(_Interrupt):
            while True:
                job = self._jobs.get()
                if job is None:
                    return
                job()
                del job  # it holds the request


def _settling(work: Callable[[], T], done: "asyncio.Future[T]") -> _Job:
    """Return a job that calls ``work`` and settles the future with its result, on the future's event loop."""
    loop = done.get_loop()

    def settle(set_outcome: Callable[[Any], None], outcome: Any) -> None:
        if not done.done():
            set_outcome(outcome)

    def job() -> None:
        try:
            result = work()
        except Exception as error:
            outcome: tuple[Callable[[Any], None], Any] = done.set_exception, error
        else:
            outcome = done.set_result, result
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, *outcome)

    return job
