"""Settings of a client, and the requests that it sends."""

import asyncio
import json
import pickle
import subprocess
import sys
from typing import Any, assert_type

import httpx2
import pytest
from pydantic import BaseModel, ValidationError

from ponant import Mistral, models, utils
from ponant.client.failures import error_of, reported_error
from ponant.client.lenient import Unknown
from tests.client.misbehaving import ANSWER, CHUNK, DONE, event
from tests.serving import environment

REQUEST: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


class Recorder:
    """Client that records its requests and does not send them."""

    def __init__(self, answer: dict[str, Any] | None = None, **settings: Any) -> None:
        self.requests: list[httpx2.Request] = []
        self._answer = answer or ANSWER
        self.http = httpx2.Client(transport=httpx2.MockTransport(self._respond))
        self.mistral = Mistral(client=self.http, **settings)

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if request.headers["accept"] == "text/event-stream":
            stream = event(self._answer if "delta" in str(self._answer) else CHUNK) + DONE
            return httpx2.Response(200, content=stream, headers={"content-type": "text/event-stream"})
        return httpx2.Response(200, json=self._answer)

    def body(self, **fields: Any) -> dict[str, Any]:
        """Return the body of a completion request."""
        self.mistral.chat.complete(**REQUEST | fields)
        body: dict[str, Any] = json.loads(self.requests[-1].content)
        return body


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PONANT_URL", "PONANT_API_KEY", "MISTRAL_API_KEY"):
        monkeypatch.delenv(name, raising=False)


# Settings


def test_the_address_is_the_local_servers_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    def address(**settings: Any) -> str:
        recorder = Recorder(**settings)
        recorder.mistral.chat.complete(**REQUEST)
        return str(recorder.requests[0].url)

    assert address() == "http://127.0.0.1:8000/v1/chat/completions"
    monkeypatch.setenv("PONANT_URL", "https://elsewhere:1234/")
    assert address() == "https://elsewhere:1234/v1/chat/completions"
    assert address(server_url="http://here/below/") == "http://here/below/v1/chat/completions"
    for url in ("http://here/v1", "http://here/v1/"):
        assert address(server_url=url) == "http://here/v1/chat/completions"


def test_a_call_may_go_elsewhere() -> None:
    recorder = Recorder(server_url="http://here")
    recorder.mistral.chat.complete(**REQUEST, server_url="http://there")
    assert recorder.requests[0].url.host == "there"


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://here", "http://", "here", "http://a?b=c", "http://a#b"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="server_url"):
        Mistral(server_url=url)
    with pytest.raises(ValueError, match="server_url"):
        Mistral().models.list(server_url=url)


@pytest.mark.parametrize("time", [0, -1])
def test_a_time_that_is_none_is_refused(time: int) -> None:
    with pytest.raises(ValueError, match="timeout_ms"):
        Mistral(timeout_ms=time)
    with pytest.raises(ValueError, match="timeout_ms"):
        Mistral().models.list(timeout_ms=time)


def test_the_key_comes_from_the_argument_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def sent(key: Any = None) -> str | None:
        recorder = Recorder(api_key=key)
        recorder.mistral.chat.complete(**REQUEST)
        value: str | None = recorder.requests[0].headers.get("authorization")
        return value

    assert sent() is None
    assert sent("") is sent(" \t") is sent(lambda: " ") is None
    monkeypatch.setenv("PONANT_API_KEY", " ")
    monkeypatch.setenv("MISTRAL_API_KEY", "")
    assert sent() is None
    monkeypatch.setenv("MISTRAL_API_KEY", "theirs")
    assert sent() == "Bearer theirs"
    monkeypatch.setenv("PONANT_API_KEY", "ours")
    assert sent() == sent("") == "Bearer ours"
    assert sent("given") == "Bearer given"
    assert sent(lambda: "made") == "Bearer made"
    assert sent("from a file\n") == "Bearer from a file"
    assert sent("clé") == "Bearer clé"


@pytest.mark.parametrize("header", ["authorization", "x-trace"])
def test_a_header_that_cannot_be_sent_is_told_without_its_value(header: str) -> None:
    with pytest.raises(ValueError, match=header) as caught:
        Mistral(server_url="http://127.0.0.1:9").models.list(http_headers={header: "sec\nret"})
    assert "ret" not in str(caught.value)


