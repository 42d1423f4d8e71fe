"""Server in the client's process: responses are streamed, sequences are freed, and nothing outlives the client."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from ponant import Mistral, models
from ponant.utils import BackoffStrategy, RetryConfig
from ponant.weights.errors import ModelNotFoundError
from tests.chatting import ENDLESS
from tests.client.calls import USER
from tests.in_process import EXACT
from tests.serving import RunningServer, environment, serving, wait_until

REQUEST: dict[str, Any] = {"model": None, "messages": [USER], "temperature": 1.0, "random_seed": 1}
SHORT = REQUEST | {"max_tokens": 3}
LONG = REQUEST | ENDLESS


def workers() -> list[psutil.Process]:
    """Return the engines of this process."""
    return [child for child in psutil.Process().children() if "ponant.engine.llama.worker" in child.cmdline()]


@pytest.fixture(scope="module")
def endless_server(endless_model: Path) -> Iterator[RunningServer]:
    with serving(str(endless_model), "--parallel", "1") as server:
        yield server


@pytest.fixture(scope="module", params=["over HTTP", "in-process"])
def one_place(request: pytest.FixtureRequest, endless_model: Path) -> Iterator[Mistral]:
    """Client of a model with one sequence, whose answers can take minutes."""
    if request.param == "over HTTP":
        server: RunningServer = request.getfixturevalue("endless_server")
        with Mistral(server_url=server.url) as mistral:
            yield mistral
    else:
        with Mistral.local(str(endless_model), threads=1, parallel=1) as mistral:
            yield mistral


# Streams


def test_the_first_event_comes_before_the_last_is_computed_and_leaving_frees_the_sequence(one_place: Mistral) -> None:
    for _ in range(2):
        with one_place.chat.stream(**LONG) as events:
            assert next(events).data.choices[0].delta.role == "assistant"
            assert next(events).data.choices[0].finish_reason is None
        assert one_place.chat.complete(**SHORT).usage.completion_tokens == 3


async def test_the_same_is_true_of_async_streams(one_place: Mistral) -> None:
    async with await one_place.chat.stream_async(**LONG) as events:
        assert (await anext(events)).data.choices[0].delta.role == "assistant"
        assert (await anext(events)).data.choices[0].finish_reason is None
    assert (await one_place.chat.complete_async(**SHORT)).usage.completion_tokens == 3


def test_a_stream_that_nobody_holds_any_more_frees_its_sequence(one_place: Mistral) -> None:
    for _ in one_place.chat.stream(**LONG):
        break
    unread = one_place.chat.stream(**LONG)
    del unread
    assert one_place.chat.complete(**SHORT).usage.completion_tokens == 3


async def test_a_cancelled_call_frees_its_sequence(one_place: Mistral) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await one_place.chat.complete_async(**LONG)
    assert (await one_place.chat.complete_async(**SHORT)).usage.completion_tokens == 3


def test_a_call_that_takes_too_long_ends_and_frees_its_sequence(one_place: Mistral) -> None:
    with pytest.raises(models.RequestTimeoutError, match=r"within 0\.2 s"):
        one_place.chat.complete(**LONG, timeout_ms=200)
    assert one_place.chat.complete(**SHORT).usage.completion_tokens == 3


def test_a_reader_who_pauses_gets_every_event(in_process: Mistral) -> None:
    """The stream has more events than the buffer, and reading begins late."""
    fields = REQUEST | {"max_tokens": 300, "min_tokens": 300}
    whole = in_process.chat.complete(**fields).choices[0].message.content
    with in_process.chat.stream(**fields) as events:
        first = next(events)
        in_process.chat.complete(**fields)
        texts = [str(event.data.choices[0].delta.content) for event in (first, *events)]
    assert "".join(texts) == whole


# Threads and event loops


async def test_sync_calls_work_where_an_event_loop_runs(in_process: Mistral) -> None:
    assert in_process.chat.complete(**SHORT).usage.completion_tokens == 3
    with in_process.chat.stream(**SHORT) as events:
        assert [event async for event in _asynchronously(events)]


async def _asynchronously(events: Any) -> Any:
    for event in events:
        yield event
        await asyncio.sleep(0)


@pytest.mark.parametrize("where", ["over_http", "in_process"])
def test_a_client_is_used_by_several_threads_and_event_loops(request: pytest.FixtureRequest, where: str) -> None:
    mistral: Mistral = request.getfixturevalue(where)
    expected = mistral.chat.complete(**SHORT).choices[0].message.content

    def sync() -> Any:
        return mistral.chat.complete(**SHORT).choices[0].message.content

    def with_loop() -> Any:
        async def several() -> list[Any]:
            responses = await asyncio.gather(*(mistral.chat.complete_async(**SHORT) for _ in range(3)))
            return [response.choices[0].message.content for response in responses]

        return set(asyncio.run(several())).pop()

    with ThreadPoolExecutor(6) as pool:
        results = [pool.submit(work) for work in (sync, with_loop) * 4]
        assert {result.result(60) for result in results} == {expected}


# Loading


def test_a_model_that_there_is_not_is_told(tmp_path: Path) -> None:
    mistral = Mistral.local(str(tmp_path / "none.gguf"))
    with pytest.raises(ModelNotFoundError, match=r"none\.gguf"), mistral:
        pass
    with pytest.raises(ModelNotFoundError, match=r"none\.gguf"):
        mistral.models.list()
    mistral.close()


async def test_a_model_that_there_is_not_is_told_in_async_code(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"none\.gguf"):
        async with Mistral.local(str(tmp_path / "none.gguf")):
            pass


@pytest.mark.parametrize("settings", [{"flavour": "vanilla"}, {"threads": 0}])
def test_settings_that_are_none_are_told(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        Mistral.local(**settings)


def test_keys_of_the_environment_are_no_matter_in_process(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONANT_API_KEY", "secret")
    monkeypatch.setenv("PONANT_HOST", "0.0.0.0")
    with Mistral.local(str(tiny_model), **EXACT) as mistral:
        assert mistral.chat.complete(**SHORT).usage.completion_tokens == 3


def test_no_port_is_opened(tiny_model: Path) -> None:
    def listening() -> set[Any]:
        return {c.laddr for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN}

    before = listening()
    with Mistral.local(str(tiny_model), **EXACT) as mistral:
        mistral.models.list()
        assert listening() == before


# Shutdown


def test_closing_ends_the_engine_and_what_runs(endless_model: Path) -> None:
    before = workers()
    mistral = Mistral.local(str(endless_model), threads=1)
    events = mistral.chat.stream(**LONG)
    next(events)
    (worker,) = set(workers()) - set(before)
    mistral.close()
    assert not worker.is_running()
    with pytest.raises(models.ClientError):
        for _ in events:
            pass
    with pytest.raises(models.ConnectionLostError, match="closed"):
        mistral.models.list()
    mistral.close()


def test_closing_while_another_thread_waits_ends_its_call(endless_model: Path) -> None:
    mistral = Mistral.local(str(endless_model), threads=1)
    with ThreadPoolExecutor(1) as pool:
        began = threading.Event()

        def read() -> None:
            for _ in mistral.chat.stream(**LONG):
                began.set()

        reading = pool.submit(read)
        assert began.wait(60)
        mistral.close()
        with pytest.raises(models.ClientError):
            reading.result(30)


def test_closing_before_the_model_is_loaded_ends_the_loading(bundled_model: Path) -> None:
    before = workers()
    mistral = Mistral.local(str(bundled_model))
    mistral.close()
    with pytest.raises(RuntimeError, match="closed"):
        mistral.models.list()
    wait_until(lambda: workers() == before)


def test_a_client_that_nobody_holds_any_more_ends_its_engine(tiny_model: Path) -> None:
    before = workers()
    mistral = Mistral.local(str(tiny_model), **EXACT)
    chat = mistral.chat
    del mistral
    gc.collect()
    assert chat.complete(**SHORT).usage.completion_tokens == 3
    del chat
    gc.collect()
    wait_until(lambda: workers() == before)


def test_an_engine_that_dies_is_told_and_comes_back(endless_model: Path) -> None:
    before = workers()
    with Mistral.local(str(endless_model), threads=1) as mistral:
        (worker,) = set(workers()) - set(before)
        with mistral.chat.stream(**LONG) as events:
            next(events)
            worker.kill()
            with pytest.raises(models.StreamError) as caught:
                for _ in events:
                    pass
        assert caught.value.error.type == "unavailable"
        retries = RetryConfig("backoff", BackoffStrategy(10, 100, 1.5, 60_000), False)
        assert mistral.chat.complete(**SHORT, retries=retries).usage.completion_tokens == 3


ENDINGS = {
    "with an exception": "stream = mistral.chat.stream(**LONG); next(stream); raise SystemExit(3)",
    "after a fork": "import os; os.fork()",
    "with uvloop": "asyncio.run(mistral.chat.complete_async(**SHORT))",
}
PROGRAM = """
import asyncio, psutil
from ponant import Mistral
{before}
SHORT, LONG = {short!r}, {long!r}
mistral = Mistral.local({model!r}, threads=1)
print(mistral.chat.complete(**SHORT).usage.completion_tokens, flush=True)
print(*(child.pid for child in psutil.Process().children()), flush=True)
{ending}
"""


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_script_ends_with_its_engine(endless_model: Path, ending: str) -> None:
    program = PROGRAM.format(
        before="import uvloop; uvloop.install()" if "uvloop" in ending else "",
        short=SHORT,
        long=LONG,
        model=str(endless_model),
        ending=ENDINGS[ending],
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=False, text=True, env=environment(), timeout=60
    )
    assert result.returncode == (3 if "exception" in ending else 0), result.stderr
    assert result.stderr == ""
    tokens, worker = result.stdout.split()
    assert tokens == "3"
    wait_until(lambda: not psutil.pid_exists(int(worker)))
