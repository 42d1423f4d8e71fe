"""Headers of the web pages: what browsers may load and run on them."""

from collections.abc import Sequence
from urllib.parse import urlsplit


def page_headers(addresses: Sequence[str], *, reference: bool = False) -> dict[str, str]:
    """Return the headers of a page, or of one of its files.

    Args:
        addresses: addresses of further servers that the page may call.
        reference: True for the reference page, whose library writes styles and small images into the page.
    """
    policy = {
        "default-src": ["'self'"],
        "connect-src": ["'self'", *sorted({_origin(address) for address in addresses})],
        "style-src": ["'self'", *(["'unsafe-inline'"] if reference else [])],
        "img-src": ["'self'", *(["data:"] if reference else [])],
        "object-src": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
    return {
        "content-security-policy": "; ".join(f"{name} {' '.join(sources)}" for name, sources in policy.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-cache",
    }


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
