"""Errors of models on disk and at the hub."""


class ModelNotFoundError(Exception):
    """There are no such weights. The message tells the user what to do."""
