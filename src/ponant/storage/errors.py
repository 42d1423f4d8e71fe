"""What can go wrong with what is kept."""


class StorageError(Exception):
    """What is kept cannot be read or written. The message says what to do."""


class StorageFullError(StorageError):
    """There is no room for what was to be kept; nothing of it was."""


class UnknownFileError(Exception):
    """There is no such file, or no more."""


class UnknownJobError(Exception):
    """There is no such fine-tuning job."""


class JobStateError(Exception):
    """A fine-tuning job is not in a state in which this could be done. The message is for users."""
