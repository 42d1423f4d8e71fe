"""Fill-in-the-middle prompts."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from ponant.api.messages import AssistantMessage, Message, UserMessage
from ponant.errors import InvalidRequestError
from ponant.prompts.answer.output_format import OutputFormat, TextFilter
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.chat.rendering import too_long
from ponant.prompts.fim.filling import FillReader, SuffixReader
from ponant.prompts.fim.raw import RawPart, RawPrompts
from ponant.prompts.tokenizer import PromptTokenizer, is_marker, template_markers
from ponant.prompts.vocabulary import Vocabulary

_SYSTEM = "You continue documents. Write the text that comes next and nothing else, without any explanation."
_LONGEST_BEGUN_LINE = 200
"""Maximum length in characters of a prompt's last line for the answer to begin with it."""

_CODESTRAL = ("[PREFIX]", "[SUFFIX]")
_SEED_CODER = ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>")

_MISTRAL_TEXTS = frozenset({*_CODESTRAL, "[MIDDLE]"})
_FILE_TEXTS = frozenset(
    {
        "<|file_separator|>",  # CodeGemma
        *("<file_sep>", "<repo_name>", "<filename>", "<reponame>", "<gh_stars>"),  # StarCoder, Granite, Mellum
        *("<|file_sep|>", "<|repo_name|>", "<|fim_pad|>"),  # Qwen
    }
)
"""Tokens between the files of a fill-in-the-middle prompt."""
_END_TEXTS = _FILE_TEXTS | _MISTRAL_TEXTS | {"▁<EOT>", "<EOT>", "<|im_start|>"}  # CodeLlama's and Qwen's
"""Tokens that models write at the end of a filling. llama.cpp treats some of them as end tokens of any answer."""


class ChatPrompts(Protocol):
    """Builder of chat prompts."""

    def build(self, messages: Sequence[Message], *, system: str | None = None) -> Prompt:
        """Build the prompt of a conversation, with a system text before it."""
        ...