def test_headers_are_added_and_win() -> None:
    recorder = Recorder(api_key="key")
    recorder.mistral.chat.complete(**REQUEST, http_headers={"X-Trace": "1", "Authorization": "Basic x"})
    headers = recorder.requests[0].headers
    assert headers["x-trace"] == "1"
    assert headers.get_list("authorization") == ["Basic x"]
    assert headers["user-agent"].startswith("ponant/")


def test_a_custom_client_stays_its_makers() -> None:
    recorder = Recorder()
    with recorder.mistral as mistral:
        mistral.chat.complete(**REQUEST)
    recorder.mistral.chat.complete(**REQUEST)
    assert len(recorder.requests) == 2


@pytest.mark.parametrize(
    ("http_timeout", "timeout_ms", "read"), [(5.0, None, None), (60.0, None, 60.0), (60.0, 1500, 1.5), (5.0, 1500, 1.5)]
)
def test_timeouts_come_from_the_call_or_a_custom_client(
    http_timeout: float, timeout_ms: int | None, read: float | None
) -> None:
    recorder = Recorder()
    client = httpx2.Client(transport=httpx2.MockTransport(recorder._respond), timeout=http_timeout)
    Mistral(client=client).chat.complete(**REQUEST, timeout_ms=timeout_ms)
    assert recorder.requests[0].extensions["timeout"]["read"] == read


def test_a_client_that_is_closed_says_so() -> None:
    mistral = Mistral()
    mistral.close()
    with pytest.raises(models.ConnectionLostError, match="client is closed"):
        mistral.models.list()
    with pytest.raises(models.ConnectionLostError, match="client is closed"):
        asyncio.run(mistral.models.list_async())


async def test_a_custom_async_client_is_used() -> None:
    recorder = Recorder()
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(recorder._respond)) as client:
        response = await Mistral(async_client=client).chat.complete_async(**REQUEST)
    assert response.id == "cmpl-1"


# Requests


def test_only_what_is_given_is_sent() -> None:
    assert Recorder().body() == REQUEST | {"stream": False}
    assert Recorder().body(temperature=utils.UNSET, top_p=None, stop=None, stream=None) == REQUEST


def test_null_is_sent_where_it_may_be() -> None:
    body = Recorder().body(temperature=None, max_tokens=None, random_seed=None, n=None, tools=None, prompt_mode=None)
    assert {name for name, value in body.items() if value is None} == {
        "temperature", "max_tokens", "random_seed", "n", "tools", "prompt_mode"
    }  # fmt: skip


def test_typed_and_untyped_requests_are_the_same() -> None:
    schema = {"type": "object"}
    typed = Recorder().body(
        messages=[
            models.SystemMessage(content="Be brief."),
            models.UserMessage(content=[models.TextChunk(text="Hello"), models.ImageURLChunk(image_url="http://x")]),
            models.AssistantMessage(tool_calls=[models.ToolCall(function=models.FunctionCall(name="f", arguments={}))]),
            models.ToolMessage(content=None, tool_call_id="1"),
        ],
        tools=[models.Tool(function=models.Function(name="f", parameters=schema))],
        tool_choice=models.ToolChoice(function=models.FunctionName(name="f")),
        response_format=models.ResponseFormat(
            type="json_schema", json_schema=models.JSONSchema(name="n", schema_definition=schema)
        ),
        prediction=models.Prediction(content="Hi"),
    )
    assert typed["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": "http://x"}],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "null", "type": "function", "index": 0, "function": {"name": "f", "arguments": {}}}],
            "prefix": False,
        },
        {"role": "tool", "content": None, "tool_call_id": "1"},
    ]
    assert typed["response_format"]["json_schema"]["schema"] == schema
    assert typed["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert typed["prediction"] == {"type": "content", "content": "Hi"}


def test_an_answer_can_be_sent_back() -> None:
    recorder = Recorder()
    message = recorder.mistral.chat.complete(**REQUEST).choices[0].message
    sent = recorder.body(messages=[*REQUEST["messages"], message])["messages"][1]
    assert sent == {"role": "assistant", "content": "Hi", "prefix": False}


def test_request_types_and_calls_know_their_fields() -> None:
    with pytest.raises(ValidationError):
        models.UserMessage(content="Hello", colour="blue")  # type: ignore[call-arg]
    flavoured = REQUEST | {"flavour": "vanilla"}
    with pytest.raises(ValidationError):
        models.ChatCompletionRequest(**flavoured)
    with pytest.raises(TypeError, match="flavour"):
        Mistral().chat.complete(**flavoured)
    assert models.ChatCompletionStreamRequest(**REQUEST).stream is True


# Responses of newer servers

NEWER = ANSWER | {
    "mood": "fine",
    "choices": [
        {
            "index": 0,
            "finish_reason": "bored",
            "message": {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "Hi", "font": "serif"},
                    {"type": "hologram", "size": 3},
                    {"type": "thinking", "thinking": [{"type": "dream", "of": "sheep"}], "signature": "s"},
                ],
                "tool_calls": [{"id": "1", "type": "custom", "function": {"name": "f", "arguments": "{}", "at": 1}}],
            },
        }
    ],
}


