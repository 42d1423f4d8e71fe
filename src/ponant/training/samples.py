"""Conversion of dataset lines to samples, with the tokens of serving."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from ponant.api.base import RequestModel
from ponant.api.chat import ChatCompletionRequest, Tool
from ponant.api.messages import (
    AssistantMessage,
    Message,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from ponant.errors import InvalidRequestError
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.answer.spec import AnswerSpec, read_answer_spec
from ponant.prompts.chat.conversation import read_conversation
from ponant.prompts.chat.prompt import PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts

_PROBE = "probe"
_MAX_REASON_LENGTH = 300


class BadLineError(Exception):
    """A line is invalid. The message is the reason."""


def _zero_or_one(weight: float) -> float:
    if weight not in (0, 1):
        raise ValueError("must be 0 or 1")
    return weight


class LearnedMessage(AssistantMessage):
    """An assistant message. With a ``weight`` of 0 it is context only and not learned."""

    weight: Annotated[float, AfterValidator(_zero_or_one)] | None = None


class ConversationLine(BaseModel):
    """A line in the instruct or function-calling format. Other keys are ignored."""

    model_config = ConfigDict(strict=True)

    messages: list[
        Annotated[SystemMessage | UserMessage | LearnedMessage | ToolMessage, Field(discriminator="role")]
    ] = Field(min_length=1)
    tools: list[Tool] | None = None


class FimLine(RequestModel):
    """A line for fill-in-the-middle: ``completion`` belongs between ``prompt`` and ``suffix``."""

    prompt: str
    suffix: str | None = None
    completion: str


@dataclass(frozen=True, slots=True)
class Sample:
    """Token ids, and for each token True if it is learned."""

    tokens: list[int]
    learned: list[bool]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Samples of one line. ``is_cut`` is True if the end of the line exceeds ``seq_len``."""

    kind: Literal["conversation", "fim"]
    samples: list[Sample]
    is_cut: bool = False


class SampleEncoder:
    """Converts lines to samples for one model.

    Each assistant message with a weight is learned once, after exactly the prompt that serving builds from the messages
    before it, up to and including its end token. Consecutive answers of a conversation share a sample as long as each
    prompt continues the previous one, which is usual. Templates that render earlier turns differently, for example
    without their thinking, give one sample per answer.
    """

    def __init__(
        self,
        vocabulary: GGUFVocabulary,
        prompts: PromptBuilder,
        fim: FimPrompts,
        *,
        seq_len: int,
        fim_ratio: float = 1.0,
        seed: int = 0,
    ) -> None:
        """Encode lines.

        Args:
            vocabulary: vocabulary of the model.
            prompts: builder of the model's chat prompts.
            fim: builder of the model's fill-in-the-middle prompts.
            seq_len: most tokens of a sample. A longer conversation is cut after the last answer that fits.
            fim_ratio: share of FIM lines that are learned as fill-in-the-middle, the others as plain continuation.
            seed: seed of the choice between the two.
        """
        self._vocabulary = vocabulary
        self._prompts = prompts
        self._fim = fim
        self._seq_len = seq_len
        self._fim_ratio = fim_ratio
        self._seed = seed
        self._turn_end = self._find_turn_end()

    def encode(self, line: bytes) -> Encoded:
        """Return the samples of a line. Raises BadLineError."""
        value = _parse(line)
        try:
            if "messages" in value:
                return self._encode_conversation(ConversationLine.model_validate(value))
            if "completion" in value or "suffix" in value:
                return self._encode_fim(FimLine.model_validate(value), line)
        except ValidationError as error:
            raise BadLineError(_reason(error)) from None
        except InvalidRequestError as error:
            where = f"{error.param}: " if error.param and error.param != "messages" else ""
            raise BadLineError(_short(where + str(error))) from None
        except RecursionError:
            raise BadLineError("nested too deeply") from None
        if "text" in value or "content" in value:
            raise BadLineError("plain text for pre-training is not supported; use conversations (messages)")
        raise BadLineError("neither messages nor, for fill-in-the-middle, prompt, suffix and completion")

    def _encode_conversation(self, line: ConversationLine) -> Encoded:
        messages = [_plain(message) for message in line.messages]
        _check_roles(messages)
        read_conversation(messages[:-1], mistral_tool_ids=False)
        spec = read_answer_spec(ChatCompletionRequest(messages=messages, tools=line.tools or None))
        samples: list[Sample] = []
        tokens: list[int] = []
        learned: list[bool] = []
        needed = 0
        for index, message in enumerate(line.messages):
            if not isinstance(message, LearnedMessage):
                continue
            try:
                prompt = self._prompts.tokens(messages[:index], spec=spec)
                answer = self._answer(prompt, messages[: index + 1], spec)
            except InvalidRequestError as error:
                if error.kind != "context_length_exceeded":
                    raise
                needed = self._seq_len + 1  # a lower bound
                break
            if prompt[: len(tokens)] != tokens:
                samples.append(Sample(tokens, learned))
                tokens, learned = [], []
            needed = len(prompt) + len(answer)
            if needed > self._seq_len:
                break
            learned = learned + [False] * (len(prompt) - len(tokens)) + [message.weight != 0] * len(answer)
            tokens = prompt + answer
        kept = [trimmed for sample in [*samples, Sample(tokens, learned)] if (trimmed := _trimmed(sample)).tokens]
        is_cut = needed > self._seq_len
        if not kept and is_cut:
            raise self._too_long()
        if not kept:
            raise BadLineError("no assistant message has a weight other than 0")
        return Encoded("conversation", kept, is_cut)

    def _answer(self, prompt: list[int], messages: Sequence[Message], spec: AnswerSpec) -> list[int]:
        """Return the tokens of the last message as the model would generate them, with the end token.

        They are cut from the prompt of the next turn. Text in messages never becomes a control token, so the first end
        token is the end of the answer.
        """
        message = messages[-1]
        assert isinstance(message, AssistantMessage)
        calls = message.tool_calls or []
        results = [ToolMessage(content=_PROBE, tool_call_id=call.id) for call in calls]
        following = self._prompts.tokens([*messages, *results, UserMessage(content=_PROBE)], spec=spec)
        if following[: len(prompt)] == prompt:
            rest = following[len(prompt) :]
            for index, token in enumerate(rest):
                if token in self._vocabulary.end_tokens:
                    return rest[: index + 1]
        if calls or not isinstance(message.content, str):
            raise BadLineError("the model's chat template cannot render calls or chunks of this message as an answer")
        return [*self._vocabulary.tokenize(message.content, control=False), self._turn_end]

    def _find_turn_end(self) -> int:
        """Return the token that ends answers: the first end token after one in a prompt, or else EOS."""
        messages: list[Message] = [UserMessage(content=_PROBE), AssistantMessage(content=_PROBE)]
        try:
            shown = self._prompts.tokens([*messages, UserMessage(content=_PROBE)])
            begun = len(self._prompts.tokens(messages[:1]))
        except InvalidRequestError:
            shown, begun = [], 0
        ends = [token for token in shown[begun:] if token in self._vocabulary.end_tokens]
        if ends:
            return ends[0]
        if self._vocabulary.eos is None:
            raise ValueError("the model has no token that ends an answer")
        return self._vocabulary.eos

    def _encode_fim(self, line: FimLine, raw: bytes) -> Encoded:
        if not self._fim.native:
            raise BadLineError("the model does not support fill-in-the-middle; use messages")
        completion, suffix = line.completion, line.suffix
        if suffix and _draw(raw, self._seed) >= self._fim_ratio:
            completion, suffix = completion + suffix, None
        prompt = self._fim.build(line.prompt, suffix).tokens
        eos = self._vocabulary.eos
        answer = [*self._fim.continuation(completion), *([] if eos is None else [eos])]
        if len(prompt) + len(answer) > self._seq_len:
            raise self._too_long()
        return Encoded("fim", [Sample(prompt + answer, [False] * len(prompt) + [True] * len(answer))])

    def _too_long(self) -> BadLineError:
        return BadLineError(f"the first answer to learn exceeds the seq_len of {self._seq_len} tokens")


