"""What an answer is made of, as it is read."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """More of the text of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """More of what was thought before it."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegun:
    """A call of a function; the calls of an answer are counted from 0."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of the arguments of a call, as JSON."""

    index: int
    text: str


Part = Text | Thought | CallBegun | Arguments
