"""Parts of an answer."""

import msgspec


class Text(msgspec.Struct, frozen=True):
    """A piece of the text."""

    text: str


class Thought(msgspec.Struct, frozen=True):
    """A piece of the thinking before the text."""

    text: str


class CallBegun(msgspec.Struct, frozen=True):
    """The beginning of a function call. ``index`` numbers the calls of an answer from 0."""

    index: int
    name: str


class Arguments(msgspec.Struct, frozen=True):
    """A piece of the arguments of a call, as JSON text."""

    index: int
    text: str


Part = Text | Thought | CallBegun | Arguments
