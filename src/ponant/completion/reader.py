"""Reads answers as they are written: what of them is thinking, text, or a call of a function."""

import re
from collections.abc import Callable, Collection, Iterator

from ponant.completion.parts import Arguments, CallBegun, Part, Text, Thought
from ponant.prompts.answer.output_format import OutputFormat, Thinking
from ponant.prompts.tools.call_formats import FENCE, OPEN_FENCE, SPACE, ArgumentCalls, JsonCalls, untagged_beginning

_NAME = r"[a-zA-Z0-9_-]{1,64}"
_CALL = re.compile(untagged_beginning(_NAME) + r"(?=\{)")
_FIRST_CALL = re.compile(rf"{SPACE}{OPEN_FENCE}(?:\[{SPACE})?{_CALL.pattern}")


class AnswerReader:
    """Reads one answer. Text and control tokens come in pieces, parts of the answer come out."""

    def __init__(self, reading: OutputFormat) -> None:
        """Read answers of this kind."""
        self._thinking = _ThinkingReader(reading.thinking) if reading.thinking else None
        self._calls: _JsonCallsReader | _ArgumentCallsReader | None = None
        if isinstance(reading.calls, ArgumentCalls):
            self._calls = _ArgumentCallsReader(reading.calls, reading.functions, untagged=reading.untagged)
        elif reading.calls:
            self._calls = _JsonCallsReader(
                reading.calls,
                reading.functions,
                controls=reading.controls.values(),
                required=reading.required,
                untagged=reading.untagged,
            )

    def push(self, text: str, *, control: bool = False) -> list[Part]:
        """Take text, or the name of a control token; returns what it adds to the answer."""
        parts: list[Part] = []
        if self._thinking and not self._thinking.done:
            if control and not self._thinking.is_mark(text):
                parts = self._end_thinking()
            else:
                thought, text = self._thinking.push(text)
                parts = [Thought(thought)] if thought else []
                control = False
        return parts + self._read(text, control=control) if text else parts

    def finish(self) -> list[Part]:
        """What was held back, once it is known that nothing more comes."""
        return self._end_thinking() + (list(self._calls.finish()) if self._calls else [])

    def _end_thinking(self) -> list[Part]:
        if self._thinking is None or self._thinking.done:
            return []
        thought, text = self._thinking.finish()
        parts: list[Part] = [Thought(thought)] if thought else []
        return parts + self._read(text, control=False) if text else parts

    def _read(self, text: str, *, control: bool) -> list[Part]:
        if self._calls:
            return list(self._calls.push(text, control=control))
        return [] if control else [Text(text)]


class _ThinkingReader:
    """Finds what stands between the marks of thinking at the beginning of an answer."""

    def __init__(self, thinking: Thinking) -> None:
        self._thinking = thinking
        self._begun = thinking.begun
        self._closed = False
        self._held = ""
        self._blank = True
        self.done = False

    def is_mark(self, control: str) -> bool:
        """Whether a control token is one of the marks."""
        return control in (self._thinking.open, self._thinking.close)

    def push(self, text: str) -> tuple[str, str]:
        """Take text; returns what it adds to the thoughts, and what comes after them."""
        self._held += text
        thought = ""
        if not self._begun and not self._begin():
            return "", self._take() if self.done else ""
        if not self._closed:
            thought = self._think()
        if self._closed and self._held.strip():
            self.done = True
            return thought, self._take().lstrip()
        return thought, ""

    def finish(self) -> tuple[str, str]:
        """What was held back: the end of thoughts that were cut, or text."""
        self.done = True
        if self._closed:
            return "", ""
        held = self._take()
        if not self._begun:
            is_cut_mark = not self._thinking.native and self._thinking.open.startswith(held)
            return "", "" if is_cut_mark else held
        kept = len(held) - _length_of_beginning(held, self._thinking.close)
        thought = held[:kept].rstrip()
        return (thought.lstrip() if self._blank else thought), ""

    def _begin(self) -> bool:
        """Whether the thinking has begun; ``done`` is set if there is none."""
        text = self._held.lstrip()
        if text.startswith(self._thinking.open):
            self._begun = True
            self._held = text.removeprefix(self._thinking.open)
        elif not self._thinking.open.startswith(text):
            self.done = True
        return self._begun

    def _think(self) -> str:
        """What may be shown of the thoughts, without the white space around them."""
        before, mark, after = self._held.partition(self._thinking.close)
        if mark:
            self._closed = True
            self._held = after
            thought = before.rstrip()
        else:
            kept = _length_of_beginning(self._held, self._thinking.close)
            thought = self._held[: len(self._held) - kept].rstrip()
            self._held = self._held[len(thought) :]
        if self._blank:
            thought = thought.lstrip()
            self._blank = not thought
        return thought

    def _take(self) -> str:
        held, self._held = self._held, ""
        return held


