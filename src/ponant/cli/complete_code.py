"""``ponant complete-code``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponant.cli.connection import connect, is_terminal
from ponant.cli.errors import fail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ponant import Mistral


@click.command("complete-code")
@click.argument("place", metavar="FILE:LINE")
@click.option("--column", type=click.IntRange(min=1), metavar="N", help="Fill in before the Nth character of the line.")
@click.option("-m", "--model", help="Name of the model, or as for `ponant serve`.  [default: the server's own]")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=0),
    default=256,
    show_default=True,
    metavar="N",
    help="Longest filling, in tokens.",
)
@click.option("--temperature", type=float, metavar="N", help="How varied fillings are; 0 for the likeliest alone.")
@click.option("--stop", multiple=True, metavar="TEXT", help="End the filling before TEXT. Repeatable.")
@click.option(
    "--server-url", "--url", metavar="URL", help="Address of the server.  [default: PONANT_URL, or look for one]"
)
@click.option("--local", is_flag=True, help="Run the model in this process, even if there is a server.")
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
    """Fill in code at a place in a file.

    The model reads what is before the line and what is after it, and what it writes to stand in the line's place is
    printed; FILE stays as it is. With --column the place is in the line, between what the line has before that column
    and from there on.

    A running server answers, or else a model in this process. The server's key comes from PONANT_API_KEY or
    MISTRAL_API_KEY.

    \b
    Examples:
      ponant complete-code main.py:12
      ponant complete-code main.py:12 --column 20 --stop $'\\n'
      ponant complete-code main.py:12 --model ~/models/coder.gguf --temperature 0
    """  # noqa: D301 - click reads the backspace as "leave these lines as they are"
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
        fail(str(error), code=1)
    except ValueError as error:
        fail(f"the code cannot be sent: {error}")


def _texts_around(place: str, column: int | None) -> tuple[str, str]:
    """What the file has before the place and after it."""
    name, _, number = place.rpartition(":")
    if not (name and number.isdecimal()):
        fail(f"{place} is no FILE:LINE, such as main.py:12")
    lines = _lines(Path(name))
    index = int(number) - 1
    if not 0 <= index < len(lines):
        fail(f"{name} has no line {number}; its lines are 1 to {len(lines)}")
    line = lines[index].rstrip("\r\n")
    end = lines[index][len(line) :]
    if column is not None and column > len(line) + 1:
        fail(f"line {number} of {name} has no column {column}; the one after its last character is {len(line) + 1}")
    before, after = ("", "") if column is None else (line[: column - 1], line[column - 1 :])
    return "".join(lines[:index]) + before, after + end + "".join(lines[index + 1 :])


def _lines(file: Path) -> list[str]:
    """The lines with their ends, as editors count them: after a newline there is one more, which may be empty."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            lines = list(text)
    except OSError as error:
        fail(f"cannot read {file}: {error.strerror}")
    except UnicodeDecodeError:
        fail(f"{file} is no text in UTF-8")
    return lines if lines and not lines[-1].endswith(("\r", "\n")) else [*lines, ""]


def _fill(mistral: "Mistral", model: str | None, fields: dict[str, Any]) -> "Iterator[str]":
    """The filling, in pieces as they come."""
    from ponant.client.text import text_of

    finished: str | None = None
    with mistral.fim.stream(model=model, **fields) as events:
        for event in events:
            for choice in event.data.choices:
                finished = choice.finish_reason or finished
                yield text_of(choice.delta.content) or ""
    if finished == "length":
        click.echo(f"ponant: the filling was cut off after {fields['max_tokens']} tokens; see --max-tokens", err=True)


def _print(pieces: "Iterator[str]") -> None:
    """Print a filling, exactly as it is unless people read it: a terminal's next line is to begin on a line."""
    last = "\n"
    for piece in pieces:
        click.echo(piece, nl=False)
        last = piece or last
    if is_terminal(sys.stdout) and not last.endswith("\n"):
        click.echo()
