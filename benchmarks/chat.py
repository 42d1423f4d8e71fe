"""Measure a server's chat completions: `python -m benchmarks.chat URL`.

Each client streams its requests one after the other, and every request has a short prompt of its own. For each number
of clients the program prints the tokens per second over the wall clock, the time to the first token and between tokens
(median and 95th percentile), and the errors. It exits with 1 when a request failed.
"""

import argparse
import asyncio
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.cli import add_api_key, add_url, make_parser, positive, positive_list, run
from benchmarks.exchange import Dialect, Target
from benchmarks.loads import Load, Report, run_load
from benchmarks.report import NOTHING, Table, format_milliseconds, publish, show_progress
from benchmarks.stream_client import Endpoint

TABLE = Table(
    (
        "clients",
        "requests",
        "errors",
        "tokens",
        "tokens/s",
        "first token p50 / p95, ms",
        "between tokens p50 / p95, ms",
        "client CPU, % of a core",
    )
)


def main() -> int:
    """Run the program; return its exit code."""
    arguments = parse_arguments()
    target = Target(
        endpoint=Endpoint.parse(arguments.url, arguments.api_key),
        dialect=arguments.dialect,
        model=arguments.model,
        timeout=arguments.timeout,
    )
    publish(TABLE.head())
    reports: list[Report] = []
    for load in make_loads(arguments):
        report = asyncio.run(run_load(target, load))
        publish([format_row(report)])
        show_warnings(report)
        reports.append(report)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps([dataclasses.asdict(report) for report in reports], indent=2) + "\n")
    return 1 if any(report.errors for report in reports) else 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser("chat", __doc__)
    add_url(parser)
    parser.add_argument("--model", help="name of the model (default: the server's default model)")
    add_api_key(parser)
    parser.add_argument(
        "--dialect",
        type=Dialect,
        choices=list(Dialect),
        default=Dialect.MISTRAL,
        help="API of the server (%(default)s)",
    )
    parser.add_argument("--clients", type=positive_list, default=[1, 16], help="numbers of clients (1,16)")
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
    parser.add_argument("--timeout", type=float, default=300.0, help="most seconds of one request (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the reports to a file")
    return parser.parse_args()


def make_loads(arguments: argparse.Namespace) -> Iterator[Load]:
    """Yield one load per number of clients, without common prompts."""
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
        yield load


def format_row(report: Report) -> str:
    """Return a report as one row of the table."""
    return TABLE.row(
        report.clients,
        report.requests,
        report.errors,
        report.tokens,
        f"{report.tokens_per_second:.1f}",
        f"{format_milliseconds(report.first_token_p50)} / {format_milliseconds(report.first_token_p95)}",
        f"{format_milliseconds(report.between_tokens_p50)} / {format_milliseconds(report.between_tokens_p95)}",
        f"{100 * report.client_cpu / report.seconds:.1f}" if report.seconds else NOTHING,
    )


def show_warnings(report: Report) -> None:
    """Print the problems of a report to stderr."""
    for text, count in report.error_counts.items():
        show_progress(f"{count} × {text}")
    if report.short_requests:
        show_progress(f"{report.short_requests} answers are shorter than --tokens")


if __name__ == "__main__":
    run(main)
