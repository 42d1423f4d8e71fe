"""``ponant chat``."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponant.cli.connection import connect, is_terminal
from ponant.cli.errors import fail
from ponant.cli.request_options import CHAT

if TYPE_CHECKING:
    from ponant.cli.chat_session import ChatSession


@click.command()
@click.argument("question", required=False)
@click.option(
    "-m",
    "--model",
    help="Served model, or a source as for `ponant serve`.  [default: the server's default]",
)
@click.option("-s", "--system", metavar="TEXT", help="System prompt of the conversation.")
@click.option("--temperature", type=float, metavar="N", help="Sampling temperature; 0 selects the most likely token.")
@click.option("--top-p", type=float, metavar="N", help="Nucleus sampling: total probability of the candidate tokens.")
@click.option("--max-tokens", type=int, metavar="N", help="Longest answer in tokens.")
@click.option("--seed", "random_seed", type=int, metavar="N", help="Seed for repeatable answers.")
@click.option(
    "--json-schema",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Answer in JSON that matches the schema in FILE.",
)
@click.option(
    "--server-url",
    "--url",
    metavar="URL",
    help="URL of the server.  [default: PONANT_URL, or a local server]",
)
@click.option("--local", is_flag=True, help="Run the model in this process, even if a server is running.")
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
    """Chat with a model, or ask one QUESTION.

    Requests go to a running server, or else to a model in this process. The API key is PONANT_API_KEY or
    MISTRAL_API_KEY. Piped input is appended to the question. Output to a pipe is plain text.

    \b
    Examples:
      ponant chat
      ponant chat "What is the capital of Japan?"
      git diff | ponant chat "Write a commit message for this."
    """  # noqa: D301 - the backspace stops click from rewrapping
    from ponant.cli.advice import explained
    from ponant.cli.chat_session import ChatSession
    from ponant.client.errors import ClientError

    question = _with_piped(question)
    if question is None and not is_terminal(sys.stdin):
        fail("no question: pass one as an argument or pipe it in")
    fields = {name: value for name, value in sampling.items() if value is not None}
    if json_schema:
        fields["response_format"] = _response_format(json_schema)
    try:
        with connect(server_url, model, local=local) as connection:
            session = ChatSession(connection.mistral, connection.model, system, fields)
            if question is None:
                session.check_model()
                _talk(session)
            else:
                _answer(session, question, plain=json_schema is not None or not is_terminal(sys.stdout))
    except KeyboardInterrupt:
        sys.exit(130)
    except ClientError as error:
        fail(explained(error, CHAT), code=1)
    except ValueError as error:
        fail(f"the question cannot be sent: {error}")


def _with_piped(question: str | None) -> str | None:
    """Return the question with the piped input; None if there is neither."""
    piped = ""
    if sys.stdin and not sys.stdin.isatty():
        try:
            piped = sys.stdin.buffer.read().decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            fail("the piped input is not UTF-8 text")
    return "\n\n".join(part for part in (question, piped) if part) or None


def _response_format(file: Path) -> dict[str, Any]:
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        fail(f"{file} is not JSON: {error}")
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _answer(session: "ChatSession", question: str, *, plain: bool) -> None:
    """Print the answer to one question."""
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
    """Run an interactive chat."""
    from rich.console import Console

    from ponant.cli.dialogue import Dialogue
    from ponant.settings import default_data_dir

    Dialogue(session, Console(), default_data_dir() / "chat-history").run()
