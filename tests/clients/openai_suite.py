# pyright: basic, reportMissingImports=false
"""Behaviour of the official `openai` package.

Needs only pytest and openai, and a server: PONANT_TEST_URL is its URL, PONANT_TEST_KEY its key, and PONANT_TEST_MODEL
the name of its model. No test depends on generated text.
"""

import asyncio
import os
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from pydantic import BaseModel

URL = os.environ.get("PONANT_TEST_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("PONANT_TEST_KEY") or None

MODEL = os.environ.get("PONANT_TEST_MODEL", "smollm2")
QUESTION = [{"role": "user", "content": "Tell me a story about a lighthouse."}]


def settings(key: str | None = KEY, path: str = "/v1") -> Any:
    """Return the settings of a client; the package requires a key even if the server accepts any."""
    return {"base_url": f"{URL}{path}", "api_key": key or "any", "timeout": 120.0, "max_retries": 0}


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
        ("logit_bias", {"50256": -100}),
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


@pytest.mark.parametrize("kind", ["text", "tools", "parsed", "thinking"])
@pytest.mark.parametrize("stream", [True, False])
def test_messages_may_be_sent_back_as_they_came(client: OpenAI, kind: str, stream: bool) -> None:
    asked = {
        "text": request(seed=1, max_tokens=8),
        "tools": ask_for_calls(tool_choice="required"),
        "parsed": request(seed=1, max_tokens=60, response_format=Weather),
        "thinking": request(seed=1, max_tokens=24, reasoning_effort="low"),
    }[kind]
    if stream:
        with client.chat.completions.stream(**asked) as events:
            message: Any = events.until_done().current_completion_snapshot.choices[0].message
            if kind in ("tools", "parsed"):
                message = events.get_final_completion().choices[0].message
    elif kind in ("tools", "parsed"):
        message = client.chat.completions.parse(**asked).choices[0].message
    else:
        message = client.chat.completions.create(**asked).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "21"} for call in message.tool_calls or []]
    thanks = {"role": "user", "content": "Thank you."}
    usages = [
        client.chat.completions.create(
            **request(messages=[*asked["messages"], sent, *results, thanks], max_tokens=1)
        ).usage
        for sent in (
            message,
            message.model_dump(warnings=False),
            message.model_dump(exclude_unset=True, warnings=False),
        )
    ]
    assert len({usage.prompt_tokens for usage in usages}) == 1


# Structured output, tools, reasoning


class Weather(BaseModel):
    """The weather in a city."""

    city: Literal["Paris", "Rome"]
    unit: Literal["celsius", "fahrenheit"]


WEATHER: Any = pydantic_function_tool(Weather, name="get_weather")
NAMED = {"type": "function", "function": {"name": "get_weather"}}
WEATHER_QUESTION = [{"role": "user", "content": "What is the weather in Rome?"}]


def ask_for_calls(**fields: Any) -> dict[str, Any]:
    tools = {"messages": WEATHER_QUESTION, "tools": [WEATHER], "max_tokens": 100, "parallel_tool_calls": False}
    return request(**tools | {"seed": 1} | fields)


def written(calls: Iterable[Any]) -> list[tuple[str, str, str]]:
    return [(call.id, call.function.name, call.function.arguments) for call in calls]


def assert_calls(choice: Any) -> None:
    assert choice.finish_reason == "tool_calls"
    assert not choice.message.content
    assert choice.message.tool_calls
    for call in choice.message.tool_calls:
        assert re.fullmatch("[a-zA-Z0-9]{9}", call.id)
        assert (call.type, call.function.name) == ("function", "get_weather")
        Weather.model_validate_json(call.function.arguments)


def test_a_model_class_is_filled_in_streamed_or_not(client: OpenAI) -> None:
    fields = ask_for_calls(tools=openai.NOT_GIVEN, parallel_tool_calls=openai.NOT_GIVEN)
    whole = client.chat.completions.parse(response_format=Weather, **fields).choices[0].message
    assert isinstance(whole.parsed, Weather)
    with client.chat.completions.stream(response_format=Weather, **fields) as stream:
        streamed = stream.get_final_completion().choices[0].message
    assert (streamed.parsed, streamed.content) == (whole.parsed, whole.content)


