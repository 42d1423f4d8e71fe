"""The history of losses in a file of metrics."""

from pathlib import Path

import pytest

from ponant.fine_tuning.loss_history import MOST_STEPS, LossHistories, LossHistory
from ponant.storage.errors import StorageError
from ponant.training.events import Metrics, TrainingStep, Validation
from ponant.training.recorders import CsvRecorder


def step(number: int, loss: float) -> TrainingStep:
    return TrainingStep(number, 10**6, loss, 1e-4, 1.0, 100 * number, 10.0, 1)


def test_losses_are_read_while_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    history = LossHistory(path)
    assert (list(history.read().train), list(history.read().validation)) == ([], [])
    recorder = CsvRecorder(path, after=0)
    recorder.record(step(1, 2.5))
    assert history.read().train == [(1, 2.5)]
    recorder.record(step(2, 2.0))
    recorder.record(Validation(2, Metrics(2.25, 2.4, 0.5)))
    with path.open("a") as file:
        file.write("3,1.")  # a row that is not complete
    assert (history.read().train, history.read().validation) == ([(1, 2.5), (2, 2.0)], [(2, 2.4, 0.5)])
    with path.open("a") as file:
        file.write("5,0.001,300,,\n")
    assert history.read().train == [(1, 2.5), (2, 2.0), (3, 1.5)]


def test_resumed_run_replaces_the_steps_after_its_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    history = LossHistory(path)
    recorder = CsvRecorder(path, after=0)
    for number in range(1, 6):
        recorder.record(step(number, 1 / number))
    assert len(history.read().train) == 5
    resumed = CsvRecorder(path, after=3)
    for number in range(4, 9):  # more rows than before
        resumed.record(step(number, 0.75))
    kept = [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert history.read().train == [*kept, *((number, 0.75) for number in range(4, 9))]


def test_long_history_is_thinned_and_keeps_its_last_step(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    steps = 5 * MOST_STEPS
    rows = [f"{number},{1 / number},0.001,{number},," for number in range(1, steps + 1)]
    path.write_text("\n".join(["step,train_loss,learning_rate,tokens,valid_loss,valid_mean_token_accuracy", *rows, ""]))
    losses = LossHistory(path).read()
    assert losses.every == 8
    assert [number for number, _ in losses.train] == [*range(1, steps + 1, 8), steps]
    assert losses.train[-1] == (steps, 1 / steps)


async def test_histories_are_kept_and_absent_ones_are_empty(tmp_path: Path) -> None:
    histories = LossHistories()
    for number in range(20):
        assert (await histories.read(tmp_path / str(number))).train == []
    CsvRecorder(tmp_path / "metrics.csv", after=0).record(step(1, 2.0))
    assert (await histories.read(tmp_path)).train == [(1, 2.0)]


def test_what_is_not_a_file_is_an_error_of_the_storage(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").mkdir()
    with pytest.raises(StorageError, match="cannot be read"):
        LossHistory(tmp_path / "metrics.csv").read()
