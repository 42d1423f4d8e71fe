"""How mistakes end commands: one line on standard error, and an exit code."""

import contextlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

BAD_USAGE = 2
"""Exit code for what the user can mend: a wrong path, a busy port, too little memory."""


def fail(message: str, code: int = BAD_USAGE) -> NoReturn:
    """End with one line that says what is wrong."""
    click.echo(f"ponant: {message}", err=True)
    sys.exit(code)


@contextlib.contextmanager
def exit_on_bad_settings(config: Path | None) -> Iterator[None]:
    """End with what is wrong with the settings that are read meanwhile, if something is."""
    # Libraries that commands without settings do without.
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    try:
        yield
    except FileNotFoundError as error:
        fail(f"there is no settings file {error}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fail(f"{config or 'ponant.toml'} is not valid TOML: {error}")
    except SettingsError as error:
        fail(f"cannot read the settings: {error}")
    except ValidationError as error:
        fail("; ".join(f"{'.'.join(map(str, reason['loc']))}: {reason['msg']}" for reason in error.errors()))
