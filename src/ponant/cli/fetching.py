"""Downloads of models, with their progress on stderr."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ponant.cli.configuration import ConfiguredModel
from ponant.cli.errors import fail
from ponant.cli.progress import showing_progress

if TYPE_CHECKING:
    from ponant.settings import Settings


def missing_models(models: Iterable[ConfiguredModel], settings: "Settings") -> list[str]:
    """Return the sources of the models to download. Raises ModelNotFoundError for malformed names."""
    from ponant.weights.store import find_stored, hub_name, is_hub_source

    at_hub = [model.source for model in models if is_hub_source(model.source)]
    return [source for source in at_hub if find_stored(hub_name(source), settings.data_dir / "models") is None]


def fetch_models(sources: Iterable[str], settings: "Settings") -> list[Path]:
    """Return the files of models, downloaded if necessary. Exit with an error message on failure."""
    from ponant.weights.errors import ModelNotFoundError
    from ponant.weights.locate import locate

    try:
        with showing_progress() as watcher:
            return [locate(source, settings.data_dir / "models", watcher) for source in sources]
    except ModelNotFoundError as error:
        fail(str(error))
    except KeyboardInterrupt:
        click.echo("ponant: received data is kept; ponant pull resumes the download", err=True)
        sys.exit(130)
