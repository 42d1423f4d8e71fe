# pyright: basic, reportMissingImports=false
"""Behaviour of the official `mistralai` package, in its first major version and the newest.

Needs only pytest and mistralai, and a server: PONANT_TEST_URL is its URL, PONANT_TEST_KEY its key, and
PONANT_TEST_MODEL the name of its model. No test depends on generated text, except for the scripted model's answer.
"""

import asyncio
import json
import os
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

try:
    from mistralai.client import Mistral
    from mistralai.client.errors import HTTPValidationError, MistralError, SDKError
    from mistralai.client.models import TextChunk, ThinkChunk
except ImportError:
    from mistralai import Mistral  # pyright: ignore[reportAttributeAccessIssue]
    from mistralai.models import HTTPValidationError, MistralError, SDKError, TextChunk, ThinkChunk

URL = os.environ.get("PONANT_TEST_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("PONANT_TEST_KEY") or None

SCRIPTED = "scripted"
MODEL = os.environ.get("PONANT_TEST_MODEL", "smollm2")
ALIAS = "mistral-small-latest"
QUESTION = [{"role": "user", "content": "Tell me a story about a lighthouse."}]
MULTI_BYTE = "Voilà : 漢字 🙂👩‍🚀 é"


def connect(key: str | None = KEY) -> Mistral:
    return Mistral(api_key=key, server_url=URL, timeout_ms=120_000)


@pytest.fixture(scope="module")
def mistral() -> Iterator[Mistral]:
    with connect() as client:
        yield client


def request(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": QUESTION, "temperature": 0.0, "max_tokens": 24} | fields


def text_of(response: Any, index: int = 0) -> str:
    return response.choices[index].message.content


def complete(mistral: Mistral, **fields: Any) -> Any:
    return mistral.chat.complete(**request(**fields))


def stream(mistral: Mistral, **fields: Any) -> list[Any]:
    with mistral.chat.stream(**request(**fields)) as events:
        return [event.data for event in events]


def listed(mistral: Mistral) -> dict[str, Any]:
    cards: Any = mistral.models.list().data
    return {card.id: card for card in cards}


def retrieve(mistral: Mistral, name: str = MODEL) -> Any:
    return mistral.models.retrieve(model_id=name)


def joined(chunks: list[Any], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def finish_reasons(chunks: list[Any], index: int = 0) -> list[str]:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return [choice.finish_reason for choice in choices if choice.finish_reason]


def assert_adds_up(usage: Any) -> None:
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def assert_is_error(error: MistralError, status: int) -> dict[str, Any]:
    assert isinstance(error, SDKError)
    assert error.status_code == status
    body = json.loads(error.body)
    assert body["object"] == "error"
    assert body["message"]
    assert body["type"]
    return body


# Answers


@pytest.mark.parametrize("name", [MODEL, ALIAS])
def test_an_answer_has_the_shape_of_the_api(mistral: Mistral, name: str) -> None:
    response = complete(mistral, model=name)
    assert re.fullmatch("cmpl-[0-9a-f]{32}", response.id)
    assert response.object == "chat.completion"
    assert response.model == name
    assert abs(response.created - time.time()) < 300
    assert [choice.index for choice in response.choices] == [0]
    assert response.choices[0].message.role == "assistant"
    assert text_of(response).strip()
    assert not response.choices[0].message.tool_calls
    assert_adds_up(response.usage)


@pytest.mark.skipif(MODEL != SCRIPTED, reason="what the model says is not certain")
def test_the_model_answers_and_stops_by_itself(mistral: Mistral) -> None:
    messages = [
        {"role": "system", "content": "Answer in one sentence."},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    response = complete(mistral, messages=messages, max_tokens=60)
    assert "Paris" in text_of(response)
    assert response.choices[0].finish_reason == "stop"
    assert response.usage.completion_tokens < 60


def test_max_tokens_ends_an_answer(mistral: Mistral) -> None:
    response = complete(mistral, max_tokens=5)
    assert response.choices[0].finish_reason == "length"
    assert response.usage.completion_tokens == 5


def test_no_tokens_at_all_make_an_empty_answer_streamed_or_not(mistral: Mistral) -> None:
    response = complete(mistral, max_tokens=0)
    assert text_of(response) == ""
    assert response.choices[0].finish_reason == "length"
    assert response.usage.completion_tokens == 0
    assert_adds_up(response.usage)
    chunks = stream(mistral, max_tokens=0)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert joined(chunks) == ""
    assert finish_reasons(chunks) == ["length"]
    assert chunks[-1].usage.completion_tokens == 0


def test_the_model_uses_its_own_defaults_where_nothing_is_said(mistral: Mistral) -> None:
    nothing = {"temperature": None, "random_seed": None, "n": None, "metadata": None}
    response = complete(mistral, max_tokens=4, **nothing)
    assert text_of(response)


def test_a_whole_conversation_is_read(mistral: Mistral) -> None:
    conversation = [
        {"role": "system", "content": "You are a helpful geographer."},
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "The capital of France is Paris."},
        {"role": "user", "content": [{"type": "text", "text": "And which river flows through it?"}]},
    ]
    response = complete(mistral, messages=conversation)
    last_alone = complete(mistral, messages=conversation[-1:])
    assert text_of(response).strip()
    assert response.usage.prompt_tokens > last_alone.usage.prompt_tokens


def test_an_answer_begins_with_the_prefix(mistral: Mistral) -> None:
    prefix = "Once upon a midnight"
    messages = [*QUESTION, {"role": "assistant", "content": prefix, "prefix": True}]
    response = complete(mistral, messages=messages)
    assert text_of(response).startswith(prefix)
    assert len(text_of(response)) > len(prefix)
    chunks = stream(mistral, messages=messages)
    assert joined(chunks) == text_of(response)


def test_characters_of_many_bytes_survive(mistral: Mistral) -> None:
    messages = [{"role": "user", "content": MULTI_BYTE}, {"role": "assistant", "content": MULTI_BYTE, "prefix": True}]
    fields: dict[str, Any] = {"messages": messages, "temperature": 1.0, "random_seed": 3, "max_tokens": 40}
    text = text_of(complete(mistral, **fields))
    assert text.startswith(MULTI_BYTE)
    assert "\ufffd" not in text
    assert joined(stream(mistral, **fields)) == text


# Streams


def test_a_stream_of_one_answer_begins_with_the_role_and_ends_with_the_usage(mistral: Mistral) -> None:
    chunks = stream(mistral, model=ALIAS)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len(chunks) > 3
    assert finish_reasons(chunks) == ["length"]
    assert chunks[-1].choices[0].finish_reason == "length"
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].usage.completion_tokens == 24
    assert_adds_up(chunks[-1].usage)
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk.model for chunk in chunks} == {ALIAS}
    assert len({(chunk.id, chunk.created) for chunk in chunks}) == 1
    assert re.fullmatch("cmpl-[0-9a-f]{32}", chunks[0].id)


def test_the_deltas_of_a_stream_join_to_the_answer(mistral: Mistral) -> None:
    response = complete(mistral)
    chunks = stream(mistral)
    assert joined(chunks) == text_of(response)
    assert chunks[-1].usage.total_tokens == response.usage.total_tokens


def test_a_stream_may_be_left_early(mistral: Mistral) -> None:
    with mistral.chat.stream(**request(max_tokens=500)) as events:
        next(iter(events))
    assert text_of(complete(mistral)).strip()


# Async


def test_async_answers_and_streams_equal_the_others(mistral: Mistral) -> None:
    async def both() -> tuple[str, str]:
        async with connect() as client:
            response = await client.chat.complete_async(**request())
            events = await client.chat.stream_async(**request())
            chunks = [event.data async for event in events]
        return text_of(response), joined(chunks)

    text = text_of(complete(mistral))
    assert asyncio.run(both()) == (text, text)


def test_parallel_requests_are_all_answered() -> None:
    topics = ["a lighthouse", "a fox", "the sea", "a clock", "a train", "the moon"]

    async def ask_all() -> list[Any]:
        async with connect() as client:
            questions = [[{"role": "user", "content": f"Tell me about {topic}."}] for topic in topics]
            return await asyncio.gather(
                *(client.chat.complete_async(**request(messages=question)) for question in questions)
            )

    responses = asyncio.run(ask_all())
    assert len({response.id for response in responses}) == len(topics)
    assert len({text_of(response) for response in responses}) == len(topics)
    for response in responses:
        assert response.choices[0].finish_reason in {"stop", "length"}
        assert_adds_up(response.usage)


def test_parallel_streams_do_not_mix() -> None:
    async def follow(client: Mistral, word: str) -> str:
        messages = [*QUESTION, {"role": "assistant", "content": f"{word}: ", "prefix": True}]
        events = await client.chat.stream_async(**request(messages=messages))
        return joined([event.data async for event in events])

    async def follow_all(words: list[str]) -> list[str]:
        async with connect() as client:
            return await asyncio.gather(*(follow(client, word) for word in words))

    words = ["Alpha", "Bravo", "Charlie", "Delta"]
    for word, text in zip(words, asyncio.run(follow_all(words)), strict=True):
        assert text.startswith(f"{word}: ")


# Choices, stops, seeds


def test_several_choices_cost_one_prompt(mistral: Mistral) -> None:
    one = complete(mistral, temperature=1.0, random_seed=1)
    three = complete(mistral, temperature=1.0, random_seed=1, n=3)
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert len({text_of(three, index) for index in range(3)}) > 1
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert one.usage.completion_tokens < three.usage.completion_tokens <= 3 * 24
    assert_adds_up(three.usage)


def test_several_choices_are_streamed_side_by_side(mistral: Mistral) -> None:
    fields: dict[str, Any] = {"temperature": 1.0, "random_seed": 1, "n": 2, "max_tokens": 12}
    response = complete(mistral, **fields)
    chunks = stream(mistral, **fields)
    for index in range(2):
        assert joined(chunks, index) == text_of(response, index)
        assert finish_reasons(chunks, index) == [response.choices[index].finish_reason]
    assert chunks[-1].usage.total_tokens == response.usage.total_tokens


@pytest.mark.parametrize("as_list", [False, True])
def test_a_stop_string_ends_the_answer_and_is_not_in_it(mistral: Mistral, as_list: bool) -> None:
    whole = text_of(complete(mistral, max_tokens=40))
    stop = whole[len(whole) // 2 :][:5]
    fields: dict[str, Any] = {"max_tokens": 40, "stop": ["never to be found", stop] if as_list else stop}
    response = complete(mistral, **fields)
    assert text_of(response) == whole[: whole.index(stop)]
    assert response.choices[0].finish_reason == "stop"
    chunks = stream(mistral, **fields)
    assert joined(chunks) == text_of(response)
    assert finish_reasons(chunks) == ["stop"]


def test_a_seed_repeats_an_answer_streamed_or_not(mistral: Mistral) -> None:
    fields: dict[str, Any] = {"temperature": 1.0, "random_seed": 42, "max_tokens": 40}
    first = text_of(complete(mistral, **fields))
    assert text_of(complete(mistral, **fields)) == first
    assert joined(stream(mistral, **fields)) == first


def test_penalties_and_top_p_are_taken(mistral: Mistral) -> None:
    fields: dict[str, Any] = {
        "temperature": 0.7,
        "top_p": 0.9,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "safe_prompt": True,
    }
    assert text_of(complete(mistral, **fields)).strip()


# Structured output


class Weather(BaseModel):
    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


WEATHER_QUESTION = [{"role": "user", "content": "What is the weather in Rome?"}]


def test_a_json_object_is_one(mistral: Mistral) -> None:
    fields: dict[str, Any] = {"response_format": {"type": "json_object"}, "random_seed": 1, "max_tokens": 30}
    response = complete(mistral, **fields)
    assert joined(stream(mistral, **fields)) == text_of(response)
    assert response.choices[0].finish_reason in {"stop", "length"}
    if response.choices[0].finish_reason == "stop":
        assert isinstance(json.loads(text_of(response)), dict)


def test_a_model_class_is_filled_in(mistral: Mistral) -> None:
    fields = request(messages=WEATHER_QUESTION, random_seed=1, max_tokens=60)
    response: Any = mistral.chat.parse(response_format=Weather, **fields)
    assert response.choices[0].finish_reason == "stop"
    assert isinstance(response.choices[0].message.parsed, Weather)
    with mistral.chat.parse_stream(response_format=Weather, **fields) as events:
        chunks = [event.data for event in events]
    assert Weather.model_validate_json(joined(chunks)) == response.choices[0].message.parsed


def test_a_schema_that_is_none_is_refused(mistral: Mistral) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "wrong", "schema": {"type": "circle"}}}
    with pytest.raises(MistralError) as caught:
        complete(mistral, response_format=form)
    assert assert_is_error(caught.value, 400)["param"] == "response_format.json_schema.schema"


