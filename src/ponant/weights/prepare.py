"""Copies of weights in a format that computes batches fast: made once, kept in the data directory, checked before use.

Beside each copy lies a record, which knows it by its checksum, the file it was made from by size and time of change,
and what was measured. A copy is written under a temporary name and gets its own when it is complete.
"""

import asyncio
import contextlib
import fcntl
import glob
import hashlib
import logging
import os
import platform
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import msgspec

from ponant.engine.base import Engine, GenerateRequest
from ponant.llamacpp.vocabulary import Vocabulary
from ponant.machine import default_threads
from ponant.processes.child_process import ChildProcess
from ponant.sizes import megabytes

logger = logging.getLogger("ponant.catalog")

Load = Literal["both", "one", "many"]

_FAST_FILE_TYPES = frozenset({"0", "1", "2", "7", "32"})
"""GGUF's numbers of F32, F16, Q4_0, Q8_0 and BF16: what llama.cpp computes batches of fast as it is."""
_SPARE_DISK = 256 * 2**20
_MANY = 16
_GAIN = 1.05
"""How many times as fast a copy must be to count as faster: less is within what measurements differ by."""
_MEASURED_SECONDS = 1.0
_MEASURED_TOKENS = 256
_FIRST_STEPS = 4
"""Steps in which the prompt is computed and the sequences start; they are not measured."""
_PROMPT = "It was a bright morning in the harbour, and the first boats were already coming home with"


class PreparationError(Exception):
    """A copy could not be made."""


class FileFacts(msgspec.Struct, frozen=True):
    """By what a file is known: size in bytes, time of change in nanoseconds, SHA-256 of its content."""

    size: int
    changed: int
    sha256: str


class Speed(msgspec.Struct, frozen=True):
    """Tokens per second with one sequence, and of all together with many."""

    one: float
    many: float


class Measurement(msgspec.Struct, frozen=True):
    """How fast the original and the copy were."""

    original: Speed
    copy: Speed

    def favors_copy(self, load: Load) -> bool:
        """Whether the copy is faster at the load that counts."""
        one = self.copy.one >= self.original.one * _GAIN
        many = self.copy.many >= self.original.many * _GAIN
        return {"one": one, "many": many, "both": one and many}[load]


class Record(msgspec.Struct, frozen=True):
    """What is known of a model file and its copy. Measurements go by what they were taken under."""

    path: str
    source: FileFacts
    copy: FileFacts | None = None
    measurements: dict[str, Measurement] = {}


