"""Signs of life of a process, as the operating system counts them."""

import asyncio
from pathlib import Path
from typing import Literal

Sign = Literal["moving", "still", "stopped"]

_AFTER_NAME = 3
"""Number of the first field after the command's name, in the numbering of proc(5)."""
_STATE, _MAJOR_FAULTS, _USER_TIME, _SYSTEM_TIME = 3, 12, 14, 15


class VitalSigns:
    """Signs of life of a process. Without ``/proc``, as on macOS, every process counts as moving."""

    def __init__(self, process_id: int) -> None:
        """Take the first look at a process."""
        self._file = Path(f"/proc/{process_id}/stat")
        self._has_proc = Path("/proc/self/stat").exists()
        self._counts: tuple[str, ...] = ()
        self.look()

    def look(self) -> Sign:
        """Return what the process did since the last look.

        Returns:
            ``moving`` if it used the processor, read from a disk, or is about to do so; ``stopped`` if a signal or a
            debugger has stopped it; else ``still``.
        """
        if not self._has_proc:
            return "moving"
        try:
            fields = self._file.read_text().rpartition(")")[2].split()
        except OSError:
            return "still"
        before = self._counts
        self._counts = tuple(fields[field - _AFTER_NAME] for field in (_MAJOR_FAULTS, _USER_TIME, _SYSTEM_TIME))
        state = fields[_STATE - _AFTER_NAME]
        if state in "Tt":
            return "stopped"
        return "moving" if state in "RD" or self._counts != before else "still"


async def until_still(process_id: int, seconds: float) -> None:
    """Wait until a process has not moved for some seconds."""
    signs = VitalSigns(process_id)
    looks = 4
    unmoved = 0
    while unmoved < looks:
        await asyncio.sleep(seconds / looks)
        unmoved = 0 if signs.look() == "moving" else unmoved + 1
