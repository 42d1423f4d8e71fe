"""All settings. Flags take precedence over ``PONANT_*`` variables, and these over ``ponant.toml``."""

import os
import re
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AliasChoices,
    ByteSize,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ponant.model_settings import ModelSettings
from ponant.setting_values import (
    Count,
    Devices,
    KVType,
    Layers,
    LongTexts,
    Memory,
    Shares,
    SplitMode,
    Threads,
    Tokens,
    split_list,
)

DEFAULT_FILE = Path("ponant.toml")
_file: ContextVar[Path] = ContextVar("settings_file", default=DEFAULT_FILE)
"""The file that settings are read from; a context variable, as pydantic-settings has no argument for it."""
DEFAULT_MODEL = "smollm2"
_WEB_ADDRESS = re.compile(r"https?://([\w.-]+|\[[\da-f:]+\])(:\d{1,5})?(/[\w./~-]*)?", re.ASCII | re.IGNORECASE)
SAFE_PROMPT = (
    "Be helpful, honest and kind. Do not produce content that is hateful, violent, deceptive or illegal, that "
    "endangers anyone, or that violates anyone's privacy. If a request would need such content, decline it and say why."
)
"""Default system text of ``safe_prompt``."""


def default_data_dir() -> Path:
    """Return the default data folder."""
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "ponant"