def test_what_is_new_is_kept() -> None:
    response: Any = Recorder(NEWER).mistral.chat.complete(**REQUEST)
    (choice,) = response.choices
    text, hologram, thinking = choice.message.content
    assert (response.mood, choice.finish_reason, text.font, hologram.size) == ("fine", "bored", "serif", 3)
    assert thinking.thinking[0].of == "sheep"
    assert choice.message.tool_calls[0].type == "custom"
    kinds = (models.ChatCompletionResponse, models.AssistantMessage, models.TextChunk, Unknown)
    for part, kind in zip((response, choice.message, text, hologram), kinds, strict=True):
        assert isinstance(part, kind)
    assert response.model_dump(mode="json", exclude_unset=True) == NEWER
    assert pickle.loads(pickle.dumps(response)) == response


def test_what_is_new_in_a_stream_is_kept() -> None:
    choice = {"index": 0, "delta": {"content": "Hi", "tone": "low"}, "finish_reason": "bored"}
    recorder = Recorder(CHUNK | {"choices": [choice], "mood": "fine"})
    with recorder.mistral.chat.stream(**REQUEST) as events:
        (only,) = events
    data: Any = only.data
    assert (data.mood, data.choices[0].delta.tone, data.choices[0].finish_reason) == ("fine", "low", "bored")


