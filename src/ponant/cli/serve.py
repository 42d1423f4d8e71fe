"""``ponant serve``."""

import asyncio
import gc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponant.cli.configuration import configured_models
from ponant.cli.errors import exit_on_bad_settings, fail
from ponant.cli.fetching import fetch_models, missing_models

if TYPE_CHECKING:
    from ponant.settings import Settings


def _aliases(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, str] | None:
    pairs = [value.partition("=") for value in values]
    for name, equals, model in pairs:
        if not (name and equals and model):
            raise click.BadParameter(f"{name}{equals}{model} is not NAME=MODEL")
    return {name: model for name, _, model in pairs} or None


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on.  [default: 8000]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="PONANT_CONFIG",
    help="Settings file.  [default: ponant.toml, if there]",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder for everything that is kept.  [default: ~/.local/share/ponant]",
)
@click.option(
    "--context",
    type=int,
    metavar="N",
    help="Longest single sequence, in tokens.  [default: the model's own, capped by memory]",
)
@click.option(
    "--kv-memory",
    metavar="SIZE",
    help="KV cache that running and cached sequences share, e.g. 2GB.  [default: by model and memory]",
)
@click.option("--parallel", type=int, metavar="N", help="Sequences that run at once; others wait.  [default: 16]")
@click.option("--threads", type=int, metavar="N", help="Threads that compute.  [default: the physical cores]")
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    callback=_aliases,
    metavar="NAME=MODEL",
    help="Another name for a model. Repeatable.",
)
@click.option(
    "--api-key",
    "api_keys",
    multiple=True,
    metavar="KEY",
    help="Key that clients must send. Repeatable.  [default: none, every key is taken]",
)
@click.option("--no-auth", is_flag=True, help="Listen beyond this machine without a key.")
@click.option(
    "--deterministic",
    is_flag=True,
    default=None,
    help="Make greedy and seeded results independent of load, at a cost in speed.",
)
@click.option(
    "--prepare-weights",
    type=click.Choice(["off", "auto", "on"]),
    help="Serve a copy of the weights that computes batches faster: never, if it is faster, always.  [default: off]",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="PONANT_LOG_LEVEL",
    help="What to log on standard error.",
)
def serve(config: Path | None, models: tuple[str, ...], no_auth: bool, log_level: str, **flags: Any) -> None:
    """Serve MODELs over HTTP.

    MODEL is smollm2 (the bundled model, the default), a path to a .gguf file, or hf:org/repo[:file|:quant], which is
    fetched if it is not here. The first one answers requests that name none. If none of them embeds, the bundled
    multilingual-e5-small is served too.

    Every setting can also come from PONANT_* variables (PONANT_PORT=9000) or from ponant.toml (port = 9000).

    \b
    Examples:
      ponant serve
      ponant serve ~/models/mistral-7b-instruct.gguf --alias mistral=mistral-7b-instruct
      ponant serve hf:org/repo:file.gguf --host 0.0.0.0 --api-key "$KEY"
    """  # noqa: D301 - click reads the backspace as "leave these lines as they are"
    from ponant.logs import configure_logging
    from ponant.settings import read_settings

    given = {name: value for name, value in flags.items() if value not in (None, (), [])}
    if models:
        given["models"] = list(models)
    if no_auth:
        given["auth"] = False
    configure_logging(log_level)
    with exit_on_bad_settings(config):
        settings = read_settings(config, **_listed(given))

    # What takes a second to import waits until the settings are known to be right. Looking through it for garbage, of
    # which there is none, would take a tenth of that.
    gc.disable()
    import uvloop

    from ponant.errors import ModelLoadError
    from ponant.server.run import PortError, run
    from ponant.storage.errors import StorageError
    from ponant.weights.errors import ModelNotFoundError

    try:
        _fetch_missing(settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings, say=click.echo))
    except (ModelNotFoundError, ModelLoadError, PortError, StorageError) as error:
        fail(str(error))


def _fetch_missing(settings: "Settings") -> None:
    """Fetch what is to be served and not here, where people see how it goes, once the port is known to be free."""
    from ponant.server.run import listen

    missing = missing_models(configured_models(settings), settings)
    if missing:
        listen(settings).close()
        fetch_models(missing, settings)


def _listed(given: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
