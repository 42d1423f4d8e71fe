"""The command line of the benchmarks: options that several programs share, and exit codes."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

import httpx2

from benchmarks.servers import ServerError
from benchmarks.stream_client import Endpoint


def run(main: Callable[[], int]) -> NoReturn:
    """Run a program and exit with its code, with 2 if a server cannot be used, or with 130 on Ctrl-C.

    SIGTERM is handled like Ctrl-C, so that servers that the program started are stopped.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = main()
    except (ServerError, httpx2.HTTPError) as error:
        print(error, file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def make_parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return the parser of `python -m benchmarks.PROGRAM`."""
    return argparse.ArgumentParser(prog=f"python -m benchmarks.{program}", description=description)


def add_url(parser: argparse.ArgumentParser) -> None:
    """Add the address of a running server."""
    parser.add_argument("url", type=base_url, help="base URL of the server, with or without /v1")


def add_api_key(parser: argparse.ArgumentParser) -> None:
    """Add the key for a running server."""
    parser.add_argument("--api-key", help="sent as a bearer token")


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add one GGUF file, as `model`."""
    parser.add_argument("model", type=weights_file, metavar="MODEL.gguf", help="weights of the model")


def add_models(parser: argparse.ArgumentParser, text: str) -> None:
    """Add one or several GGUF files, as `models`."""
    parser.add_argument("models", type=weights_file, nargs="+", metavar="MODEL.gguf", help=text)


def add_threads(parser: argparse.ArgumentParser, default: int | None = os.cpu_count()) -> None:
    """Add the number of threads."""
    parser.add_argument("--threads", type=positive, default=default, help="threads of the engine (%(default)s)")


def add_rounds(parser: argparse.ArgumentParser, default: int = 3) -> None:
    """Add the number of rounds."""
    parser.add_argument("--rounds", type=positive, default=default, help="rounds; medians are shown (%(default)s)")


def add_ponant(parser: argparse.ArgumentParser) -> None:
    """Add Ponant's program."""
    parser.add_argument(
        "--ponant",
        default="ponant",
        metavar="PROGRAM",
        help="the ponant program (default: in the folder of this Python, or on PATH)",
    )


def add_llama_server(parser: argparse.ArgumentParser) -> None:
    """Add llama-server's program."""
    parser.add_argument(
        "--llama-server", default="llama-server", metavar="PROGRAM", help="the llama-server program (default: on PATH)"
    )


def add_output(parser: argparse.ArgumentParser, text: str, option: str = "--output") -> None:
    """Add a file for the report or for a part of it."""
    parser.add_argument(option, type=Path, metavar="FILE.md", help=text)


def positive(text: str) -> int:
    """Parse an integer above 0."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def positive_list(text: str) -> list[int]:
    """Parse integers above 0, separated by commas."""
    return [positive(part) for part in text.split(",")]


def base_url(text: str) -> str:
    """Return the text if it is an http or https URL."""
    try:
        Endpoint.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def weights_file(text: str) -> Path:
    """Return the path of an existing file."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return path
