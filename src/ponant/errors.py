"""Errors that cross packages: of requests that have the right shape, and of engines."""


class InvalidRequestError(Exception):
    """The request makes no sense or asks for what the model cannot do. The message is for the client.

    ``kind`` is the error's ``type`` on the wire, ``param`` the field concerned.
    """

    def __init__(self, message: str, *, kind: str = "invalid_request_error", param: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.param = param


class EngineError(Exception):
    """Something that an engine could not do."""


class ModelLoadError(EngineError):
    """The model cannot be run as asked: no such file, not a model, too little memory. The message is for users."""


class AdapterError(EngineError):
    """An adapter cannot be loaded: a bad file, of another model, one too many. The message is for users."""


class QueueFullError(EngineError):
    """Too many requests wait already."""


class EngineUnavailableError(EngineError):
    """The engine is (re)starting, stopping, or died under the request."""


class DeadlineExceededError(Exception):
    """The request took longer than the settings allow."""
