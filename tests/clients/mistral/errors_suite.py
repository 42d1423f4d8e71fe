# pyright: basic, reportMissingImports=false
"""Models and errors."""

import asyncio
import json

import pytest

from tests.clients.mistral.asking import (
    KEY,
    MODEL,
    QUESTION,
    HTTPValidationError,
    Mistral,
    MistralError,
    SDKError,
    assert_is_error,
    complete,
    connect,
    listed,
    request,
    retrieve,
)

# Models


def test_the_model_is_listed_with_what_it_can_do(mistral: Mistral) -> None:
    card = listed(mistral)[MODEL]
    assert card.object == "model"
    assert card.capabilities.completion_chat
    assert card.capabilities.function_calling
    assert card.max_context_length > 0
    assert card.default_model_temperature >= 0
    assert retrieve(mistral) == card


def test_an_unknown_model_cannot_be_retrieved(mistral: Mistral) -> None:
    with pytest.raises(SDKError) as caught:
        retrieve(mistral, "no-such-model")
    assert_is_error(caught.value, 404)


# Errors


@pytest.mark.parametrize("method", ["complete", "stream"])
def test_an_unknown_model_is_refused(mistral: Mistral, method: str) -> None:
    with pytest.raises(MistralError) as caught:
        getattr(mistral.chat, method)(**request(model="no-such-model"))
    body = assert_is_error(caught.value, 400)
    assert body["type"] == "invalid_model"
    assert "Invalid model" in body["message"]
    assert "no-such-model" in body["message"]


@pytest.mark.parametrize("method", ["complete", "stream"])
def test_a_value_out_of_range_is_refused(mistral: Mistral, method: str) -> None:
    with pytest.raises(HTTPValidationError) as caught:
        getattr(mistral.chat, method)(**request(temperature=5.0))
    assert caught.value.status_code == 422
    (detail,) = caught.value.data.detail or []
    assert detail.loc == ["body", "temperature"]
    assert detail.msg
    assert detail.type == "less_than_equal"


IMPOSSIBLE_CONVERSATIONS = {
    "ends with the assistant": [*QUESTION, {"role": "assistant", "content": "Hello"}],
    "ends with the system": [*QUESTION, {"role": "system", "content": "Be brief."}],
    "begins with the assistant": [{"role": "assistant", "content": "Hello"}, *QUESTION],
}


@pytest.mark.parametrize("messages", IMPOSSIBLE_CONVERSATIONS.values(), ids=IMPOSSIBLE_CONVERSATIONS)
def test_an_impossible_conversation_is_refused(mistral: Mistral, messages: list[dict[str, str]]) -> None:
    with pytest.raises(MistralError) as caught:
        complete(mistral, messages=messages)
    assert_is_error(caught.value, 400)


def test_an_empty_conversation_is_no_request(mistral: Mistral) -> None:
    with pytest.raises(HTTPValidationError) as caught:
        complete(mistral, messages=[])
    assert caught.value.status_code == 422
    (detail,) = caught.value.data.detail or []
    assert detail.loc == ["body", "messages"]


def test_more_than_the_context_holds_is_refused(mistral: Mistral) -> None:
    context = retrieve(mistral).max_context_length
    long = [{"role": "user", "content": "word " * (context + 1)}]
    for fields in ({"max_tokens": context}, {"messages": long}):
        with pytest.raises(MistralError) as caught:
            complete(mistral, **fields)
        assert_is_error(caught.value, 400)


def test_an_async_error_is_the_same_exception() -> None:
    async def ask() -> None:
        async with connect() as client:
            await client.chat.stream_async(**request(model="no-such-model"))

    with pytest.raises(MistralError) as caught:
        asyncio.run(ask())
    assert_is_error(caught.value, 400)


@pytest.mark.skipif(KEY is None, reason="the server takes any key")
@pytest.mark.parametrize("key", ["wrong", None])
def test_a_wrong_key_is_refused(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    with connect(key) as stranger, pytest.raises(SDKError) as caught:
        stranger.chat.complete(**request())
    assert caught.value.status_code == 401
    assert json.loads(caught.value.body) == {"detail": "Unauthorized"}
