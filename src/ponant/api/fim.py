"""``POST /v1/fim/completions``: the text between a prompt and a suffix. The response is that of chat."""

from typing import Any

from ponant.api.base import RequestModel
from ponant.api.chat import ChatCompletionResponse, Stop
from ponant.api.numbers import Count, Seed, Share, Temperature


class FIMCompletionRequest(RequestModel):
    """Body of a fill-in-the-middle request. Without a suffix the prompt is continued."""

    model: str | None = None
    prompt: str
    suffix: str | None = ""
    temperature: Temperature | None = None
    top_p: Share | None = 1.0
    max_tokens: Count | None = None
    min_tokens: Count | None = None
    stream: bool | None = False
    stop: Stop = None
    random_seed: Seed | None = None
    metadata: dict[str, Any] | None = None
    prompt_cache_key: str | None = None


class FIMCompletionResponse(ChatCompletionResponse):
    """Body of a fill-in-the-middle response: the text is the content of an assistant message."""
