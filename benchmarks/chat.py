"""Measures a server's chat completions: `python -m benchmarks.chat URL`.

Each client streams its requests one after the other, and every request has a short prompt of its own. For each number
of clients the program prints tokens per second over the wall clock, the time to the first token and between tokens
(median and 95th percentile), and the errors. It exits with 1 when a request failed.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
from pathlib import Path

from benchmarks.dialects import Dialect
from benchmarks.exchange import Target
from benchmarks.loads import Load
from benchmarks.measure import Report, run_load
from benchmarks.stream_client import Endpoint

COLUMNS = ("clients", "requests", "errors", "tokens", "tokens/s", "first token", "between tokens", "client CPU")
ROW = "{:>8} {:>9} {:>7} {:>8} {:>9} {:>18} {:>18} {:>11}"


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    target = Target(
        endpoint=Endpoint.parse(arguments.url, arguments.api_key),
        dialect=arguments.dialect,
        model=arguments.model,
        timeout=arguments.timeout,
    )
    print(ROW.format(*COLUMNS))
    print(ROW.format("", "", "", "", "", "p50 / p95, ms", "p50 / p95, ms", "% of a core"))
    reports: list[Report] = []
    try:
        for load in make_loads(arguments):
            report = asyncio.run(run_load(target, load))
            print(format_row(report), flush=True)
            print_warnings(report)
            reports.append(report)
    except KeyboardInterrupt:
        return 130
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([dataclasses.asdict(report) for report in reports], indent=2) + "\n")
    return 1 if any(report.errors for report in reports) else 0


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chat", description=__doc__)
    parser.add_argument("url", type=base_url, help="base URL of the server, with or without /v1")
    parser.add_argument("--model", help="model to ask for (default: leave it to the server)")
    parser.add_argument("--api-key", help="sent as a bearer token")
    parser.add_argument(
        "--dialect",
        type=Dialect,
        choices=list(Dialect),
        default=Dialect.MISTRAL,
        help="API of the server (%(default)s)",
    )
    parser.add_argument("--clients", type=positive_list, default=[1, 16], help="client counts (1,16)")
    parser.add_argument("--requests", type=positive, default=3, help="requests of each client (%(default)s)")
    parser.add_argument("--tokens", type=positive, default=128, help="tokens of each answer (%(default)s)")
    parser.add_argument("--temperature", type=float, default=0.0, help="sampling temperature (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="seed of prompts and sampling (%(default)s)")
    parser.add_argument(
        "--exact",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="forbid an end before all tokens: min_tokens or, with --dialect openai, ignore_eos (%(default)s)",
    )
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds one request may take (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the reports to a file")
    return parser.parse_args()


def base_url(text: str) -> str:
    """Return the text if it is a URL that can be asked."""
    try:
        Endpoint.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def positive(text: str) -> int:
    """Read a whole number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def positive_list(text: str) -> list[int]:
    """Read whole numbers above 0, separated by commas."""
    return [positive(part) for part in text.split(",")]


def make_loads(arguments: argparse.Namespace) -> list[Load]:
    """Return one load per number of clients, no two with a prompt in common."""
    loads: list[Load] = []
    first_prompt = 0
    for clients in arguments.clients:
        load = Load(
            name=f"{clients} clients",
            clients=clients,
            requests=arguments.requests,
            tokens=arguments.tokens,
            temperature=arguments.temperature,
            seed=arguments.seed,
            first_prompt=first_prompt,
            exact=arguments.exact,
        )
        first_prompt += load.total_requests
        loads.append(load)
    return loads


def format_row(report: Report) -> str:
    """Return a report as one row of the printed table."""
    return ROW.format(
        report.clients,
        report.requests,
        report.errors,
        report.tokens,
        f"{report.tokens_per_second:.1f}",
        f"{milliseconds(report.first_token_p50)} / {milliseconds(report.first_token_p95)}",
        f"{milliseconds(report.between_tokens_p50)} / {milliseconds(report.between_tokens_p95)}",
        f"{100 * report.client_cpu / report.seconds:.1f}" if report.seconds else "-",
    )


def milliseconds(seconds: float | None) -> str:
    """Format a time, or its absence."""
    return "-" if seconds is None else f"{1000 * seconds:.1f}"


def print_warnings(report: Report) -> None:
    """Say on standard error what makes the figures worth less."""
    for text, count in report.error_counts.items():
        print(f"{count} × {text}", file=sys.stderr)
    if report.short_requests:
        print(f"{report.short_requests} answers are shorter than --tokens", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
