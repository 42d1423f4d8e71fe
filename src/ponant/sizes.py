"""Human-readable sizes."""


def megabytes(size: int) -> str:
    """Return a size in bytes as text: ``377 MB``, ``1.5 GB``."""
    return f"{size / 2**30:.1f} GB" if size >= 2**30 else f"{size / 2**20:.0f} MB"
