"""Tokens of conversations by Mistral's library, for models with its tokenizer file."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, count, pairwise
from pathlib import Path
from typing import Any, Literal

from ponant.api.chat import Tool
from ponant.api.messages import ToolCall
from ponant.errors import InvalidRequestError, missing_extra
from ponant.prompts.chat.turns import Turn, beginning_with_a_question, without_later_system, without_tools
from ponant.prompts.vocabulary import Vocabulary

CallSyntax = Literal["none", "list", "arguments"]

_SENTENCEPIECE_FILE = re.compile(r"tokenizer\.model\.v(\d+)(m\d+)?")
_NO_ID = (None, "", "null")
_SAMPLE = 1000
_THINKING = ("[THINK]", "[/THINK]")
_FIM = ("[SUFFIX]", "[PREFIX]")
_TOOLS = ("[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]")
_CONTROLS = {
    1: ("<s>", "</s>"),
    2: ("[INST]", "[/INST]", *_TOOLS),
    7: ("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]"),
    11: ("[CALL_ID]", "[ARGS]"),
    13: _THINKING,
    15: ("[MODEL_SETTINGS]", "[/MODEL_SETTINGS]"),
}
"""Control tokens of conversations, by the first tokenizer version that has them.

Other control tokens may have different names in the weights: Mistral Nemo's tokenizer file has ``[PREFIX]``, its
weights do not.
"""


class TokenizerError(Exception):
    """A tokenizer file cannot be used. The message is for users."""


class MissingLibraryError(TokenizerError):
    """Mistral's library, or a part of it that the file needs, is not installed."""


class TokenizerMismatchError(TokenizerError):
    """The tokens of the file differ from those of the model."""


def find_tokenizer_file(weights: Path) -> Path | None:
    """Return the tokenizer file in the weights' folder: ``tekken.json``, else the latest ``tokenizer.model.v*``.

    A ``tokenizer.model`` without a version is ignored, because models of all kinds have one.
    """
    tekken = weights.parent / "tekken.json"
    if tekken.is_file():
        return tekken
    versions = [
        (int(name[1]), name[2] or "", path)
        for path in weights.parent.glob("tokenizer.model.v*")
        if (name := _SENTENCEPIECE_FILE.fullmatch(path.name)) and path.is_file()
    ]
    return max(versions)[2] if versions else None


