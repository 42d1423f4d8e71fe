"""Checker of JSON schemas: compiles them in a worker process before an engine gets them.

The compilation of a schema may need unbounded time or memory, so the worker process has limits on both. Results are
cached.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import signal
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ponant.errors import InvalidRequestError
from ponant.processes.child_process import ChildProcess
from ponant.prompts.json_schema.document import Path, UnusableSchemaError
from ponant.prompts.json_schema.relaxation import EXPRESSIONS, KEYWORDS, places_of, without
from ponant.prompts.json_schema.rules import NamedSchema

logger = logging.getLogger("ponant.schemas")

_LARGEST = 256 * 2**10
"""Largest total size of a request's schemas, in bytes of JSON."""
_DEEPEST = 64
_MEMORY = 256 * 2**20
_REMEMBERED = 1024
_STILL_SECONDS = 4.0
"""Seconds without use of the processor after which the process counts as hung during a job."""
_KILLED = (-signal.SIGKILL, -signal.SIGTERM)
"""Exit statuses whose cause may be outside of the schemas."""
_MOST_NAMED = 20
"""Number of keywords that a warning names."""
_RELAXED = (EXPRESSIONS, KEYWORDS)
"""Keywords without which a schema that is not strict is tried again, after the process died for the nth time."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """A fault of a schema, and its path in the schema."""

    reason: str
    path: str = ""


@dataclass(frozen=True, slots=True)
class _Usable:
    """A schema that can be used without some keywords. Paths lead to these."""

    without: tuple[Path, ...] = ()


_Result = _Fault | _Usable


@dataclass(frozen=True, slots=True)
class _Job:
    """A schema to check.

    Attributes:
        schema: the schema as sent.
        text: JSON text of the schema, without the keywords in ``without``.
        digest: SHA-256 digest of the text as sent and of the strictness.
        without: paths of the keywords that are left out of the text.
    """

    schema: NamedSchema
    text: bytes
    digest: bytes
    without: tuple[Path, ...] = ()


class _ProcessDiedError(Exception):
    """The process ended with this status during a job."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class SchemaChecker:
    """Checker of JSON schemas."""

    def __init__(self, *, seconds: float = 1.0, memory: int = _MEMORY, remembered: int = _REMEMBERED) -> None:
        """Check schemas. The first one starts the process.

        Args:
            seconds: most seconds that the schemas of a request may take together, without the wait for other requests.
            memory: most bytes of memory that the check may take.
            remembered: number of schemas whose results are cached.
        """
        self._seconds = seconds
        self._memory = memory
        self._remembered = remembered
        self._known: OrderedDict[bytes, _Result] = OrderedDict()
        self._lock = asyncio.Lock()
        self._process: ChildProcess | None = None
        self._closed = False

    @property
    def process_id(self) -> int | None:
        """Process id of the worker; None if it does not run."""
        return self._process.pid if self._process else None

    async def check(self, schemas: Sequence[NamedSchema]) -> list[dict[str, Any]]:
        """Check the schemas of a request.

        Returns:
            The schemas to use. Those that are not strict lack the keywords that make them too complex.

        Raises:
            InvalidRequestError: a schema cannot be used. ``param`` is its field; the message begins with the path of
                the fault.
        """
        if not schemas:
            return []
        jobs = await asyncio.to_thread(_jobs, schemas)
        known = self._recall(jobs)
        if any(job.digest not in known for job in jobs):
            async with self._lock:
                known = await self._try(jobs)
        usable: list[dict[str, Any]] = []
        for job in jobs:
            result = known[job.digest]
            if isinstance(result, _Fault):
                raise _error(job.schema, result)
            usable.append(without(job.schema.schema, result.without))
        return usable

    async def close(self) -> None:
        """End the process. No further checks are possible."""
        async with self._lock:
            self._closed = True
            await self._end()

    def _recall(self, jobs: list[_Job]) -> dict[bytes, _Result]:
        """Return the cached results of schemas."""
        for job in jobs:
            if job.digest in self._known:
                self._known.move_to_end(job.digest)
        return {job.digest: self._known[job.digest] for job in jobs if job.digest in self._known}

    def _remember(self, job: _Job, result: _Result) -> _Result:
        self._known[job.digest] = result
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return result

    async def _try(self, jobs: list[_Job]) -> dict[bytes, _Result]:
        """Return the results of schemas after all are checked. Raises InvalidRequestError."""
        if self._closed:
            raise RuntimeError("schemas are not checked any more")
        known = self._recall(jobs)
        todo = list({job.digest: job for job in jobs if job.digest not in known}.values())
        killed = hurried = False
        relaxed = iter(_RELAXED)
        while todo:
            first = todo[0]
            try:
                await self._work(todo, known)
            except _ProcessDiedError as death:
                await self._end()
                if death.status >= 0:
                    raise RuntimeError(f"the process that checks schemas ended with status {death.status}") from death
                if death.status in _KILLED and not killed:
                    killed = True
                    continue
                alone = todo[0] is first
                if todo[0].schema.strict:
                    raise self._blame(todo[0], death.status, alone=alone) from death
                if not (alone or hurried):
                    hurried = True
                    continue
                keywords = next(relaxed, None)
                simpler = [_relaxed(job, keywords) for job in todo] if keywords else todo
                if simpler[0].text == todo[0].text:
                    raise self._blame(todo[0], death.status, alone=alone) from death
                todo = simpler
        return known

    async def _work(self, todo: list[_Job], known: dict[bytes, _Result]) -> None:
        """Send schemas to the process, and remove each from the list when its result arrives."""
        try:
            process = await self._running()
            with contextlib.suppress(ConnectionError):
                pairs = (b"[%b,%b]" % (job.text, b"true" if job.schema.strict else b"false") for job in todo)
                process.stdin.write(b"[" + b",".join(pairs) + b"]\n")
                await process.stdin.drain()
            async with process.killed_if_still(_STILL_SECONDS):
                while todo:
                    answer = await process.stdout.readline()
                    if not answer.endswith(b"\n"):
                        raise _ProcessDiedError(await process.wait())
                    known[todo[0].digest] = self._remember(todo[0], _read(answer, todo[0]))
                    del todo[0]
        except asyncio.CancelledError:
            await self._end(at_once=True)
            raise

    def _blame(self, job: _Job, status: int, *, alone: bool) -> InvalidRequestError:
        """Return the error of the schema during whose check the process died."""
        if status == -signal.SIGALRM and not alone:
            what = f"the schemas of the request take longer than {self._seconds:g} s to compile"
            return _error(job.schema, _Fault(what))
        if status == -signal.SIGALRM:
            fault = _Fault(f"it takes longer than {self._seconds:g} s to compile")
        elif status == -signal.SIGSEGV:
            fault = _Fault("it takes too many references or alternatives within each other to compile")
        else:
            fault = _Fault(f"it takes more than {self._memory // 2**20} MB of memory to compile")
        self._remember(job, fault)
        return _error(job.schema, fault)

    async def _running(self) -> ChildProcess:
        if self._process is None or self._process.has_ended:
            self._process = await ChildProcess.start(
                "ponant.completion.schemas.worker",
                str(self._seconds),
                str(self._memory),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
        return self._process

    async def _end(self, *, at_once: bool = False) -> None:
        """Close the pipe, which ends the process, and wait for the end."""
        process, self._process = self._process, None
        if process:
            await process.end(grace=0 if at_once else 1)


def _jobs(schemas: Sequence[NamedSchema]) -> list[_Job]:
    """Return schemas as jobs. Raises InvalidRequestError if a schema is too large, too deep or not JSON."""
    left = _LARGEST
    jobs = []
    for named in schemas:
        fault = _shape_fault(named.schema, left)
        if fault is None:
            try:
                text = json.dumps(named.schema, ensure_ascii=False, allow_nan=False).encode()
            except ValueError:
                fault = _Fault("it has numbers or characters that JSON has not")
            else:
                left -= len(text)
                if left >= 0:
                    jobs.append(_Job(named, text, hashlib.sha256(b"%d %b" % (named.strict, text)).digest()))
                    continue
        size = f"the schemas of a request may have {_LARGEST // 2**10} kB of JSON together"
        raise _error(named, fault or _Fault(f"it is too large: {size}"))
    return jobs


def _shape_fault(schema: dict[str, Any], left: int) -> _Fault | None:
    """Return the fault of a schema that is too deep or too large. Nothing beyond the limits is visited."""
    todo: list[tuple[Any, int]] = [(schema, 1)]
    while todo and left >= 0:
        value, depth = todo.pop()
        left -= 2
        if not isinstance(value, dict | list):
            left -= len(value) if isinstance(value, str) else 0
            continue
        if depth > _DEEPEST:
            return _Fault(f"it is nested more than {_DEEPEST} levels deep")
        left -= len(value)
        if isinstance(value, dict):
            left -= sum(map(len, value))
        if left >= 0:
            todo.extend((part, depth + 1) for part in (value.values() if isinstance(value, dict) else value))
    return None


def _relaxed(job: _Job, keywords: Sequence[str]) -> _Job:
    """Return the job to check a schema without some keywords, unless it is strict."""
    if job.schema.strict:
        return job
    try:
        paths = places_of(job.schema.schema, keywords)
    except UnusableSchemaError:  # the check reports it
        return job
    text = json.dumps(without(job.schema.schema, paths), ensure_ascii=False).encode()
    return replace(job, text=text, without=tuple(paths))


def _read(answer: bytes, job: _Job) -> _Result:
    found = json.loads(answer) or {"left_out": [], "without": []}
    if "reason" in found:
        if error := found.get("error"):
            logger.error("schema check failed", extra={"error": error})
        return _Fault(found["reason"], found["path"])
    left_out = ["".join(f".{step}" for step in path) for path in job.without[:_MOST_NAMED]] + found["left_out"]
    if left_out:
        names = " ".join(f"{job.schema.where}{path}" for path in left_out[:_MOST_NAMED])
        logger.warning("keywords of a schema cannot be enforced and are left to the prompt", extra={"keywords": names})
    return _Usable((*job.without, *map(tuple, found["without"])))


def _error(named: NamedSchema, fault: _Fault) -> InvalidRequestError:
    return InvalidRequestError(f"{named.where}{fault.path}: {fault.reason}", param=named.where)
