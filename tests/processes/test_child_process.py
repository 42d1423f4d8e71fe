"""Child processes: they end with their parent, and inherit no secrets."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from ponant.processes import launch
from ponant.processes.child_process import ChildProcess
from tests.serving import wait_until

ROOT = Path(__file__).parents[2]
PARENT = """
import asyncio, json, sys
from ponant.processes import launch
from ponant.processes.child_process import ChildProcess

async def start():
    child = await ChildProcess.start("tests.processes.sleeper", stdout=asyncio.subprocess.PIPE)
    await child.stdout.readline()
    print(child.pid, flush=True)
    await child.wait()

launch.KERNEL_WATCHES = json.loads(sys.argv[1])
asyncio.run(start())
"""

SECRETS = {
    "PONANT_API_KEY": "k",
    "PONANT_API_KEYS": "k",
    "MISTRAL_API_KEY": "k",
    "HF_TOKEN": "t",
    "wandb_api_key": "k",
    "AWS_SECRET_ACCESS_KEY": "s",
    "DB_PASSWORD": "p",
    "PONANT_DATABASE_URL": "postgresql://ponant:pass@db/ponant",
    "OTHER_DSN": "host=db password=pass",
}
HARMLESS = {
    "TOKENIZERS_PARALLELISM": "false",
    "HTTPS_PROXY": "http://user:pass@proxy:3128",
    "PONANT_DATA_DIR": "/data",
    "CUDA_VISIBLE_DEVICES": "0",
}


def processes_with(variable: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("PONANT_TEST_MARK") == variable:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("kernel_watches", [True, False], ids=["kernel", "watcher"])
def test_child_that_holds_the_gil_ends_when_its_parent_is_killed(kernel_watches: bool) -> None:
    if kernel_watches and not launch.KERNEL_WATCHES:
        pytest.skip("the kernel of this system does not watch parents")
    mark = f"{os.getpid()}-{kernel_watches}"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, json.dumps(kernel_watches)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PONANT_TEST_MARK": mark, "PYTHONPATH": str(ROOT)},
    )
    with parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert child in processes_with(mark)
        parent.kill()
    wait_until(lambda: not processes_with(mark))


@pytest.mark.parametrize("kernel_watches", [True, False], ids=["kernel", "watcher"])
async def test_child_runs_its_module_with_private_files_and_no_secrets(
    monkeypatch: pytest.MonkeyPatch, kernel_watches: bool
) -> None:
    monkeypatch.setattr(launch, "KERNEL_WATCHES", kernel_watches and launch.KERNEL_WATCHES)
    mark = f"{os.getpid()}-run-{kernel_watches}"
    for name, value in (SECRETS | HARMLESS | {"PONANT_TEST_MARK": mark, "PYTHONPATH": str(ROOT)}).items():
        monkeypatch.setenv(name, value)
    child = await ChildProcess.start("tests.processes.sleeper", "one", "two", stdout=asyncio.subprocess.PIPE)
    try:
        seen: dict[str, Any] = json.loads(await child.stdout.readline())
    finally:
        await child.end(grace=0)
    assert seen["arguments"] == ["one", "two"]
    assert seen["mask"] == 0o077
    assert not SECRETS.keys() & seen["environment"].keys()
    assert seen["environment"].items() >= HARMLESS.items()
    # The watcher ends with the child.
    await asyncio.to_thread(wait_until, lambda: processes_with(mark) == [])
