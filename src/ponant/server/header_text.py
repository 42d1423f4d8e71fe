"""Headers as errors repeat them."""

_LONGEST = 100
"""Most characters of a header's value that an error repeats."""


def content_type_is(sent: str | None) -> str:
    """Return a clause of an error about the header Content-Type as it was sent."""
    return f"header Content-Type is {shown(sent)}" if sent else "header Content-Type is missing"


def shown(value: str) -> str:
    """Return the beginning of a header's value."""
    return value[:_LONGEST]
