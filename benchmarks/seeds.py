"""Measure how far seeded answers depend on load: `python -m benchmarks.seeds URL`.

Every request is sent three times with the same seed: alone, together with others, and alone again once the server is
idle. The program counts the answers whose text differs from the first one, and shows where the differences begin. A
server whose answers do not depend on load has 0 in both columns. The program exits with 1 when a request failed.
"""

import argparse
import asyncio
from dataclasses import dataclass, field
from statistics import median

from benchmarks.cli import add_api_key, add_url, make_parser, positive, run
from benchmarks.exchange import Dialect, Exchange, Message, Request, Target, send
from benchmarks.report import NOTHING, Table, publish, show_progress
from benchmarks.stream_client import Endpoint, StreamError
from benchmarks.texts import shuffled_prompts

SENTENCES_OF_A_LONG_PROMPT = 118
"""Sentences of about 800 tokens."""
TIMEOUT = 3600.0
"""Most seconds of one request, as a slow server may compute 16 long prompts before it answers."""
TABLE = Table(
    ("prompts", "temperature", "requests", "prompt tokens", "together, differ", "from token", "alone again, differ"),
    text=("prompts",),
)


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    target = Target(Endpoint.parse(arguments.url, arguments.api_key), Dialect.MISTRAL, timeout=TIMEOUT)
    publish(TABLE.head())
    try:
        for long in {"short": [False], "long": [True], "both": [False, True]}[arguments.prompts]:
            for temperature in arguments.temperatures:
                requests = SeededRequests(
                    long=long,
                    temperature=temperature,
                    count=arguments.requests,
                    together=arguments.together,
                    tokens=arguments.tokens,
                    choices=arguments.choices,
                    seed=arguments.seed,
                )
                publish([format_row(requests, asyncio.run(compare(target, requests)))])
    except StreamError as error:
        show_progress(str(error))
        return 1
    return 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser("seeds", __doc__)
    add_url(parser)
    add_api_key(parser)
    parser.add_argument(
        "--prompts", choices=("short", "long", "both"), default="both", help="length of the prompts (%(default)s)"
    )
    parser.add_argument(
        "--temperatures", type=float, nargs="+", default=[0.7, 0.0], metavar="T", help="sampling temperatures (0.7 0)"
    )
    parser.add_argument("--requests", type=positive, default=32, help="requests of a row (%(default)s)")
    parser.add_argument("--together", type=positive, default=16, help="requests at once under load (%(default)s)")
    parser.add_argument("--tokens", type=positive, default=64, help="most tokens of an answer (%(default)s)")
    parser.add_argument("--choices", type=positive, default=1, help="n of each request (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of prompts and sampling (%(default)s)")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class SeededRequests:
    """Requests of one kind, each with a prompt and a seed of its own.

    Attributes:
        long: True for prompts of about 800 tokens.
        temperature: The sampling temperature.
        count: The number of requests.
        together: Requests at once under load.
        tokens: Most tokens of each choice.
        choices: Completions of each request.
        seed: Seed of the prompts and of the requests' seeds.
    """

    long: bool
    temperature: float
    count: int
    together: int
    tokens: int
    choices: int
    seed: int

    def prompt(self, number: int) -> str:
        """Return the prompt of one request: one sentence, or a long text."""
        prompts = shuffled_prompts(self.seed)
        count = SENTENCES_OF_A_LONG_PROMPT if self.long else 1
        return " ".join(prompts[(number + 7 * place) % len(prompts)] for place in range(count))

    def request(self, number: int) -> Request:
        """Return one request."""
        return Request(
            (Message("user", self.prompt(number)),),
            tokens=self.tokens,
            temperature=self.temperature,
            seed=1000 * self.seed + number,
            choices=self.choices,
            exact=False,
        )


@dataclass(slots=True)
class Differences:
    """The differences between the answers to the same requests.

    Attributes:
        prompt_tokens: Median length of the prompts.
        together: For each answer that differs under load, the number of the first token that differs.
        again: The same for the answers on the idle server.
    """

    prompt_tokens: float
    together: list[int] = field(default_factory=list[int])
    again: list[int] = field(default_factory=list[int])


async def compare(target: Target, requests: SeededRequests) -> Differences:
    """Send all requests three times: alone, together, alone again.

    Raises:
        StreamError: A request failed.
    """
    first = await send_all(target, requests, at_once=1)
    differences = Differences(median(answer.prompt_tokens for answer in first))
    for places, at_once in ((differences.together, requests.together), (differences.again, 1)):
        for before, after in zip(first, await send_all(target, requests, at_once=at_once), strict=True):
            for choice in range(requests.choices):
                place = first_difference(before.pieces.get(choice, []), after.pieces.get(choice, []))
                if place is not None:
                    places.append(place)
    return differences


async def send_all(target: Target, requests: SeededRequests, *, at_once: int) -> list[Exchange]:
    """Send the requests in their order, `at_once` at the same time."""
    places = asyncio.Semaphore(at_once)

    async def send_in_turn(number: int) -> Exchange:
        async with places:
            exchange = await send(target, requests.request(number))
        if exchange.error is not None:
            raise StreamError(exchange.error)
        return exchange

    return await asyncio.gather(*(send_in_turn(number) for number in range(requests.count)))


def first_difference(pieces: list[str], others: list[str]) -> int | None:
    """Return the number, from 1, of the piece in which two texts begin to differ, or None for equal texts.

    Ponant sends a piece for each token that completes a character.

    Examples:
        >>> first_difference(["a", "bc", "d"], ["ab", "x"])
        2
        >>> first_difference(["a", "bc"], ["ab", "c"]) is None
        True
        >>> first_difference(["a"], ["a", "b"])
        2
    """
    text, other = "".join(pieces), "".join(others)
    if text == other:
        return None
    same = next(
        (place for place, pair in enumerate(zip(text, other, strict=False)) if pair[0] != pair[1]),
        min(len(text), len(other)),
    )
    end = 0
    for number, piece in enumerate(pieces, 1):
        end += len(piece)
        if end > same:
            return number
    return len(pieces) + 1


def format_row(requests: SeededRequests, differences: Differences) -> str:
    """Return one row of the table."""
    answers = requests.count * requests.choices
    return TABLE.row(
        "long" if requests.long else "short",
        requests.temperature,
        requests.count,
        f"{differences.prompt_tokens:.0f}",
        share(differences.together, answers),
        f"{median(differences.together):.0f}" if differences.together else NOTHING,
        share(differences.again, answers),
    )


def share(places: list[int], answers: int) -> str:
    """Return the number of answers that differ, of all."""
    return f"{len(places)} of {answers} ({len(places) / answers:.0%})"


if __name__ == "__main__":
    run(main)
