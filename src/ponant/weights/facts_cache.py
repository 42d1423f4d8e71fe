"""The cache of the facts about model files."""

import contextlib
import os
from importlib.metadata import version
from pathlib import Path

import msgspec

from ponant._version import __version__
from ponant.private_files import make_folder, read_bytes, write_bytes
from ponant.weights.facts import Facts, read_facts
from ponant.weights.file_names import files_of


class _CachedFile(msgspec.Struct, frozen=True):
    """Facts about weights, and the size (bytes) and modification time (ns) of each of their files."""

    files: list[tuple[int, int]]
    facts: Facts


class _CachedFacts(msgspec.Struct):
    """The content of the cache: entries by path, and the versions that read the files."""

    reader: str
    entries: dict[str, _CachedFile] = {}


class FactsCache:
    """Facts about model files, read by llama.cpp and cached in a JSON file.

    llama.cpp needs 0.1 s or more per file, mostly for the vocabulary. An entry is invalid if the size or modification
    time of a file differs, or the version of Ponant or of llama.cpp's bindings. Errors of reading and writing the cache
    are ignored.
    """

    def __init__(self, file: Path) -> None:
        """Read the cache file, if it exists."""
        self._file = file
        self._content = _read(file)
        self._has_changed = False

    def facts(self, path: Path) -> Facts:
        """Return the facts about a GGUF file or, by the first file, about split weights.

        Raises:
            ModelLoadError: llama.cpp cannot read the file.
        """
        files = [(status.st_size, status.st_mtime_ns) for status in map(Path.stat, files_of(path))]
        entry = self._content.entries.get(str(path))
        if entry is None or entry.files != files:
            entry = self._content.entries[str(path)] = _CachedFile(files, read_facts(path))
            self._has_changed = True
        return entry.facts

    def save(self) -> None:
        """Write the cache if it has changed. Entries of deleted files are dropped."""
        if not self._has_changed:
            return
        kept = {path: entry for path, entry in self._content.entries.items() if Path(path).is_file()}
        content = msgspec.json.encode(_CachedFacts(self._content.reader, kept))
        part = self._file.with_name(f"{self._file.name}-{os.getpid()}")
        with contextlib.suppress(OSError):
            make_folder(self._file.parent)
            try:
                write_bytes(part, content)
                part.replace(self._file)
            finally:
                part.unlink(missing_ok=True)


def _read(file: Path) -> _CachedFacts:
    reader = _reader()
    with contextlib.suppress(OSError, RecursionError, msgspec.MsgspecError):
        content = msgspec.json.decode(read_bytes(file), type=_CachedFacts)
        if content.reader == reader:
            return content
    return _CachedFacts(reader)


def _reader() -> str:
    """Return the versions that determine the facts about a file."""
    return f"ponant {__version__}, llama-cpp-python {version('llama-cpp-python')}"
