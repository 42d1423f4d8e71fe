"""``POST /v1/fim/completions``: the text between a prompt and a suffix. The response is that of chat."""

from typing import Annotated, Any

from pydantic import Field

from ponant.api.base import RequestModel
from ponant.api.chat import ChatCompletionResponse, StopString


class FIMCompletionRequest(RequestModel):
    """Body of a fill-in-the-middle request. Without a suffix the prompt is continued."""

    model: str | None = None
    prompt: str
    suffix: str | None = ""
    temperature: Annotated[float, Field(ge=0, le=1.5)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = 1.0
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    min_tokens: Annotated[int, Field(ge=0)] | None = None
    stream: bool | None = False
    stop: StopString | list[StopString] | None = None
    random_seed: Annotated[int, Field(ge=0)] | None = None
    metadata: dict[str, Any] | None = None
    prompt_cache_key: str | None = None


class FIMCompletionResponse(ChatCompletionResponse):
    """Body of a fill-in-the-middle response: the text is the content of an assistant message."""
