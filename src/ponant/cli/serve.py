"""``ponant serve``."""

import asyncio
import sys
import tomllib
from pathlib import Path
from typing import Any, NoReturn

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

BAD_USAGE = 2
"""Exit code for what the user can mend: a wrong path, a busy port, too little memory."""


def fail(message: str, code: int = BAD_USAGE) -> NoReturn:
    """End with one line that says what is wrong."""
    click.echo(f"ponant: {message}", err=True)
    sys.exit(code)


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

    MODEL is smollm2 (the bundled model, the default), a path to a .gguf file, or hf:org/repo[:file]. The first one
    answers requests that name none.

    Every setting can also come from PONANT_* variables (PONANT_PORT=9000) or from ponant.toml (port = 9000).

    \b
    Examples:
      ponant serve
      ponant serve ~/models/mistral-7b-instruct.gguf --alias mistral=mistral-7b-instruct
      ponant serve hf:org/repo:file.gguf --host 0.0.0.0 --api-key "$KEY"
    """  # noqa: D301 - click reads the backspace as "leave these lines as they are"
    import uvloop

    from ponant.catalog.store import ModelNotFoundError
    from ponant.engine.base import ModelLoadError
    from ponant.logs import configure_logging
    from ponant.server.run import PortError, run
    from ponant.settings import read_settings
    from ponant.storage.errors import StorageError

    given = {name: value for name, value in flags.items() if value not in (None, (), [])}
    if models:
        given["models"] = list(models)
    if no_auth:
        given["auth"] = False
    configure_logging(log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(read_settings(config, **_listed(given)), say=click.echo))
    except FileNotFoundError as error:
        fail(f"there is no settings file {error}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fail(f"{config or 'ponant.toml'} is not valid TOML: {error}")
    except SettingsError as error:
        fail(f"cannot read the settings: {error}")
    except ValidationError as error:
        fail("; ".join(f"{'.'.join(map(str, reason['loc']))}: {reason['msg']}" for reason in error.errors()))
    except (ModelNotFoundError, ModelLoadError, PortError, StorageError) as error:
        fail(str(error))


def _listed(given: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
