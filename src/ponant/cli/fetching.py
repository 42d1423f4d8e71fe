"""Fetching models where people see how it goes."""

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
    """The sources of those models that would have to be fetched; raises ModelNotFoundError for bad names."""
    from ponant.weights.store import find_stored, hub_name, is_hub_source

    at_hub = [model.source for model in models if is_hub_source(model.source)]
    return [source for source in at_hub if find_stored(hub_name(source), settings.data_dir / "models") is None]


def fetch_models(sources: Iterable[str], settings: "Settings") -> list[Path]:
    """The files of models at the hub, fetched if they are not here; ends the program if they cannot be had."""
    from ponant.weights.errors import ModelNotFoundError
    from ponant.weights.locate import locate

    try:
        with showing_progress() as watcher:
            return [locate(source, settings.data_dir / "models", watcher) for source in sources]
    except ModelNotFoundError as error:
        fail(str(error))
    except KeyboardInterrupt:
        click.echo("ponant: what has come is kept; ponant pull goes on with it", err=True)
        sys.exit(130)
