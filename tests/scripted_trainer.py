"""Trainer without PyTorch (saves an import of seconds), for tests of jobs whose result does not matter."""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from ponant.training.events import Checkpoint, Event, Metrics, TrainingStep, Validation

ROOT = Path(__file__).parents[1]
STEP_SECONDS = 0.01
"""Time of a step in the first process of a run. Later processes take no time, so that tests end soon."""


def scripted_training_path() -> str:
    """Return the PYTHONPATH under which training processes are scripted."""
    paths = [str(ROOT / "tests" / "scripted_training"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(path for path in paths if path)


def install() -> None:
    """Replace this process's modules that compute with PyTorch."""
    sys.modules["mistral_common"] = None  # type: ignore[assignment]  # an import of half a second that the package gguf does without
    _replace("torch", set_num_threads=lambda _: None, float32="float32")
    _replace("ponant.training.base_weights", load_base=lambda *_, **__: None)
    _replace(
        "ponant.training.lora",
        LoraTrainer=ScriptedTrainer,
        choose_device=lambda: "cpu",
        choose_precision=lambda _: "float32",
    )
    from ponant.training import export

    vars(export)["export_adapter"] = _write_adapter


class ScriptedTrainer:
    """Replacement of ``LoraTrainer``."""

    def __init__(self, _base: object, _hyperparameters: object, *, steps: int, **_: object) -> None:
        self._steps = steps
        self._step = 0

    def resume(self, folder: Path) -> int:
        """Return to the last checkpoint."""
        done = [int(path.name) for path in folder.glob("*")]
        self._step = max(done, default=0)
        return self._step

    def train(
        self,
        _packer: object,
        validation: Sequence[object],
        folder: Path,
        record: Callable[[Event], None],
        *,
        checkpoint_every: int,
        is_stopped: Callable[[], bool],
        **_: object,
    ) -> Any:
        """Let the steps pass."""
        folder.mkdir(exist_ok=True)
        metrics, ends = Metrics(), self._step >= self._steps
        seconds = 0 if self._step else STEP_SECONDS
        while not ends:
            time.sleep(seconds)
            self._step += 1
            record(TrainingStep(self._step, self._steps, 1 / self._step, 1e-3, 1.0, 128 * self._step, 12800.0, 1))
            ends = self._step == self._steps or is_stopped()
            if ends or self._step % checkpoint_every == 0:
                metrics = Metrics(1 / self._step, *((1 / self._step, 0.5) if validation else ()))
                if validation:
                    record(Validation(self._step, metrics))
                (folder / str(self._step)).touch()
                record(Checkpoint(self._step, metrics))
        return SimpleNamespace(
            step=self._step, trained_tokens=128 * self._step, metrics=metrics, is_stopped=self._step < self._steps
        )

    def save(self, folder: Path) -> None:
        """Create an empty folder in place of the adapter in PEFT's format."""
        folder.mkdir()


def _write_adapter(_folder: Path, _model: Path, exported: Path) -> None:
    from tests.tiny_adapter import write_tiny_adapter

    write_tiny_adapter(exported)


def _replace(name: str, **attributes: object) -> None:
    module = ModuleType(name)
    vars(module).update(attributes)
    sys.modules[name] = module
