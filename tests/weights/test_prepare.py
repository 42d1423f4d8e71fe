"""Prepared weights: copies that are made once, checked and measured, and never prevent a start."""

import asyncio
import hashlib
import json
import logging
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal

import httpx2
import psutil
import pytest

from ponant.engine.base import BackendState, Capabilities, Delta, Engine, GenerateRequest, Limits
from ponant.engine.report import StepReport
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.server.wiring import make_catalog
from ponant.settings import read_settings
from ponant.weights.prepare import Load, Preparer
from tests.chatting import answer
from tests.serving import EXACT, ServerProcess, environment, ponant, serving, wait_until
from tests.soak import SOAK
from tests.tiny_model import write_tiny_model

ROOT = Path(__file__).parents[2]
FILE_TYPE = b"general.file_type" + struct.pack("<I", 4)
F32, Q4_1 = struct.pack("<I", 0), struct.pack("<I", 3)
TOO_LARGE = struct.pack("<f", 1e30)
"""Weight of the tiny model that Q8_0 cannot represent."""
STEPS = 12


@pytest.fixture
def unpreparable(tmp_path: Path) -> Path:
    """Model whose metadata say Q4_1, so that it is eligible for preparation, but whose weights cannot be converted."""
    path = tmp_path / "small.gguf"
    write_tiny_model(path, nan_tokens=[1])
    content = path.read_bytes()
    assert content.count(FILE_TYPE + F32) == 1
    path.write_bytes(content.replace(FILE_TYPE + F32, FILE_TYPE + Q4_1))
    return path


@pytest.fixture
def model(unpreparable: Path) -> Path:
    """Model whose weights can be converted."""
    unpreparable.write_bytes(unpreparable.read_bytes().replace(TOO_LARGE, bytes(4)))
    return unpreparable


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def start(model: Path, data_dir: Path, mode: str = "on") -> Any:
    arguments = [str(model), "--threads", "1", "--data-dir", str(data_dir), "--prepare-weights", mode]
    return serving(*arguments, **EXACT)


def copies(data_dir: Path) -> list[Path]:
    return list((data_dir / "prepared").glob("*.gguf"))


def parts(data_dir: Path) -> list[Path]:
    return list((data_dir / "prepared").glob("*.part"))


def only_copy(data_dir: Path) -> Path:
    (copy,) = copies(data_dir)
    assert not parts(data_dir)
    return copy


def mapped_file(worker: psutil.Process) -> Path:
    """Return the weights file that an engine's worker has mapped."""
    (path,) = {mapped.path for mapped in worker.memory_maps() if ".gguf" in mapped.path}
    return Path(path)


def served_file(server: ServerProcess) -> Path:
    """Return the weights file of a server."""
    return mapped_file(server.worker())


def workers() -> set[psutil.Process]:
    """Return the workers of this process's engines."""
    return {child for child in psutil.Process().children() if "ponant.engine.llama.worker" in child.cmdline()}


# Copies


def test_copy_is_made_once_and_served_under_the_same_name(model: Path, data_dir: Path) -> None:
    with start(model, data_dir) as server:
        copy = only_copy(data_dir)
        assert "Preparing small" in server.printed
        assert served_file(server) == copy
        assert answer(server)["model"] == "small"
        with server.client() as client:
            card, *_ = client.get("/v1/models").json()["data"]
    assert card["id"] == "small"
    made = copy.stat()
    record = json.loads(copy.with_name(copy.name.replace(".Q8_0.gguf", ".json")).read_text())
    assert record["copy"]["sha256"] == hashlib.sha256(copy.read_bytes()).hexdigest()
    with start(model, data_dir) as server:
        assert "Prepar" not in server.printed
        assert served_file(server) == copy
    assert (only_copy(data_dir).stat().st_ino, copy.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


async def test_damaged_copy_is_made_anew_and_a_touched_one_is_not(model: Path, data_dir: Path) -> None:
    assert await weights(model, data_dir) == only_copy(data_dir)
    copy = only_copy(data_dir)
    whole = copy.read_bytes()
    os.utime(copy)
    said: list[str] = []
    assert await weights(model, data_dir, say=said.append) == copy
    assert said == []
    for damaged in (whole[:-1], whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]):
        copy.write_bytes(damaged)
        said.clear()
        assert await weights(model, data_dir, say=said.append) == copy
        assert "damaged" in said[0]
        assert copy.read_bytes() == whole


async def test_changed_model_gets_a_copy_of_its_own(model: Path, data_dir: Path) -> None:
    first = await weights(model, data_dir)
    content = model.read_bytes()
    model.write_bytes(content[:-4] + struct.pack("<f", 0.5))
    second = await weights(model, data_dir)
    assert first != second
    model.write_bytes(content)
    assert await weights(model, data_dir) == first


