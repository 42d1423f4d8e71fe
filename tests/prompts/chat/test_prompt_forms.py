"""Prompts for answers with calls, JSON documents and thinking: instructions and grammar."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from llguidance import LLMatcher

from ponant.api.chat import Function, Tool
from ponant.api.messages import (
    AssistantMessage,
    FunctionCall,
    Message,
    SystemMessage,
    TextChunk,
    ThinkChunk,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from ponant.completion.parts import Text
from ponant.completion.reader import AnswerReader
from ponant.engine.llama.grammar import GrammarTokenizer
from ponant.llamacpp.model import Model
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.answer.output_format import PLAIN, OutputFormat, Thinking
from ponant.prompts.answer.spec import AnswerSpec, Calls
from ponant.prompts.chat.prompt import Prompt, PromptBuilder
from ponant.prompts.json_schema.outline import outline
from ponant.prompts.tools.call_formats import BARE, LISTED, NAMED, TAGGED
from tests.prompts.building import (
    CONTEXT,
    CONTROLS,
    END,
    START,
    builder,
    controls_in,
    hostile_texts,
    prefix,
    text_in,
    user,
)
from tests.prompts.chat_templates import (
    ARGUMENTS,
    ARGUMENTS_AND_IDS,
    ARGUMENTS_AND_THINKING,
    CHATML,
    LLAMA,
    PARAMETERS,
    TAGS,
    TAGS_AND_THINKING,
    TAGS_WITHOUT_TOOLS,
    THINKS_ALWAYS,
    TIGHT_LIST,
    TOOLS,
    XML,
)
from tests.prompts.styles import follow
from tests.soak import examples
from tests.tiny_model import write_tiny_model

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool(function=Function(name="weather", description="Says how it is.", parameters=CITY))
CLOCK = Tool(function=Function(name="clock", parameters={}))
GENERIC = "Write its name and arguments as JSON between tags"
SCHEMA_HINT = "Answer with one JSON document and nothing else."
OBJECT_HINT = "Answer with one JSON object and nothing else."
THINKING_HINT = "Before you answer, think about the question step by step"
TAGGED_CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "P"}}\n</tool_call>'
CONVERSATION: list[Message] = [
    UserMessage(content="U"),
    AssistantMessage(
        content="",
        tool_calls=[ToolCall(id="abcdefgh1", function=FunctionCall(name="weather", arguments={"city": "P"}))],
    ),
    ToolMessage(content="R", tool_call_id="abcdefgh1"),
]
CALL_TOKENS = ("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]")


def spec_of(
    *tools: Tool, calls: Calls = "auto", schema: dict[str, Any] | None = None, reasoning: bool = False
) -> AnswerSpec:
    functions = tuple(tool.function for tool in tools)
    return AnswerSpec(tools, functions, calls if tools else "none", schema=schema, reasoning=reasoning)


def with_controls(vocabulary: GGUFVocabulary, template: str, *controls: str) -> PromptBuilder:
    """Return the builder of a model with additional control tokens, which have the last ids."""

    class Other(GGUFVocabulary):
        def control_tokens(self) -> dict[str, int]:
            return super().control_tokens() | {text: self.size - 1 - index for index, text in enumerate(controls)}

    other = copy.copy(vocabulary)
    other.__class__ = Other
    other.metadata = {"tokenizer.chat_template": template}
    return PromptBuilder(other, context=CONTEXT)


def accepts(prompt: Prompt, text: str) -> bool:
    """True if the grammar accepts this text as a whole answer."""
    assert prompt.grammar is not None
    return follow(prompt.grammar, list(text.encode())) == "whole"


def test_free_answer_has_neither_grammar_nor_hint(vocabulary: GGUFVocabulary) -> None:
    for template in (CHATML, TAGS, PARAMETERS, TAGS_AND_THINKING):
        prompt = builder(vocabulary, template).build([user("U")])
        assert (prompt.grammar, prompt.output_format) == (None, PLAIN)
        assert prompt == builder(vocabulary, template).build([user("U")], spec=spec_of(), max_tokens=10)


@pytest.mark.parametrize("template", [CHATML, LLAMA, XML, TAGS_WITHOUT_TOOLS, TOOLS, THINKS_ALWAYS, None])
@pytest.mark.parametrize(
    ("calls", "tools", "choice"),
    [
        ("auto", (WEATHER, CLOCK), "If one of them can do what the user asks for, call it."),
        ("auto", (CLOCK, WEATHER), "\nOnly if none of them can, answer in plain text."),
        ("required", (WEATHER, CLOCK), "Now you must call a function."),
        ("required", (CLOCK,), "Now you must call the function clock."),
    ],
)
def test_models_without_a_form_are_told_of_one(
    vocabulary: GGUFVocabulary, template: str | None, calls: Calls, tools: tuple[Tool, ...], choice: str
) -> None:
    spec = spec_of(*tools, calls=calls)
    prompt = builder(vocabulary, template).build([SystemMessage(content="S"), user("U")], spec=spec)
    text = text_in(vocabulary, prompt.tokens)
    assert text.count(GENERIC) == text.count(choice) == 1
    assert text.index("S\n\n") < text.index(GENERIC) < text.index("U")
    for tool in tools:
        function = tool.function
        described = {"name": function.name, "description": function.description, "parameters": function.parameters}
        assert json.dumps(described) in text
    arguments = {"city": "…"} if tools[0] is WEATHER else {}
    example = json.dumps({"name": tools[0].function.name, "arguments": arguments}, ensure_ascii=False)
    assert f"<tool_call>\n{example}\n</tool_call>" in text
    assert ("plain text" in text) == (calls == "auto")
    assert prompt.output_format.calls == TAGGED
    assert prompt.output_format.functions == {tool.function.name for tool in tools}
    assert accepts(prompt, "Hello") == (calls == "auto")
    assert accepts(prompt, TAGGED_CALL) == (WEATHER in tools)


@pytest.mark.parametrize("template", [CHATML, XML])
def test_function_that_must_be_called_is_named_among_others(vocabulary: GGUFVocabulary, template: str) -> None:
    spec = AnswerSpec((WEATHER, CLOCK), (CLOCK.function,), "required", parallel=False)
    prompt = builder(vocabulary, template).build([user("U")], spec=spec)
    text = text_in(vocabulary, prompt.tokens)
    assert "Now you must call the function clock." in text
    assert '"name": "weather"' in text
    assert prompt.output_format.functions == {"clock"}
    assert not accepts(prompt, TAGGED_CALL)


@pytest.mark.parametrize("template", [CHATML, XML, TAGS_WITHOUT_TOOLS, LLAMA])
def test_models_without_a_form_read_calls_and_results_as_they_were_told(
    vocabulary: GGUFVocabulary, template: str
) -> None:
    prompt = builder(vocabulary, template).build(CONVERSATION, spec=spec_of(WEATHER))
    text = text_in(vocabulary, prompt.tokens)
    assert TAGGED_CALL in text
    assert "<tool_response>\nR\n</tool_response>" in text
    assert "<function" not in text


@pytest.mark.parametrize(
    ("template", "form", "call"),
    [
        (TAGS, TAGGED, TAGGED_CALL),
        (TAGS_AND_THINKING, TAGGED, TAGGED_CALL),
        (PARAMETERS, BARE, '{"name": "weather", "parameters": {"city": "P"}}'),
        (TIGHT_LIST, LISTED, '[TOOL_CALLS][{"name": "weather", "arguments": {"city": "P"}, "id": "abcdefgh1"}]'),
    ],
)
@pytest.mark.parametrize("calls", ["auto", "required"])
def test_models_with_a_form_have_it_in_the_prompt_and_in_the_grammar(
    vocabulary: GGUFVocabulary, template: str, form: Any, call: str, calls: Calls
) -> None:
    prompt = builder(vocabulary, template).build(CONVERSATION, spec=spec_of(WEATHER, CLOCK, calls=calls))
    text = text_in(vocabulary, prompt.tokens)
    assert GENERIC not in text
    assert call in text
    assert "Says how it is." in text
    functions = frozenset({"weather", "clock"})
    assert prompt.output_format == OutputFormat(calls=form, functions=functions, required=calls == "required")
    assert accepts(prompt, call)
    assert not accepts(prompt, call.replace("city", "town"))
    assert not accepts(prompt, call.replace("weather", "other")) or (form == BARE and calls == "auto")
    assert accepts(prompt, "Hello") == (calls == "auto")


@pytest.mark.parametrize("template", [CHATML, TAGS, PARAMETERS])
def test_tools_without_calls_are_shown_alone(vocabulary: GGUFVocabulary, template: str) -> None:
    prompt = builder(vocabulary, template).build([user("U")], spec=AnswerSpec((WEATHER,)))
    assert "Says how it is." in text_in(vocabulary, prompt.tokens)
    assert (prompt.grammar, prompt.output_format) == (None, PLAIN)


@pytest.mark.parametrize("template", [CHATML, TAGS])
def test_earlier_calls_are_in_the_prompt_without_tools_too(vocabulary: GGUFVocabulary, template: str) -> None:
    prompt = builder(vocabulary, template).build(CONVERSATION)
    assert TAGGED_CALL in text_in(vocabulary, prompt.tokens)
    assert prompt.output_format == PLAIN


@pytest.mark.parametrize("template", [ARGUMENTS, ARGUMENTS_AND_IDS])
def test_control_tokens_of_calls_are_read_by_their_ids(vocabulary: GGUFVocabulary, template: str) -> None:
    made = with_controls(vocabulary, template, *CALL_TOKENS)
    prompt = made.build([user("U")], spec=spec_of(WEATHER))
    size = vocabulary.size
    expected = {size - 1: "[TOOL_CALLS]", size - 3: "[ARGS]"}
    assert prompt.output_format.calls in (NAMED, type(NAMED)(before_id=""))
    assert prompt.output_format.controls == expected | (
        {size - 2: "[CALL_ID]"} if template == ARGUMENTS_AND_IDS else {}
    )
    assert prompt.grammar is not None
    assert f"<[{size - 1}]>" in prompt.grammar


def test_form_of_control_tokens_needs_them(vocabulary: GGUFVocabulary) -> None:
    """Without them, calls could not be distinguished from text, so another format is used."""
    prompt = builder(vocabulary, ARGUMENTS_AND_IDS).build([user("U")], spec=spec_of(WEATHER, calls="required"))
    written = TAGGED_CALL if accepts(prompt, TAGGED_CALL) else '[TOOL_CALLS]weather[ARGS]{"city": "P"}'
    assert accepts(prompt, written)
    reader = AnswerReader(prompt.output_format)
    assert not any(isinstance(part, Text) for part in [*reader.push(written), *reader.finish()])


@pytest.mark.parametrize("template", [CHATML, TAGS, PARAMETERS])
@pytest.mark.parametrize(
    ("schema", "hint"), [({"type": "object"}, OBJECT_HINT), (CITY, SCHEMA_HINT), ({"type": "array"}, SCHEMA_HINT)]
)
def test_schema_is_shown_to_the_model(
    vocabulary: GGUFVocabulary, template: str, schema: dict[str, Any], hint: str
) -> None:
    prompt = builder(vocabulary, template).build([SystemMessage(content="S"), user("U")], spec=spec_of(schema=schema))
    text = text_in(vocabulary, prompt.tokens)
    assert f"S\n\n{hint}" in text
    assert (f"Its form:\n{outline(schema)}" in text) == (hint == SCHEMA_HINT)
    assert prompt.output_format == PLAIN
    assert not accepts(prompt, "Hello")
    assert accepts(prompt, "[]") == (schema == {"type": "array"})
    assert accepts(prompt, '{"city": "P"}') == (schema != {"type": "array"})
    assert accepts(prompt, '{"a": 1}') == (schema == {"type": "object"})


@pytest.mark.parametrize("template", [CHATML, TAGS, PARAMETERS, TIGHT_LIST])
def test_answer_may_be_a_document_or_a_call(vocabulary: GGUFVocabulary, template: str) -> None:
    spec = spec_of(WEATHER, schema={"type": "object", "properties": {"a": {"type": "integer"}}})
    prompt = builder(vocabulary, template).build([user("U")], spec=spec)
    text = text_in(vocabulary, prompt.tokens)
    assert "Says how it is." in text
    assert SCHEMA_HINT in text
    assert accepts(prompt, '{"a": 1}')
    assert accepts(prompt, "{}")
    assert not accepts(prompt, "Hello")
    assert isinstance(prompt.output_format.calls, type(TAGGED))
    assert accepts(prompt, prompt.output_format.calls.text("weather", {"city": "P"}))


@pytest.mark.parametrize("template", [CHATML, TAGS, PARAMETERS, TIGHT_LIST])
@pytest.mark.parametrize("key", ["arguments", "parameters"])
def test_document_that_reads_like_a_call_is_none(vocabulary: GGUFVocabulary, template: str, key: str) -> None:
    """Its arguments would not match the function's schema."""
    prompt = builder(vocabulary, template).build([user("U")], spec=spec_of(WEATHER, schema={"type": "object"}))
    document = f'{{"name": "weather", "{key}": {{"town": 1}}}}'
    assert accepts(prompt, document)
    reader = AnswerReader(prompt.output_format)
    parts = [*reader.push(document), *reader.finish()]
    assert "".join(part.text for part in parts if isinstance(part, Text)) == document