class Preparer:
    """Decides which file a model is served from, and makes the copy where that is to be one."""

    def __init__(
        self,
        folder: Path,
        *,
        mode: Literal["auto", "on"],
        load: Load,
        threads: int | None,
        parallel: int,
        engine_for: Callable[[Path], Engine],
        say: Callable[[str], None],
        progress: Callable[[int, int], None],
    ) -> None:
        """Nothing is read or written yet.

        Args:
            folder: where copies are kept.
            mode: whether a copy is taken always, or when it is faster.
            load: at which load it must be faster.
            threads: how many threads compute; None leaves it to the engine.
            parallel: how many sequences run at once at the most.
            engine_for: makes an engine for a file, as it will be served.
            say: gets the lines that a person at the terminal should read.
            progress: gets how many of how many parts are done.
        """
        self._folder = folder
        self._mode = mode
        self._load: Load = "one" if parallel == 1 else load
        self._threads = threads
        self._sequences = min(_MANY, parallel)
        self._engine_for = engine_for
        self._say = say
        self._progress = progress

    async def __call__(self, name: str, weights: Path, vocabulary: Vocabulary) -> Path:
        """The file to serve a model from. Where there can be no copy, the log says why, and it is the original."""
        try:
            return await self._choose(name, weights, vocabulary)
        except Exception as error:  # whatever it is, the original can be served
            logger.warning("weights not prepared", extra={"model": name, "reason": str(error) or repr(error)})
            return weights

    async def _choose(self, name: str, path: Path, vocabulary: Vocabulary) -> Path:
        if vocabulary.metadata.get("general.file_type") in _FAST_FILE_TYPES:
            return path
        if vocabulary.metadata.get("split.count", "1") not in ("0", "1"):
            raise PreparationError("it is split into several files")
        self._folder.mkdir(parents=True, exist_ok=True)
        record = await asyncio.to_thread(self._read, path)
        if not await asyncio.to_thread(self._is_decided, record):
            async with self._locked() as lock:
                record = await asyncio.to_thread(self._read, path)  # another server may have seen to it
                if not await asyncio.to_thread(self._is_decided, record):
                    record = await self._decide(name, path, vocabulary, record, lock)
        return self._copy(record) if self._uses_copy(record) else path

    def _copy(self, record: Record) -> Path:
        return self._folder / f"{_name(record)}.Q8_0.gguf"

    def _uses_copy(self, record: Record) -> bool | None:
        """Whether the copy is to be served; None when that has not been measured yet."""
        if self._mode == "on":
            return True
        measurement = record.measurements.get(self._conditions())
        return measurement.favors_copy(self._load) if measurement else None

    def _is_decided(self, record: Record) -> bool:
        takes_copy = self._uses_copy(record)
        return takes_copy is False or (takes_copy is True and _is_whole(self._copy(record), record.copy))

    def _conditions(self) -> str:
        """What a measurement depends on."""
        threads = self._threads or default_threads()
        return f"{_processor()}, {threads} threads, {self._sequences} sequences, {version('llama-cpp-python')}"

    async def _decide(self, name: str, path: Path, vocabulary: Vocabulary, record: Record, lock: int) -> Record:
        """Make the copy if it is not there, measure both if that is to decide, and keep what is taken."""
        for leftover in self._folder.glob("*.part"):
            leftover.unlink(missing_ok=True)
        copy = self._copy(record)
        part = copy.with_name(f"{copy.name}.part")
        try:
            made = None
            if not await asyncio.to_thread(_is_whole, copy, record.copy):
                if copy.exists():
                    self._say(f"The prepared copy of {name} is damaged")
                made = await self._make(name, path, part, lock)
            if self._uses_copy(record) is None:
                measurement = await self._measure(name, path, part if made else copy, vocabulary)
                measurements = {**record.measurements, self._conditions(): measurement}
                record = msgspec.structs.replace(record, measurements=measurements)
            if made and self._uses_copy(record):
                part.replace(copy)
                record = msgspec.structs.replace(record, copy=made)
            self._write(record)
        finally:
            part.unlink(missing_ok=True)
        return record

    async def _make(self, name: str, path: Path, part: Path, lock: int) -> FileFacts:
        """Write the copy to disk."""
        self._say(f"Preparing {name}: a copy of its weights in Q8_0")
        began = time.monotonic()
        await self._requantize(path, part, lock)
        facts = await asyncio.to_thread(_sync, part)
        self._say(f"Prepared {name} in {time.monotonic() - began:.1f} s ({megabytes(facts.size)})")
        return facts

    async def _requantize(self, path: Path, part: Path, lock: int) -> None:
        process = await ChildProcess.start(
            "ponant.llamacpp.requantize",
            str(path),
            str(part),
            str(self._threads or 0),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=[lock],  # the folder stays locked as long as anyone may write to it
        )
        last = ""
        try:
            async for line in process.stdout:
                match line.decode("utf-8", "replace").split():
                    case ["size", size]:
                        self._check_room(int(size))
                    case ["done", done, total]:
                        self._progress(int(done), int(total))
                    case words:
                        last = " ".join(words)
            status = await process.wait()
        finally:
            await process.end(grace=0)
        if status:
            raise PreparationError(last or f"llama.cpp ended with status {status}")

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self._folder).free
        if free < size + _SPARE_DISK:
            raise PreparationError(
                f"no room in {self._folder}: the copy takes {megabytes(size)} and {megabytes(_SPARE_DISK)} are to "
                f"spare, {megabytes(free)} are free"
            )

    async def _measure(self, name: str, path: Path, copy: Path, vocabulary: Vocabulary) -> Measurement:
        self._say(f"Measuring {name} and its copy")
        prompt = vocabulary.tokenize(_PROMPT, control=False)
        found = Measurement(await self._speed(path, prompt), await self._speed(copy, prompt))
        taken = "copy" if found.favors_copy(self._load) else "original"
        self._say(
            f"Measured {name} in tokens/s, original and copy: {found.original.one:.0f} and {found.copy.one:.0f} "
            f"with 1 sequence, {found.original.many:.0f} and {found.copy.many:.0f} with {self._sequences}; "
            f"serving the {taken}"
        )
        return found

    async def _speed(self, path: Path, prompt: list[int]) -> Speed:
        engine = self._engine_for(path)
        try:
            await engine.start()
            return Speed(await _tokens_per_second(engine, prompt, 1), await _tokens_per_second(engine, prompt, _MANY))
        finally:
            await engine.stop()

    @contextlib.asynccontextmanager
    async def _locked(self) -> AsyncIterator[int]:
        """Hold the lock of the folder, whose file descriptor this is: one server at a time writes there."""
        with (self._folder / ".lock").open("w") as file:
            waits = False
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if not waits:
                        self._say("Waiting for another server that prepares weights")
                    waits = True
                await asyncio.sleep(0.1)
            yield file.fileno()

    def _read(self, path: Path) -> Record:
        """The record of a model file, which is hashed only if none knows it by size and time of change."""
        state = path.stat()
        for file in self._folder.glob(f"{glob.escape(path.stem)}-*.json"):
            record = _decode(file)
            if record and (record.path, record.source.size, record.source.changed) == (
                str(path),
                state.st_size,
                state.st_mtime_ns,
            ):
                return record
        record = Record(str(path), _facts(path))
        known = _decode(self._folder / f"{_name(record)}.json")
        return msgspec.structs.replace(known, path=record.path, source=record.source) if known else record

    def _write(self, record: Record) -> None:
        file = self._folder / f"{_name(record)}.json"
        part = file.with_name(f"{file.name}.part")
        part.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
        part.replace(file)