class Settings(BaseSettings):
    """The settings of a server. ``docs/settings.md`` repeats the descriptions below; a test compares both."""

    model_config = SettingsConfigDict(env_prefix="PONANT_", extra="forbid")

    models: Annotated[list[ModelSettings], NoDecode] = Field(
        default=[ModelSettings(source=DEFAULT_MODEL)],
        min_length=1,
        description="Models to serve: smollm2, multilingual-e5-small, paths of .gguf files, hf:org/repo[:file "
        "or :quant], or tables with settings of their own. If none of them is an embedding model, "
        "multilingual-e5-small is added.",
    )
    aliases: dict[str, str] = Field(default={}, description="Further names of models: name = model.")
    public_names: bool = Field(default=True, description="Resolve Mistral's public model names to the default models.")
    preload: Literal["first", "all", "none"] = Field(
        default="first",
        description="Models to load at the start: first, all or none. The others are loaded on first use.",
    )
    unload_after: float | None = Field(
        default=None, gt=0, description="Seconds without a request after which a model is unloaded. Default: never."
    )
    model_memory: Memory | None = Field(
        default=None,
        description="Memory limit of all loaded models together, such as 8GB, including KV caches and prefix "
        "caches. The least recently used idle model is unloaded to make room. Default: the memory "
        "of the machine.",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 selects any free port.")
    api_keys: Annotated[list[str], NoDecode] = Field(
        default=[],
        validation_alias=AliasChoices("api_keys", "PONANT_API_KEYS", "PONANT_API_KEY"),
        description="API keys. Clients must send one of them. Empty and blank keys are refused. Without keys, every "
        "key is accepted.",
    )
    auth: bool = Field(default=True, description="Refuse to listen beyond this machine without an API key.")
    cors_origins: Annotated[list[str], NoDecode] = Field(
        default=[], description="Web origins whose pages may call the server."
    )
    pages: bool = Field(
        default=True,
        description="Serve the web pages: /, /playground, /fine-tuning and /docs. They need no key to load.",
    )
    environments: dict[str, str] = Field(
        default={},
        description="Further servers that /docs offers, and that its page may call: name = address, such as "
        "https://dev.example.",
    )
    data_dir: Path = Field(default_factory=default_data_dir, description="Folder for all data.")
    database_url: str | None = Field(
        default=None,
        description="Database for files, jobs and fine-tuned models, such as "
        "postgresql://user:password@host/name (extra postgres). Servers that share a database "
        "must share data_dir too. Default: SQLite, ponant.db in data_dir.",
    )
    context: Tokens | None = Field(
        default=None, description="Longest sequence in tokens. Default: the model's own, limited by memory."
    )
    kv_memory: Memory | None = Field(
        default=None,
        description="Memory for the KV cache that all sequences of a model share, such as 2GB. Default: "
        "chosen from the model and the available memory.",
    )
    parallel: int = Field(default=16, ge=1, le=256, description="Sequences that run at once. Further sequences wait.")
    threads: Threads | None = Field(default=None, description="Compute threads. Default: the number of physical cores.")
    prepare_weights: Literal["off", "auto", "on"] = Field(
        default="off",
        description="Convert the weights to Q8_0, which computes batches faster, and serve the copy: off, on, "
        "or auto (if the copy is measured to be faster).",
    )
    prepare_for: Literal["both", "one", "many"] = Field(
        default="both",
        description="Load at which auto requires the copy to be faster: one sequence, many, or both.",
    )
    deterministic: bool = Field(
        default=False,
        description="Make greedy and seeded results independent of concurrent requests, at a cost in speed.",
    )
    prefix_cache: Literal["auto", "always", "off"] = Field(
        default="auto",
        description="Reuse of cached prompt prefixes: auto (except where an idle server must repeat seeded "
        "answers), always, or off.",
    )
    prefix_cache_memory: Memory | None = Field(
        default=None,
        description="Memory for prefixes of finished sequences outside of the KV cache, such as 1GB. Default: "
        "half the size of the KV cache.",
    )
    drafting: bool = Field(
        default=True,
        description="Speculative decoding: draft several tokens at a time from predictions and from the prompt.",
    )
    long_texts: LongTexts = Field(
        default="mean",
        description="Texts longer than the context of an embedding model, up to 8,192 tokens: mean (of the vectors of "
        "their parts), truncate (at any length) or refuse.",
    )
    default_temperature: float = Field(default=0.7, ge=0, le=1.5, description="Temperature of requests that set none.")
    stream_calls: Literal["whole", "pieces"] = Field(
        default="whole",
        description="Tool calls in streams of the Mistral API: whole (all calls in the last chunk, which every client "
        "reads) or pieces (arguments are streamed, for clients that join them). OpenAI's dialect has pieces.",
    )
    training_nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="Niceness of the trainer process: 0 (the priority of serving) to 19 (lowest). It matters "
        "if both compute on the same cores.",
    )
    dialect: Literal["mistral", "nim", "openai"] = Field(
        default="mistral",
        description="API dialect of /v1: mistral (the Mistral API, with OpenAI's for OpenAI clients), nim "
        "(NVIDIA NIM) or openai.",
    )
    strict: bool = Field(default=False, description="Refuse every field of a request that the Mistral API refuses.")
    safe_prompt: str = Field(
        default=SAFE_PROMPT, description="System text that safe_prompt inserts before a conversation."
    )
    queue_limit: int = Field(
        default=256, ge=0, le=1_000_000, description="Requests that may wait. Further requests get status 429."
    )
    request_timeout: float = Field(
        default=600, gt=0, description="Time limit of a request from the arrival of its body, in seconds."
    )
    step_timeout: float = Field(
        default=15,
        gt=0,
        le=86_400,
        description="Seconds after which a worker that neither steps nor uses the processor is replaced. One that "
        "computes a single step has ten times as long, and at least request_timeout.",
    )
    keep_alive: float = Field(
        default=15, gt=0, description="Seconds of silence after which a stream sends a comment line."
    )
    shutdown_timeout: float = Field(
        default=30, ge=0, description="Time for running requests to finish at shutdown, in seconds."
    )
    head_timeout: float = Field(
        default=10, gt=0, description="Time for a client to send the head of a request, in seconds."
    )
    body_timeout: float = Field(
        default=30, gt=0, description="Longest pause between two pieces of a request's body, in seconds."
    )
    idle_timeout: float = Field(
        default=75, gt=0, description="Time between two requests after which a connection is closed, in seconds."
    )
    send_timeout: float = Field(
        default=60,
        gt=0,
        description="Time after which the connection of a client that reads nothing of a response is closed, in "
        "seconds.",
    )
    max_body_size: Memory = Field(default=ByteSize(32 * 2**20), description="Largest request body, such as 32MiB.")
    max_file_size: Memory = Field(default=ByteSize(512 * 2**20), description="Largest uploaded file, such as 512MiB.")
    max_json_values: Count = Field(
        default=1_000_000, description="Most values of a JSON body, such as token ids. Larger bodies are not parsed."
    )
    max_json_parts: Count = Field(
        default=200_000,
        description="Most objects, lists, and members of objects of a JSON body together. Larger bodies are not "
        "parsed.",
    )
    max_messages: Count = Field(default=10_000, description="Most messages of a conversation.")
    max_chunks: Count = Field(default=1000, description="Most chunks of a message.")
    max_tools: Count = Field(default=1000, description="Most tools of a request, and most tool calls of a message.")
    max_stops: Count = Field(default=64, description="Most stop strings of a request.")
    max_inputs: Count = Field(default=10_000, description="Most texts of a request for embeddings.")
    max_items: Count = Field(
        default=10_000,
        description="Most items of any other list in a request, such as training files, and of logit_bias.",
    )
    flash_attention: bool = Field(
        default=True,
        description="Compute attention with the flash attention kernel, which suits many concurrent sequences.",
    )
    kv_type: KVType = Field(
        default="f16",
        description="Number format of the KV cache: f16, f32, or q8_0 and q4_0, which take about half and a quarter of "
        "the memory of f16 and need flash_attention.",
    )
    devices: Devices = Field(
        default=None,
        description="Devices that compute, as ponant doctor names them, and RPC servers (rpc://host:port); none for "
        "the processor alone. Default: all GPUs.",
    )
    gpu_layers: Layers | None = Field(
        default=None,
        description="Layers on the devices, counted from the last one; the output counts as one. Default: as many as "
        "fit.",
    )
    split_mode: SplitMode = Field(
        default="layer",
        description="Use of several devices: layer (whole layers on each), row (rows of every matrix on each) or none "
        "(one device).",
    )
    tensor_split: Shares | None = Field(
        default=None, description="Shares of the devices, such as 3,1. Default: by their free memory."
    )
    main_device: str | None = Field(
        default=None,
        description="Device of split_mode none, and of small tensors in split_mode row. Default: the one with the most "
        "free memory.",
    )
    cpu_moe: Layers = Field(
        default=0, description="Number of first layers whose experts stay in the memory of the machine."
    )

    @field_validator("models", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """Accept a source in place of a table."""
        if isinstance(value, list):
            return [{"source": model} if isinstance(model, str) else model for model in value]
        return value

    @field_validator("models", "cors_origins", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        """Parse a list from an environment variable: separated by commas, or as JSON. Empty parts are dropped."""
        parts = split_list(value)
        return [part for part in parts if part] if isinstance(value, str) else parts

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        """Parse keys as ``_split_commas`` does, but keep empty parts, which are refused."""
        return split_list(value)

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, keys: list[str]) -> list[str]:
        """Remove space around keys. Refuse empty keys, which an unset variable in a script or a file leaves."""
        keys = [key.strip() for key in keys]
        if not all(keys):
            raise ValueError("a key is empty or blank; give a key, or remove the setting to serve without keys")
        if not all(key.isprintable() for key in keys):
            raise ValueError("a key has a line break or another character that cannot be printed; give another key")
        return keys

    @field_validator("environments")
    @classmethod
    def _check_addresses(cls, environments: dict[str, str]) -> dict[str, str]:
        """Remove slashes at the ends of addresses. The policy of a page repeats addresses, so their form is narrow."""
        for address in environments.values():
            if not _WEB_ADDRESS.fullmatch(address):
                raise ValueError(f"{address!r} is not a web address; give scheme, host and path: https://dev.example")
        return {name: address.rstrip("/") for name, address in environments.items()}

    @model_validator(mode="after")
    def _quantized_kv_needs_flash_attention(self) -> Self:
        types = [model.kv_type or self.kv_type for model in self.models]
        if not self.flash_attention and ("q8_0" in types or "q4_0" in types):
            raise ValueError("kv_type q8_0 and q4_0 need flash_attention; remove flash_attention = false")
        return self

    @model_validator(mode="after")
    def _strict_is_mistral(self) -> Self:
        if self.strict and self.dialect != "mistral":
            raise ValueError(f"strict applies to the Mistral API and cannot be combined with dialect {self.dialect}")
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
        """Order the sources: flags, environment, file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _file.get())


def describe_errors(error: ValidationError) -> str:
    """Return the reasons why settings are invalid, each with the name of its setting, on one line."""
    return "; ".join(
        ": ".join(filter(None, [".".join(map(str, reason["loc"])), reason["msg"].removeprefix("Value error, ")]))
        for reason in error.errors()
    )


def read_settings(file: Path | None, **flags: Any) -> Settings:
    """Read the settings.

    Args:
        file: the settings file. The default is ``ponant.toml`` in the working directory, if it exists.
        **flags: settings of the command line, which take precedence.

    Raises:
        FileNotFoundError: ``file`` does not exist.
        OSError: the file cannot be read, or it is a folder, a FIFO or a device.
        pydantic.ValidationError: a value is invalid.
        tomllib.TOMLDecodeError: the file is not TOML.
    """
    if file is not None and not file.exists():
        raise FileNotFoundError(file)
    chosen = file or DEFAULT_FILE
    if chosen.exists() and not chosen.is_file():
        raise OSError(f"{chosen} is not a regular file")
    reading = _file.set(chosen)
    try:
        return Settings(**flags)
    finally:
        _file.reset(reading)
