"""The models folder: names and files of weights from the Hugging Face hub.

The layout of a repository is that of the hub, ``hf/org/repo/file.gguf``, with a ``.part`` file for an incomplete
download. The layout of huggingface_hub, ``models--org--repo/snapshots/*/file.gguf``, is read too.
"""

import contextlib
import fcntl
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ponant.private_files import make_folder, open_file
from ponant.weights.bundled import BUNDLED
from ponant.weights.errors import ModelNotFoundError
from ponant.weights.file_names import AmbiguousWeightsError, NoSuchWeightsError, Weights, choose, whole_weights

if TYPE_CHECKING:
    from ponant.weights.attempts import Watcher

_HUB = "hf:"
_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]*/[A-Za-z0-9_][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class HubName:
    """A name at the hub: a repository, and a file or quantisation; empty for the preferred quantisation."""

    repository: str
    wanted: str = ""

    def __str__(self) -> str:
        return f"{_HUB}{self.repository}:{self.wanted}" if self.wanted else f"{_HUB}{self.repository}"


@dataclass(frozen=True, slots=True)
class StoredModel:
    """Weights in the models folder, with their repository and the folder of their files."""

    repository: str
    folder: Path
    weights: Weights

    @property
    def path(self) -> Path:
        """File that llama.cpp opens."""
        return self.folder / self.weights.first

    @property
    def files(self) -> list[Path]:
        """All files of the weights."""
        return [self.folder / file for file in self.weights.files]

    @property
    def source(self) -> HubName:
        """Unambiguous name of the weights."""
        return HubName(self.repository, self.weights.first)


def model_id(source: str) -> str:
    """Return the default id of a source: the name of its file or repository."""
    if source == BUNDLED:
        return BUNDLED
    if is_hub_source(source):
        return source.removeprefix(_HUB).split(":")[0]
    return Path(source).stem


def is_hub_source(source: str) -> bool:
    """Return True if a source is at the hub."""
    return source.startswith(_HUB)


def is_repository(name: str) -> bool:
    """Return True if a name has the form of a repository: ``org/repo``."""
    return _REPOSITORY.fullmatch(name) is not None


def hub_name(source: str) -> HubName:
    """Parse ``hf:org/repo``, ``hf:org/repo:file.gguf`` or ``hf:org/repo:Q8_0``. The prefix ``hf:`` is optional.

    Raises:
        ModelNotFoundError: the name has another form.
    """
    repository, _, wanted = source.removeprefix(_HUB).partition(":")
    if not is_repository(repository):
        raise ModelNotFoundError(
            f"{source}: a model at the hub is named hf:org/repo, hf:org/repo:Q8_0 or hf:org/repo:file.gguf"
        )
    return HubName(repository, wanted)


def find_stored(name: HubName, models_dir: Path) -> Path | None:
    """Return the file of stored weights; None if they are not stored.

    Raises:
        ModelNotFoundError: the name is ambiguous.
    """
    found: dict[Weights, StoredModel] = {}
    for model in stored_models(models_dir):
        if model.repository == name.repository:
            found.setdefault(model.weights, model)
    try:
        return found[choose(found, name.wanted)].path
    except AmbiguousWeightsError as error:
        raise ModelNotFoundError(f"{name}: {models_dir} has {error}") from None
    except NoSuchWeightsError:
        return None


def stored_models(models_dir: Path) -> list[StoredModel]:
    """Return all complete weights in the models folder, sorted by repository and file."""
    found: list[StoredModel] = []
    for repository, folder in _repositories(models_dir):
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.gguf") if path.is_file()]
        found += [StoredModel(repository, folder, weights) for weights in whole_weights(files)]
    return sorted(found, key=lambda model: (model.repository, model.weights.first))


def unfinished(models_dir: Path) -> dict[str, int]:
    """Return the repositories with incomplete downloads, and the bytes received of each."""
    sizes: dict[str, int] = {}
    for repository, folder in _repositories(models_dir):
        for part in folder.rglob("*.part"):
            sizes[repository] = sizes.get(repository, 0) + part.stat().st_size
    return sizes


@contextlib.contextmanager
def locked_repository(repository: str, models_dir: Path, watcher: "Watcher") -> Iterator[None]:
    """Hold the lock of a repository. Only one process at a time changes its files."""
    locks = models_dir / ".locks"
    make_folder(locks)
    with open_file(locks / f"{repository.replace('/', '--')}.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            watcher.say(f"Waiting for another process that uses {repository}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def folders_of(repository: str, models_dir: Path) -> list[Path]:
    """Return the existing folders of a repository."""
    folders = [models_dir / "hf" / repository, models_dir / f"models--{repository.replace('/', '--')}"]
    return [folder for folder in folders if folder.is_dir()]


def _repositories(models_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield each stored repository with the folder of its files."""
    for folder in sorted(models_dir.glob("hf/*/*/")):
        yield f"{folder.parent.name}/{folder.name}", folder
    for folder in sorted(models_dir.glob("models--*--*/snapshots/*/")):
        organization, _, name = folder.parents[1].name.removeprefix("models--").partition("--")
        yield f"{organization}/{name}", folder
