"""Count how often a model calls the right function: `python -m benchmarks.tool_calls MODEL.gguf`.

Twenty questions are asked with five tools, `tool_choice: auto` and temperature 0; five of them need no tool. The
servers are Ponant and, if it is found, llama-server with `--jinja` and the same file. An answer is right if it is one
call of the right function whose arguments satisfy the function's parameters and have the values that the question
names, or if it has no call where none is needed. The figures do not depend on the load of the machine.
"""

import argparse
import asyncio
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

from benchmarks.cli import add_llama_server, add_model, add_output, add_ponant, add_threads, make_parser, run
from benchmarks.documents import CHECK, problem
from benchmarks.exchange import Call, Exchange, Message, Request, Target, send
from benchmarks.report import Table, publish, write
from benchmarks.servers import (
    LLAMA_SERVER,
    Contender,
    Resources,
    Setup,
    find_llama_server,
    find_ponant,
    llama_server_arguments,
    open_resources,
    running,
)

SETUP = Setup("one sequence", parallel=1, cells=8_192)
MOST_TOKENS = 256
JINJA = replace(LLAMA_SERVER, arguments=lambda *given: [*llama_server_arguments(*given), "--jinja"])

Value = str | int | float
Schema = dict[str, object]


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and the call that answers it.

    Attributes:
        text: The user's message.
        function: The function to call, or None if no call is needed.
        values: Expected arguments: the number itself, or words that the argument must contain.
    """

    text: str
    function: str | None = None
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])


def text(description: str, **limits: object) -> Schema:
    """Return the schema of a string."""
    return {"type": "string", "description": description, **limits}


def number(kind: str, description: str, **limits: object) -> Schema:
    """Return the schema of a number."""
    return {"type": kind, "description": description, **limits}


def tool(name: str, description: str, properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """Return a tool in the form of requests."""
    parameters = {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


TOOLS: tuple[Schema, ...] = (
    tool(
        "get_weather",
        "Get the current weather in a city.",
        {
            "city": text("The name of the city"),
            "unit": text("The unit of the temperature", enum=["celsius", "fahrenheit"]),
        },
        optional=("unit",),
    ),
    tool(
        "search_flights",
        "Search for flights between two cities.",
        {
            "origin": text("The city to fly from"),
            "destination": text("The city to fly to"),
            "passengers": number("integer", "How many people travel", minimum=1, maximum=9),
            "travel_class": text("The class to fly in", enum=["economy", "business"]),
        },
        optional=("passengers", "travel_class"),
    ),
    tool(
        "convert_currency",
        "Convert an amount of money from one currency to another at today's rate.",
        {
            "amount": number("number", "The amount of money", minimum=0),
            "from_currency": text("The three-letter code of the currency of the amount", pattern="^[A-Z]{3}$"),
            "to_currency": text("The three-letter code of the currency to convert to", pattern="^[A-Z]{3}$"),
        },
    ),
    tool(
        "create_reminder",
        "Remind the user of something at a time of day.",
        {
            "text": text("What to remind the user of"),
            "time": text("When, as hours and minutes on a 24-hour clock", pattern="^[0-2][0-9]:[0-5][0-9]$"),
        },
    ),
    tool(
        "send_message",
        "Send a text message to one of the user's contacts.",
        {
            "recipient": text("The name of the contact"),
            "body": text("What the message says", maxLength=300),
        },
    ),
)

QUESTIONS = (
    Question("What is the weather in Paris right now?", "get_weather", {"city": "Paris"}),
    Question("Do I need an umbrella in Oslo today?", "get_weather", {"city": "Oslo"}),
    Question(
        "How warm is it in Lisbon at the moment, in degrees Fahrenheit?",
        "get_weather",
        {"city": "Lisbon", "unit": "fahrenheit"},
    ),
    Question(
        "Find me a flight from Berlin to Madrid.", "search_flights", {"origin": "Berlin", "destination": "Madrid"}
    ),
    Question(
        "I want to fly from Tokyo to Sydney in business class.",
        "search_flights",
        {"origin": "Tokyo", "destination": "Sydney", "travel_class": "business"},
    ),
    Question(
        "Which flights are there from Rome to Vienna for three passengers?",
        "search_flights",
        {"origin": "Rome", "destination": "Vienna", "passengers": 3},
    ),
    Question(
        "How much is 100 US dollars in euros?",
        "convert_currency",
        {"amount": 100, "from_currency": "USD", "to_currency": "EUR"},
    ),
    Question(
        "Convert 250 GBP to JPY.", "convert_currency", {"amount": 250, "from_currency": "GBP", "to_currency": "JPY"}
    ),
    Question(
        "I have 40 Swiss francs. What do I get for them in US dollars?",
        "convert_currency",
        {"amount": 40, "from_currency": "CHF", "to_currency": "USD"},
    ),
    Question("Remind me at 18:30 to call my mother.", "create_reminder", {"text": "mother", "time": "18:30"}),
    Question(
        "Set a reminder for 7 in the morning: take out the bins.", "create_reminder", {"text": "bins", "time": "07:00"}
    ),
    Question(
        "Please don't let me forget to water the plants at 21:00.",
        "create_reminder",
        {"text": "plants", "time": "21:00"},
    ),
    Question(
        "Send Anna a message that I will be ten minutes late.", "send_message", {"recipient": "Anna", "body": "late"}
    ),
    Question(
        "Let Marco know that the meeting has moved to Friday.", "send_message", {"recipient": "Marco", "body": "Friday"}
    ),
    Question("Text Priya: happy birthday!", "send_message", {"recipient": "Priya", "body": "birthday"}),
    Question("Who wrote the play Hamlet?"),
    Question("Write a haiku about autumn leaves."),
    Question("What is the capital of Australia?"),
    Question("Translate 'good morning' into French."),
    Question("Explain in one sentence what a prime number is."),
)


class Verdict(StrEnum):
    """The verdicts on an answer, from the best to the worst."""

    RIGHT = "right"
    OTHER_VALUES = "other values"
    INVALID = "invalid arguments"
    OTHER_FUNCTION = "other function"
    SEVERAL = "several calls"
    NEEDLESS = "needless call"
    NO_CALL = "no call"
    FAILED = "failed"


VALID = (Verdict.RIGHT, Verdict.OTHER_VALUES)
TOTALS: tuple[tuple[str, Callable[[Question], bool], Sequence[Verdict]], ...] = (
    ("right function with valid arguments", lambda question: question.function is not None, VALID),
    ("and with the values of the question", lambda question: question.function is not None, (Verdict.RIGHT,)),
    ("no call where none is needed", lambda question: question.function is None, (Verdict.RIGHT,)),
    ("all: right and valid, or rightly none", lambda _question: True, VALID),
    ("all, with the values of the question", lambda _question: True, (Verdict.RIGHT,)),
)

Answers = dict[str, list[Exchange]]
"""The answers to all questions, by the contender's name."""


