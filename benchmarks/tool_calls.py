"""Counts how often a model calls the right function: `python -m benchmarks.tool_calls MODEL.gguf`.

Twenty questions are asked with five tools, `tool_choice: auto` and temperature 0; five of them need no tool. Each is
asked of Ponant and, where it is found, of llama-server with `--jinja`, on the same file. An answer is right if it calls
the right function, no other and not twice, with arguments that satisfy the function's parameters and have the values
that the question names; or if it calls none where none is needed. The figures do not depend on how busy the machine is.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.chat import positive
from benchmarks.compare import interrupt, weights
from benchmarks.dialects import Message, Request
from benchmarks.exchange import Exchange, Target, send
from benchmarks.processes import ServerError, running
from benchmarks.servers import LLAMA_SERVER, PONANT, Contender, find, llama_server_arguments
from benchmarks.setups import Given, Setup
from benchmarks.tool_answers import Verdict, judge, shown
from benchmarks.tool_questions import QUESTIONS, TOOLS, Question
from benchmarks.validity import CHECK

SETUP = Setup("one sequence", parallel=1, cells=8_192)
MOST_TOKENS = 256
JINJA = replace(LLAMA_SERVER, arguments=lambda *given: [*llama_server_arguments(*given), "--jinja"])

VALID = (Verdict.RIGHT, Verdict.OTHER_VALUES)
TOTALS: tuple[tuple[str, Callable[[Question], bool], Sequence[Verdict]], ...] = (
    ("right function with valid arguments", lambda question: question.function is not None, VALID),
    ("and with the values of the question", lambda question: question.function is not None, (Verdict.RIGHT,)),
    ("no call where none is needed", lambda question: question.function is None, (Verdict.RIGHT,)),
    ("all: right and valid, or rightly none", lambda _question: True, VALID),
    ("all, with the values of the question", lambda _question: True, (Verdict.RIGHT,)),
)


def main() -> int:
    """Run the program; return its exit code: 1 when a request failed, 2 when it could not begin."""
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, interrupt)
    ponant = find(PONANT, arguments.ponant)
    if ponant is None:
        print(f"no program {arguments.ponant} found", file=sys.stderr)
        return 2
    peer = find(JINJA, arguments.llama_server)
    if peer is None:
        print(f"no program {arguments.llama_server} found: Ponant is asked alone", file=sys.stderr)
    contenders = [contender for contender in (ponant, peer) if contender is not None]
    answers: dict[str, list[Exchange]] = {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            given = Given(arguments.model.resolve(), arguments.threads, Path(folder))
            for contender in contenders:
                answers[contender.name] = ask(contender, given)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    print("\n".join([*format_questions(answers), "", *format_totals(answers)]))
    if arguments.answers is not None:
        arguments.answers.write_text("\n".join(format_answers(answers)) + "\n")
    return 1 if any(exchange.error for exchanges in answers.values() for exchange in exchanges) else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tool_calls", description=__doc__)
    parser.add_argument("model", type=weights, metavar="MODEL.gguf", help="weights that both servers load")
    parser.add_argument("--threads", type=positive, default=os.cpu_count(), help="threads of the engine (%(default)s)")
    parser.add_argument(
        "--ponant", default="ponant", help="the ponant program (default: beside this Python, or on PATH)"
    )
    parser.add_argument("--llama-server", default="llama-server", help="the llama-server program (default: on PATH)")
    parser.add_argument("--answers", type=Path, metavar="FILE.md", help="also write every answer to a file")
    return parser.parse_args()


def ask(contender: Contender, given: Given) -> list[Exchange]:
    """Start a server, ask it all questions one after the other, and stop it."""
    with running(contender, given, SETUP) as server:
        return asyncio.run(ask_all(Target(server.endpoint, contender.kind.dialect)))


async def ask_all(target: Target) -> list[Exchange]:
    """Ask all questions."""
    return [await send(target, request(question)) for question in QUESTIONS]


def request(question: Question) -> Request:
    """Return the request for a question."""
    return Request((Message("user", question.text),), tokens=MOST_TOKENS, exact=False, tools=TOOLS)


def format_questions(answers: dict[str, list[Exchange]]) -> Iterator[str]:
    """Return the table of all questions and what became of them."""
    yield f"| question | function | {' | '.join(answers)} |"
    yield f"|---|---|{'---|' * len(answers)}"
    for index, question in enumerate(QUESTIONS):
        verdicts = [judge(question, exchanges[index]) for exchanges in answers.values()]
        yield f"| {question.text} | {question.function or 'none'} | {' | '.join(verdicts)} |"


def format_totals(answers: dict[str, list[Exchange]]) -> Iterator[str]:
    """Return the table of how many answers are as they should be."""
    yield f"| arguments are {CHECK} | questions | {' | '.join(answers)} |"
    yield f"|---|---:|{'---:|' * len(answers)}"
    for title, counts, verdicts in TOTALS:
        asked = [index for index, question in enumerate(QUESTIONS) if counts(question)]
        numbers = [
            str(sum(judge(QUESTIONS[index], exchanges[index]) in verdicts for index in asked))
            for exchanges in answers.values()
        ]
        yield f"| {title} | {len(asked)} | {' | '.join(numbers)} |"


def format_answers(answers: dict[str, list[Exchange]]) -> Iterator[str]:
    """Return every answer, for those who want to know why."""
    for index, question in enumerate(QUESTIONS):
        yield f"{index + 1}. {question.text}"
        for name, exchanges in answers.items():
            yield f"   - {name}, {judge(question, exchanges[index])}: {shown(exchanges[index])}"


if __name__ == "__main__":
    sys.exit(main())
