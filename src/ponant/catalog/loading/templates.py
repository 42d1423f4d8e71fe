"""Checks of chat templates before their models are served."""

import asyncio
import contextlib
import hashlib
import json
import signal
from importlib.metadata import version
from pathlib import Path

from ponant._version import __version__
from ponant.errors import ModelLoadError
from ponant.private_files import make_folder, write_bytes
from ponant.processes.child_process import ChildProcess
from ponant.prompts.chat.templates import always_ends
from ponant.prompts.vocabulary import Vocabulary

TOO_LARGE = 3
"""Exit status of the process that tries a template which makes too much."""

_SECONDS = 5.0
_MEMORY = 256 * 2**20
_LONGEST_WAIT = 120.0
"""Longest time of a check in seconds, on a machine that is busy."""


class TemplateChecker:
    """Checker of chat templates, which may have no end, or make more than the memory holds.

    A template is tried with typical conversations in a process with limits. Templates that pass are remembered, in
    files of a folder.
    """

    def __init__(self, folder: Path, *, seconds: float = _SECONDS, memory: int = _MEMORY) -> None:
        """Check templates.

        Args:
            folder: folder of the results; it need not exist.
            seconds: most seconds of processor time of a template.
            memory: most bytes of memory that a template may take.
        """
        self._folder = folder
        self._seconds = seconds
        self._memory = memory

    async def check(self, model: str, vocabulary: Vocabulary) -> None:
        """Check the template of a model. Raises ModelLoadError."""
        source = vocabulary.metadata.get("tokenizer.chat_template", "")
        if always_ends(source):
            return
        texts = {"bos": vocabulary.text(vocabulary.bos), "eos": vocabulary.text(vocabulary.eos)}
        arguments = json.dumps({"source": source, **texts}).encode()
        versions = f"ponant {__version__}, jinja2 {version('jinja2')}"
        passed = self._folder / hashlib.sha256(versions.encode() + arguments).hexdigest()
        if await asyncio.to_thread(passed.exists):
            return
        if fault := await self._fault(arguments):
            raise ModelLoadError(f"the chat template of {model} {fault}; use another file of this model")
        await asyncio.to_thread(_note, passed)

    async def _fault(self, arguments: bytes) -> str | None:
        """Return the reason why a template cannot be used; None if it can."""
        process = await ChildProcess.start(
            "ponant.catalog.loading.template_worker",
            str(self._seconds),
            str(self._memory),
            stdin=asyncio.subprocess.PIPE,
        )
        try:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(arguments)
                await process.stdin.drain()
            process.stdin.close()
            async with asyncio.timeout(_LONGEST_WAIT):
                status = await process.wait()
        except TimeoutError:
            return f"takes longer than {_LONGEST_WAIT:g} s for short conversations"
        finally:
            await process.end(grace=0)
        if status == -signal.SIGPROF:
            return f"takes longer than {self._seconds:g} s of processor time for short conversations"
        if status == TOO_LARGE:
            return "makes texts, lists or numbers that are too large for short conversations"
        return f"cannot be rendered: the process that tries it ended with status {status}" if status else None


def _note(passed: Path) -> None:
    with contextlib.suppress(OSError):
        make_folder(passed.parent)
        write_bytes(passed, b"")
