"""All settings, from flags, environment and file; flags win over ``PONANT_*``, those over ``ponant.toml``."""

import json
import os
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ByteSize, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

DEFAULT_FILE = Path("ponant.toml")
_file: ContextVar[Path] = ContextVar("settings_file", default=DEFAULT_FILE)
"""The file that settings are read from; a context variable, as pydantic-settings has no argument for it."""
DEFAULT_MODEL = "smollm2"
SAFE_PROMPT = (
    "Be helpful, honest and kind. Do not produce content that is hateful, violent, deceptive or illegal, that "
    "endangers anyone, or that violates anyone's privacy. If a request would need such content, decline it and say why."
)
"""What ``safe_prompt`` puts before a conversation, unless the settings have another text."""


def default_data_dir() -> Path:
    """Where data goes unless told otherwise."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "ponant"


class ModelSettings(BaseModel):
    """A model with settings of its own. Those that are None are the server's."""

    model_config = ConfigDict(extra="forbid")

    source: str = Field(
        description="What to serve: smollm2, multilingual-e5-small, the path of a .gguf file, or hf:org/repo[:file or "
        ":quant]."
    )
    id: str | None = Field(
        default=None, min_length=1, description="What it is called. Default: the name of its file or repository."
    )
    kind: Literal["chat", "fim", "embed"] | None = Field(
        default=None, description="What it is for: chat (and code), fim (code alone) or embed. Default: by the file."
    )
    aliases: list[str] = Field(default=[], description="Other names of it.")
    default_temperature: float | None = Field(default=None, ge=0, le=1.5, description="As the server's setting.")
    tokenizer: Path | None = Field(
        default=None, description="File of Mistral's own tokenizer. Default: the one beside the weights, if any."
    )
    context: int | None = Field(default=None, ge=1, description="As the server's setting.")
    kv_memory: ByteSize | None = Field(default=None, description="As the server's setting.")
    parallel: int | None = Field(default=None, ge=1, le=256, description="As the server's setting.")
    threads: int | None = Field(default=None, ge=1, description="As the server's setting.")
    training_weights: Path | None = Field(
        default=None,
        description="Hugging Face folder with the model in full precision, to train on. Default: the file's weights.",
    )
    truncate: bool = Field(
        default=False, description="Of models that embed: whether texts that are too long are cut, not refused."
    )
    embed_as: Literal["passage", "query"] = Field(
        default="passage",
        description="Of multilingual-e5-small: what texts are taken for, passage (what is searched) or query.",
    )