@pytest.mark.parametrize("template", [CHATML, TAGS, PARAMETERS, LLAMA, None])
def test_models_that_do_not_think_are_told_how(vocabulary: GGUFVocabulary, template: str | None) -> None:
    spec = spec_of(reasoning=True)
    prompt = builder(vocabulary, template).build([SystemMessage(content="S"), user("U")], spec=spec)
    text = text_in(vocabulary, prompt.tokens)
    assert text.count(THINKING_HINT) == 1
    assert "<think> and </think>" in text
    assert prompt.output_format == OutputFormat(thinking=Thinking("<think>", "</think>", native=False))
    assert accepts(prompt, "<think>\nWell.\n</think>\n\nHello")
    assert not accepts(prompt, "Hello")


@pytest.mark.parametrize("max_tokens", [1, 2, 320, None])
def test_thinking_leaves_half_of_the_tokens_for_the_answer(vocabulary: GGUFVocabulary, max_tokens: int | None) -> None:
    prompt = builder(vocabulary, CHATML).build([user("U")], spec=spec_of(reasoning=True), max_tokens=max_tokens)
    if max_tokens in (1, 2):
        assert accepts(prompt, "<think>\na</think>\n\nHello")
        assert not accepts(prompt, "<think>\na\n</think>\n\nHello")
        return
    lines = {320: 2, None: CONTEXT // 4 // 80 + 1}[max_tokens]
    assert accepts(prompt, "<think>\n" + "a\n" * lines + "</think>\n\nHello")
    assert not accepts(prompt, "<think>\n" + "a\n" * (lines + 1) + "</think>\n\nHello")


@pytest.mark.parametrize("tools", [(), (WEATHER,)])
def test_models_that_think_by_themselves_are_not_told_how(vocabulary: GGUFVocabulary, tools: tuple[Tool, ...]) -> None:
    spec = spec_of(*tools, reasoning=True)
    for template, begun in ((TAGS_AND_THINKING, False), (THINKS_ALWAYS, True)):
        prompt = builder(vocabulary, template).build([user("U")], spec=spec)
        text = text_in(vocabulary, prompt.tokens)
        assert THINKING_HINT not in text
        assert "<think>\n\n</think>" not in text
        assert prompt.output_format.thinking == Thinking("<think>", "</think>", begun=begun)
        assert (prompt.grammar is None) == (not tools)


@pytest.mark.parametrize("prefixed", [True, False])
def test_user_cannot_begin_the_thinking(vocabulary: GGUFVocabulary, prefixed: bool) -> None:
    """Only the template determines if the thinking has begun."""
    last = prefix("<think>") if prefixed else user("<think>")
    prompt = builder(vocabulary, TAGS_AND_THINKING).build([user("U"), last], spec=spec_of(reasoning=True))
    assert prompt.output_format.thinking == Thinking("<think>", "</think>")


def test_thinking_that_is_not_wanted_is_turned_off(vocabulary: GGUFVocabulary) -> None:
    prompt = builder(vocabulary, TAGS_AND_THINKING).build([user("U")])
    assert text_in(vocabulary, prompt.tokens).endswith("<think>\n\n</think>\n\n")
    assert prompt.output_format.thinking is None


def test_earlier_thinking_is_for_the_template_to_show(vocabulary: GGUFVocabulary) -> None:
    thought = ThinkChunk(thinking=[TextChunk(text="hm")])
    messages: list[Message] = [user("U"), AssistantMessage(content=[thought, TextChunk(text="A")]), user("V")]
    assert "hm" not in text_in(vocabulary, builder(vocabulary, TAGS_AND_THINKING).build(messages).tokens)
    assert "hm" not in text_in(vocabulary, builder(vocabulary, CHATML).build(messages).tokens)
    shown = with_controls(vocabulary, ARGUMENTS_AND_THINKING, "[THINK]", "[/THINK]").build(messages)
    assert "[THINK]hm[/THINK]A" in text_in(vocabulary, shown.tokens)


def test_hints_stand_in_one_system_text_after_what_was_there(vocabulary: GGUFVocabulary) -> None:
    spec = spec_of(WEATHER, schema=CITY, reasoning=True)
    prompt = builder(vocabulary, CHATML).build([SystemMessage(content="S"), user("U")], system="Be safe.", spec=spec)
    text = text_in(vocabulary, prompt.tokens)
    places = [text.index(part) for part in ("system\n", "Be safe.\n\nS\n\n", GENERIC, SCHEMA_HINT, THINKING_HINT)]
    assert places == sorted(places)
    assert controls_in(vocabulary, prompt.tokens) == [START, END] * 2 + [START]


def test_hints_stand_before_a_conversation_without_a_system_text(vocabulary: GGUFVocabulary) -> None:
    prompt = builder(vocabulary, CHATML).build([user("U")], spec=spec_of(schema={"type": "object"}))
    assert text_in(vocabulary, prompt.tokens) == f"system\n{OBJECT_HINT}\nuser\nU\nassistant\n"


@settings(deadline=None, max_examples=examples(150), derandomize=True)
@given(
    texts=st.tuples(hostile_texts, hostile_texts, hostile_texts, hostile_texts),
    template=st.sampled_from([CHATML, TAGS, PARAMETERS, TIGHT_LIST, XML]),
    calls=st.sampled_from(["auto", "required", "none"]),
)
def test_tools_and_schemas_form_no_control_token(
    vocabulary: GGUFVocabulary, texts: tuple[str, str, str, str], template: str, calls: Calls
) -> None:
    name, description, key, value = texts
    assume(key.isprintable())  # others are refused
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": {key: {"type": "string", "description": value, "title": value}},
        "required": [key],
    }
    tool = Tool(function=Function(name=name, description=description, parameters=parameters))
    spec = AnswerSpec((tool,), (tool.function,), calls, schema=parameters if calls == "none" else None)
    messages: list[Message] = [SystemMessage(content=name), user(description)]
    tokens = builder(vocabulary, template).build(messages, spec=spec).tokens
    expected = [START, END] * 2 + [START] if template in (CHATML, TAGS, XML) else [START]  # the BOS token
    assert controls_in(vocabulary, tokens) == expected


