"""Errors that several packages raise or translate: of requests and of engines."""


class InvalidRequestError(Exception):
    """The request is invalid, or asks for a feature that the model does not have. The message is for the client.

    ``kind`` is the error's ``type`` on the wire, ``param`` the field concerned.
    """

    def __init__(self, message: str, *, kind: str = "invalid_request_error", param: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.param = param


class EngineError(Exception):
    """Base of all errors of engines."""


class ModelLoadError(EngineError):
    """The model cannot be loaded: no such file, not a model, too little memory. The message is for users."""


class AdapterError(EngineError):
    """An adapter cannot be loaded: a bad file, another base model, too many adapters. The message is for users."""


class QueueFullError(EngineError):
    """Too many requests wait."""


class EngineUnavailableError(EngineError):
    """The engine is starting, restarting or stopping, or died under the request."""


class EngineRestartedError(EngineUnavailableError):
    """The engine died under the request and begins it again, with the same seeds. What it has generated is void."""

    def __init__(self) -> None:
        super().__init__("the engine died under this request")


class RequestRefusedError(EngineError):
    """The engine died twice of this request, or of an equal one."""

    def __init__(self) -> None:
        super().__init__("The engine ended twice while it computed this request, or an equal one, so it is refused")


class DeadlineExceededError(Exception):
    """The request took longer than the settings allow."""


def missing_extra(extra: str) -> str:
    """Return the instruction to install an extra of Ponant, for messages of errors."""
    return f"install Ponant with the extra {extra} (README.md, section Install)"