# Tools


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": Weather.model_json_schema() | {"additionalProperties": False},
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time", "description": "The time.", "parameters": {}}}
NAMED = {"type": "function", "function": {"name": "get_weather"}}


def ask_for_calls(**fields: Any) -> dict[str, Any]:
    tools = {"messages": WEATHER_QUESTION, "tools": [WEATHER, CLOCK], "max_tokens": 100, "random_seed": 1}
    return tools | {"parallel_tool_calls": False} | fields


def assert_calls(choice: Any) -> None:
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    for index, call in enumerate(choice.message.tool_calls):
        assert re.fullmatch("[a-zA-Z0-9]{9}", call.id)
        assert (call.type, call.index) == ("function", index)
        if call.function.name == "get_weather":
            Weather.model_validate_json(call.function.arguments)
        else:
            assert (call.function.name, call.function.arguments) == ("get_time", "{}")


def put_together(chunks: list[Any]) -> list[tuple[str, str, str]]:
    """Return ids, names and arguments of the calls of a stream."""
    calls: list[tuple[str, str, str]] = []
    for chunk in chunks:
        for call in chunk.choices[0].delta.tool_calls or []:
            if call.index == len(calls):
                calls.append((call.id, call.function.name, call.function.arguments))
            else:
                call_id, name, arguments = calls[call.index]
                assert (call.id, call.function.name) == ("null", "")
                calls[call.index] = (call_id, name, arguments + call.function.arguments)
    return calls