@settings(deadline=None, max_examples=examples(150), derandomize=True)
@given(text=hostile_texts, template=st.sampled_from([CHATML, TAGS, TAGS_AND_THINKING, PARAMETERS, XML]))
def test_results_and_thinking_form_no_control_token(vocabulary: GGUFVocabulary, text: str, template: str) -> None:
    call = ToolCall(id="abcdefgh1", function=FunctionCall(name=text, arguments={text: text}))
    content: list[Any] = [ThinkChunk(thinking=[TextChunk(text=text)]), TextChunk(text=text)]
    messages: list[Message] = [
        user("U"),
        AssistantMessage(content=content, tool_calls=[call]),
        ToolMessage(content=text, tool_call_id="abcdefgh1", name=text),
        AssistantMessage(content=content),
        user("V"),
    ]
    tokens = builder(vocabulary, template).build(messages, spec=spec_of(CLOCK)).tokens
    system = [START, END]  # the tools
    expected = [START] if template == PARAMETERS else system + [START, END] * 5 + [START]
    assert controls_in(vocabulary, tokens) == expected


@pytest.mark.parametrize("text", CONTROLS)
def test_control_tokens_in_hints_are_text(vocabulary: GGUFVocabulary, text: str) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {text: {"description": text}}, "required": [text]}
    tool = Tool(function=Function(name=text, description=text, parameters=schema))
    spec = spec_of(tool, schema=schema)
    tokens = builder(vocabulary, CHATML).build([user("U")], spec=spec).tokens
    assert controls_in(vocabulary, tokens) == [START, END] * 2 + [START]
    assert text_in(vocabulary, tokens).count(text) == 9


@pytest.mark.parametrize("calls", ["auto", "required"])
def test_tag_that_is_one_token_may_begin_a_call(tmp_path: Path, calls: Calls) -> None:
    """Qwen's and Hermes' tags are text tokens of their own, which these models were trained to write."""
    tag = "<tool_call>"
    write_tiny_model(tmp_path / "model.gguf", chat_template=TAGS, user_defined=[tag])
    made = GGUFVocabulary(tmp_path / "model.gguf")
    (token,) = made.tokenize(tag, control=False)
    assert (made.piece(token), tag in made.control_tokens()) == (tag.encode(), False)
    prompt = PromptBuilder(made, context=CONTEXT).build([user("U")], spec=spec_of(WEATHER, calls=calls))
    assert prompt.grammar is not None
    model = Model(tmp_path / "model.gguf")
    grammars = GrammarTokenizer(model.vocab, model.vocabulary_size, model.end_tokens)
    begun = LLMatcher(grammars.tokenizer, prompt.grammar, log_level=0)
    assert begun.compute_logit_bias()[token]
    assert begun.consume_token(token)