class _JsonObject:
    """Finds the end of a JSON object in text that arrives in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def end(self, text: str) -> int | None:
        """Where in this text the object ends, if it does."""
        for index, character in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self._in_string:
                self._escaped = character == "\\"
                self._in_string = character != '"'
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth == 0:
                    return index + 1
        return None


class _JsonCallsReader:
    """Reads calls that are JSON objects, after text or a trigger, or with nothing or a Markdown fence around them.

    The grammar has seen to it that nothing but calls follows the first one.
    """

    def __init__(
        self,
        form: JsonCalls,
        functions: frozenset[str],
        *,
        controls: Collection[str] = (),
        required: bool = False,
        untagged: bool = True,
    ) -> None:
        self._trigger = form.trigger
        self._mark = "" if form.trigger in controls else form.trigger  # what of it is text
        self._functions = functions
        self._held = ""
        self._read: Callable[[], Iterator[Part]] = self._read_beginning if untagged else self._read_text
        if required:
            self._read = self._read_call
        self._object = _JsonObject()
        self._count = 0

    def push(self, text: str, *, control: bool) -> Iterator[Part]:
        """Take text, or the name of a control token."""
        if control:
            if text == self._trigger and self._read in (self._read_beginning, self._read_text):
                yield from self._end_text(self._held)
                self._held = ""
            return
        self._held += text
        before = None
        while self._held and before != (self._held, self._read):
            before = self._held, self._read
            yield from self._read()

    def finish(self) -> Iterator[Part]:
        """What was held back, if it is no piece of a call."""
        if self._read in (self._read_beginning, self._read_text) and self._held:
            yield Text(self._held)
        self._held = ""

    def _read_beginning(self) -> Iterator[Part]:
        """Hold text back for as long as it may be a call without its form's tags."""
        match = _FIRST_CALL.match(self._held)
        if match:
            if match[1] in self._functions:
                yield from self._begin(match)
                return
        elif _may_become_a_call(self._held):
            return
        self._read = self._read_text
        yield from ()

    def _read_text(self) -> Iterator[Part]:
        """Show text, but for what may become a trigger."""
        if self._mark:
            text, mark, rest = self._held.partition(self._mark)
            if mark:
                self._held = rest
                yield from self._end_text(text)
                return
        kept = _length_of_beginning(self._held, self._mark) if self._mark else 0
        shown = self._held[: len(self._held) - kept]
        self._held = self._held[len(shown) :]
        if shown:
            yield Text(shown)

    def _end_text(self, text: str) -> Iterator[Part]:
        if text:
            yield Text(text)
        self._read = self._read_call

    def _read_call(self) -> Iterator[Part]:
        """Skip everything up to the arguments of the next call."""
        match = _CALL.search(self._held)
        if match:
            yield from self._begin(match)

    def _begin(self, match: re.Match[str]) -> Iterator[Part]:
        self._held = self._held[match.end() :]
        self._object = _JsonObject()
        self._count += 1
        self._read = self._read_arguments
        yield CallBegun(self._count - 1, match[1])

    def _read_arguments(self) -> Iterator[Part]:
        end = self._object.end(self._held)
        yield Arguments(self._count - 1, self._held[:end])
        self._held = "" if end is None else self._held[end:]
        if end is not None:
            self._read = self._read_call


class _ArgumentCallsReader:
    """Reads calls of which each part comes after a control token of its own."""

    def __init__(self, form: ArgumentCalls, functions: frozenset[str], *, untagged: bool) -> None:
        self._form = form
        self._untagged = _JsonCallsReader(JsonCalls(), functions, untagged=untagged)
        self._after = ""
        self._name = ""
        self._index = -1

    def push(self, text: str, *, control: bool) -> Iterator[Part]:
        """Take text, or the name of a control token."""
        if control:
            if text == self._form.trigger:
                if not self._after:
                    yield from self._untagged.finish()
                self._name = ""
                self._index += 1
            elif text == self._form.before_arguments:
                yield CallBegun(self._index, self._name.strip())
            self._after = text
        elif not self._after:
            yield from self._untagged.push(text, control=False)
        elif self._after == self._form.trigger:
            self._name += text
        elif self._after == self._form.before_arguments:
            yield Arguments(self._index, text)

    def finish(self) -> Iterator[Part]:
        """What was held back, if there was no call."""
        if not self._after:
            yield from self._untagged.finish()


def _length_of_beginning(text: str, mark: str) -> int:
    """How much of the end of a text may become the mark."""
    lengths = range(min(len(mark) - 1, len(text)), 0, -1)
    return next((length for length in lengths if mark.startswith(text[-length:])), 0)


def _may_become_a_call(text: str) -> bool:
    return _BEGINNING_OF_CALL.fullmatch(text) is not None


def _beginnings(*pieces: str) -> str:
    """An expression for all beginnings of what a sequence of expressions, of a character each, stands for."""
    pattern = ""
    for piece in reversed(pieces):
        pattern = f"(?:{piece}{pattern})?"
    return pattern


_CALL_PIECES = (
    *(rf"(?:\[{SPACE})?", r"\{", SPACE, *'"name"', SPACE, ":", SPACE),
    *('"', "[a-zA-Z0-9_-]{0,64}", '"', SPACE, ",", SPACE),
    *('"', f"(?:{_beginnings(*'arguments')}|{_beginnings(*'parameters')})", '"', SPACE, ":", SPACE),
)
_BEGINNING_OF_CALL = re.compile(
    f"{_beginnings(SPACE, *_CALL_PIECES)}|{_beginnings(SPACE, *FENCE, SPACE, *_CALL_PIECES)}"
)