@pytest.mark.parametrize("choice", ["required", NAMED], ids=["required", "named"])
def test_a_demanded_call_is_made_streamed_or_not(client: OpenAI, choice: Any) -> None:
    fields = ask_for_calls(tool_choice=choice)
    (made,) = client.chat.completions.create(**fields).choices
    assert_calls(made)
    with client.chat.completions.stream(**fields) as stream:
        (accumulated,) = stream.get_final_completion().choices
    assert_calls(accumulated)
    assert written(accumulated.message.tool_calls) == written(made.message.tool_calls)


def test_strings_of_a_stream_are_simply_put_together(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "What is the weather in Rome and in Paris?"}]
    fields = ask_for_calls(messages=messages, tool_choice="required", parallel_tool_calls=True, max_tokens=200)
    calls: dict[int, list[str]] = {}
    for chunk in client.chat.completions.create(stream=True, **fields):
        for call in chunk.choices[0].delta.tool_calls or []:
            pieces = calls.setdefault(call.index, ["", "", ""])
            for place, piece in enumerate((call.id, call.function.name, call.function.arguments)):
                pieces[place] += piece or ""
    whole = client.chat.completions.create(**fields).choices[0].message.tool_calls
    assert [tuple(calls[index]) for index in sorted(calls)] == written(whole)


@pytest.mark.parametrize("choice", ["auto", "none"])
def test_without_a_demand_there_is_text_or_a_call(client: OpenAI, choice: str) -> None:
    (made,) = client.chat.completions.create(**ask_for_calls(tool_choice=choice, max_tokens=12)).choices
    assert made.message.content or (choice == "auto" and made.message.tool_calls)


def test_the_result_of_a_call_is_answered(client: OpenAI) -> None:
    message = client.chat.completions.create(**ask_for_calls(tool_choice="required")).choices[0].message
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "It is 21 degrees and sunny."}
    fields = ask_for_calls(messages=[*WEATHER_QUESTION, message, result], tool_choice="none", max_tokens=16)
    assert text_of(client.chat.completions.create(**fields)).strip()


def test_a_function_that_is_not_there_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**ask_for_calls(tool_choice={"type": "function", "function": {"name": "fly"}}))
    assert (caught.value.type, caught.value.param) == ("invalid_request_error", "tool_choice")


def test_thinking_is_apart_from_the_text(client: OpenAI) -> None:
    fields = request(max_tokens=24, reasoning_effort="high", seed=1)
    message: Any = client.chat.completions.create(**fields).choices[0].message
    assert message.reasoning_content.strip()
    assert isinstance(message.content, str)
    deltas: Any = [chunk.choices[0].delta for chunk in client.chat.completions.create(stream=True, **fields)]
    assert "".join(getattr(delta, "reasoning_content", "") for delta in deltas) == message.reasoning_content
    assert "".join(delta.content or "" for delta in deltas) == message.content


def test_functions_of_old_are_called(client: OpenAI) -> None:
    function = {"name": "get_weather", "parameters": Weather.model_json_schema()}
    asked = request(
        messages=WEATHER_QUESTION,
        functions=[function],
        function_call={"name": "get_weather"},
        max_tokens=100,
        seed=1,
    )
    (choice,) = client.chat.completions.create(**asked).choices
    assert choice.finish_reason == "function_call"
    Weather.model_validate_json(choice.message.function_call.arguments)
    deltas = [chunk.choices[0].delta for chunk in client.chat.completions.create(stream=True, **asked)]
    pieces = [delta.function_call for delta in deltas if delta.function_call]
    assert pieces[0].name == "get_weather"
    assert "".join(piece.arguments for piece in pieces) == choice.message.function_call.arguments
    result = {"role": "function", "name": "get_weather", "content": "21 degrees"}
    conversation = [*WEATHER_QUESTION, choice.message.model_dump(), result]
    assert text_of(client.chat.completions.create(**request(messages=conversation, max_tokens=4)))


# Text completions


def continued(client: OpenAI, **fields: Any) -> Any:
    return client.completions.create(**{"model": MODEL, "temperature": 0.0, "max_tokens": 8} | fields)


