"""Sizes as people read them."""


def megabytes(size: int) -> str:
    """A size in bytes as people read it: ``377 MB``, ``1.5 GB``."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"
