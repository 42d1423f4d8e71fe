"""Settings of one model."""

import logging
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ponant.setting_values import Devices, KVType, Layers, LongTexts, Memory, Shares, SplitMode, Threads, Tokens

logger = logging.getLogger("ponant.settings")


class ModelSettings(BaseModel):
    """The settings of one model. None stands for the server's setting."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(
        description="Model to serve: smollm2, multilingual-e5-small, the path of a .gguf file, or "
        "hf:org/repo[:file or :quant]."
    )
    id: str | None = Field(
        default=None,
        min_length=1,
        description="Id of the model in the API. Default: the name of its file or repository.",
    )
    kind: Literal["chat", "fim", "embed"] | None = Field(
        default=None,
        description="Task of the model: chat (and code), fim (code only) or embed. Default: detected from the file.",
    )
    aliases: list[str] = Field(default=[], description="Further names of the model.")
    default_temperature: float | None = Field(default=None, ge=0, le=1.5, description="Overrides the server's setting.")
    tokenizer: Path | None = Field(
        default=None,
        description="Mistral's tokenizer file. Default: the one in the folder of the weights, if there is one.",
    )
    context: Tokens | None = Field(default=None, description="Overrides the server's setting.")
    kv_memory: Memory | None = Field(default=None, description="Overrides the server's setting.")
    parallel: int | None = Field(default=None, ge=1, le=256, description="Overrides the server's setting.")
    threads: Threads | None = Field(default=None, description="Overrides the server's setting.")
    training_weights: Path | None = Field(
        default=None,
        description="Hugging Face folder with the model in full precision, used for fine-tuning. Default: the "
        "weights of the GGUF file.",
    )
    kv_type: KVType | None = Field(default=None, description="Overrides the server's setting.")
    devices: Devices = Field(default=None, description="Overrides the server's setting.")
    gpu_layers: Layers | None = Field(default=None, description="Overrides the server's setting.")
    split_mode: SplitMode | None = Field(default=None, description="Overrides the server's setting.")
    tensor_split: Shares | None = Field(default=None, description="Overrides the server's setting.")
    main_device: str | None = Field(default=None, description="Overrides the server's setting.")
    cpu_moe: Layers | None = Field(default=None, description="Overrides the server's setting.")
    long_texts: LongTexts | None = Field(default=None, description="Overrides the server's setting.")
    truncate: bool | None = Field(
        default=None, description="Deprecated: true is long_texts = truncate, false is long_texts = refuse."
    )
    embed_as: Literal["passage", "query"] = Field(
        default="passage",
        description="For multilingual-e5-small: role of the texts, passage (documents) or query.",
    )

    @model_validator(mode="after")
    def _replace_truncate(self) -> Self:
        """Translate the deprecated setting."""
        if self.truncate is not None:
            if self.long_texts is not None:
                raise ValueError("truncate and long_texts are one setting: remove truncate")
            self.long_texts = "truncate" if self.truncate else "refuse"
            logger.warning("the setting truncate is deprecated; use long_texts", extra={"long_texts": self.long_texts})
            self.truncate = None
        return self
