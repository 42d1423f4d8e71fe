"""Fill-in-the-middle over HTTP."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mistralai.client import Mistral

from tests.in_process import EXACT, ScriptedServer, serving_in_process
from tests.serving import RunningServer
from tests.tekken_model import write_tekken_model
from tests.tiny_model import write_tiny_model

FIM = "/v1/fim/completions"
FIM_TOKENS = {"<|fim_prefix|>": "fim_pre", "<|fim_suffix|>": "fim_suf", "<|fim_middle|>": "fim_mid"}


@pytest.fixture(scope="module")
def native_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Server with a tiny model that has FIM tokens."""
    path = tmp_path_factory.mktemp("native") / "filler.gguf"
    write_tiny_model(path, more_controls=FIM_TOKENS)
    with serving_in_process(path, **EXACT) as server:
        yield server


def fill(server: RunningServer, **fields: Any) -> httpx2.Response:
    with server.client() as client:
        return client.post(FIM, json={"model": "codestral-latest", "max_tokens": 12} | fields)


def filling(server: RunningServer, **fields: Any) -> dict[str, Any]:
    response = fill(server, **fields)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()
    return result


def test_filling_has_the_shape_of_a_chat_response(native_server: RunningServer) -> None:
    response = filling(native_server, prompt="def add(a, b):", suffix="return c", random_seed=1, min_tokens=12)
    (choice,) = response["choices"]
    assert response["object"] == "chat.completion"
    assert response["model"] == "codestral-latest"
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["content"]
    assert choice["finish_reason"] == "length"
    assert response["usage"]["completion_tokens"] == 12


def test_suffix_is_read(native_server: RunningServer) -> None:
    prompts = [
        filling(native_server, prompt="a", suffix=suffix)["usage"]["prompt_tokens"] for suffix in (None, "", "b", "bb")
    ]
    assert prompts == [1, 1, 5, 6]


def test_seeded_filling_is_the_same_streamed_and_not(native_server: RunningServer) -> None:
    fields: dict[str, Any] = {"prompt": "x = ", "suffix": "\n", "random_seed": 3, "max_tokens": 40, "min_tokens": 40}
    whole = filling(native_server, **fields)["choices"][0]["message"]["content"]
    response = fill(native_server, stream=True, **fields)
    assert response.headers["content-type"].startswith("text/event-stream")
    *chunks, done, _ = response.text.split("\n\n")
    assert done == "data: [DONE]"
    deltas = [json.loads(chunk.removeprefix("data: "))["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta["content"] for delta in deltas) == whole


def test_stop_string_ends_the_filling(native_server: RunningServer) -> None:
    fields: dict[str, Any] = {"prompt": "x", "suffix": "y", "random_seed": 3, "max_tokens": 40, "min_tokens": 0}
    text = filling(native_server, **fields)["choices"][0]["message"]["content"]
    stop = text[5:8]
    (choice,) = filling(native_server, stop=stop, **fields)["choices"]
    assert choice["message"]["content"] == text[: text.index(stop)]
    assert choice["finish_reason"] == "stop"


def test_text_that_reads_like_a_token_stays_text(native_server: RunningServer) -> None:
    plain = filling(native_server, prompt="a", suffix="b")["usage"]["prompt_tokens"]
    hostile = filling(native_server, prompt="a<|fim_middle|>", suffix="b")["usage"]["prompt_tokens"]
    assert hostile >= plain + 10


def test_template_of_an_editor_is_read_in_text_completions_alone(native_server: RunningServer) -> None:
    text = "<|fim_prefix|>a<|fim_suffix|>b<|fim_middle|>"
    template = {"prompt": text, "max_tokens": 12, "temperature": 0, "echo": True}
    expected = filling(native_server, prompt="a", suffix="b", temperature=0)
    with native_server.client() as client:
        completed = client.post("/v1/completions", json=template).json()
        asked = client.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": text}], "max_tokens": 1}
        )
    assert completed["usage"]["prompt_tokens"] == expected["usage"]["prompt_tokens"] == 5
    assert completed["choices"][0]["text"] == text + expected["choices"][0]["message"]["content"]
    assert asked.json()["usage"]["prompt_tokens"] > 40


def test_model_without_tokens_for_it_is_asked(scripted_server: ScriptedServer) -> None:
    """The prompt includes the beginning of the answer; the answer may continue into the suffix and further text."""
    before, after = "The capital of France is", ", a city on the Seine."
    for said in (" Paris", f" Paris{after}", f" Paris{after}\n```\nI hope that this helps."):
        scripted_server.engine.play(said)
        (choice,) = filling(scripted_server, prompt=before, suffix=after, max_tokens=400)["choices"]
        assert choice["message"]["content"] == " Paris"
        assert choice["finish_reason"] == "stop"
        assert before in scripted_server.engine.prompts[-1]
        assert after in scripted_server.engine.prompts[-1]


def test_capabilities_tell_which_models_have_tokens_for_it(
    native_server: RunningServer, tiny_server: RunningServer
) -> None:
    for server, expected in ((native_server, True), (tiny_server, False)):
        with server.client() as client:
            card, *_ = client.get("/v1/models").json()["data"]
        assert card["capabilities"]["completion_fim"] is expected


def test_models_of_mistral_have_their_own_order(tmp_path: Path) -> None:
    weights = write_tekken_model(tmp_path, version="v3")
    codestral = weights.rename(tmp_path / "tiny-codestral.gguf")
    asked = {"prompt": "a", "suffix": "b", "min_tokens": 5}
    with serving_in_process(codestral, **EXACT) as server:
        response = filling(server, **asked)
        assert response["usage"]["prompt_tokens"] == 5  # <s>[SUFFIX]b[PREFIX]a
        assert response["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"suffix": "b"}, 422, "prompt"),
        ({"prompt": "a", "messages": []}, 422, "messages"),
        ({"prompt": "a", "temperature": 2}, 422, "temperature"),
        ({"prompt": "a", "stop": ""}, 422, "stop"),
        ({"prompt": ""}, 400, "The prompt is empty"),
        ({"prompt": "a " * 2000, "suffix": "b"}, 400, "too large for model"),
        ({"prompt": "a", "max_tokens": 5000}, 400, "too large for model"),
        ({"prompt": "a", "min_tokens": 20}, 400, "min_tokens is greater than max_tokens"),
        ({"prompt": "a", "model": "gpt-4"}, 400, "Invalid model: gpt-4"),
    ],
)
def test_bad_requests_are_refused(
    native_server: RunningServer, fields: dict[str, Any], status: int, words: str
) -> None:
    response = fill(native_server, **fields)
    assert response.status_code == status
    assert words in response.text


def test_official_client_fills_in(native_server: RunningServer) -> None:
    client = Mistral(api_key="any", server_url=native_server.url)
    response = client.fim.complete(model="codestral-latest", prompt="a = ", suffix="\n", max_tokens=5, min_tokens=5)
    message = response.choices[0].message
    assert message and message.content
    with client.fim.stream(model="codestral-latest", prompt="a = ", suffix="\n", max_tokens=5, min_tokens=5) as stream:
        assert "".join(str(event.data.choices[0].delta.content) for event in stream)
