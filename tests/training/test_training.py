"""Training of tiny models in the real training process."""

import csv
import json
import math
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ponant.training.job import DatasetFile, Hyperparameters, TrainingRun, Wandb, write_run
from tests.soak import SOAK, soaked
from tests.tiny_model import build_vocabulary, write_tiny_model
from tests.training.extra import skip_without_training
from tests.training.runs import conversation, describe, of_kind, run_to_end, start, train, write_lines

skip_without_training()


class usage(NamedTuple):  # noqa: N801
    total: int
    used: int
    free: int


QUESTIONS = ("hello", "user and", "system of", "the tion", "a hello")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dataset with the same answer to all questions."""
    folder = tmp_path_factory.mktemp("lines")
    asked = [f"{question} {number}" for question in QUESTIONS for number in range(12)]
    return write_lines(folder / "lines.jsonl", [conversation(question, "the and a hello") for question in asked])


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, lines: Path, cache: Path
) -> tuple[Path, list[dict[str, Any]]]:
    """Folder and events of a complete run."""
    folder = tmp_path_factory.mktemp("run")
    describe(
        folder,
        tiny_model,
        lines,
        cache=cache,
        validation_files=[str(lines)],
        training_steps=24,
        learning_rate=2e-3,
        checkpoint_every=8,
        name="tiny",
    )
    status, events = train(folder)
    assert status == 0, events
    return folder, events


def losses(events: list[dict[str, Any]]) -> dict[int, float]:
    return {event["step"]: event["loss"] for event in of_kind(events, "step")}


def test_training_teaches_what_the_dataset_says(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    _, events = trained

    measured = [event["metrics"] for event in of_kind(events, "validation")]
    assert list(losses(events)) == list(range(1, 25))
    assert losses(events)[24] < losses(events)[1] / 4
    assert measured[-1]["valid_loss"] < measured[0]["valid_loss"]
    assert measured[-1]["valid_mean_token_accuracy"] > measured[0]["valid_mean_token_accuracy"]
    assert [event["step"] for event in of_kind(events, "checkpoint")] == [8, 16, 24]
    assert events[-1]["event"] == "done"
    assert events[-1]["trained_tokens"] == of_kind(events, "step")[-1]["tokens"]
    phases = [event["name"] for event in of_kind(events, "phase")]
    assert phases == ["validating", "loading", "training", "saving"]


def test_the_learning_rate_rises_and_falls_along_a_cosine(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    rates = [event["learning_rate"] for event in of_kind(trained[1], "step")]

    assert rates[0] == 2e-3  # 5% of 24 steps is one
    assert rates == sorted(rates, reverse=True)
    assert rates[12] == pytest.approx(2e-3 * 0.5 * (1 + np.cos(np.pi * 11 / 23)))
    assert rates[-1] < 1e-4


def test_the_adapter_is_one_that_peft_reads_and_that_learned(
    trained: tuple[Path, list[dict[str, Any]]], cache: Path, tiny_model: Path
) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    (folder,) = [path for path in cache.iterdir() if path.name.startswith(tiny_model.stem)]
    base = AutoModelForCausalLM.from_pretrained(folder)
    vocabulary = build_vocabulary()
    prompt = [vocabulary.id_of("<|im_start|>"), *map(vocabulary.id_of, ["assistant", "\n", "the"])]
    answer = vocabulary.id_of(" and")
    with torch.inference_mode():
        before = base(torch.tensor([prompt])).logits[0, -1].softmax(-1)[answer]
        adapted = PeftModel.from_pretrained(base, trained[0] / "adapter")
        after = adapted(torch.tensor([prompt])).logits[0, -1].softmax(-1)[answer]

    assert after > 10 * before
    config = json.loads((trained[0] / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "tiny"
    assert {name.rpartition(".")[2] for name in config["target_modules"]} == {
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    }


def test_metrics_are_kept_as_csv(trained: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, events = trained
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    learned = [row for row in rows if row["train_loss"]]
    measured = [row for row in rows if row["valid_loss"]]
    assert {int(row["step"]): float(row["train_loss"]) for row in learned} == losses(events)
    assert [int(row["step"]) for row in measured] == [8, 16, 24]


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM] if SOAK else [signal.SIGKILL])
def test_a_run_that_was_ended_goes_on_with_the_same_losses(
    tmp_path: Path,
    tiny_model: Path,
    lines: Path,
    cache: Path,
    trained: tuple[Path, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    ending: signal.Signals,
) -> None:
    whole = trained[1]
    # The precision is measured once per run, and another precision would change the losses.
    shutil.copy(trained[0] / "precision", tmp_path)
    monkeypatch.setattr("ponant.training.lora._GAIN", 0.0 if _precision(trained[0]) == "float32" else math.inf)
    options: dict[str, Any] = {"training_steps": 24, "learning_rate": 2e-3, "checkpoint_every": 8, "name": "tiny"}
    describe(tmp_path, tiny_model, lines, cache=cache, validation_files=[str(lines)], **options)
    process = start(tmp_path)
    assert process.stdout
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "step" and event["step"] == 11:
            os.kill(process.pid, ending)
            break
    output, errors = process.communicate()
    assert errors == ""  # no output of libraries
    first = [json.loads(line) for line in output.splitlines() if line.endswith("}")]
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("1")  # an incomplete row

    status, second = train(tmp_path)

    assert status == 0
    (resumed,) = of_kind(second, "resumed")
    if ending == signal.SIGTERM:
        assert first[-1] == {"event": "stopped", "step": resumed["step"]}
        assert resumed["step"] in (11, 12, 13)
    assert losses(second) == {step: loss for step, loss in losses(whole).items() if step > resumed["step"]}
    assert second[-1]["metrics"]["valid_loss"] == whole[-1]["metrics"]["valid_loss"]
    assert _weights(tmp_path) == _weights(trained[0])
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    learned = [(int(row["step"]), float(row["train_loss"])) for row in rows if row["train_loss"]]
    assert learned == list(losses(whole).items())  # each step once
    measured = [int(row["step"]) for row in rows if not row["train_loss"]]
    assert measured == sorted({8, 16, 24, *([resumed["step"]] if ending == signal.SIGTERM else [])})


def _precision(folder: Path) -> str:
    return (folder / "precision").read_text()


def _weights(folder: Path) -> dict[str, list[float]]:
    from safetensors.numpy import load_file

    return {
        name: weight.tolist() for name, weight in load_file(folder / "adapter" / "adapter_model.safetensors").items()
    }


def test_a_run_that_was_done_is_not_trained_again(
    trained: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, events = trained
    before = _weights(folder)

    status, again = train(folder)

    assert status == 0
    assert of_kind(again, "step") == []
    assert again[-1] == events[-1]
    assert _weights(folder) == before


def test_a_run_that_was_ended_while_it_saved_ends_in_the_same_state(
    tmp_path: Path, trained: tuple[Path, list[dict[str, Any]]]
) -> None:
    whole = (trained[0] / "adapter.gguf").read_bytes()
    for name in ("adapter", "adapter.gguf", ".adapter.gguf.part"):  # the file or folder that was written last
        folder = tmp_path / name
        shutil.copytree(trained[0], folder)
        (folder / "adapter.gguf").unlink()
        if name == "adapter":
            (folder / "adapter").rename(folder / "adapter.part")
            (folder / "adapter.part" / "adapter_model.safetensors").write_bytes(b"half")
        if name.endswith(".part"):
            (folder / name).write_bytes(whole[:100])

        status, events = train(folder)

        assert status == 0
        assert events[-1]["gguf"] == str(folder / "adapter.gguf")
        assert (folder / "adapter.gguf").read_bytes() == whole
        assert _weights(folder) == _weights(trained[0])
        assert not [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def test_a_second_process_on_a_folder_fails_at_once(tmp_path: Path, tiny_model: Path, lines: Path, cache: Path) -> None:
    describe(tmp_path, tiny_model, lines, cache=cache, training_steps=100_000)
    process = start(tmp_path)
    assert process.stdout
    try:
        assert json.loads(process.stdout.readline())["event"] == "phase"
        process.send_signal(signal.SIGSTOP)  # a stopped process need not load PyTorch, which takes seconds

        status, events = train(tmp_path)
    finally:
        process.kill()
        process.communicate()

    assert status == 1
    assert events[-1]["error"] == "already_running"


def test_a_dry_run_tells_what_would_be_done(tmp_path: Path, tiny_model: Path, lines: Path, cache: Path) -> None:
    describe(tmp_path, tiny_model, lines, cache=cache, epochs=2)

    status, events = train(tmp_path, dry_run=True)

    assert status == 0
    last = events[-1]
    assert last["event"] == "validated"
    assert last["training_files"][0]["lines"] == 60
    assert last["plan"]["epochs"] == 2
    assert last["plan"]["data_tokens"] == last["training_files"][0]["tokens"]
    assert last["plan"]["expected_duration_seconds"] >= 30
    assert not (tmp_path / "checkpoints").exists()


def failure(folder: Path) -> dict[str, Any]:
    status, events = train(folder)
    assert status == 1
    assert events[-1]["event"] == "failed"
    return events[-1]


def test_a_bad_dataset_fails_with_the_line(tmp_path: Path, tiny_model: Path, cache: Path) -> None:
    bad = write_lines(tmp_path / "bad.jsonl", [conversation("a", "b"), {"messages": []}])
    describe(tmp_path, tiny_model, bad, cache=cache)

    failed = failure(tmp_path)

    assert failed["error"] == "invalid_dataset"
    assert "1 of 2 lines of bad.jsonl are invalid" in failed["message"]
    assert "line 2" in failed["message"]


def test_bad_lines_that_may_be_skipped_are(tmp_path: Path, tiny_model: Path, cache: Path) -> None:
    bad = write_lines(tmp_path / "bad.jsonl", [conversation("a", "b"), {"messages": []}])
    describe(tmp_path, tiny_model, bad, cache=cache, invalid_sample_skip_percentage=0.5)

    status, events = train(tmp_path, dry_run=True)

    assert status == 0
    assert events[-1]["training_files"][0]["invalid"] == 1


def test_a_loss_that_is_no_number_fails_with_advice(tmp_path: Path, cache: Path) -> None:
    model = tmp_path / "poisoned.gguf"
    write_tiny_model(model, nan_tokens=[build_vocabulary().id_of(b"\x01")])
    lines = write_lines(tmp_path / "lines.jsonl", [conversation("\x01", "hello")])
    describe(tmp_path, model, lines, cache=cache, training_steps=5)

    failed = failure(tmp_path)

    assert failed["error"] == "not_a_number"
    assert "learning_rate below" in failed["message"]


def test_memory_that_cannot_be_had_fails_with_advice(
    tmp_path: Path, tiny_model: Path, lines: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    describe(tmp_path, tiny_model, lines, cache=cache, training_steps=1)
    monkeypatch.setattr("ponant.training.lora.LoraTrainer.train", lambda *_, **__: torch.empty(2**50))

    failed = failure(tmp_path)

    assert failed["error"] == "out_of_memory"
    assert "Lower seq_len" in failed["message"]


@soaked  # a process of its own and a long sequence take many seconds
def test_too_little_memory_fails_with_advice(tmp_path: Path, cache: Path) -> None:
    model = tmp_path / "long.gguf"
    write_tiny_model(model, context_length=65536)
    lines = write_lines(tmp_path / "lines.jsonl", [conversation("a", "漢" * 12_000)] * 2)
    describe(tmp_path, model, lines, cache=cache, training_steps=1, seq_len=60_000, memory=2**30)

    status, events = run_to_end(tmp_path)

    failed = events[-1]
    assert status == 1
    assert failed["error"] == "out_of_memory"
    assert "Lower seq_len" in failed["message"]


def test_too_little_disk_fails_with_advice(
    tmp_path: Path, tiny_model: Path, lines: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(tmp_path, tiny_model, lines, cache=tmp_path / "cache")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(total=2**30, used=2**30, free=0))

    failed = failure(tmp_path)

    assert failed["error"] == "no_disk_space"
    assert "Free some" in failed["message"]


def test_a_disk_that_gets_full_fails_with_advice(
    tiny_model: Path, lines: Path, cache: Path, full_disk: Callable[[int], Path]
) -> None:
    folder = full_disk(16 * 1024)  # enough for the description of the run, not for its samples
    describe(folder, tiny_model, lines, cache=cache)

    failed = failure(folder)

    assert failed["error"] == "no_disk_space"
    assert "Free some space" in failed["message"]


@pytest.mark.parametrize("content", [b"", b"no model at all", None])
def test_a_base_that_is_no_model_fails(tmp_path: Path, lines: Path, content: bytes | None) -> None:
    model = tmp_path / "broken.gguf"
    if content is not None:
        model.write_bytes(content)
    describe(tmp_path, model, lines, cache=tmp_path / "cache")

    failed = failure(tmp_path)

    assert failed["error"] == "bad_base_model"
    assert "broken.gguf" in failed["message"]


def test_weights_that_are_no_model_fail_and_leave_nothing(tmp_path: Path, tiny_model: Path, lines: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    describe(tmp_path, tiny_model, lines, cache=tmp_path / "cache", weights=str(weights))

    failed = failure(tmp_path)

    assert failed["error"] == "bad_base_model"
    assert "weights" in failed["message"]
    assert not (tmp_path / "cache").exists()


def test_a_base_whose_adapters_cannot_be_served_fails_before_it_is_trained(tmp_path: Path, lines: Path) -> None:
    model = tmp_path / "other.gguf"
    write_tiny_model(model, architecture="phi3")
    describe(tmp_path, model, lines, cache=tmp_path / "cache")

    status, events = train(tmp_path, dry_run=True)

    assert status == 1
    assert events[-1]["error"] == "bad_base_model"
    assert "architecture phi3" in events[-1]["message"]


def test_more_tokens_than_the_model_reads_are_refused(tmp_path: Path, tiny_model: Path, lines: Path) -> None:
    describe(tmp_path, tiny_model, lines, cache=tmp_path / "cache", seq_len=1000)

    assert failure(tmp_path)["message"] == "seq_len (1000) exceeds the context length of the model (512)"


def test_a_run_that_cannot_be_read_fails(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"model": 5}')

    assert failure(tmp_path)["error"] == "unreadable_file"


def test_files_are_weighted_and_hugging_face_folders_are_read(
    tmp_path: Path, tiny_model: Path, lines: Path, cache: Path, trained: object
) -> None:
    (weights,) = [path for path in cache.iterdir() if path.name.startswith(tiny_model.stem)]
    other = write_lines(tmp_path / "other.jsonl", [conversation("hello", "tion")] * 20)
    files = [DatasetFile(str(lines), 1.0), DatasetFile(str(other), 2.5)]
    describe(tmp_path, tiny_model, files, cache=tmp_path / "none", weights=str(weights), training_steps=2, batch_size=2)

    status, events = train(tmp_path)

    assert status == 0
    assert len(losses(events)) == 2
    assert not (tmp_path / "none").exists()


def test_without_wandb_its_extra_is_named(
    tmp_path: Path, tiny_model: Path, lines: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # simulates a missing package
    describe(tmp_path, tiny_model, lines, cache=cache, training_steps=1, wandb=Wandb(project="test"))

    assert "install Ponant with the extra wandb" in failure(tmp_path)["message"]


def test_runs_are_described_in_private(tmp_path: Path) -> None:
    run = TrainingRun(model="m", cache="c", training_files=[], hyperparameters=Hyperparameters())
    write_run(run, tmp_path)

    assert (tmp_path / "run.json").stat().st_mode & 0o077 == 0
