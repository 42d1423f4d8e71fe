"""Errors of training and export."""


class TrainingError(Exception):
    """Training cannot continue. The message says what to do; ``kind`` is one word for programs."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ExportError(Exception):
    """An adapter cannot be exported. The message is for users."""
