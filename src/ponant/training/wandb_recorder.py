"""Weights & Biases: the metrics of a run, kept there as well."""

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ponant.errors import missing_extra
from ponant.training.errors import TrainingError
from ponant.training.events import Done, Event, Failed, Stopped, TrainingStep, Validation
from ponant.training.job import Wandb

logger = logging.getLogger("ponant.training")

_START_TIMEOUT = 30
"""Seconds after which a run that cannot be started fails."""
_FINISH_TIMEOUT = 60
"""Seconds that the last metrics may take to be sent; they stay on disk if they take longer."""
_FLUSH_SECONDS = 1.0
"""How much of the metrics may be lost when the process is killed. The CSV file loses none."""


class WandbRecorder:
    """Keeps the metrics of a run with Weights & Biases.

    That is online with a key, or else in the run's folder; ``WANDB_MODE`` in the environment is stronger. A run that
    is resumed goes on in the same run there. Only the start can fail: training does not end because metrics are lost.
    """

    def __init__(self, settings: Wandb, folder: Path, config: Mapping[str, Any]) -> None:
        """Start or resume the run.

        Args:
            settings: where the run is kept.
            folder: of the run: gets the files of Weights & Biases, and the run's id.
            config: what the run is described with.

        Raises:
            TrainingError: the package is missing, the key is refused, or nobody answers.
        """
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            import wandb
        except ImportError:
            raise TrainingError(
                "missing_package", f"Weights & Biases is not installed: {missing_extra('wandb')}"
            ) from None
        self._wandb = wandb
        try:
            given = wandb.Settings(
                mode=os.environ.get("WANDB_MODE") or ("online" if settings.api_key else "offline"),
                api_key=settings.api_key,  # kept for this run alone; wandb.login() would write it into the home folder
                project=settings.project,
                run_name=settings.run_name,
                run_id=_run_id(folder),
                resume="allow",
                root_dir=str(folder),
                init_timeout=_START_TIMEOUT,
                finish_timeout=_FINISH_TIMEOUT,
                login_timeout=_START_TIMEOUT,
                console="off",
                silent=True,
                # The metrics were asked for, not what there is to know about this machine.
                disable_git=True,
                save_code=False,
                x_save_requirements=False,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_transaction_log_flush_interval=_FLUSH_SECONDS,
            )
            # Or else it is not silent from the beginning. The key is not given here: it would go with the default host.
            wandb.setup(wandb.Settings(silent=True))
            self._run: Any = wandb.init(config=dict(config), settings=given)
        except Exception as error:  # its own, its network library's and those of its settings
            wandb.teardown(exit_code=1)
            raise TrainingError("wandb", _explain(error)) from error
        self.url: str | None = (self._run.url or None) if self._run.settings.mode == "online" else None
        """Where the run is shown; None if it is not online."""

    def record(self, event: Event) -> None:
        """Log a step or a measure; end the run with its last event."""
        match event:
            case TrainingStep():
                self._log(event.step, train_loss=event.loss, learning_rate=event.learning_rate, tokens=event.tokens)
            case Validation(metrics=metrics):
                accuracy = metrics.valid_mean_token_accuracy
                self._log(event.step, valid_loss=metrics.valid_loss, valid_mean_token_accuracy=accuracy)
            case Done():
                self._finish(0)
            case Failed() | Stopped():
                self._finish(1)

    def _log(self, step: int, **values: float | None) -> None:
        if self._run is None:
            return
        try:
            self._run.log({name: value for name, value in values.items() if value is not None}, step=step)
        except Exception as error:
            logger.warning("Weights & Biases gets no more metrics of this run: %s", error)
            self._run = None

    def _finish(self, exit_code: int) -> None:
        """Have the last metrics sent, and end the process that does so."""
        try:
            if self._run is not None:
                self._run.finish(exit_code=exit_code)
            self._wandb.teardown(exit_code=exit_code)
        except Exception as error:
            logger.warning("Weights & Biases did not get the end of this run: %s", error)
        self._run = None


def _run_id(folder: Path) -> str:
    """The id of the folder's run, the same for all processes that work on it."""
    path = folder / "wandb-id"
    if not path.is_file():
        part = path.with_name("wandb-id.part")
        part.write_text(secrets.token_hex(4))
        part.replace(path)
    return path.read_text()


def _explain(error: Exception) -> str:
    """What to do about a run that could not be started."""
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    if type(error).__name__ == "AuthenticationError" or any(code in reason for code in ("401", "403")):
        return f"Weights & Biases refuses the api_key: take a new one from your settings there ({reason})"
    if type(error).__name__ == "CommError":
        return (
            "Weights & Biases cannot be reached: mend the network, take the integration out of the job, or keep the "
            f"metrics on this machine with WANDB_MODE=offline ({reason})"
        )
    return f"Weights & Biases refuses the run: {reason}"