@pytest.mark.parametrize("choice", ["any", "required", NAMED], ids=["any", "required", "named"])
def test_a_demanded_call_is_made_streamed_or_not(mistral: Mistral, choice: Any) -> None:
    fields = ask_for_calls(tool_choice=choice)
    (made,) = complete(mistral, **fields).choices
    assert_calls(made)
    assert len(made.message.tool_calls) == 1
    if choice == NAMED:
        assert made.message.tool_calls[0].function.name == "get_weather"
    chunks = stream(mistral, **fields)
    assert finish_reasons(chunks) == ["tool_calls"]
    assert joined(chunks) == ""
    expected = [(call.id, call.function.name, call.function.arguments) for call in made.message.tool_calls]
    assert put_together(chunks) == expected


def test_calls_are_made_side_by_side(mistral: Mistral) -> None:
    messages = [{"role": "user", "content": "What is the weather in Rome and in Paris?"}]
    fields = ask_for_calls(
        messages=messages, tools=[WEATHER], tool_choice="any", parallel_tool_calls=True, max_tokens=200
    )
    (made,) = complete(mistral, **fields).choices
    assert made.finish_reason in {"tool_calls", "length"}
    assert made.message.tool_calls
    expected = [(call.id, call.function.name, call.function.arguments) for call in made.message.tool_calls]
    assert put_together(stream(mistral, **fields)) == expected


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_without_a_demand_there_is_text_or_a_call(mistral: Mistral, choice: str) -> None:
    (made,) = complete(mistral, **ask_for_calls(tool_choice=choice, max_tokens=12)).choices
    assert made.message.content or (choice == "auto" and made.message.tool_calls)