async def test_two_servers_at_once_make_one_copy(model: Path, data_dir: Path) -> None:
    said: list[str] = []
    chosen = await asyncio.gather(*(weights(model, data_dir, say=said.append) for _ in range(3)))
    assert set(chosen) == {only_copy(data_dir)}
    assert len([line for line in said if line.startswith("Preparing")]) == 1


async def test_formats_that_are_fast_already_are_left_alone(tiny_model: Path, data_dir: Path) -> None:
    said: list[str] = []
    for mode in ("on", "auto"):
        assert await weights(tiny_model, data_dir, mode=mode, say=said.append) == tiny_model
    assert said == []
    assert not data_dir.exists()


async def test_progress_is_told_to_its_end(model: Path, data_dir: Path) -> None:
    seen: list[tuple[int, int]] = []
    await weights(model, data_dir, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_interrupted_preparation_leaves_nothing_in_use_and_the_loss_of_a_whole_one_is_small(
    bundled_model: Path, model: Path, data_dir: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ponant("serve", "--port", str(port), "--data-dir", str(data_dir), "--prepare-weights", "on")
    for kind, status in ((signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)):
        server = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment())
        try:
            wait_until(lambda: parts(data_dir) != [])
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
                assert client.get("/health").status_code == 200
                assert client.get("/ready").status_code == 503
            children = psutil.Process(server.pid).children()
        finally:
            server.send_signal(kind)
        printed = server.communicate(timeout=30)[0]
        assert server.returncode == status
        assert b"Listening" not in printed
        assert copies(data_dir) == []
        assert (parts(data_dir) == []) == (kind == signal.SIGTERM)
        assert psutil.wait_procs(children, timeout=10)[1] == []
    whole = serving("--data-dir", str(data_dir), "--prepare-weights", "on") if SOAK else start(model, data_dir)
    with whole as running:
        copy = only_copy(data_dir)
        assert served_file(running) == copy
        assert answer(running, max_tokens=3)["model"]
    if SOAK:  # preparing the bundled model and computing both takes seconds
        original, prepared = perplexities(bundled_model, copy)
        assert prepared == pytest.approx(original, rel=0.01)


def perplexities(*models: Path) -> list[float]:
    """Return the perplexities that the benchmark measures over the beginning of its text."""
    command = [sys.executable, "-m", "benchmarks.perplexity", "--tokens", "256", *map(str, models)]
    table = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env=environment()).stdout
    return [float(line.split("|")[3]) for line in table.splitlines()[2:]]


# Failed preparation


