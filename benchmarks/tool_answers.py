"""What an answer to one of the questions is worth."""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, cast

from benchmarks.exchange import Call, Exchange
from benchmarks.tool_questions import TOOLS, Question, Value
from benchmarks.validity import problem


class Verdict(StrEnum):
    """What became of a question, from the best to the worst."""

    RIGHT = "right"
    OTHER_VALUES = "other values"
    INVALID = "invalid arguments"
    OTHER_FUNCTION = "other function"
    SEVERAL = "several calls"
    NEEDLESS = "needless call"
    NO_CALL = "no call"
    FAILED = "failed"


def judge(question: Question, answer: Exchange) -> Verdict:
    """Return what an answer is worth: the right call is the only one, and text alone where none is needed."""
    if answer.error is not None:
        return Verdict.FAILED
    calls = list(answer.calls.values())
    if question.function is None:
        return Verdict.NEEDLESS if calls else Verdict.RIGHT
    if not calls:
        return Verdict.NO_CALL
    if any(call.name != question.function for call in calls):
        return Verdict.OTHER_FUNCTION
    if len(calls) > 1:
        return Verdict.SEVERAL
    if problem(calls[0].arguments, parameters(question.function)) is not None:
        return Verdict.INVALID
    return Verdict.RIGHT if has_values(calls[0], question.values) else Verdict.OTHER_VALUES


def parameters(function: str) -> Mapping[str, Any]:
    """Return the schema of a function's arguments."""
    functions = [cast(dict[str, Any], tool["function"]) for tool in TOOLS]
    return cast(dict[str, Any], next(each["parameters"] for each in functions if each["name"] == function))


def has_values(call: Call, values: Mapping[str, Value]) -> bool:
    """Tell whether a call's arguments have these values, or these words in their texts."""
    arguments = cast(dict[str, object], json.loads(call.arguments))
    return all(name in arguments and agrees(arguments[name], value) for name, value in values.items())


def agrees(value: object, expected: Value) -> bool:
    """Tell whether a value is the expected number, or a text with the expected words in it.

    Examples:
        >>> agrees("Paris, France", "paris"), agrees(3, 3), agrees("three", 3)
        (True, True, False)
    """
    if isinstance(expected, str):
        return isinstance(value, str) and expected.casefold() in value.casefold()
    return value == expected


def shown(answer: Exchange) -> str:
    """Return an answer in one line: its calls, else the beginning of its text."""
    if answer.error is not None:
        return answer.error
    if answer.calls:
        return "; ".join(f"{call.name}({call.arguments})" for call in answer.calls.values())
    return json.dumps("".join(answer.text), ensure_ascii=False)
