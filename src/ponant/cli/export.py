"""``ponant export``."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ponant.cli.configuration import find_model, settings, with_settings
from ponant.cli.errors import fail
from ponant.errors import missing_extra
from ponant.sizes import megabytes

if TYPE_CHECKING:
    from ponant.settings import Settings
    from ponant.storage.tables import FineTunedModelRow
    from ponant.training.merge import WeightType

_FORMATS = ("f16", "q8_0")


@click.command()
@click.argument("model")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write.  [default: named after MODEL, in the working directory]",
)
@click.option(
    "--weights",
    type=click.Choice(_FORMATS),
    default="f16",
    show_default=True,
    help="Number format of the weights: f16 (most precise) or q8_0 (half the size).",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@with_settings
def export(
    *, model: str, output: Path | None, weights: "WeightType", force: bool, config: Path | None, data_dir: Path | None
) -> None:
    """Export the fine-tuned MODEL as one GGUF file.

    MODEL is an id from `ponant models`, such as ft:smollm2:... . The adapter is merged into the weights of the base
    model, so that Ponant and other programs can run the file by itself. The base model must be on this machine. A
    server may be running.

    \b
    Examples:
      ponant export ft:smollm2:poems:20261121:1a2b3c4d
      ponant export ft:smollm2:poems:20261121:1a2b3c4d -o poems.gguf --weights q8_0
      ponant serve poems.gguf
    """  # noqa: D301 - the backspace stops click from rewrapping
    try:
        from ponant.training.merge import merge
    except ImportError as error:
        fail(f"export is not installed ({error.name} is missing): {missing_extra('finetune')}")
    from ponant.training.errors import ExportError
    from ponant.weights.errors import ModelNotFoundError

    read = settings(config, data_dir)
    found, adapter = _find(model, read)
    target = output or Path(f"{model.removeprefix('ft:').replace(':', '-').replace('/', '-')}-{weights}.gguf")
    if target.exists() and not force:
        fail(f"{target} exists already; --force overwrites it, -o sets another name")
    if not target.absolute().parent.is_dir():
        fail(f"there is no folder {target.absolute().parent}")
    try:
        base = find_model(found.base, read)[1]
        if target.exists() and target.samefile(base):
            fail(f"{target} is the base model of {model}; set another name")
        with _showing_progress(target) as progress:
            merge(base, adapter, target, weights=weights, progress=progress)
    except ModelNotFoundError as error:
        fail(f"the base model of {model}, {found.base}, must be one of the models of the settings: {error}")
    except ExportError as error:
        fail(str(error))
    except OSError as error:
        reason = error.strerror or "the disk is full"  # numpy's error has no strerror
        fail(f"cannot write {target}: {reason}", code=1)
    click.echo(f"{target} ({megabytes(target.stat().st_size)})")


def _find(model: str, read: "Settings") -> tuple["FineTunedModelRow", Path]:
    """Return a fine-tuned model and its adapter file. Exit with an error message if there is none."""
    from ponant.storage.errors import StorageError
    from ponant.storage.location import has_storage
    from ponant.storage.storage import Storage

    models: dict[str, tuple[FineTunedModelRow, Path]] = {}
    if has_storage(read.data_dir, read.database_url):
        try:
            with closing(Storage.open(read.data_dir, read.database_url)) as storage:
                models = {one.id: (one, storage.fine_tuned.adapter(one)) for one in storage.fine_tuned.all_now()}
        except StorageError as error:
            fail(str(error))
    if model not in models:
        known = f"there is {', '.join(models)}" if models else f"there are none in {read.data_dir}"
        fail(f"there is no fine-tuned model {model}; {known}")
    if not models[model][1].is_file():
        fail(f"the adapter file of {model} is missing: {models[model][1]}")
    return models[model]


@contextlib.contextmanager
def _showing_progress(target: Path) -> "Iterator[Callable[[int, int], None]]":
    """Show a progress bar in a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task(f"Writing {target.name}")
        yield lambda done, total: bars.update(task, completed=done, total=total)
