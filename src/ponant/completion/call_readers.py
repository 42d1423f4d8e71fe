"""Readers of the calls in an answer."""

import re
from collections.abc import Callable, Collection, Iterator

from ponant.completion.partial import partial_length
from ponant.completion.parts import Arguments, CallBegun, Part, Text
from ponant.prompts.tools.call_formats import FENCE, OPEN_FENCE, SPACE, ArgumentCalls, JsonCalls, untagged_beginning

_NAME = r"[a-zA-Z0-9_-]{1,64}"
_CALL = re.compile(untagged_beginning(_NAME) + r"(?=\{)")
_FIRST_CALL = re.compile(rf"{SPACE}{OPEN_FENCE}(?:\[{SPACE})?{_CALL.pattern}")


class _JsonObject:
    """Scanner for the end of a JSON object in text that arrives in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def end(self, text: str) -> int | None:
        """Return the index after the object's end in this text; None if it does not end in it."""
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


class JsonCallsReader:
    """Reader of calls that are JSON objects: after text or a trigger, bare, or in a Markdown fence.

    The grammar ensures that only calls follow the first call.
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
        self._mark = "" if form.trigger in controls else form.trigger  # the part of the trigger that arrives as text
        self._functions = functions
        self._held = ""
        self._read: Callable[[], Iterator[Part]] = self._read_beginning if untagged else self._read_text
        if required:
            self._read = self._read_call
        self._object = _JsonObject()
        self._count = 0

    def push(self, text: str, *, control: bool) -> Iterator[Part]:
        """Read text, or the name of a control token, and yield the parts that it adds."""
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
        """Yield the held text, unless it belongs to a call."""
        if self._read in (self._read_beginning, self._read_text) and self._held:
            yield Text(self._held)
        self._held = ""

    def _read_beginning(self) -> Iterator[Part]:
        """Hold text back while it may become a call without its form's tags."""
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
        """Yield text, except an end that may become a trigger."""
        if self._mark:
            text, mark, rest = self._held.partition(self._mark)
            if mark:
                self._held = rest
                yield from self._end_text(text)
                return
        kept = partial_length(self._held, self._mark) if self._mark else 0
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


class ArgumentCallsReader:
    """Reader of calls whose parts each follow a control token."""

    def __init__(self, form: ArgumentCalls, functions: frozenset[str], *, untagged: bool) -> None:
        self._form = form
        self._untagged = JsonCallsReader(JsonCalls(), functions, untagged=untagged)
        self._after = ""
        self._name = ""
        self._index = -1

    def push(self, text: str, *, control: bool) -> Iterator[Part]:
        """Read text, or the name of a control token, and yield the parts that it adds."""
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
        """Yield the held text, if there was no call."""
        if not self._after:
            yield from self._untagged.finish()


def _may_become_a_call(text: str) -> bool:
    return _BEGINNING_OF_CALL.fullmatch(text) is not None


def _beginnings(*pieces: str) -> str:
    """Return a regular expression for all beginnings of a sequence of one-character expressions."""
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
