# pyright: basic, reportMissingImports=false
"""What users of the official `openai` package see, as far as both APIs have the same fields.

Needs pytest and openai alone, and a server: PONANT_TEST_URL says where, PONANT_TEST_KEY with which key.
"""

import asyncio
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

URL = os.environ.get("PONANT_TEST_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("PONANT_TEST_KEY") or None

MODEL = "smollm2"
QUESTION = [{"role": "user", "content": "Tell me a story about a lighthouse."}]


def settings(key: str | None = KEY) -> Any:
    """The package insists on a key, even where the server takes any."""
    return {"base_url": f"{URL}/v1", "api_key": key or "any", "timeout": 120.0, "max_retries": 0}


@pytest.fixture(scope="module")
def client() -> Iterator[OpenAI]:
    with OpenAI(**settings()) as client:
        yield client


def request(**fields: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": QUESTION, "temperature": 0.0, "max_tokens": 24} | fields


def text_of(response: Any, index: int = 0) -> str:
    return response.choices[index].message.content


def joined(chunks: Iterable[Any], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in choices)


def assert_adds_up(usage: Any) -> None:
    assert usage.prompt_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_an_answer_has_the_shape_of_the_api(client: OpenAI) -> None:
    response = client.chat.completions.create(**request())
    assert re.fullmatch("cmpl-[0-9a-f]{32}", response.id)
    assert response.object == "chat.completion"
    assert response.model == MODEL
    assert [choice.index for choice in response.choices] == [0]
    assert response.choices[0].message.role == "assistant"
    assert response.choices[0].finish_reason == "length"
    assert text_of(response).strip()
    assert response.usage.completion_tokens == 24
    assert_adds_up(response.usage)


def test_a_stream_joins_to_the_answer(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(**request(stream=True)))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].choices[0].finish_reason == "length"
    assert_adds_up(chunks[-1].usage)
    assert joined(chunks) == text_of(client.chat.completions.create(**request()))


def test_async_answers_and_streams_equal_the_others(client: OpenAI) -> None:
    async def ask(client: AsyncOpenAI) -> str:
        return text_of(await client.chat.completions.create(**request()))

    async def follow(client: AsyncOpenAI) -> str:
        stream = await client.chat.completions.create(**request(stream=True))
        return joined([chunk async for chunk in stream])

    async def both() -> tuple[str, str]:
        async with AsyncOpenAI(**settings()) as client:
            return await ask(client), await follow(client)

    text = text_of(client.chat.completions.create(**request()))
    assert asyncio.run(both()) == (text, text)


def test_parallel_requests_are_all_answered() -> None:
    topics = ["a lighthouse", "a fox", "the sea", "a clock"]

    async def ask_all() -> list[Any]:
        async with AsyncOpenAI(**settings()) as client:
            questions = [[{"role": "user", "content": f"Tell me about {topic}."}] for topic in topics]
            return await asyncio.gather(
                *(client.chat.completions.create(**request(messages=question)) for question in questions)
            )

    responses = asyncio.run(ask_all())
    assert len({response.id for response in responses}) == len(topics)
    assert len({text_of(response) for response in responses}) == len(topics)


def test_a_stream_may_be_left_early(client: OpenAI) -> None:
    with client.chat.completions.create(**request(stream=True, max_tokens=500)) as stream:
        next(iter(stream))
    assert text_of(client.chat.completions.create(**request())).strip()


def test_several_choices_cost_one_prompt(client: OpenAI) -> None:
    one = client.chat.completions.create(**request())
    three = client.chat.completions.create(**request(temperature=1.0, n=3))
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert_adds_up(three.usage)


def test_several_choices_are_streamed_side_by_side(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(**request(temperature=1.0, n=2, stream=True)))
    for index in range(2):
        ends = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert [end for end in ends if end] in (["length"], ["stop"])
        assert joined(chunks, index).strip()


@pytest.mark.parametrize("as_list", [False, True])
def test_a_stop_string_ends_the_answer_and_is_not_in_it(client: OpenAI, as_list: bool) -> None:
    whole = text_of(client.chat.completions.create(**request(max_tokens=40)))
    stop = whole[len(whole) // 2 :][:5]
    response = client.chat.completions.create(**request(max_tokens=40, stop=[stop] if as_list else stop))
    assert text_of(response) == whole[: whole.index(stop)]
    assert response.choices[0].finish_reason == "stop"


def test_penalties_and_top_p_are_taken(client: OpenAI) -> None:
    fields = request(temperature=0.7, top_p=0.9, presence_penalty=0.5, frequency_penalty=0.5)
    assert text_of(client.chat.completions.create(**fields)).strip()


def test_fields_of_the_server_travel_in_the_extra_body(client: OpenAI) -> None:
    fields = request(temperature=1.0, max_tokens=40, extra_body={"random_seed": 42})
    first = text_of(client.chat.completions.create(**fields))
    assert text_of(client.chat.completions.create(**fields)) == first


def test_a_whole_conversation_is_read(client: OpenAI) -> None:
    conversation = [
        {"role": "system", "content": "You are a helpful geographer."},
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "The capital of France is Paris."},
        {"role": "user", "content": [{"type": "text", "text": "Où coule la Seine ? 🙂"}]},
    ]
    response = client.chat.completions.create(**request(messages=conversation))
    assert text_of(response).strip()
    assert "\ufffd" not in text_of(response)


def test_the_model_is_listed_and_retrieved(client: OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).object == "model"


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_refused(client: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(model="no-such-model", stream=stream))
    assert caught.value.type == "invalid_model"
    assert caught.value.code == "1500"
    assert "no-such-model" in caught.value.message


def test_a_value_out_of_range_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(**request(temperature=5.0))
    (detail,) = caught.value.response.json()["detail"]
    assert detail["loc"] == ["body", "temperature"]


def test_a_field_that_nobody_knows_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(**request(extra_body={"flavour": "vanilla"}))
    (detail,) = caught.value.response.json()["detail"]
    assert (detail["loc"], detail["type"]) == (["body", "flavour"], "extra_forbidden")


def test_more_than_the_context_holds_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**request(max_tokens=10_000_000))


@pytest.mark.skipif(KEY is None, reason="the server takes any key")
def test_a_wrong_key_is_refused() -> None:
    with OpenAI(**settings(key="wrong")) as stranger, pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(**request())
