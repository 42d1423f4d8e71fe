"""A cache of the facts about model files, in a file of its own."""

import contextlib
import tempfile
from importlib.util import find_spec
from pathlib import Path

import msgspec

from ponant.weights.facts import Facts, read_facts
from ponant.weights.file_names import files_of


class _CachedFile(msgspec.Struct, frozen=True):
    """Facts about the weights whose files had these sizes (bytes) and times of change (ns)."""

    files: list[tuple[int, int]]
    facts: Facts


class _CachedFacts(msgspec.Struct):
    """The entries by the paths of the weights, and the build of llama.cpp that read them."""

    reader: int
    entries: dict[str, _CachedFile] = {}


class FactsCache:
    """Facts about model files, as llama.cpp reads them.

    llama.cpp takes 0.1 s or more to read a file, most of it for the vocabulary. Facts are read again when the size or
    the time of change of a file is another one, or llama.cpp is. Without access to the cache, all are read.
    """

    def __init__(self, file: Path) -> None:
        """Read the cache from its file, if there is one."""
        self._file = file
        self._content = _read(file)
        self._has_changed = False

    def facts(self, path: Path) -> Facts:
        """Return the facts about a GGUF file, or about split weights by their first one.

        Raises:
            ModelLoadError: llama.cpp cannot read it.
        """
        files = [(status.st_size, status.st_mtime_ns) for status in map(Path.stat, files_of(path))]
        entry = self._content.entries.get(str(path))
        if entry is None or entry.files != files:
            entry = self._content.entries[str(path)] = _CachedFile(files, read_facts(path))
            self._has_changed = True
        return entry.facts

    def save(self) -> None:
        """Write the cache if it has changed, without files that are gone."""
        if not self._has_changed:
            return
        kept = {path: entry for path, entry in self._content.entries.items() if Path(path).is_file()}
        content = msgspec.json.encode(_CachedFacts(self._content.reader, kept))
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._file.parent, prefix=".facts-", delete=False) as file:
                file.write(content)
            Path(file.name).replace(self._file)


def _read(file: Path) -> _CachedFacts:
    reader = _reader()
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        content = msgspec.json.decode(file.read_bytes(), type=_CachedFacts)
        if content.reader == reader:
            return content
    return _CachedFacts(reader)


def _reader() -> int:
    """Return the time at which llama.cpp's bindings were installed, in ns."""
    package = find_spec("llama_cpp")
    return Path(package.origin).stat().st_mtime_ns if package and package.origin else 0
