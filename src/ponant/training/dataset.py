"""Conversion of JSON Lines files to samples on disk. Memory use does not depend on the size of the file."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import numpy as np
from numpy.typing import NDArray

from ponant.private_files import check_file, make_folder, open_file, write_bytes
from ponant.training.report import BadLine, FileReport
from ponant.training.samples import BadLineError, SampleEncoder

MAX_LINE_BYTES = 4 * 2**20
"""Longest accepted line."""

MAX_REPORTED = 100
"""Number of bad lines per file that are listed, the first ones; the others are only counted."""

_CHUNK = 2**20


class InvalidDatasetError(Exception):
    """A file has too many bad lines, or no samples. The message is for users."""


def encode_file(source: Path, folder: Path, encoder: SampleEncoder, *, max_invalid: float = 0.0) -> FileReport:
    """Check a file line by line, and write its samples into an empty folder.

    Args:
        source: the JSON Lines file.
        folder: folder of the samples; created if necessary.
        encoder: encoder for the model to train.
        max_invalid: largest share of bad lines, 0 to 1. Bad lines are skipped.

    Raises:
        InvalidDatasetError: the file is refused. The folder has a ``report.json`` all the same.
    """
    if not source.is_file():
        raise InvalidDatasetError(f"the file {source.name} no longer exists. Upload it again and create a new job")
    make_folder(folder)
    lines = invalid = cut = fim = learned = 0
    bad_lines: list[BadLine] = []
    offsets = array("q", [0])
    with open_file(folder / "tokens", "wb") as tokens_file, open_file(folder / "learned", "wb") as learned_file:
        for number, line in _lines(source):
            lines += 1
            try:
                encoded = encoder.encode(_whole(line))
            except BadLineError as error:
                invalid += 1
                if len(bad_lines) < MAX_REPORTED:
                    bad_lines.append(BadLine(number, str(error)))
                continue
            cut += encoded.is_cut
            fim += encoded.kind == "fim"
            for sample in encoded.samples:
                np.array(sample.tokens, np.int32).tofile(tokens_file)
                np.array(sample.learned, np.bool_).tofile(learned_file)
                learned += sum(sample.learned)
                offsets.append(offsets[-1] + len(sample.tokens))
    write_bytes(folder / "offsets", np.array(offsets, np.int64).tobytes())
    report = FileReport(lines, len(offsets) - 1, offsets[-1], learned, cut, fim, invalid, bad_lines)
    write_bytes(folder / "report.json", msgspec.json.format(msgspec.json.encode(report)))
    _check(report, source.name, max_invalid)
    return report


@dataclass(frozen=True)
class EncodedFile:
    """Samples of a file, mapped from disk."""

    tokens: NDArray[np.int32]
    learned: NDArray[np.bool_]
    offsets: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> "EncodedFile":
        """Map the samples in a folder. Raises OSError."""
        for name in ("tokens", "learned", "offsets"):
            check_file(folder / name)
        return cls(
            np.memmap(folder / "tokens", np.int32, "r"),
            np.memmap(folder / "learned", np.bool_, "r"),
            np.fromfile(folder / "offsets", np.int64),
        )

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each sample."""
        return np.diff(self.offsets)

    def sample(self, index: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Return the tokens of a sample and the mask of its learned tokens, both of shape (tokens,)."""
        part = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.tokens[part], self.learned[part]


def _check(report: FileReport, name: str, max_invalid: float) -> None:
    if not report.lines:
        raise InvalidDatasetError(f"{name} is empty")
    if report.invalid > max_invalid * report.lines or not report.samples:
        listed = [f"line {bad.line}: {bad.reason}" for bad in report.bad_lines]
        if report.invalid > len(listed):
            listed.append(f"and {report.invalid - len(listed)} more")
        allowed = f"{report.invalid} of {report.lines} lines of {name} are invalid, {max_invalid:.0%} are allowed"
        raise InvalidDatasetError("\n".join([f"{allowed}:", *listed]))


def _whole(line: bytes | None) -> bytes:
    if line is None:
        raise BadLineError(f"longer than {MAX_LINE_BYTES // 2**20} MiB")
    return line


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines that are not blank with their numbers, from 1; None for a line that is too long."""
    with open_file(path, "rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 2):
            number += 1
            is_whole = line.endswith(b"\n") or len(line) <= MAX_LINE_BYTES
            if not is_whole:
                _skip_line(file)
            text = line.strip(b" \t\r\n")
            if number == 1:
                text = text.removeprefix(b"\xef\xbb\xbf")  # byte order mark that some editors write
            if text:
                yield number, text if is_whole and len(text) <= MAX_LINE_BYTES else None


def _skip_line(file: BinaryIO) -> None:
    while (rest := file.readline(_CHUNK)) and not rest.endswith(b"\n"):
        pass