def test_null_stands_for_a_default() -> None:
    call = {"id": None, "type": None, "index": None, "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "prefix": None, "tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    read = Recorder(ANSWER | {"choices": [choice]}).mistral.chat.complete(**REQUEST).choices[0].message.model_dump()
    function = models.FunctionCall(name="f", arguments="{}")
    assert read == models.AssistantMessage(tool_calls=[models.ToolCall(function=function)]).model_dump()


def test_new_kinds_of_models_are_kept() -> None:
    cards = [
        {"id": "a", "type": "base", "capabilities": {"telepathy": True}},
        {"id": "b", "type": "merged", "parents": 2},
        {"id": "c", "type": "fine-tuned", "capabilities": {}, "job": "1", "root": "a"},
    ]
    listed: Any = Recorder({"object": "list", "data": cards}).mistral.models.list().data
    assert listed[0].capabilities.telepathy
    assert (listed[1].id, listed[1].parents) == ("b", 2)
    assert isinstance(listed[2], models.FTModelCard)


# Types


async def test_results_have_their_types() -> None:
    """Names checked by the type checker; other tests check the objects."""

    class City(BaseModel):
        name: str

    recorder = Recorder()
    async_http = httpx2.AsyncClient(transport=httpx2.MockTransport(recorder._respond))
    mistral = Mistral(client=recorder.http, async_client=async_http)
    messages: list[models.Messages] = [models.UserMessage(content="Hello")]
    response = assert_type(mistral.chat.complete(model="m", messages=messages), models.ChatCompletionResponse)
    messages.append(response.choices[0].message)
    whole = assert_type(await mistral.chat.complete_async(model="m", messages=messages), models.ChatCompletionResponse)
    assert whole == response
    stream = assert_type(mistral.chat.stream(model="m", messages=messages), utils.EventStream[models.CompletionEvent])
    for received in stream:
        assert_type(received.data, models.CompletionChunk)
    async with await mistral.chat.stream_async(model="m", messages=messages) as events:
        assert_type(events, utils.EventStreamAsync[models.CompletionEvent])
    objects = assert_type(mistral.chat.parse_stream(City, model="m", messages=messages), models.ParsedEventStream[City])
    objects.close()
    with pytest.raises(models.ResponseValidationError):  # the answer here is "Hi"
        assert_type(mistral.chat.parse(City, model="m", messages=messages).choices[0].message.parsed, City | None)


# Errors

REPORTS: dict[str, dict[str, Any]] = {
    "the API's": {"object": "error", "message": "It broke.", "type": "broken", "code": "1"},
    "with a number": {"object": "error", "message": "It broke.", "type": "broken", "code": 1},
    "nested": {"error": {"message": "It broke.", "type": "broken"}},
    "a text": {"error": "It broke."},
    "a detail": {"detail": "It broke."},
}


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_what_went_wrong_is_read_in_any_usual_form(report: dict[str, Any]) -> None:
    error = reported_error(json.dumps(report))
    assert error
    assert error.message == "It broke."
    assert error.type in ("broken", "error")


@pytest.mark.parametrize("body", ["", "[1]", "[" * 10**5, "{}", "{", '{"message": 1}', '{"error": null}', "\xff"])
def test_what_is_no_report_is_none(body: str) -> None:
    assert reported_error(body) is None


def test_errors_can_be_handed_to_other_processes() -> None:
    request = httpx2.Request("GET", "http://here")
    refused = httpx2.Response(400, json={"message": "No."}, request=request)
    invalid = httpx2.Response(
        422, json={"detail": [{"loc": ["body", "n"], "msg": "Bad.", "type": "t"}]}, request=request
    )
    for error in (error_of(refused), error_of(invalid)):
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error)
        assert (str(copy), copy.status_code, copy.body) == (str(error), error.status_code, error.body)
        assert copy.raw_response.json() == error.raw_response.json()
    assert pickle.loads(pickle.dumps(error_of(invalid))).data.detail[0].msg == "Bad."


# Import


def test_the_client_is_imported_without_the_server_and_the_engine() -> None:
    heavy = ("fastapi", "starlette", "uvicorn", "numpy", "llama_cpp", "llguidance", "ponant.server", "ponant.engine")
    used = "from ponant import Mistral, models, utils; Mistral().chat"
    program = f"import sys; {used}; print([name for name in {heavy} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True, env=environment()
    )
    assert result.stdout.strip() == "[]"


def test_every_name_of_the_public_faces_is_there() -> None:
    for face in (models, utils):
        assert [name for name in face.__all__ if not hasattr(face, name)] == []
    assert utils.eventstreaming.EventStream is utils.EventStream


def test_effort_and_tier_are_sent(over_http: Mistral) -> None:
    question: list[Any] = [{"role": "user", "content": "é"}]
    fields: dict[str, Any] = {"model": "tiny", "messages": question, "max_tokens": 60, "service_tier": "auto"}
    assert isinstance(over_http.chat.complete(**fields, reasoning_effort="low").choices[0].message.content, list)
    assert isinstance(over_http.chat.complete(**fields, reasoning_effort="minimal").choices[0].message.content, str)


def test_prompt_logprobs_are_asked_for_and_read(over_http: Mistral) -> None:
    response = over_http.chat.complete(
        model="tiny",
        messages=[{"role": "user", "content": "é"}],
        max_tokens=1,
        prompt_logprobs=True,
        top_prompt_logprobs=2,
    )
    known = response.choices[0].prompt_logprobs
    assert known
    assert len(known.content) == (response.usage.prompt_tokens or 0) - 1
    assert [len(token.top_logprobs) for token in known.content] == [2] * len(known.content)
    assert all(token.token_id is not None for token in known.content)
