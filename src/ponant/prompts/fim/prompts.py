"""Prompts to fill in the middle: what comes between a text and the text after it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ponant.api.messages import AssistantMessage, Message, UserMessage
from ponant.errors import InvalidRequestError
from ponant.prompts.answer.output_format import OutputFormat, TextFilter
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.chat.rendering import too_long
from ponant.prompts.fim.filling import FillReader, SuffixReader
from ponant.prompts.tokenizer import PromptTokenizer, is_marker, template_markers
from ponant.prompts.vocabulary import Vocabulary

_SYSTEM = "You continue documents. Write the text that comes next and nothing else, without any explanation."
_LONGEST_BEGUN_LINE = 200
"""Characters that the last line of a prompt may have for the answer to begin with it."""

_CODESTRAL = ("[PREFIX]", "[SUFFIX]")
_SEED_CODER = ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>")

_END_TEXTS = frozenset(
    {
        *("▁<EOT>", "<EOT>"),  # CodeLlama
        "<|file_separator|>",  # CodeGemma
        *("<file_sep>", "<repo_name>", "<filename>", "<reponame>", "<gh_stars>"),  # StarCoder, Granite, Mellum
        *("<|file_sep|>", "<|repo_name|>", "<|fim_pad|>", "<|im_start|>"),  # Qwen
        *("[PREFIX]", "[SUFFIX]", "[MIDDLE]"),  # Codestral
    }
)
"""Tokens that models write where a filling ends. llama.cpp knows some of them as ends of any answer."""


class ChatPrompts(Protocol):
    """What builds the prompts of conversations."""

    def build(self, messages: Sequence[Message], *, system: str | None = None) -> Prompt:
        """The prompt for a conversation, with a system text before it."""
        ...


class FimPrompts:
    """Builds the fill-in-the-middle prompts of one model. Safe to use from several threads at once.

    Without a suffix, a prompt is the beginning of a text that the model goes on with, whatever the model.

    Attributes:
        native: whether the model has tokens of its own for this. The others are asked for the filling in words.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        context: int,
        chat: ChatPrompts,
        encode: Callable[[str, str | None], list[int]] | None = None,
    ) -> None:
        """Build prompts.

        Args:
            vocabulary: the model's.
            context: the number of tokens that a prompt must stay below.
            chat: for models without tokens of their own.
            encode: makes the tokens for a prompt and a suffix in the place of all that is known here.
        """
        self._vocabulary = vocabulary
        self._context = context
        self._chat = chat
        self._encode = encode
        self._format = None if encode else _find_format(vocabulary)
        self.native = encode is not None or self._format is not None
        markers = vocabulary.written_like(_END_TEXTS) | (self._format.markers if self._format else frozenset())
        self._end_tokens = markers - vocabulary.end_tokens
        self._tokenizer = PromptTokenizer(vocabulary, markers.union(template_markers(vocabulary).values()))
        self._longest_piece = vocabulary.longest_piece()

    def build(self, prompt: str, suffix: str | None) -> Prompt:
        """The prompt for what comes between two texts, or after the first if there is no other.

        Raises:
            InvalidRequestError: the texts are too long for the context, or there is nothing to go on from.
        """
        size = len(prompt.encode("utf-8", "replace")) + len((suffix or "").encode("utf-8", "replace"))
        if size > self._context * self._longest_piece:
            raise self._too_long(f"more than {self._context} tokens")
        filling: Callable[[], TextFilter] | None = partial(SuffixReader, prompt, suffix) if suffix else None
        if self._encode:
            tokens = self._encode(prompt, suffix)
        elif not suffix:
            tokens = self._beginning() + self._tokenizer.tokens(prompt)
        elif self._format:
            texts = self._tokenizer.tokens(prompt), self._tokenizer.tokens(suffix, continues=True)
            tokens = self._beginning() + self._format.arrange(*texts)
        else:
            begun = _begun_answer(prompt, suffix)
            tokens = self._ask(prompt, suffix, begun)
            filling = partial(FillReader, prompt, suffix, begun=begun)
        if not tokens:
            raise InvalidRequestError("The prompt is empty", param="prompt")
        if len(tokens) >= self._context:
            raise self._too_long(f"{len(tokens)} tokens")
        return Prompt(tokens, output_format=OutputFormat(end_tokens=self._end_tokens, filter=filling))

    def continuation(self, text: str) -> list[int]:
        """The tokens of a text that comes after a prompt."""
        return self._tokenizer.tokens(text, continues=True)

    def _beginning(self) -> list[int]:
        bos = self._vocabulary.bos
        return [bos] if self._vocabulary.adds_bos and bos is not None else []

    def _ask(self, prompt: str, suffix: str, begun: str) -> list[int]:
        """The tokens of a conversation that asks for the filling, up to where the answer goes on.

        Small models that see the suffix last copy it instead.
        """
        fence = _fence(prompt, suffix)
        question = (
            f"The document ends with:\n\n{fence}\n{suffix}\n{fence}\n\n"
            f"It begins with:\n\n{fence}\n{prompt}\n{fence}\n\n"
            "Continue the document from there up to where its ending begins."
        )
        messages: list[Message] = [UserMessage(content=question), AssistantMessage(content=begun, prefix=True)]
        try:
            return self._chat.build(messages, system=_SYSTEM).tokens
        except InvalidRequestError as error:
            error.param = "prompt"
            raise

    def _too_long(self, size: str) -> InvalidRequestError:
        error = too_long(size, self._context)
        error.param = "prompt"
        return error


