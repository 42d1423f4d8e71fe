"""Checkpoints of training, from which a run resumes exactly. Files are written atomically."""

import os
from pathlib import Path
from typing import Any

import torch

from ponant.private_files import make_folder, open_file

_KEPT = 2


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> None:
    """Write a checkpoint, and remove all but the last two. Raises OSError."""
    make_folder(folder)
    path = folder / f"step-{step:08}.pt"
    part = path.with_name(f"{path.name}.part")
    try:
        with open_file(part, "wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    for old in _checkpoints(folder)[_KEPT:]:
        old.unlink(missing_ok=True)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """Return the state of the last readable checkpoint; None if there is none."""
    for path in _checkpoints(folder):
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception:  # noqa: S112 # a damaged file can raise anything; use the one before it
            continue
        return state
    return None


def _checkpoints(folder: Path) -> list[Path]:
    """Return the paths of the checkpoints, the last first."""
    return sorted((path for path in folder.glob("step-*.pt") if path.is_file()), reverse=True)
