"""Descriptions of prompts to build. They can be sent to another process."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

from pydantic import BaseModel

from ponant.api.messages import Message
from ponant.prompts.answer.spec import FREE, AnswerSpec
from ponant.prompts.chat.prompt import Prompt, PromptBuilder
from ponant.prompts.fim.prompts import FimPrompts

_VALUE_BYTES = 64
"""Assumed size of a value without its text, in bytes."""
_TOKEN_BYTES = 8


class PromptRequest(Protocol):
    """A prompt to build with the builders of any model."""

    def build(self, chat: PromptBuilder, fim: FimPrompts) -> Prompt:
        """Build the prompt. Raises InvalidRequestError."""
        ...

    def exceeds(self, size: int) -> bool:
        """Return True if the parts of the prompt have more than about ``size`` bytes together."""
        ...

    def is_quick(self, chat: PromptBuilder) -> bool:
        """Return True if the time to build it is proportional to its size."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatPromptRequest:
    """The prompt of a conversation; attributes as for ``PromptBuilder.build``."""

    messages: Sequence[Message]
    system: str | None = None
    spec: AnswerSpec = FREE
    max_tokens: int | None = None
    any_order: bool = False

    def build(self, chat: PromptBuilder, fim: FimPrompts) -> Prompt:
        """Build the prompt; see ``PromptRequest``."""
        return chat.build(
            self.messages, system=self.system, spec=self.spec, max_tokens=self.max_tokens, any_order=self.any_order
        )

    def exceeds(self, size: int) -> bool:
        """Return True if the prompt is larger; see ``PromptRequest``."""
        return _exceeds([self.messages, self.spec.tools, self.spec.schema], size)

    def is_quick(self, chat: PromptBuilder) -> bool:
        """Return True for conversations without tools, schemas and instructed thinking; see ``PromptRequest``."""
        spec = self.spec
        return chat.is_quick and not spec.tools and spec.schema is None and not spec.reasoning


@dataclass(frozen=True, slots=True)
class FimPromptRequest:
    """The prompt of the text between a prompt and a suffix. With ``echo`` the answer begins with the prompt."""

    prompt: str
    suffix: str | None
    echo: bool = False

    def build(self, chat: PromptBuilder, fim: FimPrompts) -> Prompt:
        """Build the prompt; see ``PromptRequest``."""
        built = fim.build(self.prompt, self.suffix)
        return replace(built, prefix=self.prompt) if self.echo else built

    def exceeds(self, size: int) -> bool:
        """Return True if the prompt is larger; see ``PromptRequest``."""
        return _exceeds([self.prompt, self.suffix], size)

    def is_quick(self, chat: PromptBuilder) -> bool:
        """Return False; see ``PromptRequest``."""
        return False


@dataclass(frozen=True, slots=True)
class RawPromptRequest:
    """The prompt of a text that the model continues; attributes as for ``FimPrompts.build_raw``."""

    prompt: str | Sequence[int]
    echo: bool = False

    def build(self, chat: PromptBuilder, fim: FimPrompts) -> Prompt:
        """Build the prompt; see ``PromptRequest``."""
        return fim.build_raw(self.prompt, echo=self.echo)

    def exceeds(self, size: int) -> bool:
        """Return True if the prompt is larger; see ``PromptRequest``."""
        return len(self.prompt) * (1 if isinstance(self.prompt, str) else _TOKEN_BYTES) > size

    def is_quick(self, chat: PromptBuilder) -> bool:
        """Return False; see ``PromptRequest``."""
        return False


def _exceeds(value: Any, size: int) -> bool:
    """Return True if values have more than ``size`` bytes. Nothing beyond that is visited."""
    waiting: list[Iterable[Any]] = [iter([value])]
    while waiting:
        part = next(cast("Any", waiting[-1]), waiting)
        if part is waiting:
            waiting.pop()
            continue
        size -= _VALUE_BYTES
        match part:
            case str():
                size -= len(part)
            case None | bool() | int() | float():
                pass
            case dict():
                members = cast("dict[str, Any]", part)
                waiting += [iter(members), iter(members.values())]
            case list() | tuple():
                waiting.append(iter(cast("Sequence[Any]", part)))
            case BaseModel():
                waiting.append(iter(part.__dict__.values()))
            case _:
                pass
        if size < 0:
            return True
    return False