@dataclass(frozen=True, slots=True)
class _FimFormat:
    """The tokens around the texts of a prompt, and which text the model reads first."""

    prefix: int
    suffix: int
    middle: int | None
    suffix_first: bool

    @property
    def markers(self) -> frozenset[int]:
        """All tokens that are not text."""
        return frozenset({self.prefix, self.suffix} | ({self.middle} if self.middle is not None else set()))

    def arrange(self, prompt: list[int], suffix: list[int]) -> list[int]:
        """The texts' tokens in the order of the model's training."""
        before, after = [self.prefix, *prompt], [self.suffix, *suffix]
        middle = [] if self.middle is None else [self.middle]
        return after + before + middle if self.suffix_first else before + after + middle


def has_fim_tokens(vocabulary: Vocabulary) -> bool:
    """Whether the model was trained to fill in the middle, by its tokens."""
    return _find_format(vocabulary) is not None


def _find_format(vocabulary: Vocabulary) -> _FimFormat | None:
    """The form that the model was trained on, if it was trained to fill in the middle.

    Codestral and Mellum have the tokens of other models and an order of their own: their names tell them.
    """
    controls = vocabulary.control_tokens()
    keys = ("general.name", "general.basename", "general.base_model.0.name")
    names = " ".join(vocabulary.metadata.get(key, "") for key in keys).lower()
    if "codestral" in names and controls.keys() >= set(_CODESTRAL):
        prefix, suffix = (controls[text] for text in _CODESTRAL)
        return _FimFormat(prefix, suffix, None, suffix_first=True)
    if controls.keys() >= set(_SEED_CODER):
        prefix, suffix, middle = (controls[text] for text in _SEED_CODER)
        return _FimFormat(prefix, suffix, middle, suffix_first=True)
    tokens = vocabulary.fim_tokens
    if tokens is None or not all(_may_be_fim_token(vocabulary.text(token)) for token in tokens):
        return None
    return _FimFormat(*tokens, suffix_first="mellum" in names)


def _may_be_fim_token(text: str) -> bool:
    """Whether this can be a token of the form: files of Llama 3 and Gemma name words and unused tokens as such."""
    return is_marker(text) and "unused" not in text


def _fence(*texts: str) -> str:
    """A Markdown fence that is in none of the texts."""
    longest = max((len(ticks) for text in texts for ticks in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)


def _begun_answer(prompt: str, suffix: str) -> str:
    """What is put before an answer: a fence, and the line in which the filling begins.

    Small models explain and repeat without it. Spaces at its end are left to the model: they belong to its next token.
    """
    line = prompt[prompt.rfind("\n") + 1 :].rstrip(" \t")
    return f"{_fence(prompt, suffix)}\n{line if len(line) <= _LONGEST_BEGUN_LINE else ''}"
