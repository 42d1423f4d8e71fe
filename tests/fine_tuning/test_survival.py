"""Trainers and servers killed at random moments: every job ends correctly, every file is complete.

One round with a scripted trainer by default; PONANT_SOAK=1 makes it twenty with a real one (``make soak``).
"""

import contextlib
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from tests.jobs import ANSWER, ENDS, Job, ask, create, dataset, error, get, states, upload, wait_for
from tests.scripted_trainer import scripted_training_path
from tests.serving import EXACT, ServerProcess, serving, wait_until
from tests.soak import SOAK
from tests.training.extra import skip_without_training

skip_without_training()

ROUNDS = range(20) if SOAK else [5]
VICTIMS = (("trainer",), ("server",), ("server", "trainer"))
MOMENTS: dict[str, Callable[[Job], bool]] = {
    "created": lambda job: True,
    "validating": lambda job: job["status"] != "QUEUED",
    "running": lambda job: job["status"] == "RUNNING",
    "first step": lambda job: any(event["name"] == "progress" for event in job["events"]),
    "checkpoint": lambda job: bool(job["checkpoints"]),
}


def trainers(data_dir: Path) -> list[psutil.Process]:
    """Return the training processes of a data folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(data_dir) in argument for argument in process.cmdline()) and process.pid != os.getpid():
                found.append(process)
    return [process for process in found if "ponant.training.worker" in process.cmdline()]


def upload_slowly(url: str) -> None:
    """Upload a file repeatedly until the server is gone."""

    def form() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="slow.jsonl"\r\n\r\n'
        while True:
            yield dataset()
            time.sleep(0.01)

    with contextlib.suppress(httpx2.HTTPError):
        httpx2.post(f"{url}/v1/files", content=form(), headers={"content-type": "multipart/form-data; boundary=x"})


def kill(server: ServerProcess, data_dir: Path, victims: tuple[str, ...]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        for victim in victims:
            for process in [server.process] if victim == "server" else trainers(data_dir):
                process.kill()
    if "server" in victims:
        server.process.wait()
        wait_until(lambda: not trainers(data_dir), seconds=5)


@pytest.mark.parametrize("seed", ROUNDS)
def test_whoever_is_killed_jobs_end_as_they_should(tiny_model: Path, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    victims = VICTIMS[seed % len(VICTIMS)]
    moment = dice.choice(list(MOMENTS))
    settings = EXACT | {"PONANT_DATA_DIR": str(tmp_path)} | ({} if SOAK else {"PYTHONPATH": scripted_training_path()})
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(str(tiny_model), **settings))
        client = stack.enter_context(server.client())
        file_id = upload(client)
        jobs = [
            create(client, file_id, steps=40 if SOAK else 200, auto_start=auto_start)["id"]
            for auto_start in (True, False)
        ]
        if "server" in victims:
            threading.Thread(target=upload_slowly, args=[server.url], daemon=True).start()
        wait_for(client, jobs[0], until=MOMENTS[moment])
        time.sleep(dice.random() / 2)
        kill(server, tmp_path, victims)
        if "server" in victims:
            server = stack.enter_context(serving(str(tiny_model), **settings))
            client = stack.enter_context(server.client())
        ended = [wait_for(client, jobs[0]), wait_for(client, jobs[1], *ENDS, "VALIDATED")]
        for job in ended:
            seen = states(job)
            assert len(seen) == len(set(seen)), (victims, moment, seen)
            if job["status"] == "SUCCESS":
                answer = ask(client, job["fine_tuned_model"], "hello 5")
                assert answer == ANSWER if SOAK else answer
            elif job["status"] != "VALIDATED":
                assert (job["status"], "trainer" in victims) == ("FAILED", True), (victims, moment, job)
                assert "killed" in error(job)
        files = client.get("/v1/files").json()["data"]
        assert file_id in [file["id"] for file in files]
        for file in files:
            content = client.get(f"/v1/files/{file['id']}/content").content
            assert hashlib.sha256(content).hexdigest() == file["signature"]
        assert get(client, jobs[0])["training_files"] == [file_id]
    assert not trainers(tmp_path)
    assert {path.name for path in (tmp_path / "files").iterdir()} == {file["id"] for file in files}
