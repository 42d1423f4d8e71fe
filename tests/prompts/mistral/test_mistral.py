"""Prompts by Mistral's library have its exact tokens, in every version, and text never becomes a control token."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mistral_common.protocol.fim.request import FIMRequest
from mistral_common.protocol.instruct import chunk, messages

from ponant.api.chat import Function, Tool
from ponant.api.messages import FunctionCall, ToolCall
from ponant.errors import InvalidRequestError
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.chat.turns import Turn, without_tools
from ponant.prompts.mistral.tokenizer import (
    MistralTokens,
)
from tests.prompts.mistral.models import (
    AGAIN,
    AGAIN_U,
    ANSWER,
    ARGUMENTS,
    ID,
    OTHER_ID,
    SCHEMA,
    SYSTEM,
    USER,
    WEATHER,
    WITH_TOOLS,
    A,
    Made,
    S,
    U,
    call,
    for_versions,
    library_call,
    library_tokens,
)
from tests.tekken_model import BOS, write_tekken_model


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ([USER], [U]),
        ([SYSTEM, USER], [S, U]),
        ([USER, ANSWER, AGAIN], [U, A, AGAIN_U]),
        ([SYSTEM, USER, ANSWER, AGAIN], [S, U, A, AGAIN_U]),
        ([USER, SYSTEM, AGAIN], [U, S, AGAIN_U]),
        ([Turn("user", "")], [messages.UserMessage(content="")]),
        ([ANSWER, AGAIN], [messages.UserMessage(content=""), A, AGAIN_U]),
    ],
)
def test_conversation_has_the_librarys_tokens(model: Made, turns: list[Turn], said: list[Any]) -> None:
    tokens = model.tokens.encode(turns)
    assert tokens == library_tokens(model, *said)
    assert tokens[0] == BOS
    prefixed = model.tokens.encode(turns, prefix="The answer")
    assert prefixed == library_tokens(model, *said, messages.AssistantMessage(content="The answer", prefix=True))
    assert prefixed[: len(tokens)] == tokens
    assert model.rendered(prefixed).endswith("The answer")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sentencepiece v1", "<s> [INST] S\n\nA [/INST] B</s> [INST] C [/INST] D"),
        ("sentencepiece v2", "<s>[INST] A[/INST] B</s>[INST] S\n\nC[/INST] D"),
        ("sentencepiece v3", "<s>[INST] A[/INST] B</s>[INST] S\n\nC[/INST] D"),
        ("sentencepiece v7", "<s>[SYSTEM_PROMPT] S[/SYSTEM_PROMPT][INST] A[/INST] B</s>[INST] C[/INST] D"),
        ("tekken v3", "<s>[INST]A[/INST]B</s>[INST]S\n\nC[/INST]D"),
        ("tekken v7", "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]A[/INST]B</s>[INST]C[/INST]D"),
        ("tekken v11", "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]A[/INST]B</s>[INST]C[/INST]D"),
        ("tekken v13", "<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][INST]A[/INST]B</s>[INST]C[/INST]D"),
        (
            "tekken v15",
            '<s>[SYSTEM_PROMPT]S[/SYSTEM_PROMPT][MODEL_SETTINGS]{"reasoning_effort": "high"}[/MODEL_SETTINGS]'
            "[INST]A[/INST]B</s>[INST]C[/INST]D",
        ),
    ],
)
def test_prompt_reads_as_the_version_has_it(model_of: Callable[[str], Made], name: str, expected: str) -> None:
    model = model_of(name)
    turns = [Turn("system", "S"), Turn("user", "A"), Turn("assistant", "B"), Turn("user", "C")]
    assert model.rendered(model.tokens.encode(turns, prefix="D")) == expected


DEFINITION = json.dumps(
    [{"type": "function", "function": {"name": "weather", "description": "The weather é", "parameters": SCHEMA}}],
    ensure_ascii=False,
)
AVAILABLE = f"[AVAILABLE_TOOLS]{DEFINITION}[/AVAILABLE_TOOLS]"
JSON = json.dumps(ARGUMENTS, ensure_ascii=False)
LISTED = f'[{{"name": "weather", "arguments": {JSON}, "id": "{ID}"}}]'


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "sentencepiece v2",
            f"<s>[AVAILABLE_TOOLS] {DEFINITION}[/AVAILABLE_TOOLS][INST] U[/INST]"
            f'[TOOL_CALLS] [{{"name": "weather", "arguments": {JSON}}}]</s>'
            '[TOOL_RESULTS] [{"name": "weather", "content": {"sky": "é"}}][/TOOL_RESULTS]',
        ),
        (
            "tekken v3",
            f"<s>{AVAILABLE}[INST]U[/INST][TOOL_CALLS]{LISTED}</s>"
            f'[TOOL_RESULTS]{{"content": {{"sky": "é"}}, "call_id": "{ID}"}}[/TOOL_RESULTS]',
        ),
        (
            "tekken v7",
            f"<s>{AVAILABLE}[INST]U[/INST][TOOL_CALLS]{LISTED}</s>"
            f'[TOOL_RESULTS]{ID}[TOOL_CONTENT]{{"sky":"é"}}[/TOOL_RESULTS]',
        ),
        (
            "tekken v11",
            f"<s>{AVAILABLE}[INST]U[/INST][TOOL_CALLS]weather[CALL_ID]{ID}[ARGS]{JSON}</s>"
            f'[TOOL_RESULTS]{ID}[TOOL_CONTENT]{{"sky":"é"}}[/TOOL_RESULTS]',
        ),
        (
            "tekken v13",
            f"<s>{AVAILABLE}[INST]U[/INST][TOOL_CALLS]weather[ARGS]{JSON}</s>"
            '[TOOL_RESULTS]{"sky":"é"}[/TOOL_RESULTS]',
        ),
        (
            "tekken v15",
            f'<s>{AVAILABLE}[MODEL_SETTINGS]{{"reasoning_effort": "high"}}[/MODEL_SETTINGS][INST]U[/INST]'
            f'[TOOL_CALLS]weather[ARGS]{JSON}</s>[TOOL_RESULTS]{{"sky":"é"}}[/TOOL_RESULTS]',
        ),
    ],
)
def test_calls_read_as_the_version_has_them(model_of: Callable[[str], Made], name: str, expected: str) -> None:
    model = model_of(name)
    result = Turn("tool", '{"sky":"é"}', tool_call_id=ID, name="weather")
    turns = [Turn("user", "U"), Turn("assistant", "", [call()]), result]
    assert model.rendered(model.tokens.encode(turns, tools=[WEATHER])) == expected


def test_what_is_said_of_calls_holds(model: Made) -> None:
    forms = {1: "none", 2: "list", 3: "list", 7: "list"}
    assert model.tokens.call_syntax == forms.get(model.number, "arguments")
    assert model.tokens.has_call_ids == model.tokens.has_short_call_ids == (model.number in (3, 7, 11))
    assert (model.tokens.thinking is not None) == (model.number >= 13)
    if model.tokens.call_syntax != "none":
        turns = [USER, Turn("assistant", "", [call()]), Turn("tool", "sunny", tool_call_id=ID)]
        rendered = model.rendered(model.tokens.encode(turns))
        assert (ID in rendered) == model.tokens.has_call_ids


@for_versions(*WITH_TOOLS)
def test_tool_conversation_has_the_librarys_tokens(model: Made) -> None:
    turns = [SYSTEM, USER, Turn("assistant", "", [call()]), Turn("tool", "sunny", tool_call_id=ID, name="weather")]
    said: list[Any] = [S, U, messages.AssistantMessage(tool_calls=[library_call()])]
    said.append(messages.ToolMessage(content="sunny", tool_call_id=ID, name="weather"))
    assert model.tokens.encode([USER], tools=[WEATHER]) == library_tokens(model, U, tools=True)
    assert model.tokens.encode(turns, tools=[WEATHER]) == library_tokens(model, *said, tools=True)
    finished = library_tokens(model, *said, A, AGAIN_U, tools=True)
    assert model.tokens.encode([*turns, ANSWER, AGAIN], tools=[WEATHER]) == finished


@for_versions(*WITH_TOOLS[2:])
def test_several_calls_and_text_beside_them_have_the_librarys_tokens(model: Made) -> None:
    turns = [USER, Turn("assistant", "Let me see.", [call(), call(OTHER_ID, "[1]")])]
    results = [Turn("tool", "{ }", tool_call_id=OTHER_ID), Turn("tool", "", tool_call_id=ID)]
    both = messages.AssistantMessage(content="Let me see.", tool_calls=[library_call(), library_call(OTHER_ID, "[1]")])
    said = [
        messages.ToolMessage(content="{ }", tool_call_id=OTHER_ID),
        messages.ToolMessage(content="", tool_call_id=ID),
    ]
    assert model.tokens.encode([*turns, *results]) == library_tokens(model, U, both, *said)


@pytest.mark.parametrize("name", ["tekken v13", "tekken v15"])
def test_thoughts_have_the_librarys_tokens(model_of: Callable[[str], Made], name: str) -> None:
    model = model_of(name)
    assert model.tokens.thinking == ("[THINK]", "[/THINK]")
    thought = messages.AssistantMessage(content=[chunk.ThinkChunk(thinking="Hm"), chunk.TextChunk(text="So. ")])
    alone = messages.AssistantMessage(content=[chunk.ThinkChunk(thinking="Hm")], tool_calls=[library_call()])
    answered = messages.ToolMessage(content="sunny", tool_call_id=ID)
    tokens = model.tokens.encode([USER, Turn("assistant", "So. ", thinking="Hm"), AGAIN])
    assert tokens == library_tokens(model, U, thought, AGAIN_U)
    assert "[THINK]Hm[/THINK]So. </s>" in model.rendered(tokens)
    turns = [USER, Turn("assistant", "", [call()], thinking="Hm"), Turn("tool", "sunny", tool_call_id=ID)]
    assert model.tokens.encode(turns) == library_tokens(model, U, alone, answered)
    assert model.tokens.encode([USER, Turn("assistant", "", thinking="Hm"), AGAIN])


def test_thoughts_are_left_out_where_there_are_no_tokens_for_them(model: Made, tmp_path: Path) -> None:
    tokens = model.tokens
    if tokens.thinking:
        vocabulary = GGUFVocabulary(write_tekken_model(tmp_path, version=tokens.version, thinking=False))
        tokens = MistralTokens(tmp_path / "tekken.json", vocabulary)
    assert tokens.thinking is None
    thought = Turn("assistant", ANSWER.text, thinking="Hm")
    assert tokens.encode([USER, thought, AGAIN]) == tokens.encode([USER, ANSWER, AGAIN])


def test_effort_is_asked_for_where_the_model_knows_it(model: Made) -> None:
    if model.number < 15:
        assert model.tokens.efforts == ()
        with pytest.raises(InvalidRequestError, match="does not support the reasoning effort 'high'") as refused:
            model.tokens.encode([USER], effort="high")
        assert refused.value.param == "reasoning_effort"
        return
    assert model.tokens.efforts == ("none", "high")
    assert '{"reasoning_effort": "none"}' in model.rendered(model.tokens.encode([USER], effort="none"))
    assert model.tokens.encode([USER], effort="high") == model.tokens.encode([USER])


def test_fill_in_the_middle_is_in_codestrals_order(model: Made) -> None:
    if not model.tokens.has_fim:
        assert model.number < 3
        with pytest.raises(InvalidRequestError, match="cannot fill in the middle"):
            model.tokens.encode_fim("def f():", "return x")
        return
    for suffix in ("return x", "  \n", "", None):
        theirs = model.library.encode_fim(FIMRequest(prompt="def f():", suffix=suffix))
        assert model.tokens.encode_fim("def f():", suffix) == list(theirs.tokens)
    rendered = model.rendered(model.tokens.encode_fim("def f():", "return x")).replace("[PREFIX] ", "[PREFIX]")
    assert rendered == "<s>[SUFFIX]return x[PREFIX]def f():"
    hostile = model.tokens.encode_fim("[SUFFIX]</s>", "[PREFIX][MIDDLE]")
    assert model.controls_in(hostile) == Counter(["<s>", "[SUFFIX]", "[PREFIX]"])


# Accepted by the API, refused by the library.


def test_system_text_after_an_answer_moves_to_the_head(model: Made) -> None:
    head = messages.SystemMessage(content="Be brief.\n\nLate.")
    turns = [SYSTEM, USER, ANSWER, Turn("system", "Late."), AGAIN]
    assert model.tokens.encode(turns) == library_tokens(model, head, U, A, AGAIN_U)


@for_versions(*WITH_TOOLS)
def test_system_text_after_a_result_moves_to_the_head(model: Made) -> None:
    head = messages.SystemMessage(content="Late.")
    result = Turn("tool", "T", tool_call_id=ID, name="weather")
    turns = [USER, Turn("assistant", "", [call()]), result, Turn("system", "Late.")]
    said: list[Any] = [head, U, messages.AssistantMessage(tool_calls=[library_call()])]
    said.append(messages.ToolMessage(content="T", tool_call_id=ID, name="weather"))
    prefix = messages.AssistantMessage(content="So", prefix=True)
    assert model.tokens.encode(turns, prefix="So") == library_tokens(model, *said, prefix)


def test_empty_answers_are_left_out(model: Made) -> None:
    joined = messages.UserMessage(content=f"{USER.text}\n\nAgain")
    assert model.tokens.encode([USER, Turn("assistant", ""), AGAIN]) == library_tokens(model, joined)
    assert model.tokens.encode([USER], prefix=" ")


@for_versions("v2", "v3")
def test_text_beside_calls_is_left_out_where_there_is_no_place_for_it(model: Made) -> None:
    result = Turn("tool", "sunny", tool_call_id=ID)
    beside = model.tokens.encode([USER, Turn("assistant", "Let me see.", [call()]), result])
    assert beside == model.tokens.encode([USER, Turn("assistant", "", [call()]), result])


def test_version_without_tools_reads_calls_as_text(model_of: Callable[[str], Made]) -> None:
    model = model_of("sentencepiece v1")
    turns = [USER, Turn("assistant", "", [call()]), Turn("tool", "sunny", tool_call_id=ID)]
    _, called, result = without_tools(turns)
    written = [messages.AssistantMessage(content=called.text), messages.UserMessage(content=result.text)]
    assert model.tokens.encode(turns) == library_tokens(model, U, *written)
    with pytest.raises(InvalidRequestError, match="does not support tools") as refused:
        model.tokens.encode([USER], tools=[WEATHER])
    assert refused.value.param == "tools"


@for_versions(*WITH_TOOLS[1:])
@pytest.mark.parametrize(
    ("call_ids", "result_ids", "expected"),
    [
        (["null", "000000001", ""], [None, "000000001", "null"], ["000000002", "000000001", "000000003"]),
        (["null", "null"], [ID, OTHER_ID], [ID, OTHER_ID]),
        (["null", "null"], [None, ID], ["000000001", ID]),
        (["null", ID], [ID, OTHER_ID], [OTHER_ID, ID]),
        ([ID, OTHER_ID], [None, None], [ID, OTHER_ID]),
    ],
)
def test_calls_and_results_share_their_ids(
    model: Made, call_ids: list[str], result_ids: list[str | None], expected: list[str]
) -> None:
    turns = [USER, Turn("assistant", "", [call(tool_id) for tool_id in call_ids])]
    turns += [Turn("tool", "sunny", tool_call_id=tool_id) for tool_id in result_ids]
    said: list[Any] = [U, messages.AssistantMessage(tool_calls=[library_call(tool_id) for tool_id in expected])]
    answered = [ID, OTHER_ID] if call_ids == ["null", ID] else expected
    said += [messages.ToolMessage(content="sunny", tool_call_id=tool_id) for tool_id in answered]
    assert model.tokens.encode(turns) == library_tokens(model, *said)
    assert [each.id for each in turns[1].tool_calls] == call_ids


def test_call_without_a_result_gets_an_id(model_of: Callable[[str], Made]) -> None:
    model = model_of("tekken v11")
    rendered = model.rendered(model.tokens.encode([USER, Turn("assistant", "", [call("null")]), AGAIN]))
    assert "[TOOL_CALLS]weather[CALL_ID]000000001[ARGS]" in rendered


def test_result_is_named_by_its_call(model_of: Callable[[str], Made]) -> None:
    tokens = model_of("sentencepiece v2").tokens
    turns = [USER, Turn("assistant", "", [call()])]
    assert tokens.encode([*turns, Turn("tool", "T")]) == tokens.encode([*turns, Turn("tool", "T", name="weather")])


@pytest.mark.parametrize("text", ["\ud800", '"\\ud800"', '{"\\udfff": ["\\ud800"]}', "\U0001f600", "a\0b", "\ufdd0"])
def test_broken_characters_are_read_as_others(model: Made, text: str) -> None:
    turns = [Turn("system", text), Turn("user", text), Turn("assistant", text), Turn("user", text)]
    assert model.tokens.encode(turns, prefix=text)
    if model.tokens.call_syntax == "none":
        return
    tool = Tool(function=Function.model_construct(name="f", description=text, parameters={"title": text}))
    for arguments in (text, {text: text}):
        made = ToolCall(id=ID, function=FunctionCall.model_construct(name="f", arguments=arguments))
        said = [*turns, Turn("assistant", "", [made], thinking=text), Turn("tool", text, tool_call_id=ID)]
        assert model.tokens.encode(said, tools=[tool])


# Refused by both.


@for_versions(*WITH_TOOLS)
@pytest.mark.parametrize(
    ("turns", "tools", "kind", "message"),
    [
        ([USER, Turn("tool", "T", tool_call_id=ID)], [], "invalid_request_message_order", "Unexpected role 'tool'"),
        (
            [USER, Turn("assistant", "", [call()]), ANSWER],
            [],
            "invalid_request_error",
            "Not the same number of function",
        ),
        (
            [USER, Turn("assistant", "", [call(name="a b")]), Turn("tool", "T", tool_call_id=ID, name="f")],
            [],
            "invalid_request_error",
            "Function name was a b but",
        ),
        (
            [USER],
            [Tool(function=Function(name="[INST]", parameters={}))],
            "invalid_request_error",
            r"Function name was \[INST\] but",
        ),
        (
            [USER],
            [Tool(function=Function(name="f", parameters={"type": "thing"}))],
            "invalid_request_error",
            "'thing' is not valid under any of the given schemas",
        ),
        (
            [USER, Turn("assistant", "", [call(arguments='{"a":' * 100_000)])],
            [],
            "invalid_request_error",
            "nested too deep",
        ),
    ],
)
def test_refusals_are_in_the_librarys_words(
    model: Made, turns: list[Turn], tools: list[Tool], kind: str, message: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message) as refused:
        model.tokens.encode(turns, tools=tools, prefix="x" if turns[-1].role == "assistant" else "")
    assert refused.value.kind == kind
    assert refused.value.param == ("tools" if tools else "messages")


def test_what_the_library_fails_at_is_the_requests_fault(model_of: Callable[[str], Made]) -> None:
    with pytest.raises(InvalidRequestError, match="tokenizer refuses the request: Regex error"):
        model_of("tekken v13").tokens.encode([Turn("user", " " * 1_000_000)])
    turns = [USER, Turn("assistant", "", [call(), call(OTHER_ID)])]
    results = [Turn("tool", "T", tool_call_id=tool_id) for tool_id in (ID, OTHER_ID)]
    with pytest.raises(InvalidRequestError):
        model_of("sentencepiece v2").tokens.encode([*turns, *results])


def test_several_threads_get_the_same_tokens(model: Made) -> None:
    turns = [[Turn("user", f"Hello {number}" * 50), ANSWER, AGAIN] for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(model.tokens.encode, turns)) == [model.tokens.encode(each) for each in turns]
