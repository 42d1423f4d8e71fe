"""``ponant chat``."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponant.cli.connection import connect, is_terminal
from ponant.cli.errors import fail

if TYPE_CHECKING:
    from ponant.cli.chat_session import ChatSession


@click.command()
@click.argument("question", required=False)
@click.option("-m", "--model", help="Name of the model, or as for `ponant serve`.  [default: the server's own]")
@click.option("-s", "--system", metavar="TEXT", help="Instructions above the conversation.")
@click.option("--temperature", type=float, metavar="N", help="How varied answers are; 0 for the likeliest alone.")
@click.option("--top-p", type=float, metavar="N", help="Draw from so much of the probability.")
@click.option("--max-tokens", type=int, metavar="N", help="Longest answer, in tokens.")
@click.option("--seed", "random_seed", type=int, metavar="N", help="Seed with which answers repeat.")
@click.option(
    "--json-schema",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Answer in JSON that satisfies the schema in FILE.",
)
@click.option("--server-url", metavar="URL", help="Address of the server.  [default: PONANT_URL, or look for one]")
@click.option("--local", is_flag=True, help="Run the model in this process, even if there is a server.")
def chat(
    *,
    question: str | None,
    model: str | None,
    system: str | None,
    json_schema: Path | None,
    server_url: str | None,
    local: bool,
    **sampling: Any,
) -> None:
    """Talk to a model, or ask one QUESTION.

    A running server answers, or else a model in this process. The server's key comes from PONANT_API_KEY or
    MISTRAL_API_KEY. What is piped in becomes part of the question. Answers to pipes are plain text.

    \b
    Examples:
      ponant chat
      ponant chat "Who is the best French painter?"
      git diff | ponant chat "Write a commit message for this."
    """  # noqa: D301 - click reads the backspace as "leave these lines as they are"
    from ponant.cli.chat_session import ChatSession
    from ponant.client.errors import ClientError

    question = _with_piped(question)
    if question is None and not is_terminal(sys.stdin):
        fail("there is no question: give one, or pipe one in")
    fields = {name: value for name, value in sampling.items() if value is not None}
    if json_schema:
        fields["response_format"] = _response_format(json_schema)
    try:
        with connect(server_url, model, local=local) as connection:
            session = ChatSession(connection.mistral, connection.model, system, fields)
            if question is None:
                _talk(session)
            else:
                _answer(session, question, plain=json_schema is not None or not is_terminal(sys.stdout))
    except KeyboardInterrupt:
        sys.exit(130)
    except ClientError as error:
        fail(str(error), code=1)
    except ValueError as error:
        fail(f"the question cannot be sent: {error}")


def _with_piped(question: str | None) -> str | None:
    """The question, with what is piped in."""
    piped = ""
    if sys.stdin and not sys.stdin.isatty():
        try:
            piped = sys.stdin.buffer.read().decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            fail("what is piped in is no text in UTF-8")
    return "\n\n".join(part for part in (question, piped) if part) or None


def _response_format(file: Path) -> dict[str, Any]:
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        fail(f"{file} is no JSON: {error}")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _answer(session: "ChatSession", question: str, *, plain: bool) -> None:
    """Answer one question."""
    pieces = session.ask(question)
    if not plain:
        from rich.console import Console

        from ponant.cli.terminal import show_markdown

        show_markdown(pieces, Console())
        return
    last = ""
    for piece in pieces:
        click.echo(piece, nl=False)
        last = piece
    if not last.endswith("\n"):
        click.echo()


def _talk(session: "ChatSession") -> None:
    """Answer questions from the keyboard."""
    from rich.console import Console

    from ponant.cli.dialogue import Dialogue
    from ponant.settings import default_data_dir

    Dialogue(session, Console(), default_data_dir() / "chat-history").run()
