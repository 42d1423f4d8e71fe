"""Measures how far seeded answers depend on load: `python -m benchmarks.seeds URL`.

Every request is sent three times with the same seed: alone, together with others, and alone again once the server is
idle. The program counts the answers whose text differs from the first one, and says where the differences begin. A
server whose answers do not depend on load has 0 in both columns. It exits with 1 when a request failed.
"""

import argparse
import asyncio
import json
import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from statistics import median
from typing import TypedDict, cast

from benchmarks.chat import base_url, positive
from benchmarks.stream_client import Endpoint, StreamError, stream_events
from benchmarks.texts import shuffled_prompts

SENTENCES_OF_A_LONG_PROMPT = 118
COLUMNS = ("prompts", "temperature", "requests", "prompt tokens", "together differ", "from token", "alone again differ")
ROW = "{:>8} {:>12} {:>9} {:>14} {:>16} {:>11} {:>19}"


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    endpoint = Endpoint.parse(arguments.url, arguments.api_key)
    print(ROW.format(*COLUMNS))
    try:
        for long in {"short": [False], "long": [True], "both": [False, True]}[arguments.prompts]:
            for temperature in arguments.temperatures:
                trial = Trial(
                    long=long,
                    temperature=temperature,
                    requests=arguments.requests,
                    together=arguments.together,
                    tokens=arguments.tokens,
                    choices=arguments.choices,
                    seed=arguments.seed,
                )
                print(format_row(asyncio.run(run_trial(endpoint, trial))), flush=True)
    except (StreamError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeds", description=__doc__)
    parser.add_argument("url", type=base_url, help="base URL of the server, with or without /v1")
    parser.add_argument("--api-key", help="sent as a bearer token")
    parser.add_argument("--prompts", choices=("short", "long", "both"), default="both", help="%(default)s by default")
    parser.add_argument(
        "--temperatures", type=float, nargs="+", default=[0.7, 0.0], metavar="T", help="sampling temperatures (0.7 0)"
    )
    parser.add_argument("--requests", type=positive, default=32, help="requests of a trial (%(default)s)")
    parser.add_argument("--together", type=positive, default=16, help="how many at once under load (%(default)s)")
    parser.add_argument("--tokens", type=positive, default=64, help="longest answer in tokens (%(default)s)")
    parser.add_argument("--choices", type=positive, default=1, help="n of each request (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of prompts and sampling (%(default)s)")
    return parser.parse_args()


@dataclass(frozen=True, slots=True)
class Trial:
    """Requests of one kind, each with a prompt and a seed of its own."""

    long: bool
    temperature: float
    requests: int
    together: int
    tokens: int
    choices: int
    seed: int

    def prompt(self, number: int) -> str:
        """Return the prompt of one request: a task, or so many of them that they take about 800 tokens."""
        prompts = shuffled_prompts(self.seed)
        count = SENTENCES_OF_A_LONG_PROMPT if self.long else 1
        return " ".join(prompts[(number + 7 * place) % len(prompts)] for place in range(count))

    def body(self, number: int) -> bytes:
        """Return the JSON body of one request."""
        body = {
            "messages": [{"role": "user", "content": self.prompt(number)}],
            "temperature": self.temperature,
            "max_tokens": self.tokens,
            "random_seed": 1000 * self.seed + number,
            "n": self.choices,
            "stream": True,
        }
        return json.dumps(body).encode()


@dataclass(slots=True)
class Answer:
    """The pieces of text of each choice, as they came. Ponant sends one for each token that completes a character."""

    choices: list[list[str]]
    prompt_tokens: int = 0

    def first_differences(self, other: "Answer") -> list[int]:
        """Return for each choice whose text differs the number of the piece with the first other character."""
        return [
            place
            for mine, theirs in zip(self.choices, other.choices, strict=True)
            if (place := first_difference(mine, theirs)) is not None
        ]


def first_difference(pieces: list[str], others: list[str]) -> int | None:
    """Return the number, from 1, of the piece in which the text departs from the other one; None for equal texts.

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


@dataclass(slots=True)
class Outcome:
    """What a trial gave; ``together`` and ``again`` hold a number for each answer that differs: where it begins to."""

    trial: Trial
    prompt_tokens: float
    together: list[int] = field(default_factory=list[int])
    again: list[int] = field(default_factory=list[int])


async def run_trial(endpoint: Endpoint, trial: Trial) -> Outcome:
    """Send all requests three times: alone, together, alone again.

    Raises:
        StreamError: A request failed.
        OSError: A connection failed.
    """
    first = await send_all(endpoint, trial, at_once=1)
    outcome = Outcome(trial, median(answer.prompt_tokens for answer in first))
    for places, at_once in ((outcome.together, trial.together), (outcome.again, 1)):
        for before, after in zip(first, await send_all(endpoint, trial, at_once=at_once), strict=True):
            places.extend(before.first_differences(after))
    return outcome


async def send_all(endpoint: Endpoint, trial: Trial, *, at_once: int) -> list[Answer]:
    """Send the requests of a trial in their order, so many at once."""
    places = asyncio.Semaphore(at_once)

    async def send_in_turn(number: int) -> Answer:
        async with places:
            return await send(endpoint, trial, number)

    return await asyncio.gather(*(send_in_turn(number) for number in range(trial.requests)))


class _Delta(TypedDict, total=False):
    content: str | None


class _Choice(TypedDict):
    index: int
    delta: _Delta


class _Usage(TypedDict):
    prompt_tokens: int


class _Chunk(TypedDict, total=False):
    choices: list[_Choice]
    usage: _Usage | None


async def send(endpoint: Endpoint, trial: Trial, number: int) -> Answer:
    """Send one request and read its answer."""
    answer = Answer([[] for _ in range(trial.choices)])
    async with aclosing(stream_events(endpoint, trial.body(number))) as events:
        async for payload in events:
            chunk = cast(_Chunk, json.loads(payload))
            if "choices" not in chunk:
                raise StreamError(payload.decode(errors="replace"))
            for choice in chunk["choices"]:
                if content := choice["delta"].get("content"):
                    answer.choices[choice["index"]].append(content)
            if usage := chunk.get("usage"):
                answer.prompt_tokens = usage["prompt_tokens"]
    return answer


def format_row(outcome: Outcome) -> str:
    """Return an outcome as one row of the printed table."""
    trial = outcome.trial
    answers = trial.requests * trial.choices
    return ROW.format(
        "long" if trial.long else "short",
        trial.temperature,
        trial.requests,
        f"{outcome.prompt_tokens:.0f}",
        share(outcome.together, answers),
        f"{median(outcome.together):.0f}" if outcome.together else "-",
        share(outcome.again, answers),
    )


def share(places: list[int], answers: int) -> str:
    """Return how many answers differ, out of all."""
    return f"{len(places)} of {answers} ({len(places) / answers:.0%})"


if __name__ == "__main__":
    sys.exit(main())
