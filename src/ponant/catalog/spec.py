"""Specifications of models to serve."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ponant.engine.embed.base import LongTexts
from ponant.engine.llama.placement import ALL_DEVICES, DeviceSettings
from ponant.errors import ModelLoadError
from ponant.llamacpp.memory import KVType
from ponant.weights.kinds import Kind

LOCAL = "local"
"""Name of the loader of models on this machine."""

EmbedAs = Literal["passage", "query"]
"""Role of texts, for models that embed passages and queries differently."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model to serve: its weights, names and options.

    Attributes:
        source: name of a bundled model, path of a GGUF file, or ``hf:org/repo[:file|:quant]``.
        id: id in the API.
        path: file of the weights; None for a model on another machine.
        kind: task of the model.
        aliases: further names.
        default_temperature: temperature of requests that set none.
        tokenizer: Mistral's tokenizer file, if it is not in the folder of the weights.
        context: longest sequence in tokens; None leaves it to the engine.
        kv_memory: size of the KV cache in bytes; None leaves it to the engine.
        parallel: sequences that run at once.
        threads: compute threads; None leaves them to the engine.
        training_weights: Hugging Face folder with the model in full precision, for fine-tuning.
        long_texts: treatment of texts that are longer than the context of an embedding model.
        embed_as: role of the texts of the bundled embedding model.
        kv_type: number format of the KV cache.
        devices: devices that compute.
        loader: name of the model's loader in the catalog.
    """

    source: str
    id: str
    path: Path | None
    kind: Kind = "chat"
    aliases: tuple[str, ...] = ()
    default_temperature: float = 0.7
    tokenizer: Path | None = None
    context: int | None = None
    kv_memory: int | None = None
    parallel: int = 16
    threads: int | None = None
    training_weights: Path | None = None
    long_texts: LongTexts = "mean"
    embed_as: EmbedAs = "passage"
    kv_type: KVType = "f16"
    devices: DeviceSettings = ALL_DEVICES
    loader: str = LOCAL

    @property
    def weights(self) -> Path:
        """File of the weights. Raises ModelLoadError if they are not on this machine."""
        if self.path is None:
            raise ModelLoadError(f"the weights of {self.id} are not on this machine")
        return self.path


@dataclass(frozen=True, slots=True)
class FineTunedSpec:
    """The result of a fine-tuning job.

    Attributes:
        id: ``ft:<base>:<suffix>:<date>:<id>``.
        base: id of the base model.
        adapter: LoRA adapter in llama.cpp's GGUF format.
        job: id of the job.
        root: name of the base model in the job.
        created: seconds since 1970.
        name: display name.
        description: description.
        archived: True if the model is listed but refuses requests.
    """

    id: str
    base: str
    adapter: Path
    job: str
    root: str
    created: int
    name: str | None = None
    description: str | None = None
    archived: bool = False
