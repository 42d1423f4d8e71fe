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
    help="File to write.  [default: named after MODEL, in this folder]",
)
@click.option(
    "--weights",
    type=click.Choice(_FORMATS),
    default="f16",
    show_default=True,
    help="Number format: f16, which rounds least, or q8_0, half as large.",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@with_settings
def export(
    *, model: str, output: Path | None, weights: "WeightType", force: bool, config: Path | None, data_dir: Path | None
) -> None:
    """Write the fine-tuned MODEL as one GGUF file.

    MODEL is an id that ponant models shows, ft:smollm2:... . The file has the weights of its base with what it learned
    in them, and needs neither any more: Ponant and everything else that reads GGUF files can run it. Its base must be
    on this machine. A server may run meanwhile.

    \b
    Examples:
      ponant export ft:smollm2:poems:20261121:1a2b3c4d
      ponant export ft:smollm2:poems:20261121:1a2b3c4d -o poems.gguf --weights q8_0
      ponant serve poems.gguf
    """  # noqa: D301 - click reads the backspace as "leave these lines as they are"
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
        fail(f"{target} is there already; --force overwrites it, -o takes another name")
    if not target.absolute().parent.is_dir():
        fail(f"there is no folder {target.absolute().parent}")
    try:
        base = find_model(found.base, read)[1]
        if target.exists() and target.samefile(base):
            fail(f"{target} is the base of {model}: take another name")
        with _showing_progress(target) as progress:
            merge(base, adapter, target, weights=weights, progress=progress)
    except ModelNotFoundError as error:
        fail(f"{model} was made of {found.base}, which must be among the models of the settings: {error}")
    except ExportError as error:
        fail(str(error))
    except OSError as error:
        reason = error.strerror or "the disk is full"  # numpy, which writes the numbers, says how many it could not
        fail(f"cannot write {target}: {reason}", code=1)
    click.echo(f"{target} ({megabytes(target.stat().st_size)})")


def _find(model: str, read: "Settings") -> tuple["FineTunedModelRow", Path]:
    """A fine-tuned model and the file of its adapter; ends the program if there is none of this id."""
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
        fail(f"the file of {model} is gone: {models[model][1]}")
    return models[model]


@contextlib.contextmanager
def _showing_progress(target: Path) -> "Iterator[Callable[[int, int], None]]":
    """Shows a bar in a terminal, and nothing elsewhere, as it takes seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True)
    columns = TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        task = bars.add_task(f"Writing {target.name}")
        yield lambda done, total: bars.update(task, completed=done, total=total)
