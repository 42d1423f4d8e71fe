"""Base weights for training: dequantised from the served GGUF file once, or from a Hugging Face folder."""

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
from ponant.private_files import check_file, make_folder, open_file
from ponant.training.errors import TrainingError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]

_BYTES = 4
"""Bytes per weight in the copy."""
_SPARE_DISK = 256 * 2**20
_LEAST_BITS = 4
"""Fewest bits per weight in a GGUF file that can be trained, for an upper bound of the copy's size."""
_PART = ".part-"
"""Prefix of incomplete folders."""


def load_base(model: Path, cache: Path, *, dtype: torch.dtype, weights: Path | None = None) -> "PreTrainedModel":
    """Load the base model, on the CPU.

    Args:
        model: GGUF file of the model.
        cache: folder for copies of weights from GGUF files, named by the digests of the files.
        dtype: number format of the weights.
        weights: Hugging Face folder to use instead of the GGUF file.

    Raises:
        TrainingError: the weights cannot be read, or the disk has no room for the copy.
    """
    folder = weights or _cached(model, cache)
    try:
        for path in folder.iterdir():
            if not path.is_dir():
                check_file(path)
        base: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, local_files_only=True, attn_implementation="sdpa"
        )
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError) as error:
        raise _unreadable(folder, error) from error
    base.config.use_cache = False
    return base


def _cached(model: Path, cache: Path) -> Path:
    """Return the folder with the weights of a GGUF file in float32; create it if necessary."""
    try:
        with open_file(model, "rb") as file:
            name = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except OSError as error:
        raise _unreadable(model, error) from error
    folder = cache / f"{model.stem}-{name}"
    if folder.is_dir():
        return folder
    make_folder(cache)
    with open_file(cache / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():  # another process may have created it meanwhile
            _fill(folder, model)
    return folder


def _fill(folder: Path, model: Path) -> None:
    """Create the folder with the weights of a file. The caller holds the lock of the cache."""
    cache = folder.parent
    for left in cache.glob(f"{_PART}*"):  # left by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    needed = model.stat().st_size * 8 * _BYTES // _LEAST_BITS + _SPARE_DISK
    if shutil.disk_usage(cache).free < needed:
        raise TrainingError(
            "no_disk_space",
            f"reading {model.name} needs up to {needed // 2**20} MiB in {cache}. Free some space and retry",
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
    # The weights are dequantised, but transformers still marks the model as quantised and would not save it.
    base.hf_quantizer = None
    if hasattr(base.config, "quantization_config"):
        del base.config.quantization_config
    base.save_pretrained(folder)


def _unreadable(path: Path, error: Exception) -> TrainingError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return TrainingError("bad_base_model", f"the weights of {path.name} cannot be trained on: {reason}")
