"""Prepared weights: copies in Q8_0, which computes batches faster, stored in the data folder and verified before use.

A JSON record next to each copy stores the copy's checksum, the size and modification time of the original, and the
measurements. A copy is written under a temporary name and renamed when it is complete.
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
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.machine import default_threads
from ponant.private_files import make_folder, open_file, read_bytes, write_bytes
from ponant.processes.child_process import ChildProcess
from ponant.sizes import megabytes

logger = logging.getLogger("ponant.catalog")

Load = Literal["both", "one", "many"]

_FAST_FILE_TYPES = frozenset({"0", "1", "2", "7", "32"})
"""GGUF file types F32, F16, Q4_0, Q8_0 and BF16, whose batches llama.cpp computes fast without a copy."""
_SPARE_DISK = 256 * 2**20
_STILL_SECONDS = 60.0
"""Seconds without use of the processor or the disk after which the conversion counts as hung."""
_MANY = 16
_GAIN = 1.05
"""Least speed ratio at which a copy counts as faster. Smaller differences are measurement noise."""
_MEASURED_SECONDS = 1.0
_MEASURED_TOKENS = 256
_FIRST_STEPS = 4
"""Unmeasured steps at the start, which compute the prompt."""
_PROMPT = "It was a bright morning in the harbour, and the first boats were already coming home with"


class PreparationError(Exception):
    """The copy could not be created."""


class FileFacts(msgspec.Struct, frozen=True):
    """The identity of a file: size in bytes, modification time in nanoseconds, and SHA-256."""

    size: int
    changed: int
    sha256: str


class Speed(msgspec.Struct, frozen=True):
    """Tokens per second with one sequence, and of many sequences together."""

    one: float
    many: float


class Measurement(msgspec.Struct, frozen=True):
    """The measured speeds of the original and the copy."""

    original: Speed
    copy: Speed

    def favors_copy(self, load: Load) -> bool:
        """Return True if the copy is faster at a load."""
        one = self.copy.one >= self.original.one * _GAIN
        many = self.copy.many >= self.original.many * _GAIN
        return {"one": one, "many": many, "both": one and many}[load]


class Record(msgspec.Struct, frozen=True):
    """A model file, its copy, and the measurements by their conditions."""

    path: str
    source: FileFacts
    copy: FileFacts | None = None
    measurements: dict[str, Measurement] = {}


class Preparer:
    """Chooses the file of a model, the original or the copy, and creates the copy if necessary."""

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
        """Initialize the preparer. No file is read or written.

        Args:
            folder: folder of the copies.
            mode: ``on`` for always the copy, ``auto`` for the copy if it is faster.
            load: load at which the copy must be faster.
            threads: compute threads; None leaves them to the engine.
            parallel: most sequences that run at once.
            engine_for: creates an engine for a file, configured as for serving.
            say: prints a line for the user at the terminal.
            progress: receives the number of finished parts and of all parts.
        """
        self._folder = folder
        self._mode = mode
        self._load: Load = "one" if parallel == 1 else load
        self._threads = threads
        self._sequences = min(_MANY, parallel)
        self._engine_for = engine_for
        self._say = say
        self._progress = progress

    async def __call__(self, name: str, weights: Path, vocabulary: GGUFVocabulary) -> Path:
        """Return the file to serve. Fall back to the original on any error, and log the error."""
        try:
            return await self._choose(name, weights, vocabulary)
        except Exception as error:  # the original can always be served
            logger.warning("weights not prepared", extra={"model": name, "reason": str(error) or repr(error)})
            return weights

    async def _choose(self, name: str, path: Path, vocabulary: GGUFVocabulary) -> Path:
        if vocabulary.metadata.get("general.file_type") in _FAST_FILE_TYPES:
            return path
        if vocabulary.metadata.get("split.count", "1") not in ("0", "1"):
            raise PreparationError("the weights are split into several files")
        make_folder(self._folder)
        record = await asyncio.to_thread(self._read, path)
        if not await asyncio.to_thread(self._is_decided, record):
            async with self._locked() as lock:
                record = await asyncio.to_thread(self._read, path)  # another server may have written it
                if not await asyncio.to_thread(self._is_decided, record):
                    record = await self._decide(name, path, vocabulary, record, lock)
        return self._copy(record) if self._uses_copy(record) else path

    def _copy(self, record: Record) -> Path:
        return self._folder / f"{_name(record)}.Q8_0.gguf"

    def _uses_copy(self, record: Record) -> bool | None:
        """Return True if the copy is served; None if the measurement is missing."""
        if self._mode == "on":
            return True
        measurement = record.measurements.get(self._conditions())
        return measurement.favors_copy(self._load) if measurement else None

    def _is_decided(self, record: Record) -> bool:
        takes_copy = self._uses_copy(record)
        return takes_copy is False or (takes_copy is True and _is_whole(self._copy(record), record.copy))

    def _conditions(self) -> str:
        """Return the conditions of a measurement."""
        threads = self._threads or default_threads()
        return f"{_processor()}, {threads} threads, {self._sequences} sequences, {version('llama-cpp-python')}"

    async def _decide(self, name: str, path: Path, vocabulary: GGUFVocabulary, record: Record, lock: int) -> Record:
        """Create the copy if it is missing, measure both files if necessary, and write the record."""
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
        """Create the copy and return its identity."""
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
            async with process.killed_if_still(_STILL_SECONDS):
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
                f"not enough disk space in {self._folder}: the copy of {megabytes(size)} and a reserve of "
                f"{megabytes(_SPARE_DISK)} are needed, {megabytes(free)} are free"
            )

    async def _measure(self, name: str, path: Path, copy: Path, vocabulary: GGUFVocabulary) -> Measurement:
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
        """Hold the lock of the folder, so that only one server writes to it. Yield the lock's file descriptor."""
        with open_file(self._folder / ".lock", "w") as file:
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
        """Return the record of a model file. It is hashed only if no record has its size and modification time."""
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
        write_bytes(part, msgspec.json.format(msgspec.json.encode(record)))
        part.replace(file)


