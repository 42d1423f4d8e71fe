"""What a run needs to go on exactly where it was, on disk: whole or not at all."""

import os
from pathlib import Path
from typing import Any

import torch

_KEPT = 2


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write a checkpoint and remove all but the last two. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08}.pt"
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    for old in _checkpoints(folder)[_KEPT:]:
        old.unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The state of the last checkpoint that can be read; None if there is none."""
    for path in _checkpoints(folder):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # noqa: S112 # a damaged file may fail in any way; the one before it will do
            continue
        return state
    return None


def _checkpoints(folder: Path) -> list[Path]:
    """The checkpoints, last first."""
    return sorted(folder.glob("step-*.pt"), reverse=True)