class MistralTokens:
    """Encoder of one model's prompts by Mistral's library. Thread-safe.

    Text never becomes a control token. The exception is version v1, where ``[INST]`` is text.

    Attributes:
        version: version of the tokenizer: ``v1``, ``v2``, ``v3``, ``v7``, ``v11``, ``v13`` or ``v15``.
        thinking: texts of the control tokens around thinking (v13 and later); None if the model has none.
        call_syntax: syntax of the model's calls, which follow the text of an answer and precede ``</s>``.
            ``none``: no tools (v1).
            ``list``: ``[TOOL_CALLS]`` once, then all calls as JSON: ``[{"name": "f", "arguments": {"a": 1}}]`` (v2),
            with an id at the end of each: ``[{"name": "f", "arguments": {"a": 1}, "id": "abcdefgh1"}]`` (v3, v7).
            ``arguments``: for each call ``[TOOL_CALLS]f[CALL_ID]abcdefgh1[ARGS]{"a": 1}`` (v11), or
            ``[TOOL_CALLS]f[ARGS]{"a": 1}`` (v13, v15). The name is text; the tokens in brackets are control tokens.
        has_call_ids: True if calls in prompts have ids (v3, v7, v11). Calls in answers may have none: the grammar of
            answers in Mistral's library has no ``[CALL_ID]`` for v11.
        has_short_call_ids: True if call ids must be 9 letters or digits (v3, v7, v11).
        has_fim: True if the model has the fill-in-the-middle tokens.
        efforts: accepted values of ``effort`` (v15).
    """

    def __init__(self, path: Path, vocabulary: Vocabulary) -> None:
        """Read the tokenizer file of the model with this vocabulary.

        Raises:
            MissingLibraryError: Mistral's library is not installed.
            TokenizerMismatchError: the tokens of the file differ from the model's.
            TokenizerError: the file does not exist or cannot be read.
        """
        self._tokenizer = _load(path)
        tokens: Any = self._tokenizer.instruct_tokenizer.tokenizer
        self.version: str = tokens.version.value
        self._number = int(self.version.removeprefix("v"))
        _check_same(tokens, vocabulary, path)
        self.call_syntax: CallSyntax = "none" if self._number < 2 else "list" if self._number < 11 else "arguments"
        self.has_call_ids = self.has_short_call_ids = 3 <= self._number <= 11
        self.has_fim = all(_is_in(vocabulary, tokens, text) for text in _FIM)
        thinks = self._number >= 13 and all(map(tokens.is_special, _THINKING))
        self.thinking = _THINKING if thinks else None
        settings: Any = tokens.model_settings_builder
        efforts: Any = settings.reasoning_effort if settings else None
        self.efforts: tuple[str, ...] = tuple(str(value) for value in efforts.values) if efforts else ()

    def encode(
        self, turns: Sequence[Turn], *, prefix: str = "", tools: Sequence[Tool] = (), effort: str | None = None
    ) -> list[int]:
        """Return the tokens of a prompt up to the answer.

        Messages that the API accepts and the version cannot express are rewritten. System texts after an answer or a
        tool result move to the head. Empty answers, thinking without control tokens for it, and text next to calls (v2,
        v3) are left out. Calls and results become text (v1), and get ids if they have none. As in Mistral's library,
        spaces at the end of earlier answers and of ``prefix`` are removed (v2 and later, in answers without thinking).

        Args:
            turns: the conversation, with adjacent turns of the same role joined.
            prefix: forced beginning of the answer, at the end of the tokens.
            tools: tools that the model may call.
            effort: reasoning effort, one of ``efforts``; None for the model's default.

        Raises:
            InvalidRequestError: the version cannot express the conversation; the message is the library's.
        """
        from mistral_common.protocol.instruct.messages import AssistantMessage
        from mistral_common.protocol.instruct.request import ChatCompletionRequest, ReasoningEffort

        if tools and self.call_syntax == "none":
            raise InvalidRequestError("The model does not support tools", param="tools")
        if effort is not None and effort not in self.efforts:
            raise InvalidRequestError(
                f"The model does not support the reasoning effort {effort!r}", param="reasoning_effort"
            )
        with _refusals_translated():
            messages = [self._message(turn) for turn in self._expressible(turns)]
            if prefix:
                messages.append(AssistantMessage(content=_clean(prefix), prefix=True))
            request: Any = ChatCompletionRequest(
                messages=messages,
                tools=[_tool(tool) for tool in tools] or None,
                reasoning_effort=None if effort is None else ReasoningEffort(effort),
            )
            return list(self._tokenizer.encode_chat_completion(request).tokens)

    def encode_fim(self, prompt: str, suffix: str | None) -> list[int]:
        """Return the tokens of a fill-in-the-middle prompt: ``<s>[SUFFIX]…[PREFIX]…``.

        Raises:
            InvalidRequestError: the model does not have the tokens.
        """
        from mistral_common.protocol.fim.request import FIMRequest

        if not self.has_fim:
            raise InvalidRequestError("The model cannot fill in the middle", param="suffix")
        with _refusals_translated(param="prompt"):
            request = FIMRequest(prompt=_clean(prompt), suffix=suffix and _clean(suffix))
            return list(self._tokenizer.encode_fim(request).tokens)

    def _expressible(self, turns: Sequence[Turn]) -> list[Turn]:
        """Return the turns as the library accepts them. The library joins adjacent turns itself."""
        plain = without_tools(turns) if self.call_syntax == "none" else list(turns)
        after = [turn.role for before, turn in pairwise(plain) if before.role in ("assistant", "tool")]
        if "system" in after:
            plain = without_later_system(plain)
        if self.thinking is None:
            plain = [replace(turn, thinking="") for turn in plain]
        if self._number < 7:
            plain = [replace(turn, text="") if turn.tool_calls else turn for turn in plain]
        spoken = [turn for turn in plain if turn.role != "assistant" or turn.text or turn.tool_calls or turn.thinking]
        if spoken and spoken[0].role == "assistant":
            spoken = beginning_with_a_question(spoken)
        return _with_call_ids(spoken)

    def _message(self, turn: Turn) -> Any:
        from mistral_common.protocol.instruct.messages import SystemMessage, ToolMessage, UserMessage

        text = _clean(turn.text)
        match turn.role:
            case "system":
                return SystemMessage(content=text)
            case "user":
                return UserMessage(content=text)
            case "tool":
                result = text if self._number >= 7 else _json_text(text)
                name = turn.name if self._number == 2 else None
                return ToolMessage(content=result, tool_call_id=turn.tool_call_id, name=name)
            case "assistant":
                return _assistant_message(turn, text)


