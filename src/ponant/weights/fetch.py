"""Downloads of weights from the Hugging Face hub to the models folder."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from ponant.private_files import make_folder
from ponant.weights.attempts import DownloadError, RefusedError, Watcher
from ponant.weights.download import Download, check_disk_space, fetch_file
from ponant.weights.errors import ModelNotFoundError
from ponant.weights.file_names import NoSuchWeightsError, Weights, choose, whole_weights
from ponant.weights.hub import Hub, HubError, HubFile
from ponant.weights.store import HubName, find_stored, locked_repository

_GATED = (401, 403)
_TOKENIZER = re.compile(r"tekken\.json|tokenizer\.model\.v\d+(m\d+)?")
"""Names of Mistral's tokenizer files, which are stored in the folder of the weights."""


def fetch(name: HubName, models_dir: Path, watcher: Watcher) -> Path:
    """Download weights, and Mistral's tokenizer files of the same repository, unless they are stored already.

    Interrupted downloads are resumed. A file gets its name only when it is complete.

    Raises:
        ModelNotFoundError: the download failed.
    """
    try:
        make_folder(models_dir)
        with locked_repository(name.repository, models_dir, watcher):
            return find_stored(name, models_dir) or _fetch(name, models_dir, watcher)
    except (HubError, DownloadError) as error:
        raise ModelNotFoundError(
            f"{name} is not on this machine and cannot be downloaded: {error} (to retry: ponant pull {name})"
        ) from error
    except OSError as error:
        raise ModelNotFoundError(f"{name} cannot be stored in {models_dir}: {error.strerror or error}") from error


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
        check_disk_space(models_dir, sum(download.missing_bytes() for download in downloads))
        try:
            for download in downloads:
                fetch_file(download, hub.client, watcher)
        except RefusedError as error:
            raise (HubError(hub.gate(name.repository)) if error.status in _GATED else error) from error
    return target


def _download(file: HubFile, target: Path) -> Download:
    return Download(file.url, target, file.size, file.checksum)


def _tokenizers(listed: Mapping[str, HubFile], weights: Weights) -> dict[str, HubFile]:
    """Return the tokenizer files by name, from the folder of the weights or else the root of the repository."""
    found: dict[str, HubFile] = {}
    for folder in (PurePosixPath(), PurePosixPath(weights.first).parent):
        for path, file in listed.items():
            name = PurePosixPath(path).name
            if PurePosixPath(path).parent == folder and _TOKENIZER.fullmatch(name):
                found[name] = file
    return found