def test_a_text_is_continued_streamed_or_not(client: OpenAI) -> None:
    prompt = "The capital of France is"
    response = continued(client, prompt=prompt)
    assert response.object == "text_completion"
    (choice,) = response.choices
    assert choice.text.strip()
    assert choice.finish_reason == "length"
    assert_adds_up(response.usage)
    assert continued(client, prompt=prompt, echo=True).choices[0].text == prompt + choice.text
    *chunks, last = continued(client, prompt=prompt, echo=True, stream=True, stream_options={"include_usage": True})
    assert "".join(chunk.choices[0].text for chunk in chunks) == prompt + choice.text
    assert last.usage.completion_tokens == 8


def test_an_answer_has_sixteen_tokens_by_default(client: OpenAI) -> None:
    response = client.completions.create(model=MODEL, prompt="One, two, three,", temperature=0.0)
    assert response.usage.completion_tokens <= 16


def test_several_texts_are_continued_at_once(client: OpenAI) -> None:
    prompts = ["The sea is", "The sky is"]
    alone = [continued(client, prompt=prompt).choices[0].text for prompt in prompts]
    together = continued(client, prompt=prompts, n=2, echo=True)
    assert [choice.index for choice in together.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in together.choices] == [
        prompt + text for prompt, text in zip(prompts, alone, strict=True) for _ in range(2)
    ]
    assert together.usage.completion_tokens == 32
    chunks = list(continued(client, prompt=prompts, n=2, stream=True))
    for index in range(4):
        pieces = [choice.text for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert "".join(pieces) == alone[index // 2]


def test_log_probabilities_of_a_text_are_told(client: OpenAI) -> None:
    (choice,) = continued(client, prompt="The sea is", logprobs=2, max_tokens=4).choices
    assert "".join(choice.logprobs.tokens) == choice.text
    assert [len(likely) for likely in choice.logprobs.top_logprobs] == [2] * 4
    assert choice.logprobs.text_offset == [
        len("".join(choice.logprobs.tokens[:index])) for index in range(len(choice.logprobs.tokens))
    ]
    chunks = continued(client, prompt="The sea is", logprobs=2, max_tokens=4, stream=True)
    offsets = [chunk.choices[0].logprobs.text_offset for chunk in chunks if chunk.choices[0].logprobs]
    assert [offset for some in offsets for offset in some] == choice.logprobs.text_offset


def test_what_comes_between_two_texts_is_written(client: OpenAI) -> None:
    whole = continued(client, prompt="def area(width, height):\n    return ", suffix=" * height\n")
    assert isinstance(whole.choices[0].text, str)


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("prompt", {"prompt": [1, 2, 3]}),
        ("prompt", {"prompt": [[1, 2, 3]]}),
        ("echo", {"prompt": "a", "echo": True, "logprobs": 1}),
        ("best_of", {"prompt": "a", "best_of": 3}),
        ("logit_bias", {"prompt": "a", "logit_bias": {"1": 1}}),
        ("logprobs", {"prompt": "a", "logprobs": 21}),
    ],
)
def test_texts_that_cannot_be_had_are_refused(client: OpenAI, field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        continued(client, **fields)
    assert caught.value.param == field


# Models and errors


def test_the_model_is_listed_and_retrieved(client: OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]
    assert client.models.retrieve(MODEL).object == "model"


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_model_is_refused(client: OpenAI, stream: bool) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(**request(model="no-such-model", stream=stream))
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")
    assert "no-such-model" in caught.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_value_out_of_range_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(temperature=5.0))
    assert (caught.value.param, caught.value.code) == ("temperature", "invalid_value")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(seed="seven"))
    assert caught.value.param == "seed"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(messages=[{"role": "user", "content": [{"type": "text"}]}]))
    assert caught.value.param is not None
    assert caught.value.param.startswith("messages[0].content")


def test_a_field_that_nobody_knows_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(extra_body={"flavour": "vanilla"}))
    assert (caught.value.param, caught.value.code) == ("flavour", "unknown_parameter")


def test_more_than_the_context_holds_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**request(max_tokens=10_000_000))
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.skipif(KEY is None, reason="the server takes any key")
def test_a_wrong_key_is_refused() -> None:
    for path in ("/v1", "/openai/v1"):
        with (
            OpenAI(**settings(key="wrong", path=path)) as stranger,
            pytest.raises(openai.AuthenticationError) as caught,
        ):
            stranger.chat.completions.create(**request())
        assert caught.value.code == "invalid_api_key"
