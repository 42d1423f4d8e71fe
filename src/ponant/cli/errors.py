"""Errors of commands: one line on stderr and an exit code."""

import contextlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

BAD_USAGE = 2
"""Exit code of errors that the user can fix: a wrong path, a busy port, too little memory."""


def fail(message: str, code: int = BAD_USAGE) -> NoReturn:
    """Print an error message and exit."""
    click.echo(f"ponant: {message}", err=True)
    sys.exit(code)


@contextlib.contextmanager
def exit_on_bad_settings(config: Path | None) -> Iterator[None]:
    """Exit with an error message if the settings that are read in the block are invalid."""
    # Imported here: commands without settings do not need these libraries.
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from ponant.settings import describe_errors

    try:
        yield
    except FileNotFoundError as error:
        fail(f"the settings file {error} does not exist")
    except OSError as error:
        fail(f"the settings file {config or 'ponant.toml'} cannot be read: {error.strerror or error}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        fail(f"{config or 'ponant.toml'} is not valid TOML: {error}")
    except SettingsError as error:
        fail(f"cannot read the settings: {error}")
    except ValidationError as error:
        fail(describe_errors(error))