@pytest.mark.usefixtures("stopped_children")
async def test_if_the_conversion_hangs_the_original_is_served(
    model: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ponant.weights.prepare._STILL_SECONDS", 0.4)
    assert await weights(model, data_dir) == model
    assert "weights not prepared" in caplog.text
    assert parts(data_dir) == []


async def test_without_room_the_original_is_served(
    model: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = shutil.disk_usage(model.parent)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert await weights(model, data_dir) == model
    (line,) = reasons(caplog)
    assert "not enough disk space" in line
    assert copies(data_dir) == parts(data_dir) == []


@pytest.mark.parametrize("script", ["exit 1", "kill -ABRT $$", "echo the reason; exit 1"])
async def test_failed_preparation_serves_the_original(
    model: Path,
    data_dir: Path,
    script: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = model.parent / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    assert await weights(model, data_dir) == model
    (line,) = reasons(caplog)
    assert "the reason" in line or "status" in line
    assert copies(data_dir) == parts(data_dir) == []


async def test_weights_that_cannot_be_converted_are_served_as_they_are(
    unpreparable: Path, data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert await weights(unpreparable, data_dir) == unpreparable
    (line,) = reasons(caplog)
    assert "validation failed" in line
    assert copies(data_dir) == parts(data_dir) == []


async def test_folder_that_cannot_be_written_is_no_hindrance(model: Path, data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "prepared").touch()
    assert await weights(model, data_dir) == model


def test_copy_that_cannot_be_run_is_no_hindrance(model: Path, data_dir: Path) -> None:
    asyncio.run(weights(model, data_dir))
    copy = only_copy(data_dir)
    copy.write_bytes(b"GGUF and nothing else")
    record_file = copy.with_name(copy.name.replace(".Q8_0.gguf", ".json"))
    record = json.loads(record_file.read_text())
    record["copy"] |= {"sha256": hashlib.sha256(copy.read_bytes()).hexdigest(), "size": copy.stat().st_size}
    record_file.write_text(json.dumps(record))
    with start(model, data_dir) as server:
        assert served_file(server) == model


# Mode auto


@pytest.mark.parametrize(
    ("load", "parallel", "one", "many", "takes_copy"),
    [
        ("both", 16, 2, 2, True),
        ("both", 16, 0.5, 2, False),
        ("both", 16, 2, 0.5, False),
        ("many", 16, 0.5, 2, True),
        ("one", 16, 2, 0.5, True),
        ("both", 1, 2, 2, True),
    ],
)
async def test_auto_takes_the_copy_when_it_gains_where_it_counts(
    model: Path, data_dir: Path, load: Load, parallel: int, one: float, many: float, takes_copy: bool
) -> None:
    said: list[str] = []

    def engine_for(path: Path) -> Engine:
        is_copy = path != model
        return TimedEngine(parallel, one if is_copy else 1, many if is_copy else 1)

    async def choose(engine_for: Callable[[Path], Engine]) -> Path:
        said.clear()
        return await weights(
            model, data_dir, mode="auto", load=load, parallel=parallel, engine_for=engine_for, say=said.append
        )

    chosen = await choose(engine_for)
    assert chosen == (only_copy(data_dir) if takes_copy else model)
    assert copies(data_dir) == ([chosen] if takes_copy else [])
    assert any("serving the copy" if takes_copy else "serving the original" in line for line in said)
    assert await choose(no_engine) == chosen
    assert said == []


async def test_decision_follows_the_load_without_being_measured_again(model: Path, data_dir: Path) -> None:
    def engine_for(path: Path) -> Engine:
        return TimedEngine(16, 1, 1 if path == model else 2)

    assert await weights(model, data_dir, mode="auto", engine_for=engine_for) == model
    assert await weights(model, data_dir, mode="auto", load="many") == only_copy(data_dir)
    assert await weights(model, data_dir, mode="auto") == model


async def test_other_threads_are_measured_anew(model: Path, data_dir: Path) -> None:
    measured: list[Path] = []

    def engine_for(path: Path) -> Engine:
        measured.append(path)
        return TimedEngine(16, 1, 1)

    for threads in (1, 2, 1):
        await weights(model, data_dir, mode="auto", threads=threads, engine_for=engine_for)
    assert len(measured) == 4


async def test_auto_measures_at_the_first_start_alone(
    model: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.weights.prepare._MEASURED_SECONDS", 0.1)
    settings = read_settings(None, models=[str(model)], data_dir=data_dir, prepare_weights="auto", threads=1)
    said: list[str] = []

    async def served() -> Path:
        said.clear()
        others = workers()
        catalog = make_catalog(settings, say=said.append)
        await catalog.open()
        try:
            (worker,) = workers() - others
            return mapped_file(worker)
        finally:
            await catalog.close()

    chosen = await served()
    assert any("Measured small" in line for line in said)
    assert any("serving the original" in line for line in said) == (chosen == model)
    assert copies(data_dir) == [path for path in [chosen] if path != model]
    assert await served() == chosen
    assert not any("Measur" in line for line in said)


# Helpers


async def weights(
    model: Path,
    data_dir: Path,
    *,
    mode: Literal["auto", "on"] | Any = "on",
    load: Load = "both",
    threads: int | None = 1,
    parallel: int = 16,
    engine_for: Callable[[Path], Engine] | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> Path:
    """Return the file that the model would be served from."""
    prepare = Preparer(
        data_dir / "prepared",
        mode=mode,
        load=load,
        threads=threads,
        parallel=parallel,
        engine_for=engine_for or no_engine,
        say=say,
        progress=progress,
    )
    return await prepare(model.stem, model, GGUFVocabulary(model))


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the reasons in the logged warnings."""
    return [vars(record)["reason"] for record in caplog.records if record.levelno == logging.WARNING]


def no_engine(path: Path) -> Engine:
    raise AssertionError(f"{path} should not be measured")


class TimedEngine:
    """Engine with fixed speeds for one sequence and for many."""

    state: BackendState = "ready"
    last_error: str | None = None
    busy = False
    waiting = 0
    memory = 0
    device = "none"
    capabilities = Capabilities()
    report = StepReport()

    def __init__(self, parallel: int, one: float, many: float) -> None:
        self.limits = Limits(512, parallel)
        self._one, self._many = one, many

    def generate(self, request: GenerateRequest) -> "TimedGeneration":
        return TimedGeneration(0.004 / (self._one if len(request.seeds) == 1 else self._many))

    def describe(self, name: str) -> str:
        return name

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass


class TimedGeneration:
    def __init__(self, step: float) -> None:
        self._deltas = self._run(step)

    def __aiter__(self) -> "TimedGeneration":
        return self

    async def __anext__(self) -> Delta:
        return await anext(self._deltas)

    def follow(self, take: Callable[[Delta], bool]) -> None:
        pass

    def stop(self, choice: int) -> None:
        pass

    def cancel(self) -> None:
        pass

    async def _run(self, step: float) -> AsyncIterator[Delta]:
        for _ in range(STEPS):
            await asyncio.sleep(step)
            yield Delta(0, [1])
