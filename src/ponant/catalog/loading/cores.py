"""Assignment of workers to processor cores."""

import contextlib
from collections.abc import Sequence

from ponant.errors import ModelLoadError
from ponant.processes.core_lock import SLOTS, CoreSlot, free_slot, make_lock_file
from ponant.processes.temporary_folder import TemporaryFolder


class Cores:
    """Core slots for workers, so that workers that compute at once never have more threads than there are cores.

    The cores are divided into groups. Each group has as many cores as the worker with the most threads needs. The
    workers of a group share a core lock.
    """

    def __init__(self, cores: int, threads: Sequence[int]) -> None:
        """Divide the cores.

        Args:
            cores: number of cores.
            threads: threads of each worker that may be started.
        """
        self._folder = TemporaryFolder()
        groups = max(1, cores // max(threads, default=cores))
        self._free: dict[str, list[int]] = {}
        for group in range(groups):
            file = self._folder.path / f"cores-{group}"
            make_lock_file(file)
            self._free[str(file)] = list(reversed(range(SLOTS)))

    def take(self) -> CoreSlot:
        """Return a slot in the group with the fewest workers. Raises ModelLoadError if all are taken."""
        file = max(self._free, key=lambda group: len(self._free[group]))
        if not self._free[file]:
            raise ModelLoadError(f"no more than {SLOTS * len(self._free)} models can be loaded at once")
        return CoreSlot(file, self._free[file].pop())

    def give_back(self, slot: CoreSlot) -> None:
        """Free the slot of a worker that has ended."""
        with contextlib.suppress(OSError):
            free_slot(slot)
        self._free[slot.file].append(slot.number)

    def close(self) -> None:
        """Delete the lock files. All workers must have ended."""
        self._folder.close()
