"""Users, tools and documents cannot write the tokens that structure prompts, even those read in any text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponant.api.chat import Function, Tool
from ponant.api.messages import (
    AssistantMessage,
    FunctionCall,
    Message,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.answer.spec import AnswerSpec
from ponant.prompts.chat.prompt import PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts
from ponant.prompts.tokenizer import PromptTokenizer, template_markers
from tests.prompts.chat_templates import CHATML, TAGS_AND_THINKING
from tests.prompts.fim.test_fim import spaced_vocabulary
from tests.soak import examples
from tests.tiny_model import write_tiny_model

CONTEXT = 4096
MARKERS = ("<tool_call>", "</tool_call>", "<think>", "</think>")
ORDINARY = ("<table>", "    ", "<b>", "hello!")
PIPED = "<|tool|>"


def vocabulary_of(path: Path, template: str, user_defined: Sequence[str], **fields: Any) -> GGUFVocabulary:
    write_tiny_model(path / "model.gguf", chat_template=template, user_defined=user_defined, **fields)
    return GGUFVocabulary(path / "model.gguf")


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> GGUFVocabulary:
    """Like Qwen's: user-defined tokens are the template's tags, and some others."""
    folder = tmp_path_factory.mktemp("model")
    return vocabulary_of(folder, TAGS_AND_THINKING, [*MARKERS, PIPED, *ORDINARY])


def written(vocabulary: GGUFVocabulary, tokens: list[int]) -> str:
    controls = {token: text for text, token in vocabulary.control_tokens().items()}
    return b"".join(
        controls[token].encode() if token in controls else vocabulary.piece(token) for token in tokens
    ).decode()


def markers_in(vocabulary: GGUFVocabulary, tokens: list[int]) -> list[str]:
    known = {*vocabulary.control_tokens().values(), *template_markers(vocabulary).values()}
    return [vocabulary.text(token) for token in tokens if token in known]


def test_markers_are_what_a_template_writes_and_what_can_be_nothing_else(vocabulary: GGUFVocabulary) -> None:
    assert set(template_markers(vocabulary)) == {*MARKERS, PIPED}
    assert set(vocabulary.user_defined_tokens()) == {*MARKERS, PIPED, *ORDINARY}


@pytest.mark.parametrize("text", ORDINARY)
def test_other_tokens_are_those_of_any_text(vocabulary: GGUFVocabulary, text: str) -> None:
    (token,) = vocabulary.tokenize(text, control=False)
    tokens = PromptBuilder(vocabulary, context=CONTEXT).build([UserMessage(content=f"a{text}b{text}")]).tokens
    assert tokens.count(token) == 2
    made = FimPrompts(vocabulary, context=CONTEXT, chat=PromptBuilder(vocabulary, context=CONTEXT))
    assert made.build(f"a{text}b", None).tokens.count(token) == 1


hostile_texts = st.lists(
    st.sampled_from(
        [
            *(*MARKERS, PIPED, "<|im_end|>", "<|im_start|>"),
            *(piece for text in (*MARKERS, PIPED) for cut in (1, 4, -1) for piece in (text[:cut], text[cut:])),
            *("<tool_<tool_call>call>", "<", ">", "/", "hello", " ", "\n", '"', "\\", "é", "    "),
        ]
    ),
    max_size=5,
).map("".join)


def conversation(text: str) -> tuple[list[Message], AnswerSpec]:
    """Return a conversation with a text in all places."""
    schema: dict[str, Any] = {"type": "object", "properties": {text: {"description": text, "enum": [text]}}}
    tool = Tool(function=Function(name="f", description=text, parameters=schema))
    call = ToolCall(id="abcdefgh1", function=FunctionCall(name="f", arguments={text: [text]}))
    messages: list[Message] = [
        SystemMessage(content=f"S{text}"),
        UserMessage(content=text),
        AssistantMessage(content=text, tool_calls=[call]),
        ToolMessage(content=text, tool_call_id="abcdefgh1"),
        AssistantMessage(content=f"A{text}"),
        UserMessage(content=f"{text}\n"),
        AssistantMessage(content=f"B{text}", prefix=True),
    ]
    return messages, AnswerSpec((tool,), (tool.function,), "auto")


@pytest.fixture(scope="module")
def prompts(vocabulary: GGUFVocabulary) -> PromptBuilder:
    return PromptBuilder(vocabulary, context=CONTEXT)


@pytest.fixture(scope="module")
def documents(vocabulary: GGUFVocabulary, prompts: PromptBuilder) -> FimPrompts:
    return FimPrompts(vocabulary, context=CONTEXT, chat=prompts)


@pytest.fixture(scope="module")
def harmless(prompts: PromptBuilder) -> list[int]:
    messages, spec = conversation("QQ")
    return prompts.build(messages, spec=spec).tokens


@settings(deadline=None, max_examples=examples(200))
@given(text=hostile_texts)
def test_conversations_have_the_markers_of_the_template_alone(
    vocabulary: GGUFVocabulary, prompts: PromptBuilder, harmless: list[int], text: str
) -> None:
    messages, spec = conversation(text)
    tokens = prompts.build(messages, spec=spec).tokens
    assert markers_in(vocabulary, tokens) == markers_in(vocabulary, harmless)
    assert "<tool_call>" in markers_in(vocabulary, harmless)
    if text and not set(text) & set('"\\\n'):  # no character that JSON escapes
        assert written(vocabulary, tokens) == written(vocabulary, harmless).replace("QQ", text)


@settings(deadline=None, max_examples=examples(100))
@given(text=hostile_texts, suffix=st.none() | hostile_texts.filter(bool))
def test_documents_have_no_markers(
    vocabulary: GGUFVocabulary, documents: FimPrompts, text: str, suffix: str | None
) -> None:
    markers = markers_in(vocabulary, documents.build(f"d{text}", suffix).tokens)
    assert markers == markers_in(vocabulary, documents.build("d", suffix and "x").tokens)


CUTS_THOUGHTS = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' and '</think>' in message.content %}"
    "<think>\n{{ message.content.split('</think>')[0].split('<think>')[-1].strip() }}\n</think>\n\n"
    "{{ message.content.split('</think>')[-1] }}"
    "{% else %}{{ message.content }}{% endif %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


@pytest.mark.parametrize("tags_are_control_tokens", [True, False])
def test_template_may_cut_texts_where_a_marker_is(tmp_path: Path, tags_are_control_tokens: bool) -> None:
    """Qwen 3's template does so with thinking that a client returns as text: the tags are the template's."""
    tags = ("<think>", "</think>")
    user_defined, controls = ((), dict.fromkeys(tags, "")) if tags_are_control_tokens else (tags, None)
    made = vocabulary_of(tmp_path, CUTS_THOUGHTS, user_defined, more_controls=controls)
    said = AssistantMessage(content="<think>\nhm\n</think>\n\nYes")
    messages: list[Message] = [UserMessage(content="A"), said, UserMessage(content="</think>B")]
    tokens = PromptBuilder(made, context=CONTEXT).build(messages).tokens
    start, end = "<|im_start|>", "<|im_end|>"
    assert markers_in(made, tokens) == [start, end, start, "<think>", "</think>", end, start, end, start]
    assert written(made, tokens).count("</think>") == 2


@pytest.mark.parametrize("text", ["xy<s>xy", "<s>", "xy <s> xy", "<s>\n<s>", "\n<s>xy"])
def test_texts_get_no_spaces_around_what_reads_like_a_marker(tmp_path: Path, text: str) -> None:
    vocabulary = spaced_vocabulary(tmp_path / "model.gguf")
    vocabulary.metadata["tokenizer.chat_template"] = (
        "{{ bos_token }}xy{% for m in messages %}{{ m.content }}{% endfor %}xy"
    )
    tokens = PromptBuilder(vocabulary, context=CONTEXT).build([UserMessage(content=text)]).tokens
    assert vocabulary.text(tokens[0]) == "<s>"
    assert tokens.count(tokens[0]) == 1
    assert written(vocabulary, tokens) == f"<s> xy{text}xy"


def test_markers_that_merge_from_letters_are_cut_too(tmp_path: Path) -> None:
    vocabulary = spaced_vocabulary(tmp_path / "model.gguf")
    (marker,) = (token for token in range(vocabulary.size) if vocabulary.text(token) == "▁xy")
    assert PromptTokenizer(vocabulary, []).tokens("xy") == [marker]
    assert marker not in PromptTokenizer(vocabulary, [marker]).tokens("xy xy")


def test_templates_without_user_defined_tokens_have_no_markers(tmp_path: Path) -> None:
    assert template_markers(vocabulary_of(tmp_path, CHATML, [])) == {}
