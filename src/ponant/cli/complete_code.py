"""``ponant complete-code``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponant.cli.connection import connect, is_terminal
from ponant.cli.errors import fail
from ponant.cli.request_options import SAMPLING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ponant import Mistral


@click.command("complete-code")
@click.argument("place", metavar="FILE:LINE")
@click.option("--column", type=click.IntRange(min=1), metavar="N", help="Insert before the Nth character of the line.")
@click.option(
    "-m",
    "--model",
    help="Served model, or a source as for `ponant serve`.  [default: the server's default]",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=0),
    default=256,
    show_default=True,
    metavar="N",
    help="Longest completion in tokens.",
)
@click.option("--temperature", type=float, metavar="N", help="Sampling temperature; 0 selects the most likely token.")
@click.option("--stop", multiple=True, metavar="TEXT", help="Stop before TEXT. Repeatable.")
@click.option(
    "--server-url",
    "--url",
    metavar="URL",
    help="URL of the server.  [default: PONANT_URL, or a local server]",
)
@click.option("--local", is_flag=True, help="Run the model in this process, even if a server is running.")
def complete_code(
    *,
    place: str,
    column: int | None,
    model: str | None,
    max_tokens: int,
    temperature: float | None,
    stop: tuple[str, ...],
    server_url: str | None,
    local: bool,
) -> None:
    """Complete code at a line of a file.

    The model receives the text before and after the line. The code that it generates for the line is printed; FILE is
    not changed. With --column, the code is for a position within the line, before that column.

    Requests go to a running server, or else to a model in this process. The API key is PONANT_API_KEY or
    MISTRAL_API_KEY.

    \b
    Examples:
      ponant complete-code main.py:12
      ponant complete-code main.py:12 --column 20 --stop $'\\n'
      ponant complete-code main.py:12 --model ~/models/coder.gguf --temperature 0
    """  # noqa: D301 - the backspace stops click from rewrapping
    from ponant.cli.advice import explained
    from ponant.client.errors import ClientError

    prompt, suffix = _texts_around(place, column)
    fields: dict[str, Any] = {"prompt": prompt, "suffix": suffix, "max_tokens": max_tokens}
    if temperature is not None:
        fields["temperature"] = temperature
    if stop:
        fields["stop"] = list(stop)
    try:
        with connect(server_url, model, local=local) as connection:
            _print(_fill(connection.mistral, connection.model, fields))
    except KeyboardInterrupt:
        sys.exit(130)
    except ClientError as error:
        fail(explained(error, SAMPLING), code=1)
    except ValueError as error:
        fail(f"the code cannot be sent: {error}")


def _texts_around(place: str, column: int | None) -> tuple[str, str]:
    """Return the texts before and after a position in a file."""
    name, _, number = place.rpartition(":")
    if not (name and number.isdecimal()):
        fail(f"{place} is not of the form FILE:LINE, such as main.py:12")
    lines = _lines(Path(name))
    index = int(number) - 1
    if not 0 <= index < len(lines):
        fail(f"{name} has no line {number}; its lines are 1 to {len(lines)}")
    line = lines[index].rstrip("\r\n")
    end = lines[index][len(line) :]
    if column is not None and column > len(line) + 1:
        fail(f"line {number} of {name} has no column {column}; the last column is {len(line) + 1}")
    before, after = ("", "") if column is None else (line[: column - 1], line[column - 1 :])
    return "".join(lines[:index]) + before, after + end + "".join(lines[index + 1 :])


def _lines(file: Path) -> list[str]:
    """Return the lines with their line ends, as editors count them: a final newline starts an empty line."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            lines = list(text)
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file} is not UTF-8 text")
    return lines if lines and not lines[-1].endswith(("\r", "\n")) else [*lines, ""]


def _fill(mistral: "Mistral", model: str | None, fields: dict[str, Any]) -> "Iterator[str]":
    """Yield the completion in pieces."""
    from ponant.client.text import text_of

    finished: str | None = None
    with mistral.fim.stream(model=model, **fields) as events:
        for event in events:
            for choice in event.data.choices:
                finished = choice.finish_reason or finished
                yield text_of(choice.delta.content) or ""
    if finished == "length":
        click.echo(f"ponant: the completion ends after {fields['max_tokens']} tokens; see --max-tokens", err=True)


def _print(pieces: "Iterator[str]") -> None:
    """Print a completion unchanged; in a terminal, end it with a newline."""
    last = "\n"
    for piece in pieces:
        click.echo(piece, nl=False)
        last = piece or last
    if is_terminal(sys.stdout) and not last.endswith("\n"):
        click.echo()