def main() -> int:
    """Run the program; return its exit code: 1 when a request failed."""
    arguments = parse_arguments()
    ponant = find_ponant(arguments.ponant)
    contenders = [ponant, *find_llama_server(arguments.llama_server, JINJA)]
    with open_resources(ponant, arguments.model, arguments.threads) as resources:
        answers = {contender.name: ask(contender, resources) for contender in contenders}
    publish([*format_questions(answers), "", *format_totals(answers)])
    write(format_answers(answers), arguments.answers)
    return 1 if any(exchange.error for exchanges in answers.values() for exchange in exchanges) else 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser("tool_calls", __doc__)
    add_model(parser)
    add_threads(parser)
    add_ponant(parser)
    add_llama_server(parser)
    add_output(parser, "also write every answer to a file", option="--answers")
    return parser.parse_args()


def ask(contender: Contender, resources: Resources) -> list[Exchange]:
    """Start a server, ask all questions one after the other, and stop it."""
    with running(contender, resources, SETUP) as server:
        return asyncio.run(ask_all(server.target))


async def ask_all(target: Target) -> list[Exchange]:
    """Ask all questions."""
    return [await send(target, request(question)) for question in QUESTIONS]


def request(question: Question) -> Request:
    """Return the request for a question."""
    return Request((Message("user", question.text),), tokens=MOST_TOKENS, exact=False, tools=TOOLS)


def judge(question: Question, answer: Exchange) -> Verdict:
    """Return the verdict on an answer."""
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
    """Return True if a call's arguments agree with the expected values."""
    arguments = cast(dict[str, object], json.loads(call.arguments))
    return all(name in arguments and agrees(arguments[name], value) for name, value in values.items())


def agrees(value: object, expected: Value) -> bool:
    """Return True if a value is the expected number, or a string that contains the expected words.

    Examples:
        >>> agrees("Paris, France", "paris"), agrees(3, 3), agrees("three", 3)
        (True, True, False)
    """
    if isinstance(expected, str):
        return isinstance(value, str) and expected.casefold() in value.casefold()
    return value == expected


def format_questions(answers: Answers) -> list[str]:
    """Return the table of the questions and the verdicts."""
    columns = ("question", "function", *answers)
    rows = (
        (question.text, question.function or "none", *(judge(question, given[index]) for given in answers.values()))
        for index, question in enumerate(QUESTIONS)
    )
    return Table(columns, text=columns).lines(rows)


def format_totals(answers: Answers) -> list[str]:
    """Return the table of the numbers of right answers."""
    title_column = f"arguments are {CHECK}"
    return Table((title_column, "questions", *answers), text=(title_column,)).lines(
        total_row(answers, *total) for total in TOTALS
    )


def total_row(
    answers: Answers, title: str, counts: Callable[[Question], bool], verdicts: Sequence[Verdict]
) -> tuple[object, ...]:
    """Return the number of questions that count, and for each contender the number of answers with such a verdict."""
    asked = [index for index, question in enumerate(QUESTIONS) if counts(question)]
    right = (sum(judge(QUESTIONS[index], given[index]) in verdicts for index in asked) for given in answers.values())
    return title, len(asked), *right


def format_answers(answers: Answers) -> Iterator[str]:
    """Yield every answer with its verdict."""
    for index, question in enumerate(QUESTIONS):
        yield f"{index + 1}. {question.text}"
        for name, exchanges in answers.items():
            yield f"   - {name}, {judge(question, exchanges[index])}: {format_answer(exchanges[index])}"


def format_answer(answer: Exchange) -> str:
    """Return an answer in one line: its error, its calls, or its text."""
    if answer.error is not None:
        return answer.error
    if answer.calls:
        return "; ".join(f"{call.name}({call.arguments})" for call in answer.calls.values())
    return json.dumps(answer.text, ensure_ascii=False)


if __name__ == "__main__":
    run(main)
