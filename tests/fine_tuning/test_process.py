"""Exits of the training process, as the server handles them."""

import asyncio
import sys
from pathlib import Path

from ponant.fine_tuning.process import TrainerProcess
from ponant.processes.child_process import ChildProcess
from ponant.training.events import Failed, Phase

KILLED_WHILE_TELLING = """
import os, signal
os.write(1, b'{"event": "phase", "name": "validating"}\\n{"event": "vali')
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_a_process_that_is_killed_while_it_tells_something_was_killed(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_WHILE_TELLING, stdout=asyncio.subprocess.PIPE
    )

    first, last = [event async for event in TrainerProcess(ChildProcess(process), tmp_path).events()]

    assert first == Phase("validating")
    assert isinstance(last, Failed)
    assert "was killed" in last.message
