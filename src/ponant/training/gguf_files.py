"""Reading base models from GGUF files, and writing new files."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf

from ponant.training.errors import ExportError
from ponant.training.support import check_base


def read_base(base: Path) -> Any:
    """Return a reader of a base model. Raises ExportError if adapters for the model cannot be exported."""
    try:
        reader = gguf.GGUFReader(base)
    except FileNotFoundError:
        raise ExportError(f"there is no file {base}") from None
    except (ValueError, IndexError, KeyError) as error:
        raise ExportError(f"{base} is not a GGUF file that can be read: {error}") from None
    split = reader.get_field("split.count")
    check_base(base, text_of(reader, "general.architecture"), split.contents() if split else 1)
    return reader


def text_of(reader: Any, key: str) -> str:
    """Return a text of the metadata; empty if the key is missing."""
    field = reader.get_field(key)
    return str(field.contents()) if field else ""


@contextlib.contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Yield a path to write to. The file replaces the target if the block succeeds."""
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
