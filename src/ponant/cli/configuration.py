"""The settings that commands read, and the models that are in them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from ponant.cli.mistakes import telling_mistakes

if TYPE_CHECKING:
    from ponant.settings import ModelSettings, Settings

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ConfiguredModel:
    """A model of the settings: what `ponant serve` takes for it, its id, other names, and its tokenizer's file."""

    source: str
    id: str
    aliases: tuple[str, ...] = ()
    tokenizer: Path | None = None


def with_settings(command: Callable[P, T]) -> Callable[P, T]:
    """Give a command the options ``config`` and ``data_dir``, which ``settings`` takes."""
    data_dir = click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        help="Folder for everything that is kept.  [default: ~/.local/share/ponant]",
    )
    config = click.option(
        "--config",
        type=click.Path(path_type=Path),
        envvar="PONANT_CONFIG",
        help="Settings file.  [default: ponant.toml, if there]",
    )
    return config(data_dir(command))


def settings(config: Path | None, data_dir: Path | None) -> "Settings":
    """The settings; ends with what is wrong with them."""
    from ponant.settings import read_settings

    with telling_mistakes(config):
        return read_settings(config, **({"data_dir": data_dir} if data_dir else {}))


def configured_models(settings: "Settings") -> list[ConfiguredModel]:
    """The models of the settings, the default first."""
    from ponant.catalog.store import model_id

    def configured(model: "ModelSettings") -> ConfiguredModel:
        name = model.id or model_id(model.source)
        named = (alias for alias, target in settings.aliases.items() if target in (model.source, name))
        return ConfiguredModel(model.source, name, (*model.aliases, *named), model.tokenizer)

    return [configured(model) for model in settings.models]
