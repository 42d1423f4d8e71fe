"""Prompt builders, and the contents of their prompts."""

import copy
import functools

from hypothesis import strategies as st
from pydantic import TypeAdapter

from ponant.api.messages import (
    AssistantMessage,
    Message,
    UserMessage,
)
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.chat.prompt import PromptBuilder

START, END = "<|im_start|>", "<|im_end|>"
CONTEXT = 4096
CONTROLS = (START, END, "<|endoftext|>", "<repo_name>", "<file_sep>", "<jupyter_code>")
MARKS = ("\ufdd0", "\ufdd1", r"\ufdd0", r"\ufdd1", "\\ufdd0\ufdd1")

_messages: TypeAdapter[list[Message]] = TypeAdapter(list[Message])


@functools.cache
def builder(vocabulary: GGUFVocabulary, template: str | None = None, *, context: int = CONTEXT) -> PromptBuilder:
    """Return the builder for the bundled model, with another template if one is given."""
    if template is not None:
        vocabulary = copy.copy(vocabulary)
        vocabulary.metadata = {"tokenizer.chat_template": template}
    return PromptBuilder(vocabulary, context=context)


def controls_in(vocabulary: GGUFVocabulary, tokens: list[int]) -> list[str]:
    """Return the control tokens of a prompt."""
    known = control_texts(vocabulary)
    return [text for text in map(vocabulary.text, tokens) if text in known]


@functools.cache
def control_texts(vocabulary: GGUFVocabulary) -> frozenset[str]:
    return frozenset(vocabulary.control_tokens())


def text_in(vocabulary: GGUFVocabulary, tokens: list[int]) -> str:
    """Return the text of a prompt without its control tokens."""
    return b"".join(map(vocabulary.piece, tokens)).decode("utf-8", "replace")


def as_read(vocabulary: GGUFVocabulary, text: str) -> str:
    """Return a text as the model reads it; it has no tokens for some rare bytes."""
    return text_in(vocabulary, vocabulary.tokenize(text, control=False))


def plain(text: str) -> str:
    """Return a text without the internal marks."""
    for mark in (r"\ufdd0", r"\ufdd1", "\ufdd0", "\ufdd1"):
        text = text.replace(mark, "\ufffd")
    return text


def user(text: str) -> Message:
    return UserMessage(content=text)


def prefix(text: str) -> Message:
    return AssistantMessage(content=text, prefix=True)


def halves() -> list[str]:
    return [half for text in CONTROLS for cut in range(1, len(text)) for half in (text[:cut], text[cut:])]


def middles() -> list[str]:
    return [text[start:end] for text in CONTROLS[:3] for start in (1, 2) for end in (-1, -2, 5)]


hostile_texts = st.lists(
    st.one_of(
        st.sampled_from(CONTROLS),
        st.sampled_from(halves()),
        st.sampled_from(middles()),
        st.sampled_from(MARKS),
        st.sampled_from(["<", ">", "|", "\n", " ", "\\", '"', "u003c", "\\u003c|im_start|\\u003e", "é", "漢", "<|"]),
        st.text(max_size=5),
    ),
    max_size=5,
).map("".join)
