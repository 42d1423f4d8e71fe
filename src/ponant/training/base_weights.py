"""The weights that are trained on: those of the served GGUF file, read once, or those of a Hugging Face folder."""

import fcntl
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from ponant.errors import missing_extra
from ponant.training.errors import TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]

_BYTES = 4
"""Of a number in the copy."""
_SPARE_DISK = 256 * 2**20
_LEAST_BITS = 4
"""Of a number in a GGUF file, as far as those that can be trained on have them: for the size of the copy."""
_PART = ".part-"
"""What the names of folders begin with that are not whole yet."""


def load_base(model: Path, cache: Path, *, dtype: torch.dtype, weights: Path | None = None) -> "PreTrainedModel":
    """The model to train on, on the CPU.

    Args:
        model: its GGUF file.
        cache: folder for what is read from GGUF files. A file is known by its content.
        dtype: of the weights.
        weights: Hugging Face folder in the place of the GGUF file.

    Raises:
        TrainingError: it cannot be read, or there is no room for the copy.
    """
    folder = weights or _cached(model, cache)
    try:
        base: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise _unreadable(folder, error) from error
    base.config.use_cache = False
    return base


def _cached(model: Path, cache: Path) -> Path:
    """The folder with the weights of a GGUF file in single precision, which is made if it is not there."""
    try:
        with model.open("rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise _unreadable(model, error) from error
    folder = cache / f"{model.stem}-{name}"
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():  # or else another process has just made it
            _fill(folder, model)
    return folder


def _fill(folder: Path, model: Path) -> None:
    """Make the folder with a file's weights. Nobody else does so meanwhile."""
    cache = folder.parent
    for left in cache.glob(f"{_PART}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    needed = model.stat().st_size * 8 * _BYTES // _LEAST_BITS + _SPARE_DISK
    if shutil.disk_usage(cache).free < needed:
        raise TrainingError(
            "no_disk_space", f"reading {model.name} takes up to {needed // 2**20} MiB in {cache}: free some, and retry"
        )
    with tempfile.TemporaryDirectory(prefix=_PART, dir=cache) as part:
        _dequantize(model, Path(part))
        Path(part).rename(folder)
        Path(part).mkdir()  # for the context to remove


def _dequantize(model: Path, folder: Path) -> None:
    try:
        base: Any = AutoModelForCausalLM.from_pretrained(
            str(model.parent), gguf_file=model.name, dtype=torch.float32, local_files_only=True
        )
    except ImportError as error:
        raise TrainingError(
            "missing_package", f"a package that reads GGUF files is missing ({error}): {missing_extra('finetune')}"
        ) from error
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, NotImplementedError) as error:
        raise _unreadable(model, error) from error
    # Nothing of the file's format is left in the weights, but transformers keeps it in mind and would not save them.
    base.hf_quantizer = None
    if hasattr(base.config, "quantization_config"):
        del base.config.quantization_config
    base.save_pretrained(folder)


def _unreadable(path: Path, error: Exception) -> TrainingError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return TrainingError("bad_base_model", f"the weights of {path.name} cannot be trained on: {reason}")
