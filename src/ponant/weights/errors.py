"""Errors of model files."""


class ModelNotFoundError(Exception):
    """The weights were not found. The message tells the user what to do."""