def test_the_result_of_a_call_is_answered(mistral: Mistral) -> None:
    message = complete(mistral, **ask_for_calls(tool_choice="any")).choices[0].message
    (call,) = message.tool_calls
    by_id = {"role": "tool", "tool_call_id": call.id, "content": "It is 21 degrees and sunny."}
    for result in (by_id, by_id | {"name": call.function.name}):
        fields = ask_for_calls(messages=[*WEATHER_QUESTION, message, result], tool_choice="none", max_tokens=16)
        assert text_of(complete(mistral, **fields)).strip()


def test_a_result_of_another_call_is_refused(mistral: Mistral) -> None:
    call = {"id": "abcdefgh1", "function": {"name": "get_weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "another12", "content": "It is sunny."}
    with pytest.raises(MistralError) as caught:
        complete(mistral, **ask_for_calls(messages=[*WEATHER_QUESTION, message, result]))
    body = assert_is_error(caught.value, 400)
    assert body["type"] == "invalid_request_tool_call_id"
    assert "another12" in body["message"]


@pytest.mark.parametrize("method", ["complete", "stream"])
def test_a_call_of_no_tools_is_refused(mistral: Mistral, method: str) -> None:
    with pytest.raises(MistralError) as caught:
        getattr(mistral.chat, method)(**request(tool_choice="any"))
    assert assert_is_error(caught.value, 400)["param"] == "tool_choice"


# Reasoning


def test_thinking_comes_before_the_text(mistral: Mistral) -> None:
    fields: dict[str, Any] = {"prompt_mode": "reasoning", "random_seed": 1, "max_tokens": 40}
    message = complete(mistral, **fields).choices[0].message
    assert isinstance(message.content[0], ThinkChunk)
    assert [type(chunk) for chunk in message.content[1:]] in ([], [TextChunk])
    pieces = [piece for chunk in stream(mistral, **fields) for piece in chunk.choices[0].delta.content or []]
    thoughts = [piece for piece in pieces if isinstance(piece, ThinkChunk)]
    assert thought_of(thoughts) == thought_of(message.content[:1])
    assert pieces[: len(thoughts)] == thoughts
    assert [piece.text for piece in pieces[len(thoughts) :]] or len(message.content) == 1
    messages = [*QUESTION, message, {"role": "user", "content": "Go on."}]
    assert complete(mistral, messages=messages, max_tokens=4).choices[0].message.content


def thought_of(chunks: list[Any]) -> str:
    return "".join(part.text for chunk in chunks for part in chunk.thinking)


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


def test_a_file_is_kept_and_given_back(mistral: Mistral, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(json.dumps({"messages": QUESTION}) + "\n")
    with path.open("rb") as content:
        uploaded = mistral.files.upload(file={"file_name": path.name, "content": content}, purpose="fine-tune")
    assert (uploaded.filename, uploaded.purpose, uploaded.num_lines) == ("train.jsonl", "fine-tune", 1)
    assert uploaded.size_bytes == path.stat().st_size
    assert uploaded.id in [file.id for file in mistral.files.list(purpose="fine-tune", search="train").data]
    assert mistral.files.retrieve(file_id=uploaded.id).sample_type == "instruct"
    assert mistral.files.download(file_id=uploaded.id).read() == path.read_bytes()
    url = mistral.files.get_signed_url(file_id=uploaded.id, expiry=1).url
    with urllib.request.urlopen(url) as response:
        assert response.read() == path.read_bytes()
    assert mistral.files.delete(file_id=uploaded.id).deleted
    with pytest.raises(SDKError) as caught:
        mistral.files.retrieve(file_id=uploaded.id)
    assert caught.value.status_code == 404


def test_a_file_that_is_no_dataset_is_refused(mistral: Mistral) -> None:
    with pytest.raises(SDKError) as caught:
        mistral.files.upload(file={"file_name": "a.jsonl", "content": b"no JSON"}, purpose="fine-tune")
    assert_is_error(caught.value, 400)


@pytest.mark.skipif(KEY is None, reason="the server takes any key")
@pytest.mark.parametrize("key", ["wrong", None])
def test_a_wrong_key_is_refused(key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    with connect(key) as stranger, pytest.raises(SDKError) as caught:
        stranger.chat.complete(**request())
    assert caught.value.status_code == 401
    assert json.loads(caught.value.body) == {"detail": "Unauthorized"}