def prepared_files(folder: Path, weights: Path) -> list[Path]:
    """What is kept in the folder of a model file: the copies made of it, and their records."""
    records = folder.glob(f"{glob.escape(weights.stem)}-*.json")
    mine = [file for file in records if (record := _decode(file)) and record.path == str(weights)]
    copies = [file.with_name(f"{file.stem}.Q8_0.gguf") for file in mine]
    return [*mine, *(copy for copy in copies if copy.is_file())]


async def _tokens_per_second(engine: Engine, prompt: list[int], sequences: int) -> float:
    """How fast so many sequences are together, or as many as run at once: by the median of a short run's steps."""
    sequences = min(sequences, engine.limits.parallel)
    length = min(_MEASURED_TOKENS, engine.limits.context - len(prompt))
    seeds = list(range(sequences))
    generation = engine.generate(GenerateRequest(prompt, seeds, max_tokens=length, min_tokens=length))
    rates: list[float] = []
    began = before = time.perf_counter()
    async for delta in generation:
        if delta.choice != 0:
            continue
        now = time.perf_counter()
        rates.append(len(delta.tokens) / max(now - before, 1e-6))
        before = now
        if now - began > _MEASURED_SECONDS and len(rates) > 2 * _FIRST_STEPS:
            break
    generation.cancel()
    if not rates:
        raise PreparationError("nothing could be measured")
    return sequences * statistics.median(rates[_FIRST_STEPS:] or rates)


def _name(record: Record) -> str:
    return f"{Path(record.path).stem}-{record.source.sha256[:12]}"


def _facts(path: Path) -> FileFacts:
    state = path.stat()
    with path.open("rb") as file:
        return FileFacts(state.st_size, state.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest())


def _sync(path: Path) -> FileFacts:
    """See to it that the file is on disk, and read it back."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return _facts(path)


def _is_whole(copy: Path, facts: FileFacts | None) -> bool:
    """Whether a copy is as it was made. It is read only if its time of change is another one."""
    if facts is None or not copy.is_file():
        return False
    state = copy.stat()
    if state.st_size != facts.size:
        return False
    return state.st_mtime_ns == facts.changed or _facts(copy).sha256 == facts.sha256


def _decode(file: Path) -> Record | None:
    """A record; None if there is none that can be read."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
