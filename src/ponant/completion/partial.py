"""Ends of texts that may become a mark once more text arrives."""


def partial_length(text: str, mark: str) -> int:
    """Return the length of the longest end of a text that is a beginning of the mark, but not all of it."""
    lengths = range(min(len(mark) - 1, len(text)), 0, -1)
    return next((length for length in lengths if mark.startswith(text[-length:])), 0)
