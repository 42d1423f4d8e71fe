"""Parts of an answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """A piece of the thinking before the text."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """The beginning of a function call. ``index`` numbers the calls of an answer from 0."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """A piece of the arguments of a call, as JSON text."""

    index: int
    text: str


Part = Text | Thought | CallBegun | Arguments
