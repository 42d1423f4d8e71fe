"""Function calls, most of them by tiny random models, so only the grammar makes them valid."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chatting import answer, ask, assert_error, events, texts
from tests.gathering import gathered
from tests.in_process import EXACT, serving_in_process
from tests.server.tools import (
    BOOK,
    CHOICES,
    NOW,
    TOOLS,
    WEATHER,
    WILD,
    assert_calls,
    call,
    called,
    calls_of,
    conversation,
    named,
    names,
    result,
    tool,
)
from tests.serving import RunningServer
from tests.soak import some
from tests.tekken_model import write_tekken_model
from tests.tiny_model import write_tiny_model

# Choice of functions


@pytest.mark.parametrize("choice", ["any", "required"])
def test_any_choice_is_a_call_that_validates(roomy_server: RunningServer, choice: str) -> None:
    made = [
        made
        for seed in (9, 11)  # as with about half of all seeds, the model calls even the rarest function with these
        for made in answer(roomy_server, tool_choice=choice, **WILD | {"random_seed": seed})["choices"]
    ]
    for one in made:
        assert_calls(one)
        assert one["message"]["content"] == ""
    assert {name for one in made for name in names(one)} == {tool["function"]["name"] for tool in TOOLS}
    assert max(len(calls_of(one)) for one in made) > 1


@pytest.mark.parametrize("function", TOOLS, ids=lambda function: function["function"]["name"])
def test_named_function_is_called_once(roomy_server: RunningServer, function: dict[str, Any]) -> None:
    name = function["function"]["name"]
    for choice in answer(roomy_server, tool_choice=named(name), **WILD)["choices"]:
        assert_calls(choice)
        assert names(choice) == [name]


def test_there_is_one_call_where_no_parallel_ones_are_wanted(roomy_server: RunningServer) -> None:
    for choice in answer(roomy_server, tool_choice="any", parallel_tool_calls=False, **WILD)["choices"]:
        assert_calls(choice)
        assert len(calls_of(choice)) == 1


def test_no_function_is_called_nor_shown_with_the_choice_none(roomy_server: RunningServer) -> None:
    fields: dict[str, Any] = {"random_seed": 2, "max_tokens": 40}
    plain = answer(roomy_server, **fields)
    without = answer(roomy_server, tools=TOOLS, tool_choice="none", **fields)
    assert without["choices"] == plain["choices"]
    assert without["usage"] == plain["usage"]


def test_auto_is_text_or_calls(roomy_server: RunningServer) -> None:
    for choice in answer(roomy_server, tool_choice="auto", **WILD | {"max_tokens": 100})["choices"]:
        if calls_of(choice):
            assert_calls(choice)
        else:
            assert choice["message"]["content"]
            assert choice["finish_reason"] in {"stop", "length"}


def test_auto_is_what_happens_without_a_choice(roomy_server: RunningServer) -> None:
    fields = WILD | {"max_tokens": 60}
    expected = answer(roomy_server, tool_choice="auto", **fields)["choices"]
    assert answer(roomy_server, **fields)["choices"] == expected
    assert answer(roomy_server, tool_choice=None, parallel_tool_calls=None, **fields)["choices"] == expected


def test_with_auto_and_a_form_of_text_the_answer_is_either(roomy_server: RunningServer) -> None:
    response = answer(roomy_server, response_format={"type": "json_object"}, **WILD | {"n": 8})
    kinds = set()
    for choice in response["choices"]:
        kinds.add(choice["finish_reason"])
        if choice["finish_reason"] == "stop":
            assert isinstance(json.loads(choice["message"]["content"]), dict)
            assert not calls_of(choice)
        elif choice["finish_reason"] == "tool_calls":
            assert_calls(choice)
    assert kinds <= {"stop", "tool_calls", "length"}
    assert len(kinds) > 1


def test_many_tools_are_taken(roomy_server: RunningServer) -> None:
    tools = [tool(f"function_{number}", {}) for number in range(40)]
    fields: dict[str, Any] = {"tools": tools, "parallel_tool_calls": False, "max_tokens": 80}
    (choice,) = answer(roomy_server, tool_choice="any", **fields)["choices"]
    assert_calls(choice, tools)
    (choice,) = answer(roomy_server, tool_choice=named("function_12"), **fields)["choices"]
    assert_calls(choice, tools)
    assert names(choice) == ["function_12"]


# Format of calls


@pytest.fixture(scope="module")
def pieces_server(endless_model: Path) -> Iterator[RunningServer]:
    """Server like the roomy one, which streams calls in pieces."""
    with serving_in_process(endless_model, **EXACT, stream_calls="pieces") as server:
        yield server


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_streamed_calls_are_those_of_the_whole_answer(
    roomy_server: RunningServer, pieces_server: RunningServer, choice: Any
) -> None:
    fields = {"tool_choice": choice} | WILD
    expected = answer(roomy_server, **fields)["choices"]
    assert gathered(events(roomy_server, **fields)) == expected
    assert gathered(events(pieces_server, **fields)) == expected


def test_all_calls_of_a_stream_are_whole_in_its_last_chunk(roomy_server: RunningServer) -> None:
    fields: dict[str, Any] = {"tools": [WEATHER], "tool_choice": "any", "random_seed": 5, "max_tokens": 300}
    (expected,) = answer(roomy_server, **fields)["choices"]
    deltas = [chunk["choices"][0]["delta"] for chunk in events(roomy_server, **fields)]
    assert deltas[-1]["tool_calls"] == expected["message"]["tool_calls"]
    assert sum("tool_calls" in delta for delta in deltas) == 1


def test_pieces_have_the_name_before_the_arguments_and_those_as_they_come(pieces_server: RunningServer) -> None:
    chunks = events(pieces_server, tool_choice=named("book-a-table"), **WILD | {"n": 1})
    pieces = [piece for chunk in chunks for piece in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert len(pieces) > 5
    assert pieces[0]["function"]["name"] == "book-a-table"
    assert (
        len(pieces[0]["function"]["arguments"]) < len("".join(piece["function"]["arguments"] for piece in pieces)) / 2
    )
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert chunks[-1]["usage"]["completion_tokens"] > 10


CUT: dict[str, Any] = {"tools": [BOOK], "tool_choice": "any", "random_seed": 1, "temperature": 1.0}


def test_calls_cut_short_come_back_as_far_as_they_got(roomy_server: RunningServer) -> None:
    longest = calls_of(answer(roomy_server, max_tokens=300, **CUT)["choices"][0])
    assert len(longest) > 1
    beginnings = set()
    for most in range(0, 300, 11):
        (cut,) = answer(roomy_server, max_tokens=most, **CUT)["choices"]
        assert cut["finish_reason"] == "length"
        for index, made in enumerate(calls_of(cut)):
            expected = longest[index]
            arguments = made["function"].pop("arguments")
            assert made == expected | {"function": {"name": expected["function"]["name"]}}
            assert expected["function"]["arguments"].startswith(arguments)
            if made != calls_of(cut)[-1]:
                assert expected["function"]["arguments"] == arguments
            beginnings.add((index, arguments))
    assert len(beginnings) > 10


def test_nothing_of_what_stands_around_calls_is_content(roomy_server: RunningServer) -> None:
    for most in range(60):
        (cut,) = answer(roomy_server, max_tokens=most, **CUT)["choices"]
        assert cut["message"]["content"] == "", most


def test_ids_differ_between_choices_and_turns(roomy_server: RunningServer) -> None:
    first = answer(roomy_server, tool_choice="any", **WILD)["choices"]
    messages = [
        {"role": "user", "content": "Hello"},
        first[0]["message"],
        *({"role": "tool", "content": "done", "tool_call_id": call["id"]} for call in calls_of(first[0])),
    ]
    second = answer(roomy_server, tool_choice="any", messages=messages, **WILD)["choices"]
    ids = [call["id"] for choice in first + second for call in calls_of(choice)]
    assert len(set(ids)) == len(ids)


def test_stop_strings_and_min_tokens_do_not_touch_calls(roomy_server: RunningServer) -> None:
    expected = answer(roomy_server, tool_choice="any", **WILD)["choices"]
    stops = ["{", "}", '"', "name", "get_weather", "tool_call"]
    assert answer(roomy_server, tool_choice="any", stop=stops, **WILD)["choices"] == expected
    assert answer(roomy_server, tool_choice=named("now"), min_tokens=300, **WILD)["choices"][0]["finish_reason"] == (
        "tool_calls"
    )


def test_every_token_of_a_call_has_its_logprob(roomy_server: RunningServer) -> None:
    response = answer(roomy_server, tool_choice="any", logprobs=True, **WILD | {"n": 1})
    (choice,) = response["choices"]
    entries = choice["logprobs"]["content"]
    assert len(entries) == response["usage"]["completion_tokens"]
    written = b"".join(bytes(entry["bytes"]) for entry in entries).decode()
    assert all(call["function"]["arguments"] in written for call in calls_of(choice))


# Call formats

CONVERSATION = (
    "{%% if tools %%}Tools: {{ tools | tojson }}\n{%% endif %%}"
    "{%% for message in messages %%}{{ message.role }}: {{ message.content }}"
    "{%% for call in message.tool_calls or [] %%}%s{%% endfor %%}\n{%% endfor %%}assistant:"
)
TEMPLATES = {
    "tagged": CONVERSATION
    % "\n<tool_call>\n{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}\n</tool_call>",
    "listed": CONVERSATION
    % '[TOOL_CALLS] [{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}, '
    '"id": "{{ call.id }}"}]',
    "bare": CONVERSATION % '{"name": "{{ call.function.name }}", "parameters": {{ call.function.arguments | tojson }}}',
    "named": CONVERSATION
    % "[TOOL_CALLS]{{ call.function.name }}[CALL_ID]{{ call.id }}[ARGS]{{ call.function.arguments | tojson }}",
}
TOOL_CALLS = {"[TOOL_CALLS]": 1.0, "</s>": 1.0}
"""Log-weights that make calls as likely as any word, and ends too."""


@pytest.fixture(scope="module")
def formed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Server of models with a different call format each."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("tagged", "listed", "bare"):
        write_tiny_model(folder / f"{name}.gguf", chat_template=TEMPLATES[name], context_length=8192)
    made = write_tekken_model(folder, version="v13", chat_template=TEMPLATES["named"], biases=TOOL_CALLS)
    made.rename(folder / "named.gguf")
    (folder / "tekken.json").unlink()
    with serving_in_process(*(folder / f"{name}.gguf" for name in TEMPLATES), **EXACT) as server:
        yield server


@pytest.mark.parametrize("form", TEMPLATES)
def test_every_form_of_calls_is_held_and_read(formed_server: RunningServer, form: str) -> None:
    for choice in some(["any", named("book-a-table")], 0):
        fields = WILD | {"model": form, "tool_choice": choice, "n": 2}
        response = answer(formed_server, **fields)
        assert gathered(events(formed_server, **fields)) == response["choices"]
        for made in response["choices"]:
            assert_calls(made)
            assert made["message"]["content"] == ""


@pytest.mark.parametrize("form", TEMPLATES)
def test_every_form_leaves_the_choice_to_the_model(formed_server: RunningServer, form: str) -> None:
    fields = WILD | {"model": form, "max_tokens": 100}
    response = answer(formed_server, **fields)
    assert gathered(events(formed_server, **fields)) == response["choices"]
    for made in response["choices"]:
        assert made["message"]["content"] or calls_of(made)
        assert (made["finish_reason"] == "tool_calls") <= bool(calls_of(made))


def test_model_may_say_something_before_it_calls(formed_server: RunningServer) -> None:
    choices = answer(formed_server, model="named", **WILD | {"n": 8})["choices"]
    both = [choice for choice in choices if calls_of(choice) and choice["message"]["content"]]
    assert both


def test_mistral_models_have_ids_of_nine_characters(formed_server: RunningServer) -> None:
    messages = conversation(called(call("call_1")), result("call_1"))
    message = assert_error(ask(formed_server, model="named", messages=messages), 400, "invalid_request_tool_call_id")
    assert message == "Tool call id was 'call_1' but must be a-z, A-Z, 0-9, with a length of 9"
    assert answer(formed_server, model="tagged", messages=messages)["choices"]


# Refusals

JSON: dict[str, Any] = {"response_format": {"type": "json_object"}}
SCHEMA: dict[str, Any] = {
    "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}}}
}
PREFIX = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Well", "prefix": True}]}
REFUSED: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "any of no tools": (
        {"tool_choice": "any"},
        "invalid_request_error",
        "tool_choice",
        "tool_choice is any, but there are no tools",
    ),
    "a call of an empty list": (
        {"tool_choice": "required", "tools": []},
        "invalid_request_error",
        "tool_choice",
        "tool_choice is required, but there are no tools",
    ),
    "a function of no tools": (
        {"tool_choice": named("now")},
        "invalid_request_error",
        "tool_choice",
        "tool_choice is the function 'now', but there are no tools",
    ),
    "a function that is not there": (
        {"tools": TOOLS, "tool_choice": named("fly")},
        "invalid_request_error",
        "tool_choice",
        "tool_choice names a function that is not among the tools: 'fly'",
    ),
    **{
        f"{choice} and {form['response_format']['type']}": (
            {"tools": TOOLS, "tool_choice": CHOICES[choice]} | form,
            "invalid_request_error",
            "tool_choice",
            f"A response_format of JSON and tool_choice {written} exclude each other: use auto or none",
        )
        for choice, written in (("any", "any"), ("required", "required"), ("named", "the function 'book-a-table'"))
        for form in (JSON, SCHEMA)
    },
    "a beginning of the answer and any": (
        {"tools": TOOLS, "tool_choice": "any"} | PREFIX,
        "invalid_request_error",
        "messages",
        "A prefix of the answer and a tool_choice that demands a call exclude each other",
    ),
    "a beginning of the answer and JSON": (
        JSON | PREFIX,
        "invalid_request_error",
        "messages",
        "A prefix of the answer and a response_format of JSON exclude each other",
    ),
    "two functions of one name": (
        {"tools": [NOW, WEATHER, NOW]},
        "invalid_function_definition",
        "tools[2].function.name",
        "There are two functions with the name 'now'",
    ),
    **{
        f"the name {name[:10]!r}": (
            {"tools": [WEATHER, tool(name, {})]},
            "invalid_function_definition",
            "tools[1].function.name",
            f"Function name was {name!r} but must be a-z, A-Z, 0-9, or contain underscores and dashes, "
            "with a maximum length of 64",
        )
        for name in ("", "say hello", "grüßen", "a" * 65, "now\n", "<|im_end|>")
    },
    **{
        f"parameters of type {kind}": (
            {"tools": [tool("now", {"type": kind})]},
            "invalid_function_definition",
            "tools[0].function.parameters",
            "The parameters of 'now' must be a schema of type object",
        )
        for kind in ("string", "array", None, ["object", "null"])
    },
}


@pytest.mark.parametrize(("fields", "kind", "param", "said"), REFUSED.values(), ids=REFUSED)
def test_what_contradicts_itself_is_refused(
    tiny_server: RunningServer, fields: dict[str, Any], kind: str, param: str, said: str
) -> None:
    for stream in (False, True):
        response = ask(tiny_server, stream=stream, **fields)
        assert assert_error(response, 400, kind) == said
        assert response.json()["param"] == param


def test_beginning_of_the_answer_and_tools_go_together(roomy_server: RunningServer) -> None:
    for choice in ("auto", "none"):
        response = answer(roomy_server, tools=TOOLS, tool_choice=choice, **PREFIX)
        assert texts(response)[0].startswith("Well")


MALFORMED: dict[str, tuple[dict[str, Any], list[Any]]] = {
    "a tool without a function": ({"tools": [{"type": "function"}]}, ["tools", 0, "function"]),
    "a function without a name": ({"tools": [{"function": {"parameters": {}}}]}, ["tools", 0, "function", "name"]),
    "a function without parameters": (
        {"tools": [{"function": {"name": "now"}}]},
        ["tools", 0, "function", "parameters"],
    ),
    "parameters that are a list": ({"tools": [tool("now", [])]}, ["tools", 0, "function", "parameters"]),
    "a tool of another type": ({"tools": [NOW | {"type": "web_search"}]}, ["tools", 0, "type"]),
    "tools that are no list": ({"tools": NOW}, ["tools"]),
    "a choice that nobody knows": ({"tool_choice": "maybe"}, ["tool_choice"]),
    "a choice without a function": ({"tool_choice": {"type": "function"}}, ["tool_choice"]),
    "a choice of a number": ({"tool_choice": {"function": {"name": 7}}}, ["tool_choice"]),
    "half parallel calls": ({"parallel_tool_calls": "half"}, ["parallel_tool_calls"]),
    "arguments that are a list": (
        {"messages": conversation(called(call(arguments=[1])), result())},
        ["messages", 1],
    ),
    "a call without a function": (
        {"messages": conversation(called({"id": "abcdefgh1"}), result())},
        ["messages", 1],
    ),
}


@pytest.mark.parametrize(("fields", "place"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_tools_get_422_that_names_the_place(
    tiny_server: RunningServer, fields: dict[str, Any], place: list[Any]
) -> None:
    response = ask(tiny_server, **fields)
    assert response.status_code == 422
    assert all(reason["loc"][: len(place) + 1] == ["body", *place] for reason in response.json()["detail"])


def test_models_that_chat_say_that_they_call_functions(tiny_server: RunningServer) -> None:
    with tiny_server.client() as client:
        card, *_ = client.get("/v1/models").json()["data"]
    assert card["capabilities"]["function_calling"] is True
