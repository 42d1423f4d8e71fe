"""Types of the values of settings, and the reading of lists from texts."""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field
from pydantic_settings import NoDecode

LongTexts = Literal["mean", "truncate", "refuse"]
Threads = Annotated[int, Field(ge=1, le=1024)]
Tokens = Annotated[int, Field(ge=1, le=2**31 - 1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Memory = Annotated[ByteSize, Field(le=2**62)]
Layers = Annotated[int, Field(ge=0, le=10_000)]
KVType = Literal["f16", "f32", "q8_0", "q4_0"]
SplitMode = Literal["layer", "row", "none"]


def split_list(value: Any) -> Any:
    """Return the parts of a text, separated by commas or as JSON; any other value unchanged."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError as error:
            raise ValueError(f"not a list in JSON: {error}") from None
    return [part.strip() for part in value.split(",")]


def _device_names(value: Any) -> Any:
    """Parse names of devices; ``none`` is an empty list."""
    names = split_list(value)
    return [] if names in (["none"], "none") else names


def _check_shares(shares: list[float]) -> list[float]:
    if not any(shares):
        raise ValueError("one share at least must be above 0")
    return shares


Devices = Annotated[list[str] | None, NoDecode, BeforeValidator(_device_names)]
"""Names of devices, separated by commas in a text."""
Shares = Annotated[
    list[Annotated[float, Field(ge=0, allow_inf_nan=False)]],
    NoDecode,
    BeforeValidator(split_list),
    AfterValidator(_check_shares),
]
"""Shares of devices, separated by commas in a text."""
