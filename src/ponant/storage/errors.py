"""Errors of the storage."""


class StorageError(Exception):
    """The database or the disk failed. The message says what to do."""


class StorageFullError(StorageError):
    """The disk is full. Nothing was stored."""


class UnknownFileError(Exception):
    """No file has this id, or it has expired."""


class UnknownJobError(Exception):
    """No job has this id."""


class JobStateError(Exception):
    """The state of the job does not allow this change. The message is for users."""
