"""What a request may not ask for yet, so that it gets a clear answer instead of silence."""

from ponant.api.chat import ChatCompletionRequest
from ponant.prompts.errors import InvalidRequestError


def refuse_unsupported(request: ChatCompletionRequest) -> None:
    """Raise InvalidRequestError if the request asks for something that is not served."""
    asked = {
        "response_format": request.response_format is not None and request.response_format.type != "text",
        "tools": bool(request.tools),
        "tool_choice": request.tool_choice not in (None, "auto", "none"),
        "prompt_mode": request.prompt_mode is not None,
        "reasoning_effort": request.reasoning_effort not in (None, "none"),
    }
    if request.top_logprobs and not request.logprobs:
        raise InvalidRequestError("top_logprobs needs logprobs to be true", param="top_logprobs")
    for field, is_asked in asked.items():
        if is_asked:
            raise InvalidRequestError(f"This server does not support {field} yet", kind="not_supported", param=field)
    if any(guardrail.blocks() for guardrail in request.guardrails or []):
        raise InvalidRequestError(
            "This server has no moderation model: guardrails with action block are not supported",
            kind="not_supported",
            param="guardrails",
        )