def _assistant_message(turn: Turn, text: str) -> Any:
    from mistral_common.protocol.instruct.chunk import TextChunk, ThinkChunk
    from mistral_common.protocol.instruct.messages import AssistantMessage
    from mistral_common.protocol.instruct.tool_calls import FunctionCall as LibraryFunctionCall
    from mistral_common.protocol.instruct.tool_calls import ToolCall as LibraryToolCall

    calls = [
        LibraryToolCall(
            id=call.id,
            function=LibraryFunctionCall(name=call.function.name, arguments=_json_text(call.function.arguments)),
        )
        for call in turn.tool_calls
    ]
    content: Any = text
    if turn.thinking:
        content = [ThinkChunk(thinking=_clean(turn.thinking)), *([TextChunk(text=text)] if text else [])]
    return AssistantMessage(content=content or None, tool_calls=calls or None)


def _tool(tool: Tool) -> Any:
    from mistral_common.protocol.instruct.tool_calls import Function as LibraryFunction
    from mistral_common.protocol.instruct.tool_calls import Tool as LibraryTool

    function = tool.function
    parameters = json.loads(_json_text(function.parameters))
    return LibraryTool(
        function=LibraryFunction(name=function.name, description=_clean(function.description), parameters=parameters)
    )


def _with_call_ids(turns: Sequence[Turn]) -> list[Turn]:
    """Give calls and their results the same ids: the id of either of them, else an unused one."""
    taken = {call.id for turn in turns for call in turn.tool_calls} | {turn.tool_call_id for turn in turns}
    free = (number for number in map("{:09}".format, count(1)) if number not in taken)
    shared: list[Turn] = []
    waiting: list[ToolCall] = []
    for turn in turns:
        call = _called(turn, waiting) if turn.role == "tool" else None
        if call:
            waiting.remove(call)
            if call.id in _NO_ID:
                call.id = next(free) if turn.tool_call_id in _NO_ID else str(turn.tool_call_id)
            shared.append(replace(turn, tool_call_id=call.id, name=turn.name or call.function.name))
        else:
            shared.append(replace(turn, tool_calls=[call.model_copy() for call in turn.tool_calls]))
            waiting = list(shared[-1].tool_calls)
    for call in (call for turn in shared for call in turn.tool_calls if call.id in _NO_ID):
        call.id = next(free)
    return shared


def _called(result: Turn, calls: Sequence[ToolCall]) -> ToolCall | None:
    """Return the call that a result belongs to: the one with its id, else the next one; None if there is none."""
    if result.tool_call_id in _NO_ID:
        return next(iter(calls), None)
    same = (call for call in calls if call.id == result.tool_call_id)
    anonymous = (call for call in calls if call.id in _NO_ID)
    return next(chain(same, anonymous), None)


