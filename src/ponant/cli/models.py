"""``ponant models``."""

import json
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from ponant.cli.configuration import ConfiguredModel, configured_models, settings, with_settings
from ponant.sizes import megabytes

if TYPE_CHECKING:
    from ponant.cli.running import RunningModels
    from ponant.settings import Settings
    from ponant.weights.listing import ListedModel

Row: TypeAlias = dict[str, Any]

_LOADED = "ready"
_WIDEST = 1000
"""Line width outside of terminals, in characters."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@with_settings
def models(*, as_json: bool, config: Path | None, data_dir: Path | None) -> None:
    """List the models on this machine.

    The list has the bundled, pulled, configured and fine-tuned models, with their size, format, context in tokens,
    kind and aliases, and their state on a running server. The server is PONANT_URL, or http://127.0.0.1:8000.
    """
    from ponant.cli.running import UnaskedServerError, ask_running_server
    from ponant.weights.listing import list_models
    from ponant.weights.store import unfinished

    read = settings(config, data_dir)
    models_dir = read.data_dir / "models"
    configured = configured_models(read)
    listed = list_models({model.source: model.id for model in configured}, models_dir)
    server, without_server = None, "no server"
    try:
        server = ask_running_server()
    except UnaskedServerError as error:
        without_server = "unknown"
        click.echo(f"ponant: {error}", err=True)
    rows = [_row(model, server, configured) for model in listed]
    rows += _fine_tuned(read, rows, server)
    rows += _others({row["id"] for row in rows}, server)
    parts = unfinished(models_dir)
    if as_json:
        document = {"server": server.url if server else None, "models": rows, "unfinished": parts}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    _print(rows, server, without_server)
    for row in rows:
        if row["problem"]:
            click.echo(f"{row['id']}: {row['problem']}")
    for repository, size in parts.items():
        click.echo(
            f"hf:{repository} is incomplete ({megabytes(size)} received): ponant pull resumes it, ponant rm removes it"
        )


def _row(model: "ListedModel", server: "RunningModels | None", configured: Sequence[ConfiguredModel]) -> Row:
    """Return the row of a model."""
    named = [alias for one in configured if one.source == model.source for alias in one.aliases]
    return _known(
        model.id,
        server,
        source=model.source,
        path=str(model.path) if model.path else None,
        size=model.size,
        format=model.quantization,
        context=model.context,
        kind=model.kind,
        aliases=sorted({*named, *(server.aliases.get(model.id, []) if server else [])}),
        problem=model.problem,
    )


def _fine_tuned(settings: "Settings", bases: Sequence[Row], server: "RunningModels | None") -> list[Row]:
    """Return the rows of the fine-tuned models in the database."""
    from ponant.storage.location import has_storage

    if not has_storage(settings.data_dir, settings.database_url):
        return []
    from ponant.storage.errors import StorageError
    from ponant.storage.storage import Storage

    try:
        with closing(Storage.open(settings.data_dir, settings.database_url)) as storage:
            found = [(model, storage.fine_tuned.adapter(model)) for model in storage.fine_tuned.all_now()]
    except StorageError as error:
        click.echo(f"ponant: fine-tuned models are not listed: {error}", err=True)
        return []
    by_id = {row["id"]: row for row in bases}
    return [
        _known(
            model.id,
            server,
            path=str(adapter),
            size=adapter.stat().st_size if adapter.is_file() else None,
            format="LoRA",
            context=by_id.get(model.base, {}).get("context"),
            kind=by_id.get(model.base, {}).get("kind"),
            problem=None if adapter.is_file() else "its file is missing",
        )
        for model, adapter in found
    ]


def _others(known: Collection[str], server: "RunningModels | None") -> list[Row]:
    """Return the rows of the server's models that are not on this machine."""
    if server is None:
        return []
    return [_known(name, server, aliases=server.aliases.get(name, [])) for name in server.states if name not in known]


def _known(name: str, server: "RunningModels | None", **known: Any) -> Row:
    """Return a row with the given cells, those that only the server has, and the state on the server."""
    state = server.states.get(name) if server else None
    unknown = dict.fromkeys(("source", "path", "size", "format", "context", "kind"))
    rest: Row = {"aliases": [], "loaded": state == _LOADED if server else None, "state": state, "problem": None}
    row = {"id": name} | unknown | rest | known
    if server:
        served = {"format": server.formats, "context": server.contexts, "kind": server.kinds}
        row |= {cell: values.get(name) for cell, values in served.items() if row[cell] is None}
    return row


def _print(rows: Sequence[Row], server: "RunningModels | None", without_server: str) -> None:
    """Print a table, at most as wide as the terminal. ``without_server`` is the state of models without a server."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDEST
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("id", "size", "format", "context", "kind", "loaded", "aliases"):
        table.add_column(title, justify="right" if title in ("size", "context") else "left", overflow="fold")
    for row in rows:
        table.add_row(
            row["id"],
            "-" if row["size"] is None else megabytes(row["size"]),
            row["format"] or "-",
            "-" if row["context"] is None else str(row["context"]),
            row["kind"] or "-",
            _loaded(row) if server else without_server,
            ", ".join(row["aliases"]) or "-",
        )
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _loaded(row: Row) -> str:
    return "yes" if row["loaded"] else row["state"] or "no"
