"""What is wrong with a request that has the right shape."""


class InvalidRequestError(Exception):
    """The request makes no sense or asks for what the model cannot do. The message is for the client.

    ``kind`` is the error's ``type`` on the wire, ``param`` the field concerned.
    """

    def __init__(self, message: str, *, kind: str = "invalid_request_error", param: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.param = param
