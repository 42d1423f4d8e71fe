"""The protocol between the server and the process that builds long prompts: pickles, each after its length."""

import asyncio
import pickle
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ponant.prompts.request import PromptRequest

_HEADER = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class PromptSource:
    """The files from which the prompt builders of a model are made; attributes as for ``build_prompts``."""

    name: str
    weights: Path
    context: int
    tokenizer: Path | None


@dataclass(frozen=True, slots=True)
class PromptJob:
    """A prompt to build for a model."""

    source: PromptSource
    request: PromptRequest


def packed(value: Any) -> bytes:
    """Return the frame of a value."""
    body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return _HEADER.pack(len(body)) + body


async def read_answer(pipe: asyncio.StreamReader) -> Any:
    """Read a value. Raises asyncio.IncompleteReadError if the pipe ends before."""
    (size,) = _HEADER.unpack(await pipe.readexactly(_HEADER.size))
    return pickle.loads(await pipe.readexactly(size))  # noqa: S301 - from a process of this server


def read_job(pipe: IO[bytes]) -> PromptJob | None:
    """Read a job; None at the end of the pipe."""
    header = pipe.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    body = pipe.read(*_HEADER.unpack(header))
    job: PromptJob = pickle.loads(body)  # noqa: S301 - from the server
    return job