def prepared_files(folder: Path, weights: Path) -> list[Path]:
    """Return the copies of a model file and their records."""
    records = folder.glob(f"{glob.escape(weights.stem)}-*.json")
    mine = [file for file in records if (record := _decode(file)) and record.path == str(weights)]
    copies = [file.with_name(f"{file.stem}.Q8_0.gguf") for file in mine]
    return [*mine, *(copy for copy in copies if copy.is_file())]


async def _tokens_per_second(engine: Engine, prompt: list[int], sequences: int) -> float:
    """Measure the tokens per second of sequences that run at once, as the median over the steps of a short run."""
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
        raise PreparationError("the measurement has too few steps")
    return sequences * statistics.median(rates[_FIRST_STEPS:] or rates)


def _name(record: Record) -> str:
    return f"{Path(record.path).stem}-{record.source.sha256[:12]}"


def _facts(path: Path) -> FileFacts:
    state = path.stat()
    with open_file(path, "rb") as file:
        return FileFacts(state.st_size, state.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest())


def _sync(path: Path) -> FileFacts:
    """Flush a file to disk and return its identity."""
    with open_file(path, "rb") as file:
        os.fsync(file.fileno())
    return _facts(path)


def _is_whole(copy: Path, facts: FileFacts | None) -> bool:
    """Return True if a copy is unchanged. It is read only if its modification time differs."""
    if facts is None or not copy.is_file():
        return False
    state = copy.stat()
    if state.st_size != facts.size:
        return False
    return state.st_mtime_ns == facts.changed or _facts(copy).sha256 == facts.sha256


def _decode(file: Path) -> Record | None:
    """Return a record; None if it cannot be read."""
    try:
        return msgspec.json.decode(read_bytes(file), type=Record)
    except (OSError, msgspec.MsgspecError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
