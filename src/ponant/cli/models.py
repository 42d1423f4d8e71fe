"""``ponant models``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponant.cli.configuration import ConfiguredModel, configured_models, settings, with_settings
from ponant.engine.memory import megabytes

if TYPE_CHECKING:
    from ponant.catalog.listing import ListedModel
    from ponant.cli.running import RunningModels

_LOADED = "ready"
_WIDEST = 1000
"""Characters of a line where no terminal limits it."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
@with_settings
def models(*, as_json: bool, config: Path | None, data_dir: Path | None) -> None:
    """List the models of this machine.

    Those that come with packages, those that were pulled, and those of the settings; with their size, format, longest
    context in tokens, kind, other names, and whether a running server has them loaded. The server is asked at
    PONANT_URL, or at http://127.0.0.1:8000.
    """
    from ponant.catalog.listing import list_models
    from ponant.catalog.store import unfinished
    from ponant.cli.running import ask_running_server

    read = settings(config, data_dir)
    models_dir = read.data_dir / "models"
    configured = configured_models(read)
    listed = list_models({model.source: model.id for model in configured}, models_dir)
    server = ask_running_server()
    rows = [_row(model, server, configured) for model in listed] + _others(listed, server)
    parts = unfinished(models_dir)
    if as_json:
        document = {"server": server.url if server else None, "models": rows, "unfinished": parts}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    _print(rows, server)
    for row in rows:
        if row["problem"]:
            click.echo(f"{row['id']}: {row['problem']}")
    for repository, size in parts.items():
        click.echo(
            f"hf:{repository} has not come whole, {megabytes(size)} are here: ponant pull goes on, ponant rm removes it"
        )


def _row(model: "ListedModel", server: "RunningModels | None", configured: Sequence[ConfiguredModel]) -> dict[str, Any]:
    """A model as a script wants it."""
    state = server.states.get(model.id) if server else None
    named = [alias for one in configured if one.source == model.source for alias in one.aliases]
    return {
        "id": model.id,
        "source": model.source,
        "path": str(model.path) if model.path else None,
        "size": model.size,
        "format": model.quantization,
        "context": model.context,
        "kind": model.kind,
        "aliases": sorted({*named, *(server.aliases.get(model.id, []) if server else [])}),
        "loaded": state == _LOADED if server else None,
        "state": state,
        "problem": model.problem,
    }


def _others(listed: Sequence["ListedModel"], server: "RunningModels | None") -> list[dict[str, Any]]:
    """What the server has beside the models that are known here."""
    known = {model.id for model in listed}
    return [
        {
            "id": name,
            "source": None,
            "path": None,
            "size": None,
            "format": None,
            "context": server.contexts.get(name),
            "kind": None,
            "aliases": server.aliases.get(name, []),
            "loaded": state == _LOADED,
            "state": state,
            "problem": None,
        }
        for name, state in (server.states.items() if server else ())
        if server and name not in known
    ]


def _print(rows: Sequence[dict[str, Any]], server: "RunningModels | None") -> None:
    """A table, as wide as the terminal at the most."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
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
            _loaded(row, server),
            ", ".join(row["aliases"]) or "-",
        )
    with console.capture() as capture:
        console.print(table)
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))


def _loaded(row: dict[str, Any], server: "RunningModels | None") -> str:
    if server is None:
        return "no server"
    return "yes" if row["loaded"] else row["state"] or "no"
