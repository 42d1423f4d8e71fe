"""What can go wrong with training."""


class TrainingError(Exception):
    """The training cannot go on. The message says what to do about it; ``kind`` is one word for programs."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ExportError(Exception):
    """An adapter cannot be exported. The message is for users."""
