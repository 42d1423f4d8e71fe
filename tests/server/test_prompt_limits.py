"""Prompts that take too long: chat templates without an end, clients that leave, and the end of the server."""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest

from ponant.api.messages import UserMessage
from ponant.catalog.loading import templates
from ponant.catalog.loading.templates import TemplateChecker
from ponant.completion.prompting import factory
from ponant.completion.prompting.helper import PromptHelper
from ponant.completion.prompting.pipe import PromptSource
from ponant.completion.prompting.threads import InterruptibleThreads
from ponant.errors import InvalidRequestError, ModelLoadError
from ponant.llamacpp.vocabulary import open_vocabulary
from ponant.processes.child_process import ChildProcess
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.request import ChatPromptRequest, RawPromptRequest
from tests.in_process import EXACT, ScriptedServer, serving_in_process, serving_scripted
from tests.serving import RunningServer, ServerProcess, serving, wait_until
from tests.tiny_model import CHATML, write_tiny_model

CHAT = "/v1/chat/completions"
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
LOOPING = f"{{% if messages[-1]['content'].endswith('loop') %}}{ENDLESS}{{% endif %}}{CHATML}"


@pytest.fixture(scope="module")
def looping_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model whose chat template has no end for one message."""
    path = tmp_path_factory.mktemp("looping") / "looping.gguf"
    write_tiny_model(path, chat_template=LOOPING)
    return path


@pytest.fixture
def looping_server(tiny_model: Path, looping_model: Path) -> Iterator[ScriptedServer]:
    with serving_scripted(tiny_model, ("other",), others={"looping": looping_model}) as server:
        yield server


def ask(server: RunningServer, text: str = "hello", *, model: str = "looping", timeout: float = 60) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    with server.client(timeout=timeout) as client:
        return client.post(CHAT, json=body)


def leave(server: RunningServer) -> None:
    """Ask for a prompt that has no end, and disconnect."""
    with contextlib.suppress(httpx2.TimeoutException):
        response = ask(server, "loop", timeout=0.5)
        raise AssertionError(response.text)


@pytest.mark.parametrize("streamed", [False, True])
def test_template_without_end_is_the_error_of_its_request(
    looping_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    monkeypatch.setattr(factory, "_SECONDS", 0.2)
    body = {"model": "looping", "messages": [{"role": "user", "content": "loop"}], "stream": streamed}
    with looping_server.client() as client:
        response = client.post(CHAT, json=body)
    assert response.status_code == 400
    assert "takes longer than 0.2 s" in response.json()["message"]
    assert ask(looping_server).status_code == 200


def test_templates_without_end_hold_up_no_other_model_and_end_with_their_clients(
    looping_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "_SECONDS", 600)
    with ThreadPoolExecutor(10) as clients:
        left = [clients.submit(leave, looping_server) for _ in range(10)]
        assert ask(looping_server, model="other").status_code == 200
        for client in left:
            client.result()
    assert ask(looping_server).status_code == 200


def test_time_of_a_request_includes_its_prompt(
    tiny_model: Path, looping_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factory, "_SECONDS", 600)
    with serving_scripted(looping_model, ("looping",), request_timeout=0.5) as server:
        response = ask(server, "loop")
        assert response.status_code == 504
        assert response.json()["type"] == "timeout"
        assert ask(server).status_code == 200


def processor_seconds(server: ServerProcess) -> float:
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)


def test_server_ends_during_a_prompt_without_end(looping_model: Path) -> None:
    with serving(str(looping_model), PONANT_SHUTDOWN_TIMEOUT="0.1") as server, ThreadPoolExecutor() as clients:
        idle = processor_seconds(server)
        asked = clients.submit(ask, server, "loop")
        wait_until(lambda: processor_seconds(server) > idle + 0.5)  # the template runs
        with server.client() as client:
            assert client.get("/health").status_code == 200
        assert not asked.done()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        with contextlib.suppress(httpx2.HTTPError):
            asked.result()


# Models whose templates are never usable

USELESS = {
    "endless": (ENDLESS, "takes longer than 0.5 s of processor time"),
    "large": ("{{ 'a' * 6000000000 }}", "makes texts, lists or numbers"),
    "endless recursion": (
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "takes longer",
    ),
}


@pytest.mark.parametrize(("template", "reason"), USELESS.values(), ids=USELESS)
def test_model_whose_template_fails_the_check_is_refused_by_name(template: str, reason: str, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "useless.gguf", chat_template=template)
    checker = TemplateChecker(tmp_path / "templates", seconds=0.5)
    with pytest.raises(ModelLoadError, match=rf"chat template of useless {reason}"):
        asyncio.run(checker.check("useless", open_vocabulary(tmp_path / "useless.gguf")))


def test_server_starts_without_the_model_whose_template_has_no_end(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(templates.TemplateChecker.__init__, "__kwdefaults__", {"seconds": 0.5, "memory": 2**28})
    write_tiny_model(tmp_path / "useless.gguf", chat_template=ENDLESS)
    with serving_in_process(tiny_model, tmp_path / "useless.gguf", **EXACT) as server:
        response = ask(server, model="useless")
        assert response.status_code == 503
        assert "the chat template of useless takes longer" in response.json()["message"]
        assert ask(server, model="tiny").status_code == 200


def test_template_is_checked_once(looping_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    start = ChildProcess.start

    async def counted(module: str, *arguments: str, **options: Any) -> ChildProcess:
        started.append(module)
        return await start(module, *arguments, **options)

    monkeypatch.setattr(ChildProcess, "start", counted)
    for _ in range(2):
        asyncio.run(TemplateChecker(tmp_path / "new").check("looping", open_vocabulary(looping_model)))
    assert started == ["ponant.catalog.loading.template_worker"]


# Long prompts

LONG = "hello " * 50_000
HELPER = "ponant.completion.prompting.worker"


@pytest.fixture
def long_server(looping_model: Path) -> Iterator[ScriptedServer]:
    with serving_scripted(looping_model, ("looping",), engine={"context": 100_000}) as server:
        yield server
    assert not helpers()


def helpers() -> list[int]:
    """Return the ids of the helper processes of the servers in this process."""
    return [child.pid for child in psutil.Process().children() if HELPER in child.cmdline()]


def test_long_prompts_are_built_by_one_helper_as_short_ones_are(
    long_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(long_server, LONG).status_code == ask(long_server, LONG + "!").status_code == 200
    assert len(helpers()) == 1
    monkeypatch.setattr(factory, "_LARGE", 2**30)
    assert ask(long_server, LONG).status_code == 200
    first, _, here = long_server.engine.requests
    assert first.prompt == here.prompt


def test_helper_reports_errors_of_prompts(long_server: ScriptedServer) -> None:
    response = ask(long_server, LONG * 3)
    assert response.status_code == 400
    assert response.json()["type"] == "context_length_exceeded"
    assert response.json()["param"] == "messages"


def test_helper_ends_with_the_request_whose_client_leaves(long_server: ScriptedServer) -> None:
    async def leave_when_started() -> int:
        messages = [{"role": "user", "content": LONG + "loop"}]
        async with httpx2.AsyncClient(base_url=long_server.url, timeout=60) as client:
            asked = asyncio.create_task(client.post(CHAT, json={"messages": messages}))
            while not helpers() and not asked.done():
                await asyncio.sleep(0.01)
            (helper,) = helpers()
            asked.cancel()
            await asyncio.wait([asked])
        return helper

    helper = asyncio.run(leave_when_started())
    wait_until(lambda: not psutil.pid_exists(helper))
    assert ask(long_server, LONG).status_code == 200


@pytest.mark.parametrize(
    ("limits", "text", "reason"),
    [({"seconds": 0.3}, "loop", "longer than 0.3 s"), ({"memory": 2**21}, LONG * 10, "more than 2 MB")],
)
def test_long_prompt_over_a_limit_of_the_helper_is_refused(
    looping_model: Path, limits: dict[str, Any], text: str, reason: str
) -> None:
    async def build(helper: PromptHelper, text: str) -> Prompt:
        request = ChatPromptRequest(messages=[UserMessage(content=text)])
        return await helper.build(request, PromptSource("m", looping_model, 10**6, None), InterruptibleThreads())

    async def run() -> None:
        helper = PromptHelper(**limits)
        try:
            with pytest.raises(InvalidRequestError, match=reason):
                await build(helper, text)
            assert (await build(helper, "hello")).tokens
        finally:
            await helper.close()
        assert helper.process_id is None

    asyncio.run(run())


def test_idle_helper_ends(looping_model: Path) -> None:
    async def run() -> None:
        helper = PromptHelper(idle_seconds=0)
        request = RawPromptRequest("hello")
        await helper.build(request, PromptSource("m", looping_model, 512, None), InterruptibleThreads())
        while helper.process_id:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), 60))


# Threads


def endless(started: threading.Event) -> None:
    started.set()
    while True:
        pass


def test_place_of_interrupted_work_is_free_when_its_thread_has_ended() -> None:
    async def run() -> Any:
        threads = InterruptibleThreads(most=1)
        started = threading.Event()
        work = asyncio.create_task(threads.run(lambda: endless(started)))
        await asyncio.to_thread(started.wait)
        work.cancel()
        await asyncio.wait([work])
        result = await threads.run(lambda: "next")
        assert not threads.interrupting
        await threads.close()
        return work.cancelled(), result

    assert asyncio.run(run()) == (True, "next")


def test_interrupted_work_that_swallows_the_exception_is_interrupted_again() -> None:
    def stubborn(started: threading.Event) -> None:
        for _ in range(3):
            with contextlib.suppress(SystemExit):
                endless(started)

    async def run() -> str:
        threads = InterruptibleThreads(most=1)
        started = threading.Event()
        with pytest.raises(TimeoutError):
            await threads.run(lambda: stubborn(started), seconds=0.05)
        return await threads.run(lambda: "next")

    assert asyncio.run(run()) == "next"


def test_errors_of_work_are_raised() -> None:
    async def run() -> None:
        await InterruptibleThreads().run(lambda: int("x"))

    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(run())
