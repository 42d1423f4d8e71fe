"""The recorder of metrics at Weights & Biases."""

import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ponant.errors import missing_extra
from ponant.private_files import write_bytes
from ponant.training.errors import TrainingError
from ponant.training.events import Done, Event, Failed, Stopped, TrainingStep, Validation
from ponant.training.job import Wandb

logger = logging.getLogger("ponant.training")

_START_TIMEOUT = 30
"""Seconds until the start of a run at Weights & Biases fails."""
_FINISH_TIMEOUT = 60
"""Seconds to send the last metrics; unsent metrics stay on disk."""
_FLUSH_SECONDS = 1.0
"""Seconds of metrics that can be lost when the process is killed. The CSV file loses none."""


class WandbRecorder:
    """Records the metrics of a run at Weights & Biases.

    Metrics are stored online with a key, or else in the run's folder; ``WANDB_MODE`` in the environment takes
    precedence. A resumed run continues the same run there. Only the start raises errors: lost metrics do not end the
    training.
    """

    def __init__(self, settings: Wandb, folder: Path, config: Mapping[str, Any]) -> None:
        """Start or resume the run.

        Args:
            settings: project, name and key of the run.
            folder: folder of the run, for the files of Weights & Biases and the run's id.
            config: description of the run.

        Raises:
            TrainingError: the package is missing, the key is refused, or the service cannot be reached.
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
                api_key=settings.api_key,  # for this run only; wandb.login() would write it to the home folder
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
                # Send the metrics only, and no facts about this machine.
                disable_git=True,
                save_code=False,
                x_save_requirements=False,
                x_disable_meta=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_transaction_log_flush_interval=_FLUSH_SECONDS,
            )
            # Silences the package from the start. A key given here would be sent to the default host.
            wandb.setup(wandb.Settings(silent=True))
            self._run: Any = wandb.init(config=dict(config), settings=given)
        except Exception as error:  # errors of the package, of its network library and of its settings
            wandb.teardown(exit_code=1)
            raise TrainingError("wandb", _explain(error)) from error
        self.url: str | None = (self._run.url or None) if self._run.settings.mode == "online" else None
        """Web page of the run; None if it is not online."""

    def record(self, event: Event) -> None:
        """Log a step or a validation; end the run with its last event."""
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
            logger.warning("no more metrics of this run are sent to Weights & Biases: %s", error)
            self._run = None

    def _finish(self, exit_code: int) -> None:
        """Send the last metrics, and end the process that sends them."""
        try:
            if self._run is not None:
                self._run.finish(exit_code=exit_code)
            self._wandb.teardown(exit_code=exit_code)
        except Exception as error:
            logger.warning("the end of this run was not sent to Weights & Biases: %s", error)
        self._run = None


def _run_id(folder: Path) -> str:
    """Return the id of the folder's run, the same for all its processes."""
    path = folder / "wandb-id"
    if not path.is_file():
        part = path.with_name("wandb-id.part")
        write_bytes(part, secrets.token_hex(4).encode())
        part.replace(path)
    return path.read_text()


def _explain(error: Exception) -> str:
    """Return the reason why a run could not be started, and advice."""
    lines = str(error).strip().splitlines()
    reason = lines[0] if lines else type(error).__name__
    if type(error).__name__ == "AuthenticationError" or any(code in reason for code in ("401", "403")):
        return f"Weights & Biases refuses the api_key. Create a new one in its settings ({reason})"
    if type(error).__name__ == "CommError":
        return (
            "Weights & Biases cannot be reached. Repair the network, remove the integration from the job, or keep the "
            f"metrics on this machine with WANDB_MODE=offline ({reason})"
        )
    return f"Weights & Biases refuses the run: {reason}"
