"""What a request may not ask for yet, so that it gets a clear answer instead of silence."""

from ponant.api.chat import ChatCompletionRequest
from ponant.errors import InvalidRequestError


def refuse_unsupported(request: ChatCompletionRequest) -> None:
    """Raise InvalidRequestError if the request asks for something that is not served."""
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequestError("top_logprobs needs logprobs to be true", param="top_logprobs")
    if any(guardrail.blocks() for guardrail in request.guardrails or []):
        raise InvalidRequestError(
            "This server has no moderation model: guardrails with action block are not supported",
            kind="not_supported",
            param="guardrails",
        )
