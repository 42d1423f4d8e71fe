# pyright: basic, reportMissingImports=false
"""Chat completions: answers, streams, choices, fields."""

import asyncio
import re
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.openai.asking import MODEL, assert_adds_up, joined, request, settings, text_of


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
    assert [chunk.usage for chunk in chunks if chunk.usage] == []
    assert joined(chunks) == text_of(client.chat.completions.create(**request()))


def test_a_stream_tells_its_usage_if_asked_for_it(client: OpenAI) -> None:
    fields = request(stream=True, stream_options={"include_usage": True})
    *chunks, last = client.chat.completions.create(**fields)
    assert [chunk.usage for chunk in chunks if chunk.usage] == []
    assert chunks[-1].choices[0].finish_reason == "length"
    assert last.choices == []
    assert last.usage.completion_tokens == 24
    assert_adds_up(last.usage)


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
    fields = request(temperature=1.0, max_tokens=12)
    seeded = text_of(client.chat.completions.create(**fields, extra_body={"random_seed": 42}))
    assert text_of(client.chat.completions.create(**fields, seed=42)) == seeded
    greedy = text_of(client.chat.completions.create(**fields, extra_body={"top_k": 1}))
    assert greedy == text_of(client.chat.completions.create(**request(max_tokens=12)))


def test_a_seed_repeats_its_answer(client: OpenAI) -> None:
    texts = {
        seed: [
            text_of(client.chat.completions.create(**request(temperature=1.0, seed=seed, max_tokens=12)))
            for _ in range(2)
        ]
        for seed in (1, -1)
    }
    assert all(first == second for first, second in texts.values())
    assert texts[1] != texts[-1]


def test_what_cannot_change_the_answer_is_taken(client: OpenAI) -> None:
    fields = request(
        max_tokens=openai.NOT_GIVEN,
        max_completion_tokens=24,
        user="u-1",
        safety_identifier="u-1",
        store=False,
        service_tier="auto",
        metadata={"topic": "sea"},
        modalities=["text"],
        logit_bias={},
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        verbosity="medium",
        prediction={
            "type": "content",
            "content": [{"type": "text", "text": "Once "}, {"type": "text", "text": "upon"}],
        },
    )
    response = client.chat.completions.create(**fields)
    assert text_of(response) == text_of(client.chat.completions.create(**request()))
    assert response.usage.completion_tokens_details.accepted_prediction_tokens is not None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("store", True),
        ("logit_bias", {"999999999": -100}),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "alloy", "format": "mp3"}),
        ("verbosity", "low"),
        ("web_search_options", {}),
        ("moderation", {"model": "m"}),
        ("reasoning_effort", "endless"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client: OpenAI, field: str, value: Any) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(**{field: value}))
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", field)
    assert field in caught.value.message


def test_log_probabilities_are_told(client: OpenAI) -> None:
    fields = request(max_tokens=4, logprobs=True, top_logprobs=2)
    logprobs = client.chat.completions.create(**fields).choices[0].logprobs
    assert len(logprobs.content) == 4
    for token in logprobs.content:
        assert token.top_logprobs[0].logprob == pytest.approx(token.logprob)
    chunks = client.chat.completions.create(stream=True, **fields)
    told = [choice.logprobs.content for chunk in chunks for choice in chunk.choices if choice.logprobs]
    assert [token.token for tokens in told for token in tokens] == [token.token for token in logprobs.content]


def test_the_raw_response_is_there(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(**request(max_tokens=2))
    assert raw.headers["x-request-id"]
    assert raw.parse()._request_id == raw.headers["x-request-id"]


def test_both_addresses_answer_alike(client: OpenAI) -> None:
    with OpenAI(**settings(path="/openai/v1")) as other:
        assert text_of(other.chat.completions.create(**request())) == text_of(
            client.chat.completions.create(**request())
        )
        assert other.models.list().data == client.models.list().data
        with pytest.raises(openai.NotFoundError):
            other.chat.completions.create(**request(model="no-such-model"))


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


def test_developers_and_names_are_read(client: OpenAI) -> None:
    def prompt_tokens(*messages: Any) -> int:
        return client.chat.completions.create(**request(max_tokens=1, messages=messages)).usage.prompt_tokens

    developer = {"role": "developer", "content": "Be brief.", "name": "example"}
    question = {"role": "user", "content": "Who am I?"}
    assert prompt_tokens(developer, question) == prompt_tokens(developer | {"role": "system"}, question)
    ada, bob = question | {"name": "Ada"}, question | {"name": "Bob"}
    assert prompt_tokens(ada) == prompt_tokens(question)
    assert prompt_tokens(ada, bob) > prompt_tokens(question, question)