def _json_text(value: dict[str, Any] | str) -> str:
    """Return the JSON text of a value, without escaped surrogates. Text that is JSON itself is parsed first."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return _clean(str(value))
    return _clean(json.dumps(value, ensure_ascii=False))


def _clean(text: str) -> str:
    """Return the text with lone surrogates replaced, which the library does not accept."""
    return text.encode("utf-8", "replace").decode()


@contextmanager
def _refusals_translated(param: str = "messages") -> Iterator[None]:
    """Translate the library's errors into errors of the request's field ``param``."""
    from mistral_common import exceptions

    try:
        yield
    except (exceptions.InvalidToolException, exceptions.InvalidToolSchemaException) as error:
        raise InvalidRequestError(error.message, param="tools") from None
    except exceptions.MistralCommonException as error:
        is_order = error.message.startswith("Unexpected role")
        kind = "invalid_request_message_order" if is_order else "invalid_request_error"
        raise InvalidRequestError(error.message, kind=kind, param=param) from None
    except RecursionError:
        raise InvalidRequestError("The request is nested too deep", param=param) from None
    except (AssertionError, NotImplementedError, ValueError) as error:
        raise InvalidRequestError(f"The model's tokenizer refuses the request: {error}", param=param) from None


def _load(path: Path) -> Any:
    if not path.is_file():
        raise TokenizerError(f"there is no file {path}")
    try:
        from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

        return MistralTokenizer.from_file(path)
    except ImportError as error:
        raise MissingLibraryError(
            f"{path} needs Mistral's tokenizer library: {missing_extra('mistral')} ({error})"
        ) from None
    except Exception as error:  # the library does not check most of what can be wrong with a file
        raise TokenizerError(f"cannot read {path}: {type(error).__name__}: {error}") from None


def _check_same(tokens: Any, vocabulary: Vocabulary, path: Path) -> None:
    """Compare the number of tokens, the control tokens of conversations, and a sample of the text tokens."""
    if tokens.n_words != vocabulary.size:
        raise TokenizerMismatchError(
            f"{path} is not the model's tokenizer: it has {tokens.n_words} tokens, the model has {vocabulary.size}"
        )
    is_tekken = path.suffix == ".json"
    for token, ours, models in chain(_controls(tokens, vocabulary), _sample(tokens, vocabulary, is_tekken=is_tekken)):
        if ours != models:
            raise TokenizerMismatchError(
                f"{path} is not the model's tokenizer: its token {token} is {ours!r}, the model's is {models!r}"
            )


def _controls(tokens: Any, vocabulary: Vocabulary) -> Iterator[tuple[int, str, str]]:
    """Yield the version's control tokens, with their texts in the file and in the model."""
    number = int(tokens.version.value.removeprefix("v"))
    for text in (text for since, texts in _CONTROLS.items() if since <= number for text in texts):
        if tokens.is_special(text):
            token: int = tokens.get_special_token(text)
            yield token, text, vocabulary.text(token)


def _sample(
    tokens: Any, vocabulary: Vocabulary, *, is_tekken: bool
) -> Iterator[tuple[int, str, str] | tuple[int, bytes, bytes]]:
    """Yield a sample of the text tokens, with their contents in the file and in the model."""
    for token in range(0, tokens.n_words, max(1, tokens.n_words // _SAMPLE)):
        if tokens.is_special(token):
            continue
        if is_tekken:
            yield token, tokens.id_to_byte_piece(token), vocabulary.piece(token)
        else:
            yield token, tokens.id_to_piece(token), vocabulary.text(token)


def _is_in(vocabulary: Vocabulary, tokens: Any, text: str) -> bool:
    """Return True if the file and the model have this control token with the same id."""
    return bool(tokens.is_special(text)) and vocabulary.text(tokens.get_special_token(text)) == text
