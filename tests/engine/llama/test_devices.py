"""Layers on devices: RPC servers of llama.cpp on loopback, which ggml counts among the GPUs."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.engine.base import GenerateRequest, Sampling
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.placement import DeviceSettings
from ponant.engine.llama.process import EngineProcess
from ponant.errors import EngineRestartedError, ModelLoadError
from ponant.llamacpp.devices import has_rpc
from tests.serving import THREADS, ponant


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


LAYERS = 3
"""Layers of the tiny model, the output included."""
GREEDY = GenerateRequest([10, 20, 30, 40, 50], [0], max_tokens=40, sampling=Sampling(temperature=0))


class RpcServer:
    """``ponant rpc-server`` in a process of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    @property
    def address(self) -> str:
        return f"rpc://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = ponant("rpc-server", "--port", str(self.port), "--threads", str(THREADS))
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not self._answers():
            assert self.process.poll() is None, "the RPC server has ended"
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def servers() -> Iterator[list[RpcServer]]:
    started = [RpcServer(), RpcServer()]
    yield started
    for server in started:
        server.stop()


def engine(model: Path, **devices: object) -> EngineProcess:
    config = EngineConfig(
        str(model),
        parallel=4,
        threads=THREADS,
        flash_attention=False,
        kv_type="f32",
        devices=DeviceSettings(**devices),  # type: ignore[arg-type]
    )
    return EngineProcess(config)


async def greedy_tokens(process: EngineProcess) -> list[int]:
    return [token async for delta in process.generate(GREEDY) for token in delta.tokens]


@pytest.fixture(scope="module")
async def expected(tiny_model: Path) -> list[int]:
    process = engine(tiny_model, names=[])
    await process.start()
    try:
        assert process.info.devices == []
        return await greedy_tokens(process)
    finally:
        await process.stop()


def test_build_has_the_rpc_backend() -> None:
    assert has_rpc()


@pytest.mark.parametrize(
    ("used", "devices", "layers"),
    [
        (1, {}, [LAYERS]),
        (1, {"gpu_layers": 2}, [2]),
        (2, {"tensor_split": [2.0, 1.0]}, [2, 1]),
        (2, {"split_mode": "none"}, [LAYERS]),
    ],
    ids=["all layers", "some layers", "two devices", "one of two"],
)
async def test_layers_on_devices_compute_the_same(
    servers: list[RpcServer],
    tiny_model: Path,
    expected: list[int],
    used: int,
    devices: dict[str, object],
    layers: list[int],
) -> None:
    process = engine(tiny_model, names=[server.address for server in servers[:used]], **devices)
    await process.start()
    try:
        assert [device.layers for device in process.info.devices] == layers
        assert process.info.layers == LAYERS
        assert "layers" in process.describe("tiny")
        assert await greedy_tokens(process) == expected
    finally:
        await process.stop()


async def test_no_layers_on_a_device_is_the_processor_alone(servers: list[RpcServer], tiny_model: Path) -> None:
    process = engine(tiny_model, names=[servers[0].address], gpu_layers=0)
    await process.start()
    try:
        assert process.info.devices == []
    finally:
        await process.stop()


async def test_wish_that_does_not_fit_is_refused(servers: list[RpcServer], tiny_model: Path) -> None:
    process = engine(tiny_model, names=["none-such"], gpu_layers=1)
    with pytest.raises(ModelLoadError, match="there is no device none-such"):
        await process.start()
    await process.stop()


async def test_address_without_a_server_is_refused(tiny_model: Path) -> None:
    process = engine(tiny_model, names=[f"rpc://127.0.0.1:{free_port()}"])
    with pytest.raises(ModelLoadError, match="no RPC server answers"):
        await process.start()
    await process.stop()


async def test_engine_is_back_when_its_device_is(tiny_model: Path, expected: list[int]) -> None:
    server = RpcServer()
    process = engine(tiny_model, names=[server.address])
    await process.start()
    try:
        generation = process.generate(GREEDY)
        await anext(generation)
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        server.start()
        tokens: list[int] = []
        while True:
            try:
                tokens += (await anext(generation)).tokens
            except EngineRestartedError:
                tokens = []
            except StopAsyncIteration:
                break
        assert tokens == expected
    finally:
        await process.stop()
        server.stop()
