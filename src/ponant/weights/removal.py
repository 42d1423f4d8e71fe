"""Removal of pulled weights, with their tokenizer files and prepared copies."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ponant.weights.attempts import Watcher
from ponant.weights.errors import ModelNotFoundError
from ponant.weights.file_names import NoSuchWeightsError, choose
from ponant.weights.prepare import prepared_files
from ponant.weights.store import HubName, folders_of, locked_repository, stored_models


class OutsideError(Exception):
    """A file is outside the folders whose files may be removed."""


@dataclass(frozen=True, slots=True)
class Removal:
    """The files of a model to remove. None of them may be outside ``roots``."""

    name: HubName
    files: tuple[Path, ...]
    roots: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Size of the files in bytes."""
        return sum(file.lstat().st_size for file in self.files if not file.is_symlink() and file.is_file())

    def carry_out(self, models_dir: Path, watcher: Watcher) -> int:
        """Remove the files and the folders that become empty.

        Returns:
            Number of bytes freed.

        Raises:
            OutsideError: a folder of the model is a link to a folder outside ``roots``. Nothing is removed.
            OSError: a file cannot be removed.
        """
        roots = [root.resolve() for root in self.roots]
        for file in self.files:
            if not any(file.parent.resolve().is_relative_to(root) for root in roots):
                raise OutsideError(f"{file} resolves to {file.parent.resolve()}, which is outside of Ponant's folders")
        with locked_repository(self.name.repository, models_dir, watcher):
            size = self.size
            for file in self.files:
                file.unlink(missing_ok=True)
            for folder in folders_of(self.name.repository, models_dir):
                _remove_empty(folder)
                if folder.parent != models_dir and not any(folder.parent.iterdir()):
                    folder.parent.rmdir()
        return size


def plan_removal(name: HubName, models_dir: Path, prepared_dir: Path) -> Removal:
    """Return the removal of weights and of their prepared copies.

    The removal of the last weights of a repository includes all other files of the repository.

    Raises:
        ModelNotFoundError: the weights are not stored.
    """
    stored = [model for model in stored_models(models_dir) if model.repository == name.repository]
    folders = folders_of(name.repository, models_dir)
    if not folders:
        raise ModelNotFoundError(f"{name} is not in {models_dir}; ponant models shows what is")
    chosen = stored
    if name.wanted:
        try:
            weights = choose({model.weights for model in stored}, name.wanted)
        except NoSuchWeightsError as error:
            raise ModelNotFoundError(f"{name}: {models_dir} has {error}") from None
        chosen = [model for model in stored if model.weights == weights]
    copies = [copy for model in chosen for copy in prepared_files(prepared_dir, model.path)]
    if len(chosen) == len(stored):
        files = [file for folder in folders for file in _files(folder)]
    else:
        files = [part for model in chosen for file in model.files for part in _with_blob(file, folders)]
    return Removal(name, tuple(dict.fromkeys([*files, *copies])), (models_dir, prepared_dir))


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files and links below a folder, without following links."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _files(path)
        else:
            yield path


def _with_blob(file: Path, folders: list[Path]) -> Iterator[Path]:
    """Yield a file, and its target if it is a link to a blob that huggingface_hub keeps in the same folder."""
    yield file
    target = file.resolve()
    if file.is_symlink() and any(target.is_relative_to(folder.resolve()) for folder in folders):
        yield target


def _remove_empty(folder: Path) -> None:
    """Remove a folder and its subfolders if they are empty."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _remove_empty(path)
    if not any(folder.iterdir()):
        folder.rmdir()