class FimPrompts:
    """Builder of the fill-in-the-middle prompts of one model. Thread-safe.

    Without a suffix, the prompt is the beginning of a text that the model continues.

    Attributes:
        native: True if the model was trained for it. Other models are asked for the filling in a conversation.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        context: int,
        chat: ChatPrompts,
        encode: Callable[[str, str | None], list[int]] | None = None,
    ) -> None:
        """Build prompts for a model.

        Args:
            vocabulary: the model's vocabulary.
            context: number of tokens that a prompt must stay below.
            chat: builder of chat prompts, for models without fill-in-the-middle tokens.
            encode: encoder of a prompt and a suffix, used in place of the vocabulary's tokens.
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
        self._raw = RawPrompts(vocabulary, self._tokenizer, self._raw_markers())
        self._longest_piece = vocabulary.longest_piece()

    def build(self, prompt: str, suffix: str | None) -> Prompt:
        """Build the prompt for the text between a prompt and a suffix, or after the prompt if there is no suffix.

        Raises:
            InvalidRequestError: the texts exceed the context, or are empty.
        """
        self._check_size(prompt, suffix or "")
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
        return self._prompt(tokens, filling)

    def build_raw(self, prompt: str | Sequence[int], *, echo: bool = False) -> Prompt:
        """Build the prompt of a text that the model continues. The model's own markers in a text are its tokens.

        Args:
            prompt: the text, or token ids, which are taken as they are. An empty one begins with the token at the
                beginning of texts.
            echo: the answer begins with the text of the prompt.

        Raises:
            InvalidRequestError: the prompt exceeds the context, has a token that the model does not have, or is empty
                and the model has no such token.
        """
        parts = self._read_text(prompt) if isinstance(prompt, str) else self._read_tokens(prompt)
        tokens = [token for part in parts for token in part.tokens]
        if not tokens:
            if self._raw.start is None:
                raise InvalidRequestError("The model has no token that begins a text: send a prompt", param="prompt")
            tokens = [self._raw.start]
            parts = [RawPart(tokens, "")]
        built = self._prompt(tokens)
        if not echo:
            return built
        return replace(built, prefix="".join(part.text for part in parts), places=self._raw.places(parts))

    def continuation(self, text: str) -> list[int]:
        """Return the tokens of a text that follows a prompt."""
        return self._tokenizer.tokens(text, continues=True)

    def _prompt(self, tokens: list[int], filling: Callable[[], TextFilter] | None = None) -> Prompt:
        if len(tokens) >= self._context:
            raise self._too_long(f"{len(tokens)} tokens")
        return Prompt(tokens, output_format=OutputFormat(end_tokens=self._end_tokens, filter=filling))

    def _check_size(self, *texts: str) -> None:
        size = sum(len(text.encode("utf-8", "replace")) for text in texts)
        if size > self._context * self._longest_piece:
            raise self._too_long(f"more than {self._context} tokens")

    def _raw_markers(self) -> frozenset[int]:
        if self._encode:
            return self._vocabulary.written_like(_MISTRAL_TEXTS)
        return self._format.markers | self._vocabulary.written_like(_FILE_TEXTS) if self._format else frozenset()

    def _read_text(self, text: str) -> list[RawPart]:
        self._check_size(text)
        if self._encode and text and not self._raw.has_markers(text):
            return [RawPart(self._encode(text, None), text)]
        return [RawPart(self._beginning(), ""), *self._raw.read(text)]

    def _read_tokens(self, tokens: Sequence[int]) -> list[RawPart]:
        last = max(tokens, default=0)
        if last >= self._vocabulary.size:
            raise InvalidRequestError(
                f"The prompt has token {last}, which the model does not have: its token ids are 0 to "
                f"{self._vocabulary.size - 1}",
                param="prompt",
            )
        return self._raw.spell(tokens)

    def _beginning(self) -> list[int]:
        bos = self._vocabulary.bos
        return [bos] if self._vocabulary.adds_bos and bos is not None else []

    def _ask(self, prompt: str, suffix: str, begun: str) -> list[int]:
        """Return the tokens of a conversation that asks for the filling, and of the begun answer.

        The suffix comes first, because small models copy what they read last.
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
    """Fill-in-the-middle tokens of a model, and the order of the texts."""

    prefix: int
    suffix: int
    middle: int | None
    suffix_first: bool

    @property
    def markers(self) -> frozenset[int]:
        """All of the format's tokens."""
        return frozenset({self.prefix, self.suffix} | ({self.middle} if self.middle is not None else set()))

    def arrange(self, prompt: list[int], suffix: list[int]) -> list[int]:
        """Return the tokens of both texts in the order of the model's training."""
        before, after = [self.prefix, *prompt], [self.suffix, *suffix]
        middle = [] if self.middle is None else [self.middle]
        return after + before + middle if self.suffix_first else before + after + middle


def has_fim_tokens(vocabulary: Vocabulary) -> bool:
    """Return True if the vocabulary has fill-in-the-middle tokens."""
    return _find_format(vocabulary) is not None


def _find_format(vocabulary: Vocabulary) -> _FimFormat | None:
    """Return the format that the model was trained with; None if it was not trained to fill in the middle.

    Codestral and Mellum use the tokens of other models in an order of their own, and are recognised by their names.
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
    """Return True if this may be a fill-in-the-middle token. Llama 3 and Gemma files name words and unused tokens."""
    return is_marker(text) and "unused" not in text


def _fence(*texts: str) -> str:
    """Return a Markdown fence that none of the texts contains."""
    longest = max((len(ticks) for text in texts for ticks in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)


def _begun_answer(prompt: str, suffix: str) -> str:
    """Return the forced beginning of an answer: a fence, and the line in which the filling begins.

    Without it, small models explain and repeat. Trailing spaces are left out, because they belong to the next token.
    """
    line = prompt[prompt.rfind("\n") + 1 :].rstrip(" \t")
    return f"{_fence(prompt, suffix)}\n{line if len(line) <= _LONGEST_BEGUN_LINE else ''}"
