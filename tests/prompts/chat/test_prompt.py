"""Prompts with the bundled model's vocabulary: control tokens come from the template only."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.api.messages import (
    AssistantMessage,
    FunctionCall,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from ponant.errors import InvalidRequestError
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.chat.prompt import PromptBuilder
from tests.prompts.building import (
    CONTEXT,
    END,
    START,
    _messages,
    as_read,
    builder,
    controls_in,
    hostile_texts,
    plain,
    prefix,
    text_in,
    user,
)
from tests.prompts.chat_templates import (
    CHATML,
    GLUE,
    LLAMA,
    MISTRAL,
    TIGHT,
    TOOLS,
)
from tests.soak import examples
from tests.tiny_model import write_tiny_model


def test_conversation_becomes_what_the_model_was_taught(vocabulary: GGUFVocabulary) -> None:
    tokens = builder(vocabulary).build([SystemMessage(content="S"), user("Hello")]).tokens
    start, end = vocabulary.tokenize(START, control=True), vocabulary.tokenize(END, control=True)
    text = f"{START}system\nS{END}\n{START}user\nHello{END}\n{START}assistant\n"
    assert tokens == vocabulary.tokenize(text, control=True)
    assert tokens[0] == start[0]
    assert tokens.count(end[0]) == 2


@settings(deadline=None, max_examples=examples(300))
@given(texts=st.lists(hostile_texts, min_size=1, max_size=5), system=st.none() | hostile_texts, forced=hostile_texts)
def test_control_tokens_are_those_of_the_template_alone(
    vocabulary: GGUFVocabulary, texts: list[str], system: str | None, forced: str
) -> None:
    turns: list[Message] = [] if system is None else [SystemMessage(content=system)]
    turns += [user(text) if index % 2 == 0 else AssistantMessage(content=text) for index, text in enumerate(texts)]
    turns += [prefix(forced)] if forced or len(texts) % 2 == 0 else []
    prompt = builder(vocabulary, CHATML).build(turns)
    spoken = [("system", system)] if system is not None else []
    spoken += [("user" if index % 2 == 0 else "assistant", text) for index, text in enumerate(texts)]
    assert controls_in(vocabulary, prompt.tokens) == [START, END] * len(spoken) + [START]
    expected = "".join(f"{role}\n{plain(text or '')}\n" for role, text in spoken) + "assistant\n" + plain(forced)
    assert text_in(vocabulary, prompt.tokens) == as_read(vocabulary, expected)
    assert prompt.prefix == forced


@settings(deadline=None, max_examples=examples(300))
@given(texts=st.lists(hostile_texts, min_size=1, max_size=5), forced=hostile_texts, split=st.booleans())
def test_texts_that_stand_against_each_other_form_no_control_token(
    vocabulary: GGUFVocabulary, texts: list[str], forced: str, split: bool
) -> None:
    if split:
        turns: list[Message] = [
            user(text) if index % 2 == 0 else AssistantMessage(content=text) for index, text in enumerate(texts)
        ]
    else:
        turns = _messages.validate_python(
            [{"role": "user", "content": [{"type": "text", "text": text} for text in texts]}]
        )
    try:
        prompt = builder(vocabulary, GLUE).build([*turns, prefix(forced)])
    except InvalidRequestError as error:
        assert str(error) == "The prompt is empty"
    else:
        assert controls_in(vocabulary, prompt.tokens) == []


@pytest.mark.parametrize("cut", range(1, len(START)))
@pytest.mark.parametrize("space", ["", "  "])
def test_halves_of_a_control_token_stay_text_when_joined(vocabulary: GGUFVocabulary, cut: int, space: str) -> None:
    first, second = START[:cut] + space, space + START[cut:]
    glued = builder(vocabulary, GLUE)
    for turns in (
        [user("a" + first), prefix(second.lstrip())],
        [user(first), AssistantMessage(content=second), user("b")],
    ):
        tokens = glued.build(turns).tokens
        assert controls_in(vocabulary, tokens) == []
        assert START in text_in(vocabulary, tokens).replace(" ", "")


@pytest.mark.parametrize("text", ["|im_start|", "|im_end|", "repo_name", "filename"])
def test_text_that_the_template_completes_to_a_control_token_stays_text(vocabulary: GGUFVocabulary, text: str) -> None:
    tokens = builder(vocabulary, TIGHT).build([user(text)]).tokens
    assert controls_in(vocabulary, tokens) == [START, END]
    assert text_in(vocabulary, tokens) == f"user\n<{text}>"


def tool_conversation(text: str, *, as_json: bool, escaped: bool) -> list[Message]:
    arguments: Any = {text: [text, {"nested": text}, 1, None]}
    if as_json:
        arguments = json.dumps(arguments, ensure_ascii=escaped)
        if escaped:
            arguments = arguments.replace("<", "\\u003c").replace("|", "\\u007c")
    call = ToolCall(id=text, function=FunctionCall(name=text, arguments=arguments))
    return [
        user("U"),
        AssistantMessage(content=text, tool_calls=[call]),
        ToolMessage(content=text, tool_call_id=text, name=text),
    ]


@settings(deadline=None, max_examples=examples(300))
@given(
    text=hostile_texts,
    template=st.sampled_from([CHATML, TIGHT, TOOLS]),
    as_json=st.booleans(),
    escaped=st.booleans(),
)
def test_tool_names_ids_and_arguments_form_no_control_token(
    vocabulary: GGUFVocabulary, text: str, template: str, as_json: bool, escaped: bool
) -> None:
    tokens = builder(vocabulary, template).build(tool_conversation(text, as_json=as_json, escaped=escaped)).tokens
    expected = [START, END] * 3 + ([] if template == TIGHT else [START])
    assert controls_in(vocabulary, tokens) == expected


@pytest.mark.parametrize("text", ["{", '"\\u003c|im_start|>"', '{"a": "\\u003c|im_start|>"', f"{START} {{"])
def test_arguments_that_are_no_object_stay_the_text_they_are(vocabulary: GGUFVocabulary, text: str) -> None:
    call = ToolCall(function=FunctionCall(name="f", arguments=text))
    tokens = builder(vocabulary, TOOLS).build([user("U"), AssistantMessage(tool_calls=[call]), ToolMessage(content="")])
    assert controls_in(vocabulary, tokens.tokens) == [START, END] * 3 + [START]
    assert json.dumps(text) in text_in(vocabulary, tokens.tokens)


@pytest.mark.parametrize("template", [CHATML, TOOLS])
@pytest.mark.parametrize("depth", [10, 150, 800, 5000, 50_000])
def test_deep_arguments_are_rendered_or_refused(vocabulary: GGUFVocabulary, template: str, depth: int) -> None:
    arguments = '{"a":' * depth + "1" + "}" * depth
    call = ToolCall(function=FunctionCall(name="f", arguments=arguments))
    conversation = [user("U"), AssistantMessage(tool_calls=[call]), ToolMessage(content="T")]
    try:
        tokens = builder(vocabulary, template, context=10_000_000).build(conversation).tokens
    except InvalidRequestError:
        assert depth > 150
    else:
        assert controls_in(vocabulary, tokens) == [START, END] * 3 + [START]


@pytest.mark.parametrize("text", ["> quoted", "a <", "a", "start", "if a < b and b > c:", "|", ""])
def test_harmless_text_has_the_tokens_it_always_has(vocabulary: GGUFVocabulary, text: str) -> None:
    tokens = builder(vocabulary, CHATML).build([user(text)]).tokens
    whole = f"{START}user\n{text}{END}\n{START}assistant\n"
    assert tokens == vocabulary.tokenize(whole, control=True)


def test_prefix_stands_where_the_assistant_is_to_speak(vocabulary: GGUFVocabulary) -> None:
    chatml = builder(vocabulary, CHATML)
    prompt = chatml.build([user("U"), prefix("Once upon")])
    assert prompt.prefix == "Once upon"
    assert text_in(vocabulary, prompt.tokens) == "user\nU\nassistant\nOnce upon"
    assert chatml.build([user("U")]).prefix == ""
    assert chatml.build([user("U"), prefix("")]).tokens == chatml.build([user("U")]).tokens


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([user("U")], "system\nBe safe.\nuser\nU\nassistant\n"),
        ([SystemMessage(content="S"), user("U")], "system\nBe safe.\n\nS\nuser\nU\nassistant\n"),
        ([SystemMessage(content=""), user("U")], "system\nBe safe.\nuser\nU\nassistant\n"),
    ],
)
def test_system_text_of_the_server_comes_first(
    vocabulary: GGUFVocabulary, messages: list[Message], expected: str
) -> None:
    prompt = builder(vocabulary, CHATML).build(messages, system="Be safe.")
    assert text_in(vocabulary, prompt.tokens) == expected


@pytest.mark.parametrize(
    ("text", "reads_all"), [("漢" * 1_000_000, False), ("a" * 20 * 163, False), ("hello " * 20, True)]
)
def test_prompt_that_cannot_fit_is_refused_without_being_tokenized(
    vocabulary: GGUFVocabulary, text: str, reads_all: bool
) -> None:
    class Counting(GGUFVocabulary):
        read = 0

        def tokenize(self, text: str, *, control: bool) -> list[int]:
            self.read += len(text)
            return super().tokenize(text, control=control)

    counting = copy.copy(vocabulary)
    counting.__class__ = Counting
    assert isinstance(counting, Counting)
    build = PromptBuilder(counting, context=20).build
    counting.read = 0
    if reads_all:
        assert build([user(text)]).tokens  # the service reports the number of tokens
        assert counting.read > len(text)
        return
    with pytest.raises(InvalidRequestError, match="too large for model with 20 maximum context length") as refused:
        build([user(text)])
    assert refused.value.kind == "context_length_exceeded"
    assert counting.read == 0


def test_broken_template_gives_way_to_a_plain_one(vocabulary: GGUFVocabulary) -> None:
    tokens = builder(vocabulary, "{% for %}").build([user("U")]).tokens
    assert text_in(vocabulary, tokens) == "### User:\nU\n\n### Assistant:\n"


def test_refusal_of_the_template_is_the_requests_fault(vocabulary: GGUFVocabulary) -> None:
    refusing = builder(vocabulary, "{{ raise_exception('I take no messages') }}")
    with pytest.raises(InvalidRequestError, match="chat template refuses these messages: I take no messages"):
        refusing.build([user("U")])


def test_empty_prompt_is_refused(vocabulary: GGUFVocabulary) -> None:
    with pytest.raises(InvalidRequestError, match="The prompt is empty"):
        builder(vocabulary, GLUE).build([user("")])


@pytest.mark.parametrize(
    ("template", "pre", "checked"), [(MISTRAL, "gpt-2", True), (CHATML, "tekken", True), (CHATML, "gpt-2", False)]
)
def test_tool_ids_of_mistral_tokenizers_are_checked(
    vocabulary: GGUFVocabulary, template: str, pre: str, checked: bool
) -> None:
    like = copy.copy(vocabulary)
    like.metadata = {"tokenizer.chat_template": template, "tokenizer.ggml.pre": pre}
    call = ToolCall(id="call_1", function=FunctionCall(name="f", arguments={}))
    messages = [user("U"), AssistantMessage(tool_calls=[call]), ToolMessage(content="T", tool_call_id="call_1")]
    build = PromptBuilder(like, context=CONTEXT).build
    if checked:
        with pytest.raises(InvalidRequestError, match="Tool call id was 'call_1'"):
            build(messages)
    else:
        assert build(messages).tokens


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize(
    ("template", "writes_bos"),
    [(CHATML, False), (LLAMA, True), (None, False), ("{{ messages[0].content }}", False)],
)
def test_sequence_begins_once(tmp_path: Path, adds_bos: bool, template: str | None, writes_bos: bool) -> None:
    write_tiny_model(tmp_path / "model.gguf", chat_template=template, add_bos=adds_bos)
    made = GGUFVocabulary(tmp_path / "model.gguf")
    tokens = PromptBuilder(made, context=CONTEXT).build([user(f"{made.text(made.bos)} hello")]).tokens
    assert made.bos is not None
    assert tokens.count(made.bos) == (1 if adds_bos or writes_bos else 0)
    assert (tokens[0] == made.bos) == (adds_bos or writes_bos)
