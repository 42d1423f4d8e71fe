# pyright: basic, reportMissingImports=false
"""Chat: answers, streams, choices, seeds."""

import asyncio
import inspect
import re
import time
from typing import Any

import pytest

from tests.clients.mistral.asking import (
    ALIAS,
    MODEL,
    MULTI_BYTE,
    QUESTION,
    SCRIPTED,
    Mistral,
    assert_adds_up,
    complete,
    connect,
    finish_reasons,
    joined,
    request,
    stream,
    text_of,
)

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


def test_tiers_and_all_levels_of_effort_are_accepted(mistral: Mistral) -> None:
    if "service_tier" not in inspect.signature(mistral.chat.complete).parameters:
        pytest.skip("the client has none")
    for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max"):
        response = complete(mistral, max_tokens=60, service_tier="standard_only", reasoning_effort=effort)
        assert isinstance(response.choices[0].message.content, str) == (effort in ("none", "minimal"))


def test_log_probabilities_of_answers_and_prompts_have_the_clients_types(mistral: Mistral) -> None:
    if "prompt_logprobs" not in inspect.signature(mistral.chat.complete).parameters:
        pytest.skip("the client has none")
    fields: Any = {"logprobs": True, "top_logprobs": 1, "prompt_logprobs": True, "top_prompt_logprobs": 2}
    response = complete(mistral, max_tokens=3, **fields)
    (choice,) = response.choices
    assert len(choice.logprobs.content) == 3
    assert len(choice.prompt_logprobs.content) == response.usage.prompt_tokens - 1
    for tokens, top in ((choice.logprobs.content, 1), (choice.prompt_logprobs.content, 2)):
        for token in tokens:
            assert isinstance(token.token_id, int)
            assert len(token.top_logprobs) == top
    first, *_ = stream(mistral, max_tokens=3, **fields)
    told = [token.token_id for token in first.choices[0].prompt_logprobs.content]
    assert told == [token.token_id for token in choice.prompt_logprobs.content]


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
