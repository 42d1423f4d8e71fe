"""The version of Ponant."""

__version__ = "0.1.0"
