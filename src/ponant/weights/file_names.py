"""The names of GGUF files: quantisation and parts of split weights."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_PREFERRED_QUANTIZATIONS = ("Q4_K_M", "Q8_0", "Q4_0", "Q4_1", "Q5_K_M", "Q6_K", "F16", "BF16")
_QUANTIZATION = re.compile(
    r"(?:^|[-._])((?:UD-)?I?Q\d+(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?|NVFP4)(?=$|[-._])", re.I
)
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")
_OTHER_NAMES = {"FP16": "F16", "FP32": "F32"}
_NO_WEIGHTS = ("mmproj", "imatrix")
"""Name prefixes of GGUF files that are not models: projectors and importance matrices."""


class NoSuchWeightsError(Exception):
    """No available weights match. The message lists the available ones and completes a sentence."""


class AmbiguousWeightsError(NoSuchWeightsError):
    """Several available weights match."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a model: their file names, relative to a folder. Split weights have several."""

    files: tuple[str, ...]

    @property
    def first(self) -> str:
        """File that llama.cpp opens."""
        return self.files[0]

    @property
    def quantization(self) -> str | None:
        """Quantisation in upper case, such as ``Q4_K_M``; None if the file name has none."""
        stem = _PART.sub(r"\1", PurePosixPath(self.first).name).removesuffix(".gguf")
        found = _QUANTIZATION.findall(stem)
        return _OTHER_NAMES.get(found[-1].upper(), found[-1].upper()) if found else None

    @property
    def name(self) -> str:
        """Short name within the repository: the quantisation, or else the file name."""
        return self.quantization or self.first


def whole_weights(files: Iterable[str]) -> list[Weights]:
    """Return the complete weights among some files, sorted by name. Split weights need all their parts."""
    names = sorted(file for file in files if _is_weights(file))
    there = set(names)
    found: list[Weights] = []
    for name in names:
        part = _PART.fullmatch(name)
        if part is None:
            found.append(Weights((name,)))
        elif int(part[2]) == 1:
            parts = tuple(f"{part[1]}-{number:05}-of-{part[3]}.gguf" for number in range(1, int(part[3]) + 1))
            if there.issuperset(parts):
                found.append(Weights(parts))
    return found


def files_of(path: Path) -> list[Path]:
    """Return the existing files of the weights that a file opens."""
    part = _PART.fullmatch(path.name)
    if part is None:
        return [path]
    names = (f"{part[1]}-{number:05}-of-{part[3]}.gguf" for number in range(1, int(part[3]) + 1))
    return [file for name in names if (file := path.with_name(name)).is_file()]


def choose(available: Collection[Weights], wanted: str) -> Weights:
    """Choose weights.

    Args:
        available: available weights.
        wanted: a file name with or without folders, a quantisation in any case, or an empty string. Then the preferred
            quantisation is chosen: ``Q4_K_M``, then ``Q8_0``, then others.

    Raises:
        NoSuchWeightsError: no weights match.
        AmbiguousWeightsError: several weights match.
    """
    if not wanted:
        return _preferred(available)
    matching = [weights for weights in available if wanted in weights.files]
    matching = matching or [weights for weights in available if wanted in map(_file_name, weights.files)]
    matching = matching or [weights for weights in available if weights.quantization == wanted.upper()]
    if len(matching) == 1:
        return matching[0]
    if matching:
        files = ", ".join(weights.first for weights in matching)
        raise AmbiguousWeightsError(f"several files for {wanted}: {files}")
    if not available:
        raise NoSuchWeightsError("no .gguf file with weights")
    raise NoSuchWeightsError(f"no {wanted}, but {', '.join(sorted({weights.name for weights in available}))}")


def _preferred(available: Collection[Weights]) -> Weights:
    for quantization in _PREFERRED_QUANTIZATIONS:
        for weights in available:
            if weights.quantization == quantization:
                return weights
    for weights in available:
        return weights
    raise NoSuchWeightsError("no .gguf file with weights")


def _is_weights(file: str) -> bool:
    name = _file_name(file).lower()
    return name.endswith(".gguf") and not name.startswith(_NO_WEIGHTS)


def _file_name(file: str) -> str:
    return PurePosixPath(file).name