class Settings(BaseSettings):
    """How Ponant serves. ``docs/settings.md`` is made from the descriptions below."""

    model_config = SettingsConfigDict(env_prefix="PONANT_", extra="forbid")

    models: Annotated[list[ModelSettings], NoDecode] = Field(
        default=[ModelSettings(source=DEFAULT_MODEL)],
        min_length=1,
        description="What to serve: smollm2, multilingual-e5-small, paths of .gguf files, hf:org/repo[:file or "
        ":quant], or tables with settings of their own. If none of them embeds, multilingual-e5-small is served too.",
    )
    aliases: dict[str, str] = Field(default={}, description="Other names of models: name = model.")
    public_names: bool = Field(
        default=True, description="Whether Mistral's public model names stand for the default models."
    )
    preload: Literal["first", "all", "none"] = Field(
        default="first",
        description="Which models are loaded at the start: the first, all, or none. The others are loaded when they "
        "are first used.",
    )
    unload_after: float | None = Field(
        default=None, gt=0, description="Seconds without a request after which a model is unloaded. Default: never."
    )
    model_memory: ByteSize | None = Field(
        default=None,
        description="Memory that loaded models may take together, such as 8GB, with their KV caches and what they keep "
        "beside them; the one not used for longest makes room for another. Default: what the machine has.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    api_keys: Annotated[list[str], NoDecode] = Field(
        default=[],
        validation_alias=AliasChoices("api_keys", "PONANT_API_KEYS", "PONANT_API_KEY"),
        description="Keys that clients must send one of. Without any, every key is taken.",
    )
    auth: bool = Field(default=True, description="Whether listening beyond this machine without a key is refused.")
    cors_origins: Annotated[list[str], NoDecode] = Field(
        default=[], description="Web origins whose pages may call the server."
    )
    data_dir: Path = Field(default_factory=default_data_dir, description="Folder for everything that is kept.")
    database_url: str | None = Field(
        default=None,
        description="Database for what is known of files, jobs and models that they made, such as "
        "postgresql://user:password@host/name (extra postgres). Servers that share one share their data_dir too. "
        "Default: SQLite, in ponant.db of data_dir.",
    )
    context: int | None = Field(
        default=None, ge=1, description="Longest single sequence in tokens. Default: the model's own, capped by memory."
    )
    kv_memory: ByteSize | None = Field(
        default=None,
        description="Memory for the KV cache that all sequences share, such as 2GB. Default: by model and memory.",
    )
    parallel: int = Field(default=16, ge=1, le=256, description="How many sequences run at once; others wait.")
    threads: int | None = Field(default=None, ge=1, description="Threads that compute. Default: the physical cores.")
    prepare_weights: Literal["off", "auto", "on"] = Field(
        default="off",
        description="Whether a copy of the weights in Q8_0, which computes batches faster, is made and served: off, "
        "on, or auto, if it is measured to be faster.",
    )
    prepare_for: Literal["both", "one", "many"] = Field(
        default="both",
        description="The load at which auto wants the copy to be faster: one sequence, many, or both.",
    )
    deterministic: bool = Field(
        default=False, description="Make greedy and seeded results independent of what else runs, at a cost in speed."
    )
    prefix_cache: Literal["auto", "always", "off"] = Field(
        default="auto",
        description="Which prompts reuse what was computed for others that begin alike: all, but such that an idle "
        "server repeats seeded answers (auto), all (always), or none (off).",
    )
    prefix_cache_memory: ByteSize | None = Field(
        default=None,
        description="Memory for what finished sequences have computed, outside of the KV cache, such as 1GB. Default: "
        "half as much as the KV cache takes.",
    )
    drafting: bool = Field(
        default=True,
        description="Whether predictions and repetitions of the prompt make answers faster, several tokens at a time.",
    )
    default_temperature: float = Field(default=0.7, ge=0, le=1.5, description="Temperature of requests that give none.")
    stream_calls: Literal["pieces", "whole"] = Field(
        default="pieces",
        description="How streams have calls of tools: as they are written (pieces), or each at once (whole), for "
        "clients that take every piece for a call.",
    )
    training_nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="How low the priority of training is: 0, that of serving, to 19. It matters where both compute on "
        "the same cores.",
    )
    dialect: Literal["mistral", "nim", "openai"] = Field(
        default="mistral",
        description="What /v1 speaks: the Mistral API, and OpenAI's with its clients (mistral); NVIDIA NIM's (nim); or "
        "OpenAI's (openai).",
    )
    strict: bool = Field(
        default=False, description="Whether /v1 refuses every field that the Mistral API itself refuses."
    )
    safe_prompt: str = Field(default=SAFE_PROMPT, description="What safe_prompt puts before a conversation.")
    queue_limit: int = Field(default=256, ge=0, description="How many requests may wait; the next one gets 429.")
    request_timeout: float = Field(default=600, gt=0, description="Seconds that a request may take.")
    keep_alive: float = Field(
        default=15, gt=0, description="Seconds of silence after which a stream gets a comment line."
    )
    shutdown_timeout: float = Field(default=30, ge=0, description="Seconds that running requests get at shutdown.")
    max_body_size: ByteSize = Field(default=ByteSize(32 * 2**20), description="Largest request body, such as 32MiB.")
    max_file_size: ByteSize = Field(default=ByteSize(512 * 2**20), description="Largest uploaded file, such as 512MiB.")
    flash_attention: bool = Field(
        default=True, description="Whether attention is computed as suits many conversations at once."
    )
    kv_type: Literal["f16", "f32"] = Field(default="f16", description="Number format of the KV cache: f16 or f32.")

    @field_validator("models", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """A model without settings of its own is its source alone."""
        if isinstance(value, list):
            return [{"source": model} if isinstance(model, str) else model for model in value]
        return value

    @field_validator("models", "api_keys", "cors_origins", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        """In the environment a list is written with commas, or as JSON."""
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except ValueError as error:
                raise ValueError(f"not a list in JSON: {error}") from None
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @model_validator(mode="after")
    def _strict_is_mistral(self) -> Self:
        if self.strict and self.dialect != "mistral":
            raise ValueError(f"strict is about the Mistral API: it cannot be combined with dialect {self.dialect}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _file.get())


def read_settings(file: Path | None, **flags: Any) -> Settings:
    """The settings, with ``flags`` above everything else.

    Args:
        file: the settings file; by default ``ponant.toml`` of the working directory, if there is one.
        **flags: settings given on the command line.

    Raises:
        FileNotFoundError: the named file does not exist.
        pydantic.ValidationError: a value is not allowed.
        tomllib.TOMLDecodeError: the file is not TOML.
    """
    if file is not None and not file.is_file():
        raise FileNotFoundError(file)
    reading = _file.set(file or DEFAULT_FILE)
    try:
        return Settings(**flags)
    finally:
        _file.reset(reading)
