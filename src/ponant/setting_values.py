"""Types of the values of settings, and the reading of lists from texts."""

import json
from typing import Annotated, Any, Literal

from pydantic import ByteSize, Field

LongTexts = Literal["mean", "truncate", "refuse"]
Threads = Annotated[int, Field(ge=1, le=1024)]
Tokens = Annotated[int, Field(ge=1, le=2**31 - 1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Memory = Annotated[ByteSize, Field(le=2**62)]


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