def _parse(line: bytes) -> dict[str, Any]:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadLineError(f"not UTF-8 at byte {error.start}") from None
    try:
        value = from_json(line, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise BadLineError(_short(f"not JSON: {error}")) from None
    if not isinstance(value, dict):
        raise BadLineError("not a JSON object")
    return value


def _plain(message: SystemMessage | UserMessage | LearnedMessage | ToolMessage) -> Message:
    if not isinstance(message, LearnedMessage):
        return message
    if message.prefix:
        raise BadLineError("prefix has no meaning in a dataset")
    return AssistantMessage(content=message.content, tool_calls=message.tool_calls)


def _check_roles(messages: Sequence[Message]) -> None:
    if not any(isinstance(message, AssistantMessage) for message in messages):
        raise BadLineError("there is no assistant message to learn")
    if not isinstance(messages[-1], AssistantMessage):
        raise BadLineError(f"the last message must be the assistant's, not the {messages[-1].role}'s")
    for index, message in enumerate(messages):
        if isinstance(message, AssistantMessage):
            before = messages[index - 1].role if index else None
            if before not in ("user", "tool"):
                after = f"not after one of the {before}'s" if before else "not first"
                raise BadLineError(f"messages[{index}]: an assistant message must follow one of user or tool, {after}")
            if message.content is None and not message.tool_calls:
                raise BadLineError(f"messages[{index}]: an assistant message must have content or tool_calls")


def _trimmed(sample: Sample) -> Sample:
    """Cut a sample after its last learned token."""
    length = max((index + 1 for index, is_learned in enumerate(sample.learned) if is_learned), default=0)
    return Sample(sample.tokens[:length], sample.learned[:length])


def _reason(error: ValidationError) -> str:
    """Return the first validation error, and the number of others."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    roles = ("system", "user", "assistant", "tool")
    where = ""
    for index, part in enumerate(first["loc"]):
        if isinstance(part, int):
            where += f"[{part}]"
        elif not (index == 2 and part in roles):
            where += f".{part}" if where else part
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return _short(f"{where}: {first['msg'].removeprefix('Value error, ')}") + more


def _short(text: str) -> str:
    return text if len(text) <= _MAX_REASON_LENGTH else text[:_MAX_REASON_LENGTH] + "…"


def _draw(line: bytes, seed: int) -> float:
    """Return a number from 0 to 1 that depends only on the line and the seed."""
    digest = hashlib.blake2b(line, digest_size=8, key=seed.to_bytes(8, "little", signed=True)).digest()
    return int.from_bytes(digest, "little") / 2**64
