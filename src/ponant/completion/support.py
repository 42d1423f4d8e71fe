"""Refusal of unsupported chat features."""

from ponant.api.chat import ChatCompletionRequest
from ponant.errors import InvalidRequestError


def refuse_unsupported(request: ChatCompletionRequest) -> None:
    """Raise InvalidRequestError if the request uses an unsupported feature."""
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequestError("top_logprobs requires logprobs to be true", param="top_logprobs")
    if request.top_prompt_logprobs and not request.prompt_logprobs:
        raise InvalidRequestError(
            "top_prompt_logprobs requires prompt_logprobs to be true", param="top_prompt_logprobs"
        )
    if any(guardrail.blocks() for guardrail in request.guardrails or []):
        raise InvalidRequestError(
            "This server has no moderation model: guardrails with action block are not supported",
            kind="not_supported",
            param="guardrails",
        )
