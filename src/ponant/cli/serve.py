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
            raise click.BadParameter(f"{name}{equals}{model} is not of the form NAME=MODEL")
    return {name: model for name, _, model in pairs} or None


@click.command()
@click.argument("models", nargs=-1, metavar="[MODEL]...")
@click.option("--host", help="Address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on.  [default: 8000]")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="PONANT_CONFIG",
    help="Settings file.  [default: ponant.toml, if it exists]",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="Folder for all data.  [default: ~/.local/share/ponant]",
)
@click.option(
    "--context",
    type=int,
    metavar="N",
    help="Longest sequence in tokens.  [default: the model's own, limited by memory]",
)
@click.option(
    "--kv-memory",
    metavar="SIZE",
    help="Memory for the KV cache, such as 2GB.  [default: chosen from the model and the memory]",
)
@click.option("--parallel", type=int, metavar="N", help="Sequences that run at once; further ones wait.  [default: 16]")
@click.option("--threads", type=int, metavar="N", help="Compute threads.  [default: the number of physical cores]")
@click.option(
    "--devices",
    metavar="NAMES",
    help="Devices that compute, separated by commas, as `ponant doctor` names them; none for the processor alone.  "
    "[default: all GPUs]",
)
@click.option(
    "--gpu-layers",
    type=int,
    metavar="N",
    help="Layers on the devices, counted from the last one.  [default: as many as fit]",
)
@click.option(
    "--alias",
    "aliases",
    multiple=True,
    callback=_aliases,
    metavar="NAME=MODEL",
    help="Alias of a model. Repeatable.",
)
@click.option(
    "--api-key",
    "api_keys",
    multiple=True,
    metavar="KEY",
    help="API key that clients must send. Repeatable.  [default: none, every key is accepted]",
)
@click.option("--no-auth", is_flag=True, help="Allow listening beyond this machine without an API key.")
@click.option(
    "--deterministic",
    is_flag=True,
    default=None,
    help="Make greedy and seeded results independent of concurrent requests, at a cost in speed.",
)
@click.option(
    "--prepare-weights",
    type=click.Choice(["off", "auto", "on"]),
    help="Serve a Q8_0 copy of the weights: never, if it is measured to be faster, or always.  [default: off]",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    envvar="PONANT_LOG_LEVEL",
    help="Minimum level of log lines on stderr.",
)
def serve(config: Path | None, models: tuple[str, ...], no_auth: bool, log_level: str, **flags: Any) -> None:
    """Serve MODELs over HTTP.

    MODEL is smollm2 (the bundled model, the default), the path of a .gguf file, or hf:org/repo[:file|:quant], which is
    downloaded if necessary. The first one is the default model of requests. If none of them is an embedding model, the
    bundled multilingual-e5-small is added.

    Every setting can also be set by a PONANT_* variable (PONANT_PORT=9000) or in ponant.toml (port = 9000).

    \b
    Examples:
      ponant serve
      ponant serve ~/models/mistral-7b-instruct.gguf --alias mistral=mistral-7b-instruct
      ponant serve hf:org/repo:file.gguf --host 0.0.0.0 --api-key "$KEY"
    """  # noqa: D301 - the backspace stops click from rewrapping
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

    # The imports take a second, so invalid settings are reported before them. Garbage collection would add a tenth.
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
    """Download missing models, with their progress, after checking that the port is free."""
    from ponant.server.run import listen

    missing = missing_models(configured_models(settings), settings)
    if missing:
        listen(settings).close()
        fetch_models(missing, settings)


def _listed(given: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
