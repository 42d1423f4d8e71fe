"""Chat completions over HTTP."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chatting import CHAT, answer, ask, assert_error, body, events, streamed_texts, texts
from tests.in_process import serving_in_process
from tests.server.conftest import CYCLE
from tests.serving import THREADS, RunningServer
from tests.soak import SOAK, some


def test_answer_has_id_name_and_usage(tiny_server: RunningServer) -> None:
    response = answer(tiny_server, model="mistral-small-latest", min_tokens=12)
    assert re.fullmatch(r"cmpl-[0-9a-f]{32}", response["id"])
    assert response["object"] == "chat.completion"
    assert response["model"] == "mistral-small-latest"
    usage = response["usage"]
    assert usage["completion_tokens"] == 12
    assert usage["total_tokens"] == usage["prompt_tokens"] + 12
    assert response["choices"][0]["finish_reason"] == "length"


def test_stream_begins_with_roles_and_ends_with_usage(tiny_server: RunningServer) -> None:
    chunks = events(tiny_server, n=2, random_seed=3)
    first, last = chunks[0], chunks[-1]
    assert [choice["delta"]["role"] for choice in first["choices"]] == ["assistant", "assistant"]
    assert all(choice["finish_reason"] is None for choice in first["choices"])
    assert last["usage"]["total_tokens"] > 0
    assert all("usage" not in chunk for chunk in chunks[:-1])
    finishes = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
    assert len(finishes) == 2
    assert last["choices"][0]["finish_reason"]
    assert len({chunk["id"] for chunk in chunks}) == 1


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"random_seed": 5}, {"random_seed": 5, "temperature": 1.5}])
def test_same_request_gives_same_text_streamed_or_not(tiny_server: RunningServer, fields: dict[str, Any]) -> None:
    fields |= {"max_tokens": 40, "n": 3}
    expected = texts(answer(tiny_server, **fields))
    assert texts(answer(tiny_server, **fields)) == expected
    assert streamed_texts(events(tiny_server, **fields)) == expected


def test_choices_with_one_seed_differ_and_the_first_ones_do_not_depend_on_n(tiny_server: RunningServer) -> None:
    four = texts(answer(tiny_server, random_seed=1, temperature=1.0, max_tokens=30, n=4))
    assert len(set(four)) == 4
    assert texts(answer(tiny_server, random_seed=1, temperature=1.0, max_tokens=30, n=2)) == four[:2]


def test_prompt_tokens_are_counted_once_whatever_n(tiny_server: RunningServer) -> None:
    one, sixteen = answer(tiny_server, n=1)["usage"], answer(tiny_server, n=16, min_tokens=12)["usage"]
    assert sixteen["prompt_tokens"] == one["prompt_tokens"]
    assert sixteen["completion_tokens"] == 16 * 12


def test_requests_without_a_seed_differ(tiny_server: RunningServer) -> None:
    fields = {"temperature": 1.0, "max_tokens": 40}
    assert texts(answer(tiny_server, **fields)) != texts(answer(tiny_server, **fields))


def test_null_fields_mean_the_defaults(tiny_server: RunningServer) -> None:
    nulls = dict.fromkeys(
        [
            "model",
            "temperature",
            "top_p",
            "top_k",
            "min_tokens",
            "stream",
            "stop",
            "metadata",
            "response_format",
            "tools",
            "tool_choice",
            "presence_penalty",
            "frequency_penalty",
            "repetition_penalty",
            "n",
            "prediction",
            "parallel_tool_calls",
            "prompt_mode",
            "reasoning_effort",
            "guardrails",
            "prompt_cache_key",
            "service_tier",
            "logprobs",
            "top_logprobs",
            "safe_prompt",
            "safe_mode",
            "prompt_logprobs",
            "top_prompt_logprobs",
        ]
    )
    assert texts(answer(tiny_server, random_seed=9, **nulls)) == texts(answer(tiny_server, random_seed=9))


@pytest.mark.parametrize(
    "neutral",
    [
        {"tools": []},
        {"tool_choice": "none"},
        {"response_format": {"type": "text"}},
        {"prediction": {"type": "content", "content": ""}},
        {"reasoning_effort": "none"},
        {"reasoning_effort": "minimal"},
        {"service_tier": "standard_only"},
        {"logprobs": False},
        {"guardrails": []},
        {"response_format": {"type": None, "json_schema": None}},
        {"prediction": {"type": None, "content": None}},
        {"guardrails": [{"block_on_error": True, "moderation_llm_v2": {"action": "none"}}]},
        {"metadata": {"team": {"deep": [1, None]}}},
        {"prompt_cache_key": "conversation-1"},
        {"parallel_tool_calls": False},
    ],
)
def test_neutral_values_change_nothing(tiny_server: RunningServer, neutral: dict[str, Any]) -> None:
    response = answer(tiny_server, random_seed=9, **neutral)
    assert texts(response) == texts(answer(tiny_server, random_seed=9))
    assert "metadata" not in response


def test_null_means_that_a_field_of_a_tool_or_message_was_not_sent(tiny_server: RunningServer) -> None:
    call: dict[str, Any] = {"id": "abcdefghi", "function": {"name": "f", "arguments": "{}"}}
    told: dict[str, Any] = {"role": "assistant", "tool_calls": [call]}
    result: dict[str, Any] = {"role": "tool", "tool_call_id": "abcdefghi", "content": "1"}
    function: dict[str, Any] = {"name": "f", "parameters": {"type": "object"}}
    tool: dict[str, Any] = {"function": function}

    def said() -> list[str]:
        messages = [{"role": "user", "content": "Hello"}, told, result]
        return texts(answer(tiny_server, messages=messages, tools=[tool], tool_choice="none", random_seed=9))

    without = said()
    call |= {"type": None, "index": None}
    told |= {"content": None, "prefix": None}
    result |= {"name": None}
    function |= {"description": None, "strict": None}
    tool |= {"type": None}
    assert said() == without


def test_moderation_is_refused_by_name(tiny_server: RunningServer) -> None:
    response = ask(tiny_server, guardrails=[{"moderation_llm_v1": {"action": "block"}}])
    assert "guardrails" in assert_error(response, 400, "not_supported")
    assert response.json()["param"] == "guardrails"


def test_stop_string_ends_the_text_and_is_not_in_it(tiny_server: RunningServer) -> None:
    fields = {"random_seed": 2, "max_tokens": 60, "temperature": 1.0}
    whole = texts(answer(tiny_server, **fields))[0]
    stop = whole[20:27]
    response = answer(tiny_server, stop=["never in it", stop], **fields)
    assert texts(response) == [whole[: whole.index(stop)]]
    assert response["choices"][0]["finish_reason"] == "stop"
    assert response["usage"]["completion_tokens"] < 60
    assert streamed_texts(events(tiny_server, stop=stop, **fields)) == texts(response)


def test_stop_strings_do_not_count_before_min_tokens(tiny_server: RunningServer) -> None:
    fields = {"random_seed": 2, "max_tokens": 30, "temperature": 1.0}
    whole = texts(answer(tiny_server, **fields))[0]
    assert texts(answer(tiny_server, stop=whole[2:4], min_tokens=30, **fields)) == [whole]


def test_max_tokens_zero_gives_one_empty_choice(tiny_server: RunningServer) -> None:
    response = answer(tiny_server, max_tokens=0)
    assert texts(response) == [""]
    assert response["choices"][0]["finish_reason"] == "length"
    assert response["usage"]["completion_tokens"] == 0
    assert streamed_texts(events(tiny_server, max_tokens=0)) == [""]


def test_full_context_is_told_as_model_length(tiny_server: RunningServer) -> None:
    response = answer(tiny_server, max_tokens=None, min_tokens=100_000)
    assert response["choices"][0]["finish_reason"] == "model_length"
    chunks = events(tiny_server, max_tokens=None, min_tokens=100_000)
    assert chunks[-1]["choices"][0]["finish_reason"] == "model_length"


def test_prefix_is_the_beginning_of_the_answer(tiny_server: RunningServer) -> None:
    messages = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Well, é", "prefix": True}]
    response = answer(tiny_server, messages=messages, temperature=0)
    (text,) = texts(response)
    assert text.startswith("Well, é")
    assert len(text) > len("Well, é")
    chunks = events(tiny_server, messages=messages, temperature=0)
    assert chunks[0]["choices"][0]["delta"]["content"] == "Well, é"
    assert streamed_texts(chunks) == [text]


def test_multi_byte_characters_never_break_in_a_stream(tiny_server: RunningServer) -> None:
    pieces = [
        choice["delta"]["content"]
        for seed in range(4)
        for chunk in events(tiny_server, random_seed=seed, temperature=1.0, max_tokens=120)
        for choice in chunk["choices"]
    ]
    joined = "".join(pieces)
    assert any(ord(character) > 0x7F for character in joined)
    assert "\ufffd" not in joined


def test_safe_prompt_puts_a_text_before_the_conversation(tiny_server: RunningServer) -> None:
    plain = answer(tiny_server)["usage"]["prompt_tokens"]
    safe = answer(tiny_server, safe_prompt=True)["usage"]["prompt_tokens"]
    assert safe > plain + 20
    assert answer(tiny_server, safe_mode=True)["usage"]["prompt_tokens"] == safe


def test_penalties_change_the_text(tiny_server: RunningServer) -> None:
    fields = {"random_seed": 4, "temperature": 1.0, "max_tokens": 60}
    plain = texts(answer(tiny_server, **fields))
    for penalty in ({"presence_penalty": 2}, {"frequency_penalty": 2}, {"repetition_penalty": 1.5}):
        assert texts(answer(tiny_server, **fields, **penalty)) != plain


def test_default_temperature_applies_and_is_reported(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        card, *_ = client.get("/v1/models").json()["data"]
    fields = {"random_seed": 4, "max_tokens": 60}
    given = answer(tiny_server, temperature=card["default_model_temperature"], **fields)
    assert texts(answer(tiny_server, **fields)) == texts(given)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 1.51),
        ("temperature", "0.5"),
        ("temperature", True),
        ("top_p", 1.1),
        ("top_k", -2),
        ("max_tokens", -1),
        ("max_tokens", 1.5),
        ("min_tokens", -1),
        ("n", 0),
        ("n", 17),
        ("n", "2"),
        ("stream", "yes"),
        ("stop", ""),
        ("stop", ["ok", ""]),
        ("random_seed", -1),
        ("presence_penalty", 2.5),
        ("frequency_penalty", -2.5),
        ("repetition_penalty", 0),
        ("top_logprobs", 21),
        ("tool_choice", "maybe"),
        ("reasoning_effort", "extreme"),
        ("messages", []),
        ("messages", "Hello"),
        ("messages", [{"role": "narrator", "content": "Hello"}]),
        ("messages", [{"content": "Hello"}]),
        ("messages", [{"role": "user"}]),
        ("messages", [{"role": "user", "content": "Hello", "colour": "blue"}]),
        ("messages", [{"role": "user", "content": [{"type": "smell", "smell": "rose"}]}]),
        ("colour", "blue"),
        ("metadata", []),
    ],
)
def test_wrong_shapes_get_422_that_names_the_place(tiny_server: RunningServer, field: str, value: Any) -> None:
    with tiny_server.client() as client:
        content = json.dumps(body(**{field: value}))
        response = client.post(CHAT, content=content, headers={"content-type": "application/json"})
    assert response.status_code == 422, response.text
    detail = response.json()["detail"]
    assert all({"loc", "msg", "type"} <= reason.keys() for reason in detail)
    assert any(reason["loc"][:2] == ["body", field] for reason in detail)


def test_unknown_fields_are_extra_forbidden(tiny_server: RunningServer) -> None:
    (reason,) = ask(tiny_server, colour="blue").json()["detail"]
    assert (reason["type"], reason["loc"], reason["input"]) == ("extra_forbidden", ["body", "colour"], "blue")


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b"[" * 100_000, b'{"messages": NaN}', b"\xff\xfe", b"null", b"[]", b'{"messages": "\\ud800"}'],
)
def test_bodies_that_are_no_request_get_a_clear_4xx(tiny_server: RunningServer, content: bytes) -> None:
    with tiny_server.client() as client:
        response = client.post(CHAT, content=content, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.json()


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Hello"}], "first role"),
        ([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi"}], "last role"),
        ([{"role": "system", "content": "Be brief"}], "last role"),
        (
            [{"role": "user", "content": [{"type": "image_url", "image_url": "https://example.org/cat.png"}]}],
            "image_url",
        ),
    ],
)
def test_messages_that_make_no_sense_get_400(
    tiny_server: RunningServer, messages: list[dict[str, Any]], said: str
) -> None:
    response = ask(tiny_server, messages=messages)
    assert response.status_code == 400
    error = response.json()
    assert error["object"] == "error"
    assert said in error["message"]


def test_prompt_and_max_tokens_beyond_the_context_get_400(tiny_server: RunningServer) -> None:
    for fields in ({"max_tokens": 512}, {"text": "word " * 2000}, {"text": "a" * 1_000_000}):
        response = ask(tiny_server, **fields)
        assert response.status_code == 400
        assert "maximum context length" in response.json()["message"]


def test_unknown_model_gets_the_apis_own_error(tiny_server: RunningServer) -> None:
    response = ask(tiny_server, model="gpt-17")
    assert response.status_code == 400
    assert response.json() == {
        "object": "error",
        "message": "Invalid model: gpt-17",
        "type": "invalid_model",
        "param": None,
        "code": "1500",
    }


def test_bundled_model_answers(bundled_server: RunningServer) -> None:
    response = answer(bundled_server, text="In which city is the Eiffel Tower?", temperature=0, min_tokens=4)
    assert texts(response)[0].strip()
    assert response["model"] == "smollm2"


@pytest.fixture(scope="module")
def usual_server(request: pytest.FixtureRequest, endless_model: Path) -> Iterator[RunningServer]:
    """Server with default arithmetic, whose rounding depends on the shape of batches.

    Its model is tiny; in ``make soak`` it is the bundled one, which computes for seconds.
    """
    if SOAK:
        yield request.getfixturevalue("bundled_server")
    else:
        with serving_in_process(endless_model, threads=THREADS) as server:
            yield server


def exact(server: RunningServer, **fields: Any) -> dict[str, Any]:
    """Return an answer with log-probabilities, which show any difference in rounding."""
    return answer(server, logprobs=True, **fields)


@pytest.mark.parametrize("fields", some([{"random_seed": 4, "n": 2}, {"random_seed": 1, "temperature": 0}], 0))
def test_idle_server_repeats_itself_whatever_was_asked_in_between(
    usual_server: RunningServer, fields: dict[str, Any]
) -> None:
    question = {"text": "Name three cities in France and say why.", "max_tokens": 16} | fields
    expected = exact(usual_server, **question)["choices"]
    for between in ("Name three cities in France.", "Name three cities in France and say why."):
        answer(usual_server, text=between, max_tokens=8, temperature=1.0)
        assert exact(usual_server, **question)["choices"] == expected
    assert streamed_texts(events(usual_server, **question)) == [choice["message"]["content"] for choice in expected]


LONG_QUESTION = "Summarise this: " + " ".join(
    f"In town {number} there are {7 * number} houses." for number in range(30)
)


def test_idle_server_repeats_a_seeded_answer_from_whole_pieces_of_the_prompt(usual_server: RunningServer) -> None:
    question: dict[str, Any] = {"text": LONG_QUESTION, "max_tokens": 12, "random_seed": 11}
    expected = exact(usual_server, **question)
    again = exact(usual_server, **question)
    assert again["choices"] == expected["choices"]
    assert again["usage"]["num_cached_tokens"] == (again["usage"]["prompt_tokens"] - 1) // 64 * 64 > 0


def test_greedy_question_asked_twice_in_a_row_gets_the_same_answer(usual_server: RunningServer) -> None:
    for text in ("What is bread made of?", LONG_QUESTION):
        question: dict[str, Any] = {"text": text, "max_tokens": 16, "temperature": 0}
        first, second = (texts(answer(usual_server, **question)) for _ in range(2))
        assert first == second


@pytest.mark.parametrize("fields", [{"temperature": 0}, {"temperature": 0.7}])
def test_next_turn_takes_over_the_earlier_ones_with_the_answer(
    sure_server: RunningServer, fields: dict[str, Any]
) -> None:
    question = {"role": "user", "content": "Tell me about the sea."}
    beginning = {"role": "assistant", "content": CYCLE[0], "prefix": True}
    first = answer(sure_server, messages=[question, beginning], max_tokens=40, min_tokens=40, **fields)
    messages = [
        question,
        {"role": "assistant", "content": texts(first)[0]},
        {"role": "user", "content": "And about lakes?"},
    ]
    second = answer(sure_server, messages=messages, **fields)
    assert second["usage"]["num_cached_tokens"] >= first["usage"]["prompt_tokens"] + 30
    details = second["usage"]["prompt_tokens_details"]
    assert details == {"cached_tokens": second["usage"]["num_cached_tokens"]}
