"""Descriptions of the hardware that computes a model."""


def cpu(threads: int) -> str:
    """Return the description of a processor that computes with a number of threads."""
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"
