"""The settings of commands, and the models in them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from ponant.cli.errors import exit_on_bad_settings

if TYPE_CHECKING:
    from ponant.model_settings import ModelSettings
    from ponant.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConfiguredModel:
    """A model of the settings: its source, id, aliases and tokenizer file."""

    source: str
    id: str
    aliases: tuple[str, ...] = ()
    tokenizer: Path | None = None


def with_settings(command: Callable[P, T]) -> Callable[P, T]:
    """Add the options ``config`` and ``data_dir`` to a command."""
    data_dir = click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="Folder for all data.  [default: ~/.local/share/ponant]",
    )
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="PONANT_CONFIG",
        help="Settings file.  [default: ponant.toml, if it exists]",
    )
    return config(data_dir(command))


def settings(config: Path | None, data_dir: Path | None) -> "Settings":
    """Read the settings. Exit with an error message if they are invalid."""
    from ponant.settings import read_settings

    with exit_on_bad_settings(config):
        return read_settings(config, **({"data_dir": data_dir} if data_dir else {}))


def configured_models(settings: "Settings") -> list[ConfiguredModel]:
    """Return the models of the settings, the default model first."""
    from ponant.weights.store import model_id

    def configured(model: "ModelSettings") -> ConfiguredModel:
        name = model.id or model_id(model.source)
        named = (alias for alias, target in settings.aliases.items() if target in (model.source, name))
        return ConfiguredModel(model.source, name, (*model.aliases, *named), model.tokenizer)

    return [configured(model) for model in settings.models]


def find_model(model: str, read: "Settings") -> tuple[ConfiguredModel, Path]:
    """Return a model and its file. Nothing is downloaded.

    Args:
        model: id or alias of a model of the settings, or a source as for `ponant serve`.
        read: the settings.

    Raises:
        ModelNotFoundError: the model is not on this machine.
    """
    from ponant.weights.errors import ModelNotFoundError
    from ponant.weights.locate import locate
    from ponant.weights.store import find_stored, hub_name, is_hub_source, is_repository, model_id

    models_dir = read.data_dir / "models"
    of_settings = [one for one in configured_models(read) if model in (one.id, one.source, *one.aliases)]
    source = of_settings[0].source if of_settings else model
    repository, colon, _ = source.partition(":")
    if is_hub_source(source) or (is_repository(repository) and (colon or not source.endswith(".gguf"))):
        name = hub_name(source)
        source, path = str(name), find_stored(name, models_dir)
        if path is None:
            raise ModelNotFoundError(f"{name} is not on this machine; ponant pull {name} downloads it")
    else:
        path = locate(source, models_dir)
    return of_settings[0] if of_settings else ConfiguredModel(source, model_id(source)), path
